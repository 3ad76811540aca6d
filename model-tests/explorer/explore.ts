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
import { Layout } from './layout.ts';
import { judgeAll, type LeadsTo } from './leads-to.ts';
import type { Property } from './properties.ts';
import { describePath, type Step } from './report.ts';
import { type Hit, pathTo, type Progress, search, type SearchResult } from './search.ts';
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
  const isJudged = complete && result.edges !== null;
  const promises = expander.asked.filter((property): property is LeadsTo => property.kind === 'leadsTo');
  const judged = isJudged ? judgeAll(promises, result).values() : null;
  for (const [index, { name, kind }] of expander.questions.entries()) {
    const [bad, good] = [broken[index]!, shown[index]!];
    if (bad !== null) {
      yield verdict(name, false, kind === 'deadlock' ? 'nothing can change any more' : 'broken', pathOf(bad, index));
    } else if (kind === 'sometimes' && good !== null) yield verdict(name, true, 'shown', pathOf(good));
    else if (!complete || (kind === 'leadsTo' && judged === null)) yield verdict(name, false, UNKNOWN, [], true);
    else if (kind === 'leadsTo') yield judged!.next().value!;
    else if (kind === 'sometimes') yield verdict(name, false, 'never', []);
    else if (kind !== 'implies') yield verdict(name, true, 'holds', []);
    else if (good === null) yield verdict(name, false, 'its left side never holds', []);
    else yield verdict(name, true, 'shown', pathOf(good));
  }
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
