/**
 * Translates a world into its {@link Program}.
 *
 * Theory of operation: what `System` and `World` do with tables, routes and performances is written out here once more,
 * as statements; that both do the same is tested in every reachable state of small worlds. One procedure for each event
 * that a rule, a route or a performance sends, for each effect with routes, for each effect that a driver performs; made
 * when first asked for, so that there is none that nobody calls.
 *
 * A value outside its range fails when it is stored, as in a system that is watched ({@link productionSuccessors}).
 */

import {
  bounds,
  type CompiledMachine,
  type Domain,
  type Expression,
  Op,
  type Route,
  type RowLists,
  type Rows,
  receiveQueueOf,
  routes as productionRoutes,
  sendQueueOf,
} from '../../machines/index.ts';
import {
  binary,
  choose,
  conjunction,
  disjunction,
  local,
  not,
  type Origin,
  type Procedure,
  type Program,
  type ProgramRule,
  readOf,
  type Statement,
  substitute,
  type Term,
  type Variable,
} from './program.ts';
import { direct } from './program-direct.ts';
import type { Performance, Source, World } from './world.ts';

/** The program of `world`, which is in its initial state. */
export function programOf(world: World): Program {
  return direct(new Translator(world).program());
}

const ROW = 'row';
const row = local(ROW);

type ListName = 'requests' | 'connectionRequests' | 'buffers';

/** A list kind: member rows remember whose list they are in, and where. */
interface Lists {
  readonly owner: Variable;
  /** 1 for the first; 0 for a row in no list. */
  readonly place: Variable;
  readonly members: number;
  readonly state: Variable;
}

/** Variables of one machine. */
interface MachineVariables {
  readonly state: Variable;
  readonly fields: readonly Variable[];
}

class Translator {
  readonly #world: World;
  readonly #variables: Variable[] = [];
  readonly #machines: readonly MachineVariables[];
  readonly #lists: Readonly<Record<ListName, Lists | null>>;
  /** By request and registration. */
  readonly #pins: readonly Variable[];
  readonly #procedures: Procedure[] = [];
  readonly #known = new Map<string, Procedure>();
  #locals = 0;

  constructor(world: World) {
    this.#world = world;
    const { system, names } = world;
    this.#machines = system.machines.map((tables, machine) => this.#variablesOf(machine, tables));
    const lists = (list: RowLists, ownerName: string, memberName: string): Lists | null => {
      const [owners, members] = [ownerName, memberName].map((name) => world.rowsOf(names.indexOf(name))) as [
        number,
        number,
      ];
      if (owners === 0 || members === 0) return null;
      const place = new Array<number>(members).fill(0);
      for (let owner = 0; owner < owners; owner++) {
        for (const [index, member] of list.members(owner).entries()) place[member] = index + 1;
      }
      const states = system.rows[names.indexOf(memberName)]!.states;
      return {
        owner: this.#variable(
          memberName,
          'owner',
          { kind: 'range', low: -1, high: owners - 1 },
          place.map((at, member) => (at === 0 && states[member] === 0 ? -1 : list.owner(member))),
        ),
        place: this.#variable(memberName, 'place', { kind: 'range', low: 0, high: members }, place),
        members,
        state: this.#machines[names.indexOf(memberName)]!.state,
      };
    };
    this.#lists = {
      requests: lists(system.requests, 'requestQueue', 'overlappedRequest'),
      connectionRequests: lists(system.connectionRequests, 'socket', 'connectionRequest'),
      buffers: lists(system.buffers, 'socket', 'registeredBuffer'),
    };
    const requests = world.rowsOf(names.indexOf('overlappedRequest'));
    this.#pins =
      requests === 0
        ? []
        : Array.from({ length: world.rowsOf(names.indexOf('registeredBuffer')) }, (_, buffer) =>
            this.#variable(
              'overlappedRequest',
              `pins ${buffer}`,
              { kind: 'range', low: 0, high: 1 },
              Array.from({ length: requests }, (__, request) => (system.pins.of(request).includes(buffer) ? 1 : 0)),
            ),
          );
  }

  program(): Program {
    const rules = this.#world.rules.map((rule): ProgramRule => {
      const [machine, event] = rule.send.split('/') as [string, string];
      const procedure = this.#event(machine, event);
      const args = [rule.row, ...(rule.with ?? [])];
      return {
        name: rule.name,
        class: rule.class,
        fair: rule.fair ?? null,
        guard: this.#acceptance(machine, event, args),
        body: [{ do: 'apply', procedure, args }, ...this.#afterwards()],
      };
    });
    return { name: this.#world.definition.name, variables: this.#variables, procedures: this.#procedures, rules };
  }

  /** Whose list a row was in last counts only while it is in use. */
  #afterwards(): readonly Statement[] {
    return Object.values(this.#lists).flatMap((lists): Statement[] => {
      if (lists === null) return [];
      const { owner, place, members, state } = lists;
      const name = this.#local();
      const member = local(name);
      const test = conjunction([binary('==', readOf(state, member), 0), binary('==', readOf(place, member), 0)]);
      const forget: Statement = { do: 'set', variable: owner, row: member, value: -1 };
      return [{ do: 'for', name, count: members, body: [{ do: 'if', test, yes: [forget], no: [] }] }];
    });
  }

  #local(): string {
    return `t${this.#locals++}`;
  }

  #variable(
    machine: string,
    field: string,
    domain: Domain,
    initial: readonly number[],
    names: readonly string[] | null = null,
  ): Variable {
    const { low, high } = bounds(domain);
    const values = domain.kind === 'oneOf' ? [...new Set(domain.values)].sort((a, b) => a - b) : null;
    const variable = { name: `${machine}/${field}`, machine, field, low, high, values, names, initial };
    if (initial.length > 0) this.#variables.push(variable);
    return variable;
  }

  #variablesOf(machine: number, { configurations, fields }: CompiledMachine): MachineVariables {
    const { system, names, definition } = this.#world;
    const name = names[machine]!;
    const rows = this.#world.rowsOf(machine);
    const { states, columns } = system.rows[machine]!;
    const column = (values: ArrayLike<number>): number[] => Array.from({ length: rows }, (_, index) => values[index]!);
    return {
      state: this.#variable(
        name,
        '',
        { kind: 'range', low: 0, high: configurations.length - 1 },
        column(states),
        configurations,
      ),
      fields: fields.map(({ name: field, domain }, index) =>
        this.#variable(
          name,
          field,
          domain.kind === 'carried'
            ? { kind: 'range', low: 0, high: definition.carried?.[`${name}/${field}`] ?? 0 }
            : domain,
          column(columns[index]!),
        ),
      ),
    };
  }

  /** Makes a procedure, whose body may call it. */
  #procedure(origin: Origin, parameters: number, body: () => readonly Statement[]): Procedure {
    const key = `${origin.kind} ${origin.machine}/${origin.name}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const statements: Statement[] = [];
    const procedure: Procedure = {
      number: this.#procedures.length,
      origin,
      rows: this.#world.rowsOf(this.#world.names.indexOf(origin.machine)),
      parameters: [ROW, ...Array.from({ length: parameters }, (_, index) => `p${index}`)],
      body: statements,
    };
    this.#known.set(key, procedure);
    this.#procedures.push(procedure);
    if (procedure.rows > 0) statements.push(...body());
    return procedure;
  }

  /** What `System` does with an event of a machine. */
  #event(machine: string, name: string): Procedure {
    const number = this.#world.names.indexOf(machine);
    const tables = this.#world.system.machines[number]!;
    const event = tables.events.findIndex((candidate) => candidate.name === name);
    if (event < 0) throw new Error(`machine '${machine}' has no event '${name}'`);
    const parameters = tables.events[event]!.parameters.map((parameter) => parameter.name);
    return this.#procedure({ kind: 'event', machine, name }, parameters.length, () => {
      const { state } = this.#machines[number]!;
      const configurations = new Map<number, number[]>();
      for (let configuration = 0; configuration < tables.configurations.length; configuration++) {
        const start = tables.dispatch[configuration * tables.events.length + event]!;
        configurations.set(start, [...(configurations.get(start) ?? []), configuration]);
      }
      const refusal: Statement = { do: 'fail', reason: `${machine}: '${name}' is not expected` };
      const cases = [...configurations]
        .filter(([start]) => tables.code[start] !== Op.reject)
        .map(([start, values]) => ({ values, body: this.#run(number, start, parameters, refusal) }));
      return [{ do: 'switch', on: readOf(state, row), cases, otherwise: [refusal] }];
    });
  }

  /** One compiled program: its changes first, then what its effects cause. */
  #run(machine: number, start: number, parameters: readonly string[], refusal: Statement): readonly Statement[] {
    const tables = this.#world.system.machines[machine]!;
    const { state, fields } = this.#machines[machine]!;
    const term = (expression: Expression): Term => termOf(expression, tables, fields, parameters, row);
    const { code } = tables;
    const emit = (from: number, caused: readonly Statement[]): Statement[] => {
      const statements: Statement[] = [];
      const causes = [...caused];
      for (let pc = from; ; pc += 2) {
        const operand = code[pc + 1]!;
        switch (code[pc]) {
          case Op.guard:
            statements.push({
              do: 'if',
              test: term(tables.guards[operand]!),
              yes: emit(pc + 3, causes),
              no: emit(code[pc + 2]!, causes),
            });
            return statements;
          case Op.update: {
            const update = tables.updates[operand]!;
            const stored = update.map(({ field, value }): Statement => {
              const computed = term(value);
              const set = { do: 'set', variable: fields[field]!, row } as const;
              if (update.length === 1 || typeof computed === 'number') return { ...set, value: computed };
              const name = this.#local();
              statements.push({ do: 'let', name, value: computed });
              return { ...set, value: local(name) };
            });
            statements.push(...stored);
            break;
          }
          case Op.effect: {
            const { effect, args } = tables.calls[operand]!;
            const cause = this.#effect(machine, effect);
            if (cause === null) break;
            // Arguments have the values of now; what they cause comes when the step is done.
            const values = args.map((arg): Term => {
              const computed = term(arg);
              if (isFixed(computed)) return computed;
              const name = this.#local();
              statements.push({ do: 'let', name, value: computed });
              return local(name);
            });
            causes.push({ do: 'call', procedure: cause, args: [row, ...values] });
            break;
          }
          case Op.goto: {
            const moved: Statement = { do: 'set', variable: state, row, value: operand };
            if (tables.final[operand] === 0) return [...statements, moved, ...causes];
            // A row whose machine is over is new again; until then it expects nothing, so nobody has changed it.
            const renewed = [
              { do: 'set', variable: state, row, value: 0 } as const,
              ...fields.map(
                (variable, index): Statement => ({ do: 'set', variable, row, value: tables.fields[index]!.initial }),
              ),
            ];
            return [...statements, moved, ...causes, ...renewed];
          }
          default:
            return [...statements, refusal];
        }
      }
    };
    return emit(start, []);
  }

  /** When the row named by the first of `args` accepts an event, over the state alone. */
  #acceptance(machine: string, name: string, args: readonly number[]): Term {
    const number = this.#world.names.indexOf(machine);
    const tables = this.#world.system.machines[number]!;
    const { state, fields } = this.#machines[number]!;
    const event = tables.events.findIndex((candidate) => candidate.name === name);
    const parameters = tables.events[event]!.parameters.map((parameter) => parameter.name);
    const { code } = tables;
    const [rowNumber, ...values] = args as [number, ...number[]];
    const accepts = (from: number, memory: ReadonlyMap<Variable, Term>): Term => {
      const now = (expression: Expression): Term =>
        substitute(
          termOf(expression, tables, fields, parameters, rowNumber),
          (parameter) => values[Number(parameter.slice(1))]!,
          (variable) => memory.get(variable) ?? null,
        );
      switch (code[from]) {
        case Op.guard:
          return choose(
            now(tables.guards[code[from + 1]!]!),
            accepts(from + 3, memory),
            accepts(code[from + 2]!, memory),
          );
        case Op.update: {
          const changed = new Map(memory);
          for (const { field, value } of tables.updates[code[from + 1]!]!) changed.set(fields[field]!, now(value));
          return accepts(from + 2, changed);
        }
        case Op.effect:
          return accepts(from + 2, memory);
        default:
          return code[from] === Op.goto ? 1 : 0;
      }
    };
    const byTest = new Map<string, { readonly test: Term; readonly configurations: number[] }>();
    for (let configuration = 0; configuration < tables.configurations.length; configuration++) {
      const test = accepts(tables.dispatch[configuration * tables.events.length + event]!, new Map());
      if (test === 0) continue;
      const key = JSON.stringify(test, (_, value: unknown) =>
        typeof value === 'object' && value !== null && 'initial' in value ? (value as Variable).name : value,
      );
      const entry = byTest.get(key) ?? { test, configurations: [] };
      byTest.set(key, entry);
      entry.configurations.push(configuration);
    }
    const read = readOf(state, rowNumber);
    return disjunction(
      [...byTest.values()].map(({ test, configurations }) => {
        const inState =
          configurations.length === tables.configurations.length
            ? 1
            : disjunction(configurations.map((configuration) => binary('==', read, configuration)));
        return binary('&&', inState, test);
      }),
    );
  }

  /** What an effect causes: its routes, and what a driver does. `null`: nothing. */
  #effect(machine: number, effect: number): Procedure | null {
    const { names, system, definition } = this.#world;
    const { name, parameters } = system.machines[machine]!.effects[effect]!;
    const of = names[machine]!;
    const found: readonly Route[] = (definition.routes ?? (productionRoutes as never))[of]?.[name] ?? ['perform'];
    const performance = this.#performance(of, name);
    if (found.every((route) => route === 'perform') && performance === null) return null;
    const parameterNames = parameters.map((parameter) => parameter.name);
    return this.#procedure({ kind: 'effect', machine: of, name }, parameters.length, () =>
      found.flatMap((route) =>
        route === 'perform'
          ? performance === null
            ? []
            : [
                {
                  do: 'perform',
                  procedure: performance,
                  args: [row, ...parameters.map((_, index) => local(`p${index}`))],
                },
              ]
          : this.#route(of, route, parameterNames),
      ),
    );
  }

  /** What a driver does with an effect; `null`: nothing. */
  #performance(machine: string, name: string): Procedure | null {
    const { performs, drops } = this.#world.definition;
    const key = `${machine}/${name}`;
    const found = performs[key];
    if (found === undefined && (drops.includes(key) || drops.includes(name))) return null;
    const { parameters } = this.#tables(machine).effects.find((effect) => effect.name === name)!;
    const names = parameters.map((parameter) => parameter.name);
    return this.#procedure({ kind: 'performance', machine, name }, parameters.length, () =>
      found === undefined
        ? [{ do: 'fail', reason: `${machine}: ${name}, which never is asked for here` }]
        : found.flatMap((performance) => this.#perform(performance, names)),
    );
  }

  #tables(machine: string): CompiledMachine {
    return this.#world.system.machines[this.#world.names.indexOf(machine)]!;
  }

  #perform({ send, to, with: sources = [] }: Performance, names: readonly string[]): readonly Statement[] {
    const [machine, eventName] = send.split('/') as [string, string];
    const procedure = this.#event(machine, eventName);
    const count = procedure.parameters.length - 1;
    const take = (source: Source): Term => {
      if (typeof source === 'number') return source;
      if (typeof source === 'object') {
        const inner = take(source.of);
        return source.map.reduceRight<Term>(
          (otherwise, value, key) => choose(binary('==', inner, key), value, otherwise),
          -1,
        );
      }
      if (source === 'self') return row;
      const index = names.indexOf(source);
      if (index < 0) throw new Error(`a performance of '${send}' takes '${source}', which its effect does not have`);
      return local(`p${index}`);
    };
    const args = Array.from({ length: count }, (_, index) => take(sources[index] ?? 0));
    if (to === 'openSockets') {
      const { state } = this.#machines[this.#world.names.indexOf('socket')]!;
      const each = this.#local();
      return [
        {
          do: 'for',
          name: each,
          count: state.initial.length,
          body: [
            {
              do: 'if',
              test: binary('!=', readOf(state, local(each)), 0),
              yes: [{ do: 'apply', procedure, args: [local(each), ...args] }],
              no: [],
            },
          ],
        },
      ];
    }
    const target = take(to);
    if (typeof to === 'number' && to < 0) return [];
    if (typeof to === 'number' || to === 'self') return [{ do: 'apply', procedure, args: [target, ...args] }];
    const name = this.#local();
    return [
      { do: 'let', name, value: target },
      {
        do: 'if',
        test: binary('<=', 0, local(name)),
        yes: [{ do: 'apply', procedure, args: [local(name), ...args] }],
        no: [],
      },
    ];
  }

  /** One route of an effect of the row `row`, whose arguments are the parameters. */
  #route(machine: string, route: Exclude<Route, 'perform'>, names: readonly string[]): readonly Statement[] {
    const argument = (name: string): Term => {
      const index = names.indexOf(name);
      if (index < 0) throw new Error(`a route names argument '${name}', which its effect does not have`);
      return local(`p${index}`);
    };
    if ('append' in route) return this.#append(route.append, argument(route.member));
    if ('leave' in route) return this.#leave(route.leave);
    if ('pin' in route) return this.#pin(argument(route.pin));
    const [target, event] = route.send.split('/') as [string, string];
    const procedure = this.#event(target, event);
    const given = route.with ?? [];
    const args = procedure.parameters.slice(1).map((_, index): Term => {
      const source = given[index] ?? 0;
      return typeof source === 'number' ? source : source === 'self' ? row : argument(source);
    });
    const send = (to: Term): Statement => ({ do: 'call', procedure, args: [to, ...args] });
    return this.#select(machine, route.to, send, argument);
  }

  #append(name: ListName, member: Term): readonly Statement[] {
    const lists = this.#lists[name];
    if (lists === null) return [{ do: 'fail', reason: `there are no ${name} here` }];
    const { owner, place, members } = lists;
    const [length, each] = [this.#local(), this.#local()];
    return [
      {
        do: 'if',
        test: binary('==', readOf(place, member), 0),
        yes: [
          { do: 'let', name: length, value: 0 },
          {
            do: 'for',
            name: each,
            count: members,
            body: [
              {
                do: 'if',
                test: conjunction([
                  binary('<', 0, readOf(place, local(each))),
                  binary('==', readOf(owner, local(each)), row),
                ]),
                yes: [{ do: 'assign', name: length, value: binary('+', local(length), 1) }],
                no: [],
              },
            ],
          },
          { do: 'set', variable: owner, row: member, value: row },
          { do: 'set', variable: place, row: member, value: binary('+', local(length), 1) },
        ],
        no: [],
      },
    ];
  }

  #leave(name: ListName): readonly Statement[] {
    const lists = this.#lists[name];
    if (lists === null) return [];
    const { owner, place, members } = lists;
    const [left, each] = [this.#local(), this.#local()];
    return [
      { do: 'let', name: left, value: readOf(place, row) },
      {
        do: 'if',
        test: binary('<', 0, local(left)),
        yes: [
          {
            do: 'for',
            name: each,
            count: members,
            body: [
              {
                do: 'if',
                test: conjunction([
                  binary('<', local(left), readOf(place, local(each))),
                  binary('==', readOf(owner, local(each)), readOf(owner, row)),
                ]),
                yes: [
                  {
                    do: 'set',
                    variable: place,
                    row: local(each),
                    value: binary('-', readOf(place, local(each)), 1),
                  },
                ],
                no: [],
              },
            ],
          },
          { do: 'set', variable: place, row, value: 0 },
        ],
        no: [],
      },
    ];
  }

  #pin(request: Term): readonly Statement[] {
    return [
      {
        do: 'switch',
        on: row,
        cases: this.#pins.map((variable, buffer) => ({
          values: [buffer],
          // Twice is outside the range.
          body: [{ do: 'set', variable, row: request, value: binary('+', readOf(variable, request), 1) }],
        })),
        otherwise: [{ do: 'fail', reason: 'a registration that is not here is pinned' }],
      },
    ];
  }

  #select(
    machine: string,
    to: Rows,
    send: (target: Term) => Statement,
    argument: (name: string) => Term,
  ): readonly Statement[] {
    /** The first, or last, of the owner's list that `fits`; or -1. */
    const find = (
      lists: Lists | null,
      owner: Term,
      end: 'first' | 'last',
      fits: (member: Term) => Term,
      act: (found: Term) => readonly Statement[],
      none: readonly Statement[],
    ): readonly Statement[] => {
      if (lists === null) return none;
      const [found, best, each] = [this.#local(), this.#local(), this.#local()];
      const at = readOf(lists.place, local(each));
      return [
        { do: 'let', name: found, value: -1 },
        { do: 'let', name: best, value: end === 'first' ? lists.members + 1 : 0 },
        {
          do: 'for',
          name: each,
          count: lists.members,
          body: [
            {
              do: 'if',
              test: conjunction([
                ...(end === 'first'
                  ? [binary('<', 0, at), binary('<', at, local(best))]
                  : [binary('<', local(best), at)]),
                binary('==', readOf(lists.owner, local(each)), owner),
                fits(local(each)),
              ]),
              yes: [
                { do: 'assign', name: found, value: local(each) },
                { do: 'assign', name: best, value: at },
              ],
              no: [],
            },
          ],
        },
        { do: 'if', test: binary('!=', local(found), -1), yes: act(local(found)), no: none },
      ];
    };
    /** Every member, as the list is now, that is still in a list when its turn comes. */
    const each = (lists: Lists | null, owner: Term): readonly Statement[] => {
      if (lists === null) return [];
      const found = Array.from({ length: lists.members }, () => this.#local());
      const member = this.#local();
      return [
        ...found.map((name): Statement => ({ do: 'let', name, value: -1 })),
        {
          do: 'for',
          name: member,
          count: lists.members,
          body: [
            {
              do: 'if',
              test: binary('==', readOf(lists.owner, local(member)), owner),
              yes: [
                {
                  do: 'switch',
                  on: readOf(lists.place, local(member)),
                  cases: found.map((name, index) => ({
                    values: [index + 1],
                    body: [{ do: 'assign', name, value: local(member) }],
                  })),
                  otherwise: [],
                },
              ],
              no: [],
            },
          ],
        },
        ...found.map(
          (name): Statement => ({
            do: 'if',
            test: binary('<=', 0, local(name)),
            yes: [
              {
                do: 'if',
                test: binary('<', 0, readOf(lists.place, local(name))),
                yes: [send(local(name))],
                no: [],
              },
            ],
            no: [],
          }),
        ),
      ];
    };
    const { requests, connectionRequests, buffers } = this.#lists;
    const plus = (left: Term, right: Term): Term => binary('+', left, right);
    const twice = plus(row, row);
    const always = (): Term => 1;
    const lost = (what: string): readonly Statement[] => [{ do: 'fail', reason: `${machine}: ${what}` }];
    const isIn =
      (lists: Lists | null, ...states: readonly string[]) =>
      (member: Term): Term =>
        disjunction(
          states.map((name) => binary('==', readOf(lists!.state, member), lists!.state.names!.indexOf(name))),
        );
    const isUndecided = isIn(connectionRequests, 'queued', 'deferred');
    if (typeof to === 'object') return [send(argument(to.argument))];
    switch (to) {
      case 'self':
      case 'sameRow':
        return [send(row)];
      case 'provider':
        return [send(0)];
      case 'socket': {
        // Half of the row.
        const count = this.#world.rowsOf(this.#world.names.indexOf('socket'));
        return [
          {
            do: 'switch',
            on: row,
            cases: Array.from({ length: count }, (_, socket) => ({
              values: [2 * socket, 2 * socket + 1],
              body: [send(socket)],
            })),
            otherwise: [{ do: 'fail', reason: 'a socket that is not here' }],
          },
        ];
      }
      case 'sendQueue':
        return [send(plus(twice, sendQueueOf(0)))];
      case 'receiveQueue':
        return [send(plus(twice, receiveQueueOf(0)))];
      case 'queue':
        return requests === null ? lost('a request has no queue') : [send(readOf(requests.owner, row))];
      case 'listener':
        return connectionRequests === null
          ? lost('a connection request has no listener')
          : [send(readOf(connectionRequests.owner, row))];
      case 'sendRequests':
        return each(requests, plus(twice, sendQueueOf(0)));
      case 'receiveRequests':
        return each(requests, plus(twice, receiveQueueOf(0)));
      case 'requestIfOldest': {
        if (requests === null) return [];
        const request = argument('request');
        return [
          {
            do: 'if',
            test: conjunction([
              binary('==', readOf(requests.place, request), 1),
              binary('==', readOf(requests.owner, request), row),
            ]),
            yes: [send(request)],
            no: [],
          },
        ];
      }
      case 'nextOldest':
        return requests === null
          ? []
          : find(requests, readOf(requests.owner, row), 'first', always, (found) => [send(found)], []);
      case 'oldestHeldRequest':
        return find(
          requests,
          row,
          'first',
          isIn(requests, 'held'),
          (found) => [send(found)],
          lost('a held request is posted, but none is in the list'),
        );
      case 'connectionRequests':
        return each(connectionRequests, row);
      case 'oldestUndecided':
        return find(
          connectionRequests,
          row,
          'first',
          isUndecided,
          (found) => [send(found)],
          lost('a request is offered, but none is undecided'),
        );
      case 'newestUndecided':
        return find(
          connectionRequests,
          row,
          'last',
          isUndecided,
          (found) => [send(found)],
          lost('a request is refused, but none is undecided'),
        );
      case 'buffers':
        return each(buffers, row);
      case 'pinnedBuffers':
        return [
          ...this.#pins.map(
            (variable, buffer): Statement => ({
              do: 'if',
              test: binary('==', readOf(variable, row), 1),
              yes: [{ do: 'set', variable, row, value: 0 }, send(buffer)],
              no: [],
            }),
          ),
          ...(this.#pins.length < 2
            ? []
            : [
                {
                  do: 'if',
                  test: disjunction(this.#pins.map((variable) => readOf(variable, row))),
                  yes: lost('a registration is pinned while all are released'),
                  no: [],
                } as const,
              ]),
        ];
    }
  }
}

/** Whether a term has the same value later in the same call. */
function isFixed(term: Term): boolean {
  if (typeof term === 'number') return true;
  // Parameters are never assigned to.
  return term.op === 'local';
}

/** An expression of a chart, for the row `at`. */
function termOf(
  expression: Expression,
  tables: CompiledMachine,
  fields: readonly Variable[],
  parameters: readonly string[],
  at: Term,
): Term {
  const inner = (part: Expression): Term => termOf(part, tables, fields, parameters, at);
  if (typeof expression === 'number') return expression;
  switch (expression.op) {
    case 'context':
      return readOf(fields[tables.fields.findIndex(({ name }) => name === expression.name)]!, at);
    case 'event':
      return local(`p${parameters.indexOf(expression.name)}`);
    case 'named':
      return expression.value;
    case 'not':
      return not(inner(expression.of));
    case 'if':
      return choose(inner(expression.test), inner(expression.yes), inner(expression.no));
    default:
      return binary(expression.op, inner(expression.left), inner(expression.right));
  }
}
