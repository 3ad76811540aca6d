/**
 * Hashed search: what can still be done where states don't fit into memory. It finds violations; it proves nothing.
 *
 * Theory of operation: depth first, with a set of bits instead of a table of states. A state counts as visited when three
 * bits that its hash names are set; another state may have set them, and then this one and all behind it are left out.
 * The way to the state that is being looked at is the stack, so a violation has a path, not a shortest one. Leads-to and
 * `sometimes` aren't judged.
 */

import type { Verdict } from './explore.ts';
import { Layout, StateView } from './layout.ts';
import { type Property, questionOf } from './properties.ts';
import { hashWords } from './store.ts';
import { isBroken, makeSuccessors } from './successors.ts';
import { World, type WorldDefinition } from './world.ts';

export interface HashedOptions {
  /** Bytes for the bits. */
  readonly memory: number;
  /** Steps of a path at most; default 1,000. */
  readonly depthMax?: number;
  /** Seconds; default 60. */
  readonly seconds?: number;
}

/** What came of it. */
export interface HashedResult {
  /** States looked at; how many were left out is unknown. */
  readonly states: number;
  readonly violation: Verdict | null;
  /** In one sentence, with what it is worth. */
  readonly text: string;
}

/** Looks for a violation of `properties`. */
export function searchHashed(
  definition: WorldDefinition,
  properties: readonly Property[],
  { memory, depthMax = 1000, seconds = 60 }: HashedOptions,
): HashedResult {
  const world = new World(definition);
  const layout = new Layout(world);
  const { words } = layout;
  const successors = makeSuccessors(world, layout);
  const questions = properties.map((property) => questionOf(property, layout));
  const bits = new Uint32Array(2 ** Math.floor(Math.log2(Math.min(memory, 2 ** 30) / 4)));
  const mask = bits.length * 32 - 1;
  const visit = (from: Int32Array, at: number): boolean => {
    const first = hashWords(from, at, words);
    const step = (Math.imul(first, 0x9e37_79b1) ^ (first >>> 7)) | 1;
    let fresh = false;
    for (let number = 0; number < 3; number++) {
      const bit = (first + Math.imul(number, step)) & mask;
      const set = 1 << (bit & 31);
      if ((bits[bit >>> 5]! & set) === 0) fresh = true;
      bits[bit >>> 5]! |= set;
    }
    return fresh;
  };
  const stack = new Int32Array((depthMax + 1) * words);
  const rules: number[] = [];
  const enabled = Array.from({ length: depthMax + 1 }, () => new Uint16Array(successors.rules));
  const counts = new Int32Array(depthMax + 1);
  const nexts = new Int32Array(depthMax + 1);
  const [view, before] = [new StateView(layout, stack), new StateView(layout, stack)];
  const violated = (depth: number): string | null => {
    view.at = depth * words;
    before.at = Math.max(0, depth - 1) * words;
    for (const question of questions) {
      const holds =
        question.kind === 'always'
          ? question.holds(view, view)
          : question.kind === 'implies'
            ? !question.left(view, view) || question.right(view, view)
            : question.kind !== 'transition' || depth === 0 || question.holds(view, before);
      if (!holds) return question.name;
    }
    return null;
  };
  const done = (states: number, property: string | null, because: string): HashedResult => ({
    states,
    violation:
      property === null ? null : { property, holds: false, unknown: false, because, path: [...rules], cycle: [] },
    text:
      property === null
        ? `hashed search: ${states} states seen, nothing violated; not exhaustive, it proves nothing`
        : `hashed search: ${states} states seen; a violation, on a path that need not be the shortest`,
  });
  const end = performance.now() + 1000 * seconds;
  successors.initial(stack, 0);
  visit(stack, 0);
  let states = 1;
  const first = violated(0);
  if (first !== null) return done(states, first, 'broken');
  counts[0] = successors.enabled(stack, 0, enabled[0]!);
  for (let depth = 0; depth >= 0; ) {
    if (nexts[depth] === counts[depth] || depth === depthMax) {
      depth--;
      rules.pop();
      continue;
    }
    const rule = enabled[depth]![nexts[depth]!++]!;
    rules.push(rule);
    try {
      successors.fire(rule, stack, depth * words, stack, (depth + 1) * words);
    } catch (error) {
      if (!isBroken(error)) throw error;
      return done(states, 'every event is expected and every value in its range', error.message);
    }
    const broken = violated(depth + 1);
    if (broken !== null) return done(states, broken, 'broken');
    if (!visit(stack, (depth + 1) * words)) {
      rules.pop();
      continue;
    }
    states++;
    if ((states & 0xfff) === 0 && performance.now() > end) break;
    depth++;
    counts[depth] = successors.enabled(stack, depth * words, enabled[depth]!);
    nexts[depth] = 0;
  }
  return done(states, null, '');
}
