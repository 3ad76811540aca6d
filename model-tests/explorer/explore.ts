/**
 * Explorer: every state that a world can reach, exactly, and what was asked of it.
 *
 * Theory of operation: breadth first, so every path found is a shortest one. States lie one behind the other in the order
 * of discovery, which is the queue as well; with each its parent and the rule that led there; a table of indices finds
 * a state again by all its bits. A successor is made by unpacking the state into the system's rows, letting the rule
 * happen as in production, and packing what came of it. Everything is in the order of the rules, so two runs are alike.
 */

import { InvariantError } from '../../machines/index.ts';
import { findLasso, type Graph } from './fairness.ts';
import { Layout, RangeError32, StateView } from './layout.ts';
import { type Property, type Question, questionOf } from './properties.ts';
import { describePath, type Step } from './report.ts';
import { UnexpectedEffect, World, type WorldDefinition } from './world.ts';

/** How a property came out. */
export interface Verdict {
  readonly property: string;
  readonly holds: boolean;
  /** Why not, for people; or the assumptions under which it holds. */
  readonly because: string;
  /** Rules from the initial state to what breaks it, or shows it. */
  readonly path: readonly number[];
  /** Rules that can go on for ever from there; empty when the run just stops. */
  readonly cycle: readonly number[];
}

export interface ExploreOptions {
  /** Bytes for states, edges and table. */
  readonly memoryMax?: number;
  /** Gets the world before the search begins, to watch it. */
  readonly prepare?: (world: World) => void;
}

const MEMORY_MAX = 1 << 30;

/** What a search found. */
export class Found {
  readonly world: World;
  readonly layout: Layout;
  readonly states: number;
  readonly transitions: number;
  /** Steps to the farthest state. */
  readonly depth: number;
  readonly seconds: number;
  readonly verdicts: readonly Verdict[];
  /** Rules that never happened. */
  readonly unfired: readonly string[];
  /** Configurations that no row was ever in, and values that no field of any row ever had: `socket: bound.opening`. */
  readonly unreached: readonly string[];

  constructor(of: Omit<Found, 'size' | 'assertProperties' | 'report'>) {
    this.world = of.world;
    this.layout = of.layout;
    this.states = of.states;
    this.transitions = of.transitions;
    this.depth = of.depth;
    this.seconds = of.seconds;
    this.verdicts = of.verdicts;
    this.unfired = of.unfired;
    this.unreached = of.unreached;
  }

  /** What a test pins: a changed model is a visible difference. */
  get size(): { states: number; transitions: number; depth: number } {
    return { states: this.states, transitions: this.transitions, depth: this.depth };
  }

  /** @throws Error with the shortest paths, when a property doesn't hold */
  assertProperties(): void {
    const broken = this.verdicts.filter(({ holds }) => !holds);
    if (broken.length > 0) throw new Error(broken.map((verdict) => this.report(verdict)).join('\n\n'));
  }

  /** A verdict with its path: events, and what each changed. */
  report({ property, because, path, cycle }: Verdict): string {
    const { definition } = this.world;
    const lines = [`world '${definition.name}': ${property}: ${because}`];
    const steps = replay(definition, [...path, ...cycle]);
    lines.push(describePath(steps.slice(0, path.length), 1));
    if (cycle.length > 0)
      lines.push('and from there for ever:', describePath(steps.slice(path.length), path.length + 1));
    return lines.join('\n');
  }
}

/** Lets rules happen, from the initial state on. The last may break an invariant: then that ends the steps. */
export function replay(definition: WorldDefinition, rules: readonly number[]): Step[] {
  const world = new World(definition);
  const layout = new Layout(world);
  const words = new Int32Array(layout.words);
  layout.pack(words, 0);
  let before = layout.describe(words, 0);
  return rules.map((index) => {
    const rule = world.rules[index]!;
    try {
      if (!world.enabled(index)) throw new Error(`'${rule.name}' cannot happen here`);
      world.fire(index);
      layout.pack(words, 0);
    } catch (error) {
      return { rule, changes: [], error: (error as Error).message };
    }
    const after = layout.describe(words, 0);
    const changes = layout.cells
      .filter((cell) => before.get(cell) !== after.get(cell))
      .map((cell) => ({ cell, from: before.get(cell)!, to: after.get(cell)! }));
    before = after;
    return { rule, changes };
  });
}

/**
 * Searches `definition` to its end and judges what is `asked`.
 *
 * @throws Error when it does not fit into the memory allowed; a search that ends early says nothing
 */
export function explore(
  definition: WorldDefinition,
  asked: readonly Property[],
  { memoryMax = MEMORY_MAX, prepare }: ExploreOptions = {},
): Found {
  const begun = performance.now();
  const world = new World(definition);
  prepare?.(world);
  const layout = new Layout(world);
  const { words } = layout;
  const properties = asked.map((property) => questionOf(property, layout));
  const store = new Store(words, memoryMax, definition.name);
  const scratch = new Int32Array(words);
  const view = new StateView(layout, scratch);
  const beforeView = new StateView(layout, scratch);
  const ruleCount = world.rules.length;
  const fired = new Uint32Array(ruleCount);
  if (ruleCount > 0xffff) throw new RangeError(`world '${definition.name}' has more than 65,535 rules`);

  /** First state in which each property was broken, or shown; -1 for none. */
  const broken = properties.map(() => -1);
  const shown = properties.map(() => -1);
  /** Rule of the broken transition out of it. */
  const brokenBy = properties.map(() => -1);
  let stepError: { state: number; rule: number; message: string } | null = null;

  const onState: ((state: number) => void)[] = [];
  const onEdge: ((state: number, rule: number) => void)[] = [];
  const onEnd: ((state: number) => void)[] = [];
  for (const [index, property] of properties.entries()) {
    const first = (where: number[], state: number): void => {
      if (where[index] === -1) where[index] = state;
    };
    switch (property.kind) {
      case 'always':
        onState.push((state) => broken[index] !== -1 || property.holds(view, view) || first(broken, state));
        break;
      case 'sometimes':
        onState.push((state) => shown[index] === -1 && property.holds(view, view) && first(shown, state));
        break;
      case 'implies':
        onState.push((state) => {
          if (!property.left(view, view)) return;
          first(shown, state);
          if (!property.right(view, view)) first(broken, state);
        });
        break;
      case 'transition':
        onEdge.push((state, rule) => {
          if (broken[index] !== -1 || property.holds(view, beforeView)) return;
          first(broken, state);
          brokenBy[index] = rule;
        });
        break;
      case 'deadlock':
        onEnd.push((state) => {
          first(shown, state);
          if (!property.terminal(beforeView, beforeView)) first(broken, state);
        });
        break;
      case 'leadsTo':
        break;
    }
  }

  layout.pack(scratch, 0);
  store.add(scratch, -1, 0);
  for (const look of onState) look(0);
  let depth = 0;
  let levelEnd = 1;
  for (let state = 0; state < store.count && stepError === null; state++) {
    if (state === levelEnd) {
      depth++;
      levelEnd = store.count;
    }
    let moves = false;
    let fresh = false;
    for (let rule = 0; rule < ruleCount; rule++) {
      if (!fresh) layout.unpack(store.words, state * words);
      fresh = true;
      if (!world.enabled(rule)) continue;
      fresh = false;
      try {
        world.fire(rule);
        layout.pack(scratch, 0);
      } catch (error) {
        const expected = [InvariantError, RangeError32, UnexpectedEffect].some((kind) => error instanceof kind);
        if (!expected) throw error;
        stepError = { state, rule, message: (error as Error).message };
        break;
      }
      fired[rule]!++;
      const known = store.count;
      const next = store.add(scratch, state, rule);
      store.edge(next, rule);
      if (next !== state) moves = true;
      if (onEdge.length > 0) {
        beforeView.words = store.words;
        beforeView.at = state * words;
        for (const look of onEdge) look(state, rule);
      }
      if (next === known) for (const look of onState) look(next);
    }
    store.endOfEdges();
    if (!moves && stepError === null) {
      beforeView.words = store.words;
      beforeView.at = state * words;
      for (const look of onEnd) look(state);
    }
  }

  const verdicts: Verdict[] = [];
  verdicts.push(
    stepError === null
      ? {
          property: 'every event is expected and every value in its range',
          holds: true,
          because: 'holds',
          path: [],
          cycle: [],
        }
      : {
          property: 'every event is expected and every value in its range',
          holds: false,
          because: stepError.message,
          path: [...store.path(stepError.state), stepError.rule],
          cycle: [],
        },
  );
  for (const [index, property] of properties.entries()) {
    const verdict = (holds: boolean, because: string, path: readonly number[], cycle: readonly number[] = []) =>
      verdicts.push({ property: property.name, holds, because, path, cycle });
    const unknown = stepError !== null;
    const [bad, good] = [broken[index]!, shown[index]!];
    if (property.kind === 'leadsTo') {
      if (!unknown) verdicts.push(judge(property, world, store, view));
      continue;
    }
    if (bad >= 0) {
      const last = brokenBy[index]! >= 0 ? [brokenBy[index]!] : [];
      verdict(false, property.kind === 'deadlock' ? 'nothing can change any more' : 'broken', [
        ...store.path(bad),
        ...last,
      ]);
    } else if (unknown) {
      // The search ended early: nothing more is known.
    } else if (property.kind === 'sometimes' || property.kind === 'implies') {
      if (good < 0) verdict(false, property.kind === 'sometimes' ? 'never' : 'its left side never holds', []);
      else verdict(true, 'shown', store.path(good));
    } else verdict(true, 'holds', []);
  }

  return new Found({
    world,
    layout,
    states: store.count,
    transitions: store.edges,
    depth,
    seconds: (performance.now() - begun) / 1000,
    verdicts,
    unfired: world.rules.filter((_, index) => fired[index] === 0).map(({ name }) => name),
    unreached: unreachedIn(layout, store),
  });
}

type LeadsTo = Extract<Question, { kind: 'leadsTo' }>;

function judge(property: LeadsTo, world: World, store: Store, view: StateView): Verdict {
  const { name, from, to, fair } = property;
  const bits = new Map(fair.map((label, index) => [label, 1 << index]));
  if (fair.length > 30) throw new RangeError(`'${name}': more than 30 fair classes`);
  for (const label of fair) {
    if (!world.rules.some((rule) => rule.fair === label)) throw new Error(`'${name}': no rule is fair as '${label}'`);
  }
  const classOf = Int32Array.from(world.rules, (rule) => bits.get(rule.fair ?? '') ?? 0);
  const isFrom = new Uint8Array(store.count);
  const isTo = new Uint8Array(store.count);
  view.words = store.words;
  let origin = -1;
  for (let state = 0; state < store.count; state++) {
    view.at = state * view.layout.words;
    if (from(view, view)) {
      isFrom[state] = 1;
      if (origin < 0) origin = state;
    }
    if (to(view, view)) isTo[state] = 1;
  }
  const assumed = fair.length === 0 ? 'without fairness' : `fair: ${fair.join(', ')}`;
  if (origin < 0) {
    return { property: name, holds: false, because: 'its left side never holds', path: [], cycle: [] };
  }
  const { graph } = store;
  const lasso = findLasso(graph, isFrom, isTo, classOf, 2 ** fair.length - 1);
  if (lasso === null) {
    return { property: name, holds: true, because: assumed, path: store.path(origin), cycle: [] };
  }
  const inside = new Set(lasso.set);
  const approach = walk(
    graph,
    [lasso.origin],
    (state) => inside.has(state),
    (state) => isTo[state] === 0,
  );
  // Once around, through a rule of each class that happens inside.
  const cycle: number[] = [];
  let here = approach.end;
  const entry = here;
  const inSet = (state: number): boolean => inside.has(state);
  for (const bit of bits.values()) {
    const isSource = (state: number): boolean => edgeInside(graph, state, inside, classOf, bit) >= 0;
    if (!lasso.set.some(isSource)) continue;
    const leg = walk(graph, [here], isSource, inSet);
    const edge = edgeInside(graph, leg.end, inside, classOf, bit);
    cycle.push(...leg.rules, graph.rule[edge]!);
    here = graph.to[edge]!;
  }
  // Through a state in which each of the others can't happen.
  for (const bit of bits.values()) {
    const isIdle = (state: number): boolean => !canHappen(graph, state, classOf, bit);
    if (!lasso.set.some(isIdle)) continue;
    const leg = walk(graph, [here], isIdle, inSet);
    cycle.push(...leg.rules);
    here = leg.end;
  }
  if (here !== entry) cycle.push(...walk(graph, [here], (state) => state === entry, inSet).rules);
  return {
    property: name,
    holds: false,
    because: `${cycle.length === 0 ? 'a run can stop before it' : 'a run can go on without it'} (${assumed})`,
    path: [...store.path(lasso.origin), ...approach.rules],
    cycle,
  };
}

function edgeInside(graph: Graph, state: number, inside: Set<number>, classOf: Int32Array, bit: number): number {
  for (let edge = graph.start[state]!; edge < graph.start[state + 1]!; edge++) {
    if (classOf[graph.rule[edge]!] === bit && inside.has(graph.to[edge]!)) return edge;
  }
  return -1;
}

function canHappen(graph: Graph, state: number, classOf: Int32Array, bit: number): boolean {
  for (let edge = graph.start[state]!; edge < graph.start[state + 1]!; edge++) {
    if (classOf[graph.rule[edge]!] === bit) return true;
  }
  return false;
}

/** Shortest way from some of `sources` to a state that `isGoal`, through states that are `allowed`. */
function walk(
  graph: Graph,
  sources: readonly number[],
  isGoal: (state: number) => boolean,
  allowed: (state: number) => boolean,
): { end: number; rules: number[] } {
  const cameBy = new Map<number, { from: number; rule: number }>();
  const open = [...sources];
  for (const source of sources) cameBy.set(source, { from: -1, rule: -1 });
  for (let at = 0; at < open.length; at++) {
    const state = open[at]!;
    if (isGoal(state)) {
      const rules: number[] = [];
      for (let step = cameBy.get(state)!; step.from >= 0; step = cameBy.get(step.from)!) rules.push(step.rule);
      return { end: state, rules: rules.reverse() };
    }
    for (let edge = graph.start[state]!; edge < graph.start[state + 1]!; edge++) {
      const next = graph.to[edge]!;
      if (cameBy.has(next) || !allowed(next)) continue;
      cameBy.set(next, { from: state, rule: graph.rule[edge]! });
      open.push(next);
    }
  }
  throw new Error('no way there: the search for it is wrong');
}

/** Values in nobody's cell, by machine and field. */
function unreachedIn(layout: Layout, store: Store): string[] {
  const seen = new Map<string, { codes: Uint8Array; of: (typeof layout.cells)[number] }>();
  for (const cell of layout.cells) {
    if (cell.mask > 0xff) continue;
    const key = `${cell.of.replace(/ \d+$/, '')}: ${cell.name}`;
    let entry = seen.get(key);
    if (entry === undefined) {
      entry = { codes: new Uint8Array(cell.mask + 1), of: cell };
      seen.set(key, entry);
    }
    const { codes } = entry;
    for (let at = cell.word; at < store.count * layout.words; at += layout.words) {
      codes[(store.words[at]! >>> cell.shift) & cell.mask] = 1;
    }
  }
  const found: string[] = [];
  for (const [key, { codes, of }] of seen) {
    const count = of.values?.length ?? of.high - of.low + 1;
    for (let code = 0; code < count; code++) {
      if (codes[code] === 1) continue;
      found.push(of.names === null ? `${key} = ${of.values?.[code] ?? code + of.low}` : `${key}${of.names[code]}`);
    }
  }
  return found;
}

/** States in the order of discovery, the table that finds them, and the edges between them. */
class Store {
  words: Int32Array;
  count = 0;
  edges = 0;
  readonly #width: number;
  readonly #memoryMax: number;
  readonly #name: string;
  #parents = new Int32Array(1024);
  #rules = new Uint16Array(1024);
  /** Index + 1 of a state, 0 where there is none; at most half full. */
  #table = new Int32Array(4096);
  #edgeTo = new Int32Array(4096);
  #edgeRule = new Uint16Array(4096);
  #edgeStart = new Int32Array(1025);

  constructor(width: number, memoryMax: number, name: string) {
    this.#width = width;
    this.#memoryMax = memoryMax;
    this.#name = name;
    this.words = new Int32Array(1024 * width);
  }

  /** @returns index of the state in `scratch`, which is added unless it is known */
  add(scratch: Int32Array, parent: number, rule: number): number {
    const width = this.#width;
    const mask = this.#table.length - 1;
    let slot = hash(scratch, 0, width) & mask;
    for (let entry = this.#table[slot]!; entry !== 0; entry = this.#table[slot]!) {
      const at = (entry - 1) * width;
      let word = 0;
      while (word < width && this.words[at + word] === scratch[word]) word++;
      if (word === width) return entry - 1;
      slot = (slot + 1) & mask;
    }
    if (this.count === this.#parents.length) this.#growStates();
    const index = this.count++;
    this.words.set(scratch, index * width);
    this.#parents[index] = parent;
    this.#rules[index] = rule;
    this.#table[slot] = index + 1;
    if (this.count * 2 > this.#table.length) this.#growTable();
    return index;
  }

  edge(to: number, rule: number): void {
    if (this.edges === this.#edgeTo.length) {
      const larger = new Int32Array(this.edges * 2);
      larger.set(this.#edgeTo);
      this.#edgeTo = larger;
      const rules = new Uint16Array(this.edges * 2);
      rules.set(this.#edgeRule);
      this.#edgeRule = rules;
      this.#checkMemory();
    }
    this.#edgeTo[this.edges] = to;
    this.#edgeRule[this.edges++] = rule;
  }

  #expanded = 0;
  /** The edges of one more state are complete. */
  endOfEdges(): void {
    this.#edgeStart[++this.#expanded] = this.edges;
  }

  get graph(): Graph {
    return { states: this.count, start: this.#edgeStart, to: this.#edgeTo, rule: this.#edgeRule };
  }

  /** Rules from the initial state to `state`. */
  path(state: number): number[] {
    const rules: number[] = [];
    for (let at = state; this.#parents[at]! >= 0; at = this.#parents[at]!) rules.push(this.#rules[at]!);
    return rules.reverse();
  }

  #growStates(): void {
    const states = this.count * 2;
    const words = new Int32Array(states * this.#width);
    words.set(this.words);
    this.words = words;
    const parents = new Int32Array(states);
    parents.set(this.#parents);
    this.#parents = parents;
    const rules = new Uint16Array(states);
    rules.set(this.#rules);
    this.#rules = rules;
    const starts = new Int32Array(states + 1);
    starts.set(this.#edgeStart);
    this.#edgeStart = starts;
    this.#checkMemory();
  }

  #growTable(): void {
    const table = new Int32Array(this.#table.length * 2);
    const mask = table.length - 1;
    for (let index = 0; index < this.count; index++) {
      let slot = hash(this.words, index * this.#width, this.#width) & mask;
      while (table[slot] !== 0) slot = (slot + 1) & mask;
      table[slot] = index + 1;
    }
    this.#table = table;
    this.#checkMemory();
  }

  #checkMemory(): void {
    const bytes =
      this.words.byteLength +
      this.#parents.byteLength +
      this.#rules.byteLength +
      this.#table.byteLength +
      this.#edgeTo.byteLength +
      this.#edgeRule.byteLength +
      this.#edgeStart.byteLength;
    if (bytes <= this.#memoryMax) return;
    throw new Error(
      `world '${this.#name}': ${this.count} states and ${this.edges} transitions need more than ${this.#memoryMax} bytes; nothing is known of the rest`,
    );
  }
}

/** Spreads all bits of a state over 32; only where to look, never whether it is the same. */
function hash(words: Int32Array, at: number, width: number): number {
  let mixed = 0x9747_b28c;
  for (let word = 0; word < width; word++) {
    let part = Math.imul(words[at + word]!, 0xcc9e_2d51);
    part = (part << 15) | (part >>> 17);
    mixed ^= Math.imul(part, 0x1b87_3593);
    mixed = (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe654_6b64) | 0;
  }
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
