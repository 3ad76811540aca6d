/**
 * Router: applies an event with all that follows from it, as the tables and the routes say, without allocating.
 *
 * Theory of operation: tables and routes are data, and are translated to JavaScript once for each set of machines: one
 * function for each event of each machine, which looks up the row's configuration, changes the row as its program says,
 * and then takes up the effects on the program's way in order, each as deep as it goes. Whatever is known when they are
 * translated (which machine, which event, where a parameter comes from) stands in the code, so an effect that is another
 * machine's event is a call of that event's function.
 */

import { type CompiledMachine, Op } from './compile.ts';
import type { Pins, RowLists } from './lists.ts';
import { EFFECT_STRIDE, type EffectSink, type Emitted, type MachineRows, namesFor, programSource } from './step.ts';
import type { Route, Routes, Rows } from './system.ts';

/** The send queue, and the receive queue, of a socket. */
export const sendQueueOf = (socket: number): number => 2 * socket;
export const receiveQueueOf = (socket: number): number => 2 * socket + 1;

/** Applies event `event` to `row`, with all that follows from it. The event's id numbers all events of all machines. */
export type RoutedStep = (
  event: number,
  row: number,
  p0: number,
  p1: number,
  p2: number,
  p3: number,
  p4: number,
) => void;

/** What a router moves. */
export interface Routed {
  readonly rows: readonly MachineRows[];
  /** Effects for the driver. */
  readonly out: EffectSink;
  /** Steps of each machine so far. */
  readonly machineSteps: Float64Array;
  readonly requests: RowLists;
  readonly connectionRequests: RowLists;
  readonly buffers: RowLists;
  readonly pins: Pins;
  /** Makes room in `sink` for `more` numbers. */
  readonly grow: (sink: EffectSink, more: number) => void;
  /** @throws InvariantError: `row` does not accept the event */
  readonly refuse: (machine: number, event: number, row: number) => void;
  /** @throws InvariantError when there is none */
  readonly oldestHeldRequest: (queue: number) => number;
  readonly oldestUndecided: (listener: number) => number;
  readonly newestUndecided: (listener: number) => number;
}

/** Looks on: is told of every step of every row. */
export interface Watcher {
  /** Before the step that event `event` of `machine`, numbered as in its tables, makes if it is accepted. */
  before(machine: number, row: number, event: number, p0: number, p1: number, p2: number, p3: number, p4: number): void;
  /** When the row has made it; what follows from it is to come. */
  after(machine: number, row: number): void;
  /** A value that the step is about to put into a field, numbered as in the tables; it may throw. */
  store?(machine: number, row: number, field: number, value: number): void;
}

type Factory = (routed: Routed, watcher: Watcher | null) => RoutedStep;

/** By machines, then by routes: many systems run the same. The second is watched. */
const factories = new WeakMap<readonly CompiledMachine[], WeakMap<Routes, (Factory | undefined)[]>>();

/** Makes the function that applies events. */
export function routedStep(
  machines: readonly CompiledMachine[],
  names: readonly string[],
  routes: Routes,
  routed: Routed,
  watcher: Watcher | null,
): RoutedStep {
  const known = factories.get(machines) ?? new WeakMap<Routes, (Factory | undefined)[]>();
  factories.set(machines, known);
  const both = known.get(routes) ?? [];
  known.set(routes, both);
  const watched = watcher !== null;
  let factory = both[Number(watched)];
  if (factory === undefined) {
    factory = new Function('routed', 'watcher', routerSource(machines, names, routes, watched)) as Factory;
    both[Number(watched)] = factory;
  }
  return factory(routed, watcher);
}

/**
 * JavaScript of the function body that makes the function that applies events.
 *
 * @param watched - with calls of a {@link Watcher}
 * @throws Error on a route that names a machine, an event or an argument that there is not
 */
export function routerSource(
  machines: readonly CompiledMachine[],
  names: readonly string[],
  routes: Routes,
  watched = false,
): string {
  let effectBase = 0;
  const cases: string[] = [];
  const functions = machines.flatMap((machine, index) => {
    const base = effectBase;
    effectBase += machine.effects.length;
    const columns = machine.fields.map((_, field) => `c${index}_${field}`);
    return [
      `const rows${index} = rows[${index}], create${index} = rows${index}.create;`,
      `let ${[`s${index}`, ...columns].join(', ')};`,
      `rows${index}.bind((states, columns) => { s${index} = states; [${columns.join(', ')}] = columns; });`,
      ...machine.events.map(({ parameters }, event) => {
        const given = parameters.map((_, position) => `p${position}`);
        cases.push(`case ${cases.length}: return ${[`step${index}_${event}(row`, ...given].join(', ')});`);
        return eventSource(index, event, given, base);
      }),
    ];
  });
  return [
    `'use strict';`,
    `const { rows, out, machineSteps, requests, connectionRequests, buffers, pins, grow, refuse } = routed;`,
    `const { oldestHeldRequest, oldestUndecided, newestUndecided } = routed;`,
    ...functions,
    `return (event, row, p0, p1, p2, p3, p4) => { switch (event) {`,
    ...cases,
    `default: throw new RangeError('no event has number ' + event); } };`,
  ].join('\n');

  /** The function of one event; `given` are the names of its parameters. */
  function eventSource(index: number, event: number, given: readonly string[], base: number): string {
    const machine = machines[index]!;
    const refuse = `return refuse(${index}, ${event}, row);`;
    const told = [index, 'row', event, ...[0, 1, 2, 3, 4].map((position) => given[position] ?? 0)];
    const program = (start: number): string =>
      programSource(
        machine,
        start,
        namesFor(machine, start, (field) => `c${index}_${field}`),
        {
          effect: () => '',
          ...(watched
            ? {
                store: (field: number, value: string) =>
                  `(watcher.store?.(${index}, row, ${field}, ${value}), ${value})`,
              }
            : {}),
          accept: (configuration, emitted) =>
            [
              `s${index}[row] = ${configuration};`,
              ...(watched ? [`watcher.after(${index}, row);`] : []),
              ...emitted.map((effect) => effectSource(index, base, effect)),
              // Whose machine is over is free, and new again.
              ...(machine.final[configuration] === 1 ? [`create${index}(row);`] : []),
              'return;',
            ].join('\n'),
          reject: refuse,
        },
      );
    return [
      `const step${index}_${event} = (${['row', ...given].join(', ')}) => {`,
      `if (row >= rows${index}.used) rows${index}.ensure(row);`,
      `machineSteps[${index}]++;`,
      ...(watched ? [`watcher.before(${told.join(', ')});`] : []),
      `switch (s${index}[row]) {`,
      ...programsOf(machine, event).map(
        ([start, configurations]) => `case ${configurations.join(': case ')}: {\n${program(start)}\n}`,
      ),
      `default: ${refuse}`,
      `} };`,
    ].join('\n');
  }

  function effectSource(index: number, base: number, { effect, args }: Emitted): string {
    const { name, parameters } = machines[index]!.effects[effect]!;
    const argument = (wanted: string): string => {
      const position = parameters.findIndex((parameter) => parameter.name === wanted);
      if (position < 0) throw new Error(`a route names argument '${wanted}', which its effect does not have`);
      return args[position]!;
    };
    return (routes[names[index]!]?.[name] ?? (['perform'] as const))
      .map((route) => routeSource(route, base + effect, args, argument))
      .join(' ');
  }

  function routeSource(route: Route, id: number, args: readonly string[], argument: (name: string) => string): string {
    if (route === 'perform') {
      return [
        `{ if (out.top + ${EFFECT_STRIDE} > out.buffer.length) grow(out, ${EFFECT_STRIDE});`,
        `const o = out.buffer, t = out.top; o[t] = ${id}; o[t + 1] = row;`,
        ...args.map((value, index) => `o[t + ${index + 2}] = ${value};`),
        `out.top = t + ${EFFECT_STRIDE}; }`,
      ].join(' ');
    }
    if ('append' in route) {
      return `{ const m = ${argument(route.member)}; if (!${route.append}.has(m)) ${route.append}.append(row, m); }`;
    }
    if ('leave' in route) return `if (${route.leave}.has(row)) ${route.leave}.remove(row);`;
    if ('pin' in route) return `pins.add(${argument(route.pin)}, row);`;
    const [name, eventName] = route.send.split('/') as [string, string];
    const machine = names.indexOf(name);
    const event = machines[machine]?.events.findIndex((candidate) => candidate.name === eventName) ?? -1;
    if (event < 0) throw new Error(`a route sends '${route.send}', which no machine accepts`);
    const values = (route.with ?? []).map((source) =>
      typeof source === 'number' ? String(source) : source === 'self' ? 'row' : argument(source),
    );
    const given = machines[machine]!.events[event]!.parameters.map((_, position) => values[position] ?? '0');
    const send = (target: string): string => `step${machine}_${event}(${[target, ...given].join(', ')});`;
    return sendSource(route.to, send, argument);
  }
}

/** Programs of an event, with the configurations in which each is run; those that refuse at once are left out. */
function programsOf({ configurations, events, dispatch, code }: CompiledMachine, event: number): [number, number[]][] {
  const programs = new Map<number, number[]>();
  for (const configuration of configurations.keys()) {
    const start = dispatch[configuration * events.length + event]!;
    if (code[start] === Op.reject) continue;
    const of = programs.get(start) ?? [];
    programs.set(start, of);
    of.push(configuration);
  }
  return [...programs];
}

/** Sends to the rows that `to` names. */
function sendSource(to: Rows, send: (target: string) => string, argument: (name: string) => string): string {
  // A member can leave while an earlier one is served.
  const each = (list: string, owner: string): string =>
    `for (const m of ${list}.members(${owner})) if (${list}.has(m)) ${send('m')}`;
  if (typeof to === 'object') return send(argument(to.argument));
  switch (to) {
    case 'self':
    case 'sameRow':
      return send('row');
    case 'provider':
      return send('0');
    case 'socket':
      return send('row >> 1');
    case 'sendQueue':
      return send(`2 * row + ${sendQueueOf(0)}`);
    case 'receiveQueue':
      return send(`2 * row + ${receiveQueueOf(0)}`);
    case 'queue':
      return send('requests.owner(row)');
    case 'listener':
      return send('connectionRequests.owner(row)');
    case 'sendRequests':
      return each('requests', `2 * row + ${sendQueueOf(0)}`);
    case 'receiveRequests':
      return each('requests', `2 * row + ${receiveQueueOf(0)}`);
    case 'requestIfOldest':
      return `{ const m = ${argument('request')}; if (requests.first(row) === m) ${send('m')} }`;
    case 'nextOldest':
      return `{ const m = requests.first(requests.owner(row)); if (m >= 0) ${send('m')} }`;
    case 'oldestHeldRequest':
      return send('oldestHeldRequest(row)');
    case 'connectionRequests':
      return each('connectionRequests', 'row');
    case 'oldestUndecided':
      return send('oldestUndecided(row)');
    case 'newestUndecided':
      return send('newestUndecided(row)');
    case 'buffers':
      return each('buffers', 'row');
    case 'pinnedBuffers':
      return `for (let m = pins.take(row); m >= 0; m = pins.take(row)) ${send('m')}`;
  }
}
