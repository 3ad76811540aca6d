/**
 * Leads-to: what was promised somewhere in a finished search, judged on its transitions, with a lasso where it is broken.
 *
 * Theory of operation: all promises are judged in one pass over the states, which says where each is made and kept, and
 * one over the transitions ({@link findLassos}). Only for one that is broken is there more to do: the way to the set in
 * which it can wait for ever, and once around in it, through whatever shows that the run is fair.
 */

import type { Verdict } from './explore.ts';
import { BITS_MAX, findLassos, type Graph } from './fairness.ts';
import { truthsOf, type Truths } from './formula.ts';
import { StateView } from './layout.ts';
import type { Property } from './properties.ts';
import { pathTo, type SearchResult } from './search.ts';

/** A promise. */
export type LeadsTo = Extract<Property, { kind: 'leadsTo' }>;

/**
 * Judges `promises`, in order.
 *
 * @throws Error when no rule is fair as one says
 * @throws RangeError when one has more than 31 fair classes
 */
export function judgeAll(promises: readonly LeadsTo[], result: SearchResult): Verdict[] {
  const { rules } = result.expander.world;
  for (const { name, fair } of promises) {
    if (fair.length > BITS_MAX) throw new RangeError(`'${name}': more than ${BITS_MAX} fair classes`);
    for (const label of fair) {
      if (!rules.some((rule) => rule.fair === label)) throw new Error(`'${name}': no rule is fair as '${label}'`);
    }
  }
  return groups(promises).flatMap((group) => judge(group, result));
}

/** `promises` in groups for which the bits of an integer suffice: for themselves, and for their fair classes. */
function groups(promises: readonly LeadsTo[]): LeadsTo[][] {
  const made: LeadsTo[][] = [];
  for (const promise of promises) {
    const last = made.at(-1);
    const labels = new Set([...(last ?? []), promise].flatMap(({ fair }) => fair));
    if (last === undefined || last.length === BITS_MAX || labels.size > BITS_MAX) made.push([promise]);
    else last.push(promise);
  }
  return made;
}

/** Judges promises of one group. */
function judge(promises: readonly LeadsTo[], result: SearchResult): Verdict[] {
  const { expander, store } = result;
  const { rules } = expander.world;
  const { graph } = result.edges!;
  const labels = [...new Set(promises.flatMap(({ fair }) => fair))];
  const bitOf = (label: string | undefined): number => {
    const index = labels.indexOf(label ?? '');
    return index < 0 ? 0 : 1 << index;
  };
  const classOf = Int32Array.from(rules, ({ fair }) => bitOf(fair));
  const made = new Int32Array(store.count);
  const kept = new Int32Array(store.count);
  const view = new StateView(expander.layout, new Int32Array(expander.layout.words));
  const [isMade, isKept] = (['from', 'to'] as const).map((side) =>
    truthsOf(
      promises.map((promise) => promise[side]),
      expander.layout,
    ),
  ) as [Truths, Truths];
  for (let state = 0; state < store.count; state++) {
    store.load(state, view.words, 0);
    made[state] = isMade(view);
    kept[state] = isKept(view);
  }
  const fair = promises.map((promise) => promise.fair.reduce((bits, label) => bits | bitOf(label), 0));
  const lassos = findLassos(graph, { made, kept, classOf, fair });
  return promises.map(({ name, fair: classes }, index): Verdict => {
    const has = (bits: Int32Array, state: number): boolean => ((bits[state]! >>> index) & 1) === 1;
    const set = lassos[index]!;
    const verdict = { property: name, holds: set === null, unknown: false, path: [], cycle: [] };
    const assumed = classes.length === 0 ? 'without fairness' : `fair: ${classes.join(', ')}`;
    const origin = made.findIndex((_, state) => has(made, state));
    if (origin < 0) return { ...verdict, holds: false, because: 'its left side never holds' };
    if (set === null) return { ...verdict, because: assumed, path: pathTo(result, origin).rules };
    const { path, entry } = approach(
      result,
      new Set(set),
      (state) => has(made, state),
      (state) => has(kept, state),
    );
    const cycle = around(graph, set, entry, classOf, classes.map(bitOf));
    const because = `${cycle.length === 0 ? 'a run can stop before it' : 'a run can go on without it'} (${assumed})`;
    return { ...verdict, because, path, cycle };
  });
}

/** Rules to a state of `set`, on the way to which a promise is made and not kept. */
function approach(
  result: SearchResult,
  set: ReadonlySet<number>,
  isMade: (state: number) => boolean,
  isKept: (state: number) => boolean,
): { path: readonly number[]; entry: number } {
  const { store } = result;
  // The shortest way to its first state will do, mostly.
  const first = Math.min(...set);
  if (store.path(first).reduce((waits, state) => !isKept(state) && (waits || isMade(state)), false)) {
    return { path: pathTo(result, first).rules, entry: first };
  }
  const origins = Array.from({ length: store.count }, (_, state) => state).filter(
    (state) => isMade(state) && !isKept(state),
  );
  const way = walk(
    result.edges!.graph,
    origins,
    (state) => set.has(state),
    (state) => !isKept(state),
  );
  return { path: [...pathTo(result, way.start).rules, ...way.rules], entry: way.end };
}

/**
 * Rules once around in `set`, from `entry` and back: through a rule of each class that happens inside, and a state in
 * which each of the others can't happen. Empty when a run can stop in `entry`.
 */
function around(
  graph: Graph,
  set: readonly number[],
  entry: number,
  classOf: Int32Array,
  bits: readonly number[],
): number[] {
  const inside = new Set(set);
  const inSet = (state: number): boolean => inside.has(state);
  const cycle: number[] = [];
  let here = entry;
  for (const bit of bits) {
    const isSource = (state: number): boolean => edgeInside(graph, state, inside, classOf, bit) >= 0;
    if (!set.some(isSource)) continue;
    const leg = walk(graph, [here], isSource, inSet);
    const edge = edgeInside(graph, leg.end, inside, classOf, bit);
    cycle.push(...leg.rules, graph.rule[edge]!);
    here = graph.to[edge]!;
  }
  for (const bit of bits) {
    const isIdle = (state: number): boolean => !canHappen(graph, state, classOf, bit);
    if (!set.some(isIdle)) continue;
    const leg = walk(graph, [here], isIdle, inSet);
    cycle.push(...leg.rules);
    here = leg.end;
  }
  if (here !== entry) cycle.push(...walk(graph, [here], (state) => state === entry, inSet).rules);
  return cycle;
}

function edgeInside(
  graph: Graph,
  state: number,
  inside: ReadonlySet<number>,
  classOf: Int32Array,
  bit: number,
): number {
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
): { start: number; end: number; rules: number[] } {
  const cameBy = new Map<number, { from: number; rule: number }>();
  const open = [...sources];
  for (const source of sources) cameBy.set(source, { from: -1, rule: -1 });
  for (let at = 0; at < open.length; at++) {
    const end = open[at]!;
    if (isGoal(end)) {
      const rules: number[] = [];
      let start = end;
      for (let step = cameBy.get(end)!; step.from >= 0; step = cameBy.get(start)!) {
        rules.push(step.rule);
        start = step.from;
      }
      return { start, end, rules: rules.reverse() };
    }
    for (let edge = graph.start[end]!; edge < graph.start[end + 1]!; edge++) {
      const next = graph.to[edge]!;
      if (cameBy.has(next) || !allowed(next)) continue;
      cameBy.set(next, { from: end, rule: graph.rule[edge]! });
      open.push(next);
    }
  }
  throw new Error('no way there: the search for it is wrong');
}
