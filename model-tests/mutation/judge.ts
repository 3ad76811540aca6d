/**
 * Judges mutants: what finds them, in the order in which it is asked.
 *
 * 1. the compiler and its contracts refuse it;
 * 2. nothing that the machine can be asked, alone in its environment, is answered otherwise: it is equivalent;
 * 3. properties of the worlds in which something is answered otherwise, the small worlds first;
 * 4. scripts made from the product graphs of those worlds, played on the driver with the mutated tables;
 * 5. the driver's runs through every transition, with all that they check.
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
import { environments, isPossible } from '../support/environment.ts';
import { decidingValues } from '../support/machine-paths.ts';
import { eventInstances } from '../support/reference.ts';
import { type CatalogWorld, worlds } from '../worlds/index.ts';
import { differs as isOther, effectsOf, Inputs, inputsAlone, watchInputs } from './inputs.ts';
import type { Mutant } from './mutants.ts';

/** What became of a mutant. */
export interface Verdict {
  readonly mutant: string;
  readonly operator: string;
  readonly machine: string;
  /** `unreached`: no world and no run asks anything that it answers otherwise. */
  readonly by: 'compiler' | 'equivalent' | 'properties' | 'scripts' | 'runs' | 'survived' | 'unreached';
  /** World and property, or script, or run, that finds it; or worlds that don't mind. */
  readonly what: string;
}

export interface JudgeOptions {
  /** Worlds to judge in; default all of the catalogue. */
  readonly worlds?: readonly CatalogWorld[];
  /** Edges of each world that scripts take; default {@link SCRIPT_EDGES}. */
  readonly scriptEdges?: number;
  /** Whether to ask the driver's runs; default true. */
  readonly runs?: boolean;
}

/** Scripts of a world beyond these edges would take longer than they find. */
export const SCRIPT_EDGES = 20_000;

/** Transitions of worlds that are searched to their ends at once, and of those that are searched to their ends at all. */
const SMALL = 10_000;
const LARGE = 300_000;

interface Watched {
  readonly world: CatalogWorld;
  readonly limits: Limits;
  readonly inputs: readonly Inputs[];
  readonly effects: readonly ReadonlySet<string>[];
  tests: ProductTests | null;
  scripts: Script[] | null;
  graph: ProductGraph | null;
}

/** Judges one mutant after the other; what it has to know of the originals it finds out once. */
export class Judge {
  readonly #options: Required<JudgeOptions>;
  readonly #worlds: readonly Watched[];
  readonly #alone: readonly Inputs[];
  readonly #runs: { readonly run: Run; readonly inputs: readonly Inputs[] }[] = [];

  constructor(options: JudgeOptions = {}) {
    this.#options = { worlds, scriptEdges: SCRIPT_EDGES, runs: true, ...options };
    this.#worlds = this.#options.worlds
      .toSorted((left, right) => (left.size?.transitions ?? 1e9) - (right.size?.transitions ?? 1e9))
      .map((world) => this.#watch(world));
    this.#alone = compileMachines(explorationLimits).map((machine, number) => {
      const name = machineNames[number]!;
      const events = eventInstances(machine, decidingValues);
      const names = machine.fields.map((field) => field.name);
      return inputsAlone(machine, events, (configuration, memory, event) =>
        isPossible(
          environments[name],
          machine.configurations[configuration]!,
          Object.fromEntries(names.map((field, at) => [field, memory[at]!])),
          events[event]!,
        ),
      );
    });
    if (!this.#options.runs) return;
    const runs = JSON.parse(readFileSync(new URL('../driver-paths.json', import.meta.url), 'utf8')) as readonly Run[];
    for (const run of runs) {
      const inputs = machineNames.map(() => new Inputs());
      carryOut(run, { party: ({ provider }) => watchInputs(provider.system, inputs) });
      this.#runs.push({ run, inputs });
    }
  }

  #watch(world: CatalogWorld): Watched {
    const limits = world.definition.limits ?? explorationLimits;
    const inputs = machineNames.map(() => new Inputs());
    explore(world.definition, [], { prepare: ({ system }) => watchInputs(system, inputs) });
    const machines = compileMachines(limits);
    const effects = inputs.map(({ list }, machine) => effectsOf(machines[machine]!, list));
    // Compiled once, not for each mutant.
    const definition = portable(world.definition);
    return { world: { ...world, definition }, limits, inputs, effects, tests: null, scripts: null, graph: null };
  }

  /**
   * Whether a mutant is one that some world tells from the original; those that are no machine are not.
   *
   * @throws what no mutant can be to blame for
   */
  reaches(mutant: Mutant): boolean {
    try {
      return this.#relevant(mutant, new Tables(mutant)).length > 0;
    } catch (error) {
      if (error instanceof CompileError) return false;
      throw error;
    }
  }

  /** Whether `other` answers all that the machine alone can be asked as a mutant does, or neither is a machine. */
  isSameAlone(mutant: Mutant, other: (limits: Limits) => CompiledMachine | null): boolean {
    const made = (make: (limits: Limits) => CompiledMachine | null): CompiledMachine | null => {
      try {
        return make(explorationLimits);
      } catch (error) {
        if (error instanceof CompileError) return null;
        throw error;
      }
    };
    const [left, right] = [made((limits) => mutant.compile(limits)), made(other)];
    if (left === null || right === null) return left === right;
    return !isOther(left, right, this.#alone[machineNames.indexOf(mutant.machine)]!.list, true);
  }

  #relevant(mutant: Mutant, tables: Tables): readonly Watched[] {
    const effect = effectOfRoute(mutant);
    return this.#worlds.filter(({ limits, inputs, effects }) =>
      effect === undefined ? tables.differs(limits, inputs) : effects[tables.number]!.has(effect),
    );
  }

  /** @throws what no mutant can be to blame for */
  judge(mutant: Mutant): Verdict {
    const verdict = (by: Verdict['by'], what: string): Verdict => ({
      mutant: mutant.name,
      operator: mutant.operator,
      machine: mutant.machine,
      by,
      what,
    });
    const tables = new Tables(mutant);
    let relevant: readonly Watched[];
    try {
      if (effectOfRoute(mutant) === undefined && !tables.differs(explorationLimits, this.#alone)) {
        return verdict('equivalent', '');
      }
      relevant = this.#relevant(mutant, tables);
    } catch (error) {
      if (error instanceof CompileError) return verdict('compiler', error.message);
      throw error;
    }
    // Small worlds to their ends at once; the others to the first violation, and then those that are not too large again.
    const sized = (low: number, high: number) =>
      relevant.filter(({ world: { size } }) => {
        const { transitions = Number.POSITIVE_INFINITY } = size ?? {};
        return transitions > low && transitions <= high;
      });
    for (const [worldsOfSize, thorough] of [
      [sized(0, SMALL), true],
      [sized(SMALL, Number.POSITIVE_INFINITY), false],
      [sized(SMALL, LARGE), true],
    ] as const) {
      for (const watched of worldsOfSize) {
        const found = byProperties(watched, tables.machines(watched.limits), mutant.routes, thorough);
        if (found !== null) return verdict('properties', found);
      }
    }
    for (const watched of relevant) {
      const found = this.#byScripts(watched, { machines: tables.machines(watched.limits), routes: mutant.routes });
      if (found !== null) return verdict('scripts', found);
    }
    const effect = effectOfRoute(mutant);
    let isRun = false;
    for (const [at, { run, inputs }] of this.#runs.entries()) {
      if (effect === undefined && !tables.differs(randomLimits, inputs)) continue;
      isRun = true;
      try {
        carryOut(run, { tables: { machines: tables.machines(randomLimits), routes: mutant.routes } });
      } catch (error) {
        return verdict('runs', `run ${at}: ${firstLine(error)}`);
      }
    }
    if (relevant.length === 0 && !isRun) return verdict('unreached', '');
    // The same effects in another order, and every world has the same states and edges: nothing can tell them apart.
    if (
      relevant.length > 0 &&
      !tables.differs(explorationLimits, this.#alone, false) &&
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

  /** Whether some of the machine's `inputs` is answered otherwise, be it only by another order of the effects. */
  differs(limits: Limits, inputs: readonly Inputs[], ordered = true): boolean {
    const mutated = this.#compiled(limits);
    if (mutated === null) return false;
    return isOther(compileMachines(limits)[this.number]!, mutated, inputs[this.number]!.list, ordered);
  }
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
