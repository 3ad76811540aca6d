/**
 * World: a small closed system made only of machines.
 *
 * Theory of operation: the provider's eight machines run as in production, in one {@link System}. What is around them
 * (adapter, wire, switch, faults) are machines in the same language, behind the eight. What the driver would do with an
 * effect is data too: a performance turns it into an event of another machine, in the dispatcher's order, that is after
 * the step that asked for it and all that it routed, and inside one another. What happens of itself is a rule: an event
 * for one row with constant parameters, at any time that the row accepts it. Two endpoints are two sets of rows.
 *
 * So a world holds nothing opaque: whoever reads tables, routes, performances and rules has all of it.
 */

import {
  type CompiledMachine,
  compile,
  compileMachines,
  EFFECT_STRIDE,
  explorationLimits,
  type Limits,
  type MachineDefinition,
  machineNames,
  Op,
  type Routes,
  System,
} from '../../machines/index.ts';
import type { Symmetry } from './symmetry.ts';

/** A number that a performance takes: a constant, `'self'` for the asking row, an argument of the effect, or its image. */
export type Source = number | string | { readonly of: string; readonly map: readonly number[] };

/** One thing that a driver would do with an effect. */
export interface Performance {
  readonly send: `${string}/${string}`;
  /** Row that gets the event; below 0: nobody. `'openSockets'`: each socket whose machine has begun. */
  readonly to: Source;
  readonly with?: readonly Source[];
}

/** Something that happens of itself, whenever its target accepts it. */
export interface Rule {
  readonly name: string;
  readonly send: `${string}/${string}`;
  readonly row: number;
  readonly with?: readonly number[];
  /** Who acts: application, adapter, fault. For statistics and paths. */
  readonly class: string;
  /** Weakly fair, together with the rules of the same label: not for ever able to happen without happening. */
  readonly fair?: string;
}

/** What a world is made of. */
export interface WorldDefinition {
  readonly name: string;
  readonly limits?: Limits;
  /** Machines around the provider, by name; a name is its machine's id. */
  readonly environment?: Readonly<Record<string, MachineDefinition | CompiledMachine>>;
  /** Rows of each machine; a machine that isn't here has none. */
  readonly rows: Readonly<Record<string, number>>;
  /** Highest value here of fields that are only carried, by `machine/field`; 0 for the others. */
  readonly carried?: Readonly<Record<string, number>>;
  /** By `machine/effect`. */
  readonly performs: Readonly<Record<string, readonly Performance[]>>;
  /** Effects that change nothing here, by `machine/effect`, or by `effect` for every machine. */
  readonly drops: readonly string[];
  /** Effects that nobody asks for here, named likewise; one that is asked for all the same breaks the world. */
  readonly never?: readonly string[];
  readonly rules: readonly Rule[];
  /** What leads to the initial state. */
  readonly start?: readonly Omit<Rule, 'name' | 'class' | 'fair'>[];
  /** Rows that can be exchanged, for a search that takes such states for one. */
  readonly symmetry?: Symmetry;
  /** Instead of production's routes, to break them on purpose. */
  readonly routes?: Routes;
  /** Instead of production's tables, to break them on purpose. */
  readonly machines?: readonly CompiledMachine[];
}

/** How an instruction of the code array is laid out. */
const widths: Readonly<Record<number, number>> = {
  [Op.guard]: 3,
  [Op.update]: 2,
  [Op.effect]: 2,
  [Op.goto]: 2,
  [Op.reject]: 1,
};

/** An effect was asked for that the world says never is. */
export class UnexpectedEffect extends Error {
  override readonly name = 'UnexpectedEffect';
}

type Performer = (row: number, at: number) => void;
/** When a program refuses its event. */
const Refuses = { never: 0, always: 1, maybe: 2 } as const;

interface PreparedRule {
  readonly rule: Rule;
  readonly event: number;
  readonly machine: number;
  readonly parameters: readonly number[];
  /** {@link Refuses}, by configuration. */
  readonly refuses: Uint8Array;
}

/** A world that can be run. */
export class World {
  readonly definition: WorldDefinition;
  readonly names: readonly string[];
  readonly system: System<string>;
  readonly rules: readonly Rule[];
  /** Told of every effect that reaches the driver, before it is performed; its arguments are `system.effects.buffer` from `at + 2`. */
  onEffect: ((effect: number, row: number, at: number) => void) | null = null;
  readonly #prepared: readonly PreparedRule[];
  readonly #performers: readonly (readonly Performer[])[];

  /** @throws Error when an effect has neither performance nor is dropped, or a name means nothing */
  constructor(definition: WorldDefinition) {
    this.definition = definition;
    const environment = definition.environment ?? {};
    this.names = [...machineNames, ...Object.keys(environment)];
    this.system = new System<string>(
      [
        ...(definition.machines ?? compileMachines(definition.limits ?? explorationLimits)),
        ...Object.values(environment).map((made) => ('machine' in made ? compile(made.machine, made.contract) : made)),
      ],
      { names: this.names, ...(definition.routes === undefined ? {} : { routes: definition.routes }) },
    );
    for (const name of Object.keys(definition.rows)) {
      if (!this.names.includes(name)) throw new Error(`world '${definition.name}': rows of '${name}'`);
    }
    for (const [machine, rows] of this.system.rows.entries()) {
      const count = this.rowsOf(machine);
      if (count > 0) rows.ensure(count - 1);
    }
    this.#performers = this.#connect();
    this.rules = definition.rules;
    this.#prepared = definition.rules.map((rule) => this.#prepare(rule));
    for (const { send, row, with: parameters = [] } of definition.start ?? []) {
      const [machine, event] = send.split('/') as [string, string];
      const [p0, p1, p2, p3, p4] = parameters;
      this.apply(this.system.eventId(machine, event), row, p0, p1, p2, p3, p4);
    }
  }

  /** Number of rows that a machine has here. */
  rowsOf(machine: number): number {
    return this.definition.rows[this.names[machine]!] ?? 0;
  }

  /** Whether rule `index` can happen now. */
  enabled(index: number): boolean {
    const { rule, machine, event, parameters, refuses } = this.#prepared[index]!;
    const refusal = refuses[this.system.rows[machine]!.states[rule.row]!];
    if (refusal !== Refuses.maybe) return refusal === Refuses.never;
    return this.system.accepts(event, rule.row, ...(parameters as [number, number, number, number, number]));
  }

  /** Makes rule `index` happen. @throws InvariantError when somebody does not accept what follows from it */
  fire(index: number): void {
    const { rule, event, parameters } = this.#prepared[index]!;
    const { effects } = this.system;
    effects.top = 0;
    this.apply(event, rule.row, parameters[0], parameters[1], parameters[2], parameters[3], parameters[4]);
  }

  /** One event and what a driver would do with its effects: as the dispatcher does. */
  apply(event: number, row: number, p0 = 0, p1 = 0, p2 = 0, p3 = 0, p4 = 0): void {
    const { effects } = this.system;
    const base = effects.top;
    this.system.apply(event, row, p0, p1, p2, p3, p4);
    const end = effects.top;
    for (let at = base; at < end; at += EFFECT_STRIDE) {
      this.onEffect?.(effects.buffer[at]!, effects.buffer[at + 1]!, at);
      for (const perform of this.#performers[effects.buffer[at]!]!) perform(effects.buffer[at + 1]!, at);
    }
    effects.top = base;
  }

  #prepare(rule: Rule): PreparedRule {
    const [name, eventName] = rule.send.split('/') as [string, string];
    const machine = this.names.indexOf(name);
    if (machine < 0) throw new Error(`rule '${rule.name}': no machine '${name}'`);
    if (rule.row >= this.rowsOf(machine)) throw new Error(`rule '${rule.name}': no row ${rule.row} of '${name}'`);
    const event = this.system.eventId(name, eventName);
    const tables = this.system.machines[machine]!;
    const local = event - this.system.eventBase[machine]!;
    const { parameters } = tables.events[local]!;
    if ((rule.with?.length ?? 0) !== parameters.length) {
      throw new Error(`rule '${rule.name}': '${eventName}' has ${parameters.length} parameters`);
    }
    const refuses = Uint8Array.from(tables.configurations, (_, configuration) =>
      refusalOf(tables, tables.dispatch[configuration * tables.events.length + local]!),
    );
    return { rule, machine, event, parameters: [0, 0, 0, 0, 0].map((none, at) => rule.with?.[at] ?? none), refuses };
  }

  #connect(): (readonly Performer[])[] {
    const { performs, drops, never = [], name: world } = this.definition;
    const left = new Set([...Object.keys(performs), ...drops, ...never]);
    const made = this.system.machines.flatMap(({ effects }, machine) =>
      effects.map(({ name, parameters }): readonly Performer[] => {
        const key = `${this.names[machine]}/${name}`;
        const dropped = drops.includes(key) || drops.includes(name);
        const found = performs[key];
        for (const known of [key, name]) left.delete(known);
        if (found !== undefined) {
          return found.map((performance) =>
            this.#performer(
              performance,
              parameters.map((parameter) => parameter.name),
            ),
          );
        }
        if (dropped) return [];
        const listed = never.includes(key) || never.includes(name);
        if (!listed && this.rowsOf(machine) > 0 && this.system.reachesDriver(this.names[machine]!, name)) {
          throw new Error(`world '${world}': nobody performs ${key}`);
        }
        return [
          (row) => {
            throw new UnexpectedEffect(`${this.names[machine]} ${row}: ${name}, which never is asked for here`);
          },
        ];
      }),
    );
    if (left.size > 0) throw new Error(`world '${world}': no effect is called ${[...left].join(', ')}`);
    return made;
  }

  #performer({ send, to, with: sources = [] }: Performance, names: readonly string[]): Performer {
    const [machine, eventName] = send.split('/') as [string, string];
    if (!this.names.includes(machine)) throw new Error(`a performance sends '${send}' to no machine`);
    const event = this.system.eventId(machine, eventName);
    const take = (source: Source): ((row: number, at: number) => number) => {
      if (typeof source === 'number') return () => source;
      if (typeof source === 'object') {
        const inner = take(source.of);
        return (row, at) => source.map[inner(row, at)] ?? -1;
      }
      if (source === 'self') return (row) => row;
      const index = names.indexOf(source);
      if (index < 0) throw new Error(`a performance of '${send}' takes '${source}', which its effect does not have`);
      return (_row, at) => this.system.effects.buffer[at + 2 + index]!;
    };
    if (to === 'openSockets') {
      const sockets = this.system.rows[this.names.indexOf('socket')]!;
      return () => {
        for (let row = 0; row < sockets.used; row++) if (sockets.states[row] !== 0) this.apply(event, row);
      };
    }
    const target = take(to);
    const [t0, t1, t2, t3, t4] = [0, 1, 2, 3, 4].map((index) => take(sources[index] ?? 0));
    return (row, at) => {
      const found = target(row, at);
      if (found < 0) return;
      this.apply(event, found, t0!(row, at), t1!(row, at), t2!(row, at), t3!(row, at), t4!(row, at));
    };
  }
}

/** Whether the program at `start` can reach a REJECT, a GOTO, or both. */
function refusalOf({ code }: CompiledMachine, start: number): number {
  let rejects = false;
  let accepts = false;
  const open = [start];
  for (let pc = open.pop(); pc !== undefined; pc = open.pop()) {
    const op = code[pc]!;
    if (op === Op.reject) rejects = true;
    else if (op === Op.goto) accepts = true;
    else {
      open.push(pc + widths[op]!);
      if (op === Op.guard) open.push(code[pc + 2]!);
    }
  }
  return rejects ? (accepts ? Refuses.maybe : Refuses.always) : Refuses.never;
}
