/**
 * Judges mutants: what finds them, in the order in which it is asked, the cheap first.
 *
 * 1. the compiler and its contracts refuse it;
 * 2. nothing that the machine can be asked, alone in its environment or in a world, is answered otherwise: it is equivalent;
 * 3. properties of its steps (`model-tests/steps/`), on what is answered otherwise and how to get there;
 * 4. properties of the worlds in which something is answered otherwise, the small worlds first;
 * 5. scripts made from the product graphs of those worlds, played on the driver with the mutated tables;
 * 6. the driver's runs through every transition, with all that they check.
 *
 * What is left survives: either no world and no run comes to the place, or they do and don't mind.
 */

import { readFileSync } from 'node:fs';
import {
  type CompiledMachine,
  CompileError,
  compileMachines,
  explorationLimits,
  type Limits,
  type MachineName,
  machineNames,
  type Routes,
} from '../../machines/index.ts';
import { explore, type Found, portable } from '../explorer/index.ts';
import {
  edgeCount,
  type ProductGraph,
  type ProductTests,
  play,
  productGraph,
  productTests,
  type Script,
} from '../product/index.ts';
import type { Run } from '../random/action.ts';
import { carryOut, randomLimits } from '../random/world.ts';
import { type Input, inputsAlone, inRange, type Step, Stepper, stepProperties } from '../steps/index.ts';
import { type CatalogWorld, worlds } from '../worlds/index.ts';
import { compare, type Difference } from './answers.ts';
import { Inputs, watchInputs } from './inputs.ts';
import type { Mutant } from './mutants.ts';

/** What became of a mutant, in the order in which it is asked. */
export const outcomes = [
  'compiler',
  'equivalent',
  'steps',
  'worlds',
  'scripts',
  'runs',
  'survived',
  'unreached',
] as const;
export type Outcome = (typeof outcomes)[number];

/** What became of a mutant. */
export interface Verdict {
  readonly mutant: string;
  readonly operator: string;
  readonly machine: string;
  /** `unreached`: no world and no run asks anything that it answers otherwise. */
  readonly by: Outcome;
  /** Property and world, or script, or run, that finds it; why it is equivalent; or worlds that don't mind. */
  readonly what: string;
  /** The smallest world in which something is answered otherwise; empty where there is none. */
  readonly world: string;
}

export interface JudgeOptions {
  /** Worlds to judge in; default all of the catalogue that have at most {@link WORLD_EDGES}. */
  readonly worlds?: readonly CatalogWorld[];
  /** Edges of each world that scripts take; default {@link SCRIPT_EDGES}. */
  readonly scriptEdges?: number;
  /** Whether to ask the driver's runs; default true. */
  readonly runs?: boolean;
  /** Whether to ask the properties of steps; default true. */
  readonly steps?: boolean;
}

/** Larger worlds find little that those don't, and take long. */
export const WORLD_EDGES = 100_000;
/** Scripts of a world beyond these edges would take longer than they find. */
export const SCRIPT_EDGES = 20_000;
/** Transitions of worlds that are searched to their ends at once. */
const SMALL = 10_000;

/** Worlds of at most `edges`, the small first. */
export const worldsUpTo = (edges: number): readonly CatalogWorld[] =>
  worlds
    .filter(({ size }) => (size?.transitions ?? Number.POSITIVE_INFINITY) <= edges)
    .toSorted((left, right) => left.size!.transitions - right.size!.transitions);

interface Watched {
  readonly world: CatalogWorld;
  readonly limits: Limits;
  readonly inputs: readonly Inputs[];
  /** Effects that each machine asks for there. */
  readonly effects: readonly ReadonlySet<string>[];
  tests: ProductTests | null;
  scripts: Script[] | null;
  graph: ProductGraph | null;
}

interface WatchedRun {
  readonly run: Run;
  readonly inputs: readonly Inputs[];
}

/** Judges one mutant after the other; what it has to know of the originals it finds out once. */
export class Judge {
  readonly #options: Required<JudgeOptions>;
  #watched: readonly Watched[] | null = null;
  #runs: readonly WatchedRun[] | null = null;

  constructor(options: JudgeOptions = {}) {
    this.#options = {
      worlds: worldsUpTo(WORLD_EDGES),
      scriptEdges: SCRIPT_EDGES,
      runs: true,
      steps: true,
      ...options,
    };
  }

  /** The worlds, with what their machines are asked. */
  get #worlds(): readonly Watched[] {
    this.#watched ??= this.#options.worlds.map(watch);
    return this.#watched;
  }

  get #watchedRuns(): readonly WatchedRun[] {
    if (this.#runs === null) {
      const runs = this.#options.runs
        ? (JSON.parse(readFileSync(new URL('../driver-paths.json', import.meta.url), 'utf8')) as readonly Run[])
        : [];
      this.#runs = runs.map((run) => {
        const inputs = machineNames.map(() => new Inputs());
        carryOut(run, { party: ({ provider }) => watchInputs(provider.system, inputs) });
        return { run, inputs };
      });
    }
    return this.#runs;
  }

  /**
   * Whether a mutant is one that some world tells from the original; those that are no machine are not.
   *
   * @throws what no mutant can be to blame for
   */
  reaches(mutant: Mutant): boolean {
    try {
      return this.#relevant(mutant, new Tables(mutant)).next().done !== true;
    } catch (error) {
      if (error instanceof CompileError) return false;
      throw error;
    }
  }

  /** Worlds that ask something that the mutant answers otherwise, the small first. */
  *#relevant(mutant: Mutant, tables: Tables): Generator<Watched> {
    const effect = effectOfRoute(mutant);
    for (const watched of this.#worlds) {
      const { limits, inputs, effects } = watched;
      const asks =
        effect === undefined
          ? tables.differs(limits, inputs[tables.number]!.list)
          : effects[tables.number]!.has(effect);
      if (asks) yield watched;
    }
  }

  /** @throws what no mutant can be to blame for */
  judge(mutant: Mutant): Verdict {
    const tables = new Tables(mutant);
    const isRoute = effectOfRoute(mutant) !== undefined;
    let relevant: readonly Watched[] = [];
    let smallest: Watched | undefined;
    const verdict = (by: Outcome, what: string): Verdict => ({
      mutant: mutant.name,
      operator: mutant.operator,
      machine: mutant.machine,
      by,
      what,
      world: smallest?.world.name ?? '',
    });
    let alone: Difference = 'real';
    try {
      // A machine that is none is found here at the latest.
      tables.machines(explorationLimits);
      smallest = this.#relevant(mutant, tables).next().value as Watched | undefined;
      if (!isRoute) {
        const found = this.#options.steps ? tables.brokenStep() : null;
        if (found !== null) return verdict('steps', found);
        alone = tables.difference(explorationLimits, inputsAlone(mutant.machine));
        if (alone === 'none' && smallest === undefined) {
          return verdict('equivalent', 'every question has the same answer');
        }
      }
      relevant = [...this.#relevant(mutant, tables)];
      if (!isRoute) {
        const everywhere = relevant.map(({ limits, inputs }) => tables.difference(limits, inputs[tables.number]!.list));
        if (alone !== 'real' && everywhere.every((difference) => difference !== 'real')) {
          return verdict('equivalent', 'only the order of effects differs that have nothing to do with each other');
        }
      }
    } catch (error) {
      if (error instanceof CompileError) return verdict('compiler', error.message);
      throw error;
    }
    const inWorld = byWorlds(relevant, tables, mutant.routes);
    if (inWorld !== null) return verdict('worlds', inWorld);
    for (const watched of relevant) {
      const found = this.#byScripts(watched, { machines: tables.machines(watched.limits), routes: mutant.routes });
      if (found !== null) return verdict('scripts', found);
    }
    let isRun = false;
    for (const [at, { run, inputs }] of this.#watchedRuns.entries()) {
      if (!isRoute && !tables.differs(randomLimits, inputs[tables.number]!.list)) continue;
      isRun = true;
      try {
        carryOut(run, { tables: { machines: tables.machines(randomLimits), routes: mutant.routes } });
      } catch (error) {
        return verdict('runs', `run ${at}: ${firstLine(error)}`);
      }
    }
    if (relevant.length === 0 && !isRun) return verdict('unreached', '');
    if (
      relevant.length > 0 &&
      mutant.operator === 'actions swapped' &&
      relevant.every((watched) => hasSameGraph(watched, tables.machines(watched.limits)))
    ) {
      return verdict('equivalent', 'the order of its effects changes no graph');
    }
    return verdict('survived', relevant.map(({ world }) => world.name).join('; '));
  }

  #byScripts(watched: Watched, tables: { machines: readonly CompiledMachine[]; routes: Routes }): string | null {
    watched.tests ??= productTests(watched.world.name, this.#options.scriptEdges);
    const { tests } = watched;
    watched.scripts ??= Array.from(tests.tours.paths.keys(), (path) => tests.script(path));
    for (const script of watched.scripts) {
      try {
        play(script, tables);
      } catch (error) {
        return `${script.title}: ${firstLine(error, 1)}`;
      }
    }
    return null;
  }
}

function watch(world: CatalogWorld): Watched {
  const limits = world.definition.limits ?? explorationLimits;
  const inputs = machineNames.map(() => new Inputs());
  explore(world.definition, [], { prepare: ({ system }) => watchInputs(system, inputs) });
  const effects = inputs.map(({ list }, number) => {
    const stepper = new Stepper(compileMachines(limits)[number]!);
    return new Set(list.flatMap((input) => stepper.step(input.configuration, input).effects.map(({ name }) => name)));
  });
  // Compiled once, not for each mutant.
  const definition = portable(world.definition);
  return { world: { ...world, definition }, limits, inputs, effects, tests: null, scripts: null, graph: null };
}

/** Whether a world has the same states and edges, one for one, with other machines. */
function hasSameGraph(watched: Watched, machines: readonly CompiledMachine[]): boolean {
  const { definition } = watched.world;
  watched.graph ??= productGraph(definition);
  const [right, other] = [watched.graph, productGraph({ ...definition, machines })];
  if (right.states !== other.states || edgeCount(right) !== edgeCount(other)) return false;
  for (let edge = 0; edge < edgeCount(right); edge++) {
    if (right.to[edge] !== other.to[edge] || right.rule[edge] !== other.rule[edge]) return false;
  }
  const words = right.states * right.layout.words;
  for (let word = 0; word < words; word++) if (right.words[word] !== other.words[word]) return false;
  return true;
}

/** Effect whose route a mutant drops. */
const effectOfRoute = ({ name, operator }: Mutant): string | undefined =>
  operator === 'route dropped' ? name.split(/[ :]/)[1] : undefined;

/** Inputs of one event in one configuration, by their places in the list, with what the original does. */
interface Group {
  readonly configuration: number;
  readonly state: string;
  readonly event: string;
  readonly places: number[];
  readonly steps: Step[];
}

/** A list of inputs by event and configuration; made once for each list. */
const grouped = new WeakMap<readonly Input[], readonly Group[]>();

function groupsOf(right: CompiledMachine, inputs: readonly Input[]): readonly Group[] {
  const known = grouped.get(inputs);
  if (known !== undefined) return known;
  const groups = new Map<number, Group>();
  const stepper = new Stepper(right);
  for (const [place, input] of inputs.entries()) {
    const { configuration } = input;
    const key = configuration * right.events.length + input.event;
    let group = groups.get(key);
    if (group === undefined) {
      const [state, event] = [right.configurations[configuration]!, right.events[input.event]!.name];
      group = { configuration, state, event, places: [], steps: [] };
      groups.set(key, group);
    }
    group.places.push(place);
    group.steps.push(stepper.step(configuration, input));
  }
  const list = [...groups.values()];
  grouped.set(inputs, list);
  return list;
}

/** A mutant's tables, made once for each limits. */
class Tables {
  readonly number: number;
  readonly #mutant: Mutant;
  readonly #made = new Map<string, CompiledMachine | null>();

  constructor(mutant: Mutant) {
    this.#mutant = mutant;
    this.number = machineNames.indexOf(mutant.machine);
  }

  #compiled(limits: Limits): CompiledMachine | null {
    const key = JSON.stringify(limits);
    if (!this.#made.has(key)) this.#made.set(key, this.#mutant.compile(limits));
    return this.#made.get(key)!;
  }

  /** The mutant among the machines of `limits`. */
  machines(limits: Limits): readonly CompiledMachine[] {
    const mutated = this.#compiled(limits);
    return mutated === null ? compileMachines(limits) : compileMachines(limits).with(this.number, mutated);
  }

  /** Inputs that the mutant does not answer as the original does, with its answers. */
  *#different(
    limits: Limits,
    inputs: readonly Input[],
  ): Generator<{ readonly at: number; readonly step: Step; readonly difference: Difference }> {
    const right = compileMachines(limits)[this.number]!;
    const touched = groupsOf(right, inputs).filter(({ state, event }) => this.#mutant.touches(state, event));
    if (touched.length === 0) return;
    const mutated = this.#compiled(limits);
    if (mutated === null) return;
    const stepper = new Stepper(mutated);
    for (const { configuration, state, places, steps } of touched) {
      const here =
        mutated.configurations[configuration] === state ? configuration : mutated.configurations.indexOf(state);
      // The mutant never comes there, so what leads there is different.
      if (here < 0) continue;
      for (const [index, at] of places.entries()) {
        const step = stepper.step(here, inputs[at]!);
        const difference = compare(right, steps[index]!, step);
        if (difference !== 'none') yield { at, step, difference };
      }
    }
  }

  /** The greatest difference in what it answers to `inputs`. */
  difference(limits: Limits, inputs: readonly Input[]): Difference {
    let found: Difference = 'none';
    for (const { difference } of this.#different(limits, inputs)) {
      if (difference === 'real') return 'real';
      found = 'order';
    }
    return found;
  }

  /** Whether it answers some of `inputs` otherwise, be it only in another order. */
  differs(limits: Limits, inputs: readonly Input[]): boolean {
    return this.#different(limits, inputs).next().done !== true;
  }

  /** A property that a step of the machine alone breaks, which the mutant comes to; null when there is none. */
  brokenStep(): string | null {
    const name: MachineName = this.#mutant.machine;
    const inputs = inputsAlone(name);
    const mutated = this.#compiled(explorationLimits);
    if (mutated === null) return null;
    const properties = stepProperties.filter(({ machine }) => machine === name);
    for (const { at, step } of this.#different(explorationLimits, inputs)) {
      const broken =
        !step.refused && !inRange(mutated, step)
          ? 'every value is in its range'
          : properties.find((property) => property.holds(step) === false)?.name;
      if (broken !== undefined && comesTo(mutated, inputs, at)) return broken;
    }
    return null;
  }
}

/** Whether `machine` gets to where input `at` is asked, by the questions on the original's way there. */
function comesTo(machine: CompiledMachine, inputs: readonly Input[], at: number): boolean {
  const right = compileMachines(explorationLimits)[machineNames.indexOf(machine.name as MachineName)]!;
  const way: Input[] = [];
  for (let before = inputs[at]!.parent; before >= 0; before = inputs[before]!.parent) way.unshift(inputs[before]!);
  const stepper = new Stepper(machine);
  let place = { configuration: 0, memory: machine.fields.map((field) => field.initial) as readonly number[] };
  for (const { event, parameters } of way) {
    if (stepper.step(place.configuration, { memory: place.memory, event, parameters }).refused) return false;
    place = stepper.place;
  }
  const { configuration, memory } = inputs[at]!;
  return (
    machine.configurations[place.configuration] === right.configurations[configuration] &&
    place.memory.every((value, field) => value === memory[field])
  );
}

/**
 * The property of a world that a mutant breaks: first those of small worlds, then to the first violation in the others, and
 * then to their ends.
 */
function byWorlds(relevant: readonly Watched[], tables: Tables, routes: Routes): string | null {
  const small = relevant.filter(({ world }) => world.size!.transitions <= SMALL);
  const large = relevant.filter(({ world }) => world.size!.transitions > SMALL);
  for (const [list, thorough] of [
    [small, true],
    [large, false],
    [large, true],
  ] as const) {
    for (const watched of list) {
      const found = byProperties(watched, tables.machines(watched.limits), routes, thorough);
      if (found !== null) return found;
    }
  }
  return null;
}

/**
 * The property of a world that a mutant breaks.
 *
 * @param thorough - to the end of the search, with what is to happen somewhere or in time; otherwise to the first violation
 */
function byProperties(
  { world }: Watched,
  machines: readonly CompiledMachine[],
  routes: Routes,
  thorough: boolean,
): string | null {
  let found: Found;
  try {
    found = explore({ ...world.definition, machines, routes }, world.properties, { stopWhenBroken: !thorough });
  } catch (error) {
    // Not even the way to the initial state is there any more.
    return `${world.name}: ${firstLine(error)}`;
  }
  const broken = found.verdicts.find(({ holds, unknown }) => !holds && !unknown);
  return broken === undefined ? null : `${world.name}: ${broken.property}`;
}

const firstLine = (error: unknown, line = 0): string =>
  (error instanceof Error ? error.message : String(error)).split('\n')[line] ?? '';
