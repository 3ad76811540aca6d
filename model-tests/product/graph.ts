/**
 * The product graph of a world: its states and every edge between them, for those who walk it.
 *
 * A search judges edges and forgets them; who makes paths or compares worlds needs them all. States are numbered in the
 * order of discovery, breadth first, so a graph is the same each time.
 */

import { Layout, makeSuccessors, World, type WorldDefinition } from '../explorer/index.ts';

/** States of a world and the edges between them. */
export interface ProductGraph {
  readonly world: World;
  readonly layout: Layout;
  /** Number of states; state 0 is the initial one. */
  readonly states: number;
  /** {@link Layout.words} words for each state. */
  readonly words: Int32Array;
  /** Edges of state s: from `start[s]` to `start[s + 1]` in `to` and `rule`. */
  readonly start: Int32Array;
  readonly to: Int32Array;
  readonly rule: Uint16Array;
}

/** Edges of `graph`. */
export const edgeCount = ({ start, states }: ProductGraph): number => start[states]!;

/** More would not fit into what a test may take. */
const STATES_MAX = 2_000_000;

/**
 * Explores `definition`.
 *
 * @param edgesMax - edges after which it stops: what it has not expanded by then has no edges
 * @throws Error when there are too many states, and what a broken world throws
 */
export function productGraph(definition: WorldDefinition, edgesMax = Number.POSITIVE_INFINITY): ProductGraph {
  const world = new World(definition);
  const layout = new Layout(world);
  const successors = makeSuccessors(world, layout);
  const { words: width } = layout;
  let words = new Int32Array(1024 * width);
  let start = new Int32Array(1025);
  let to = new Int32Array(4096);
  let rule = new Uint16Array(4096);
  let edges = 0;
  const known = new Map<string, number>();
  const scratch = new Int32Array(width);
  const enabled = new Uint16Array(world.rules.length);
  const add = (): number => {
    const key = String.fromCharCode(...new Uint16Array(scratch.buffer));
    const found = known.get(key);
    if (found !== undefined) return found;
    const state = known.size;
    if (state === STATES_MAX) throw new Error(`world '${definition.name}' has more than ${STATES_MAX} states`);
    known.set(key, state);
    if ((state + 1) * width > words.length) {
      words = grown(words);
      start = grown(start, 1);
    }
    words.set(scratch, state * width);
    return state;
  };
  successors.initial(scratch, 0);
  add();
  for (let state = 0; state < known.size; state++) {
    const count = edges < edgesMax ? successors.enabled(words, state * width, enabled) : 0;
    for (let index = 0; index < count; index++) {
      successors.fire(enabled[index]!, words, state * width, scratch, 0);
      if (edges === to.length) {
        to = grown(to);
        rule = grown(rule);
      }
      to[edges] = add();
      rule[edges++] = enabled[index]!;
    }
    start[state + 1] = edges;
  }
  return { world, layout, states: known.size, words, start, to, rule };
}

function grown<Column extends Int32Array | Uint16Array>(column: Column, extra = 0): Column {
  const larger = new (column.constructor as new (length: number) => Column)((column.length - extra) * 2 + extra);
  larger.set(column);
  return larger;
}
