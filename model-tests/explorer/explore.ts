/**
 * Explorer: every state that a world can reach, exactly, and what was asked of it.
 *
 * Theory of operation: breadth first, so every path found is a shortest one; {@link search} says how, {@link StateStore}
 * in what memory. What is asked is judged in each state when its successors are made. Two searches are alike, whatever
 * the number of threads. Reductions take states for one that behave alike, and change no verdict; leads-to is judged on
 * a graph without exchanged rows, since fairness tells the rows apart.
 */

import { compile, machineNames } from '../../machines/index.ts';
import type { Reductions, SearchTask } from './expander.ts';
import { findLasso, type Graph } from './fairness.ts';
import { Layout, StateView } from './layout.ts';
import type { Property, Question } from './properties.ts';
import { describePath, type Step } from './report.ts';
import { type Hit, type Progress, search, type SearchResult } from './search.ts';
import { symmetric } from './symmetry.ts';
import { type Rule, World, type WorldDefinition } from './world.ts';

/** How a property came out. */
export interface Verdict {
  readonly property: string;
  readonly holds: boolean;
  /** Whether the search ended too early to tell; then it neither holds nor is violated. */
  readonly unknown: boolean;
  /** Why not, for people; or the assumptions under which it holds. */
  readonly because: string;
  /** Rules from the initial state to what breaks it, or shows it. */
  readonly path: readonly number[];
  /** Rules that can go on for ever from there; empty when the run just stops. */
  readonly cycle: readonly number[];
}

export interface ExploreOptions {
  /** Bytes for states, transitions and table; default 1 GiB. */
  readonly memoryMax?: number;
  /** Threads that search, the calling one included; default 1. Verdicts, counts and paths are the same. */
  readonly threads?: number;
  /** What to take for one state; nothing by default, so that counts are those of other engines. */
  readonly reductions?: Partial<Reductions>;
  /** Ends the search at the first violation; what is not violated by then is unknown. Leads-to isn't judged then. */
  readonly stopWhenBroken?: boolean;
  /** Gets the world before the search begins, to watch it; then it is stepped as in production, in this thread. */
  readonly prepare?: (world: World) => void;
}

const MEMORY_MAX = 1 << 30;
const UNKNOWN = 'the search has not got to its end, so nothing is known';
/** Property that every search judges: no machine meets what it does not expect. */
export const EVERY_EVENT = 'every event is expected and every value in its range';

/** What a search found. */
export class Found {
  readonly world: World;
  readonly layout: Layout;
  readonly states: number;
  readonly transitions: number;
  /** Steps to the farthest state. */
  readonly depth: number;
  readonly seconds: number;
  /** Whether all states were found; otherwise memory, or a violation, has ended the search. */
  readonly complete: boolean;
  /** Bytes that the states took, with parents and table. */
  readonly bytes: number;
  readonly verdicts: readonly Verdict[];
  /** How often each rule happened. */
  readonly fired: readonly number[];
  /** Configurations that no row was ever in, and values that no field of any row ever had: `socket: bound.opening`. */
  readonly unreached: readonly string[];
  /** What the search was made of; for those who look at single states. */
  readonly result: SearchResult;

  constructor(of: Omit<Found, 'size' | 'orbitSum' | 'unfired' | 'assertProperties' | 'report'>) {
    this.world = of.world;
    this.layout = of.layout;
    this.states = of.states;
    this.transitions = of.transitions;
    this.depth = of.depth;
    this.seconds = of.seconds;
    this.complete = of.complete;
    this.bytes = of.bytes;
    this.verdicts = of.verdicts;
    this.fired = of.fired;
    this.unreached = of.unreached;
    this.result = of.result;
  }

  /** What a test pins: a changed model is a visible difference. */
  get size(): { states: number; transitions: number; depth: number } {
    return { states: this.states, transitions: this.transitions, depth: this.depth };
  }

  /** Rules that never happened; of rules that differ by an exchange, all or none. */
  get unfired(): readonly string[] {
    const { rules, definition } = this.world;
    const groups = this.result.expander.canonicalizer === null ? [] : (definition.symmetry?.groups ?? []);
    const kind = ({ send, row, with: parameters = [] }: Rule): string => {
      const group = groups.findIndex((of) => of.machines.includes(send.split('/')[0]!) && of.rows.includes(row));
      return `${send} ${group < 0 ? row : `of group ${group}`} ${parameters.join()}`;
    };
    const happened = new Set(rules.filter((_, index) => this.fired[index]! > 0).map(kind));
    return rules.filter((rule) => !happened.has(kind(rule))).map(({ name }) => name);
  }

  /** @throws Error with the shortest paths, when a property doesn't hold or the search did not get to its end */
  assertProperties(): void {
    const broken = this.verdicts.filter(({ holds, unknown }) => !holds && !unknown);
    if (broken.length > 0) throw new Error(broken.map((verdict) => this.report(verdict)).join('\n\n'));
    if (this.complete) return;
    const { name } = this.world.definition;
    throw new Error(
      `world '${name}': out of memory after ${this.states} states and ${this.transitions} transitions; nothing is known of the rest`,
    );
  }

  /** States that those found stand for, when rows that can be exchanged were: the sum of their orbits' sizes. */
  get orbitSum(): number {
    const { expander, store } = this.result;
    const state = new Int32Array(this.layout.words);
    let sum = 0;
    for (let number = 0; number < store.count; number++) {
      store.load(number, state, 0);
      sum += expander.canonicalizer?.orbit(state, 0) ?? 1;
    }
    return sum;
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
  let events: string[] = [];
  tellEvents(world, (event) => events.push(event));
  return rules.map((index) => {
    const rule = world.rules[index]!;
    events = [];
    try {
      if (!world.enabled(index)) throw new Error(`'${rule.name}' cannot happen here`);
      world.fire(index);
      layout.pack(words, 0);
    } catch (error) {
      return { rule, events, changes: [], error: (error as Error).message };
    }
    const after = layout.describe(words, 0);
    const changes = layout.cells
      .filter((cell) => before.get(cell) !== after.get(cell))
      .map((cell) => ({ cell, from: before.get(cell)!, to: after.get(cell)! }));
    before = after;
    return { rule, events, changes };
  });
}

/** Has `tell` hear of each event that the provider's machines get from outside, before it is applied. */
function tellEvents({ names, system }: World, tell: (event: string) => void): void {
  const apply = system.apply.bind(system);
  system.apply = (event, row, ...values) => {
    const machine = system.machineOfEvent(event);
    if (machine < machineNames.length) {
      const { name, parameters } = system.machines[machine]!.events[event - system.eventBase[machine]!]!;
      const said = parameters.flatMap((parameter, index) =>
        (values[index] ?? 0) === 0 ? [] : [` ${parameter.name} ${values[index]}`],
      );
      tell(`${names[machine]} ${row} ${name}${said.join('')}`);
    }
    apply(event, row, ...values);
  };
}

/** `definition` with its machines compiled: data that can be sent to another thread. */
export function portable(definition: WorldDefinition): WorldDefinition {
  const environment = Object.entries(definition.environment ?? {}).map(([name, machine]) => [
    name,
    'machine' in machine ? compile(machine.machine, machine.contract) : machine,
  ]);
  return { ...definition, environment: Object.fromEntries(environment) };
}

/** Searches `definition` to its end and judges `properties`. A search that ends early says so. */
export function explore(
  definition: WorldDefinition,
  properties: readonly Property[],
  options: ExploreOptions = {},
): Found {
  const steps = exploreInSteps(definition, properties, options);
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** {@link explore}, a little at a time: yields now and then, with how far it is. */
export function* exploreInSteps(
  definition: WorldDefinition,
  properties: readonly Property[],
  options: ExploreOptions = {},
): Generator<Progress, Found> {
  const { memoryMax = MEMORY_MAX, threads = 1, stopWhenBroken = false, prepare } = options;
  const begun = performance.now();
  const fair = properties.some(({ kind }) => kind === 'leadsTo') && !stopWhenBroken;
  const reductions: Reductions = {
    dead: (options.reductions?.dead ?? false) && prepare === undefined,
    symmetry: (options.reductions?.symmetry ?? false) && !fair && prepare === undefined,
  };
  const { symmetry } = definition;
  const task: SearchTask = {
    definition: portable(definition),
    asked:
      reductions.symmetry && symmetry !== undefined
        ? properties.map((property) => (property.kind === 'leadsTo' ? property : symmetric(property, symmetry)))
        : properties,
    reductions,
    edges: fair,
  };
  if (definition.rules.length > 0xffff) throw new RangeError(`world '${definition.name}' has more than 65,535 rules`);
  const result = yield* search(task, {
    memoryMax,
    threads: prepare === undefined ? threads : 1,
    stopWhenBroken,
    ...(prepare === undefined ? {} : { prepare }),
  });
  const { expander, progress, fired, complete } = result;
  const { world, layout } = expander;
  const verdicts = [...verdictsOf(result)];
  return new Found({
    world,
    layout,
    states: progress.states,
    transitions: progress.transitions,
    depth: progress.depth,
    seconds: (performance.now() - begun) / 1000,
    complete,
    bytes: result.store.bytes,
    verdicts,
    fired,
    unreached: unreachedIn(result),
    result,
  });
}

function* verdictsOf(result: SearchResult): Generator<Verdict> {
  const { expander, broken, shown, error, complete } = result;
  const verdict = (
    property: string,
    holds: boolean,
    because: string,
    path: readonly number[],
    unknown = false,
  ): Verdict => ({ property, holds, unknown, because, path, cycle: [] });
  const pathOf = ({ state, rule }: Hit, property: number | null = null): number[] => {
    const { rules, end } = pathTo(result, state);
    return rule < 0 ? rules : [...rules, expander.counterpart(end, state, rule, property)];
  };
  if (error === null) yield verdict(EVERY_EVENT, complete, complete ? 'holds' : UNKNOWN, [], !complete);
  else {
    const path = pathOf(error);
    const steps = replay(expander.world.definition, path);
    yield verdict(EVERY_EVENT, false, steps.at(-1)!.error ?? 'the machines do not say why', path);
  }
  for (const [index, question] of expander.questions.entries()) {
    const { name, kind } = question;
    const [bad, good] = [broken[index]!, shown[index]!];
    if (bad !== null) {
      yield verdict(name, false, kind === 'deadlock' ? 'nothing can change any more' : 'broken', pathOf(bad, index));
    } else if (kind === 'sometimes' && good !== null) yield verdict(name, true, 'shown', pathOf(good));
    else if (!complete || (kind === 'leadsTo' && result.edges === null)) yield verdict(name, false, UNKNOWN, [], true);
    else if (kind === 'leadsTo') yield judge(question, result);
    else if (kind === 'sometimes') yield verdict(name, false, 'never', []);
    else if (kind !== 'implies') yield verdict(name, true, 'holds', []);
    else if (good === null) yield verdict(name, false, 'its left side never holds', []);
    else yield verdict(name, true, 'shown', pathOf(good));
  }
}

/** Rules that lead to `state`, or to one for which it stands, which is `end`: at each step the first that does. */
function pathTo({ expander, store }: SearchResult, state: number): { rules: number[]; end: Int32Array } {
  const { words } = expander.layout;
  const end = new Int32Array(words);
  expander.successors.initial(end, 0);
  const goal = new Int32Array(words);
  const rules = store
    .path(state)
    .slice(1)
    .map((next) => {
      store.load(next, goal, 0);
      return expander.follow(end, goal);
    });
  return { rules, end };
}

type LeadsTo = Extract<Question, { kind: 'leadsTo' }>;

function judge(property: LeadsTo, result: SearchResult): Verdict {
  const { name, from, to, fair } = property;
  const { expander, store } = result;
  const { world, layout } = expander;
  const graph = result.edges!.graph;
  const bits = new Map(fair.map((label, index) => [label, 1 << index]));
  if (fair.length > 30) throw new RangeError(`'${name}': more than 30 fair classes`);
  for (const label of fair) {
    if (!world.rules.some((rule) => rule.fair === label)) throw new Error(`'${name}': no rule is fair as '${label}'`);
  }
  const classOf = Int32Array.from(world.rules, (rule) => bits.get(rule.fair ?? '') ?? 0);
  const isFrom = new Uint8Array(store.count);
  const isTo = new Uint8Array(store.count);
  const view = new StateView(layout, new Int32Array(layout.words));
  let origin = -1;
  for (let state = 0; state < store.count; state++) {
    store.load(state, view.words, 0);
    if (from(view, view)) {
      isFrom[state] = 1;
      if (origin < 0) origin = state;
    }
    if (to(view, view)) isTo[state] = 1;
  }
  const verdict = (holds: boolean, because: string, path: readonly number[], cycle: readonly number[]): Verdict => ({
    property: name,
    holds,
    unknown: false,
    because,
    path,
    cycle,
  });
  const assumed = fair.length === 0 ? 'without fairness' : `fair: ${fair.join(', ')}`;
  if (origin < 0) return verdict(false, 'its left side never holds', [], []);
  const lasso = findLasso(graph, isFrom, isTo, classOf, 2 ** fair.length - 1);
  if (lasso === null) return verdict(true, assumed, pathTo(result, origin).rules, []);
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
  return verdict(
    false,
    `${cycle.length === 0 ? 'a run can stop before it' : 'a run can go on without it'} (${assumed})`,
    [...pathTo(result, lasso.origin).rules, ...approach.rules],
    cycle,
  );
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
function unreachedIn({ expander, store }: SearchResult): string[] {
  const { layout } = expander;
  const seen = new Map<string, { codes: Uint8Array; of: Layout['cells'][number] }>();
  for (const cell of layout.cells) {
    // Rows of a machine may have different bits for a field, none where it has only one value there.
    const count = cell.values?.length ?? cell.high - cell.low + 1;
    if (count > 0x100) continue;
    const key = `${cell.of.replace(/ \d+$/, '')}: ${cell.name}`;
    let entry = seen.get(key);
    if (entry === undefined) {
      entry = { codes: new Uint8Array(count), of: cell };
      seen.set(key, entry);
    }
    const [part, word] = cell.word < layout.split ? [store.first, cell.word] : [store.second, cell.word - layout.split];
    const { words, width } = part.memory;
    for (let at = word; at < part.count * width; at += width) {
      entry.codes[((words[at]! >>> cell.shift) & cell.mask) + cell.base] = 1;
    }
  }
  const found: string[] = [];
  for (const [key, { codes, of }] of seen) {
    for (const [code, met] of codes.entries()) {
      if (met === 1) continue;
      found.push(of.names === null ? `${key} = ${of.values?.[code] ?? code + of.low}` : `${key}${of.names[code]}`);
    }
  }
  return found;
}
