/**
 * Router: carries on the effects of a step, as the routes say, without allocating.
 *
 * Theory of operation: the routes are data, and are translated to JavaScript once for each set of machines, as the
 * tables are: one function for each machine that applies an event to a row and then takes up the step's effects in
 * order, each as deep as it goes. Whatever is known when they are translated (which machine, which event, where a
 * parameter comes from) stands in the code.
 */

import type { CompiledMachine } from './compile.ts';
import type { Pins, RowLists } from './lists.ts';
import { EFFECT_STRIDE, type EffectSink, type MachineRows } from './step.ts';
import type { Route, Routes, Rows } from './system.ts';

/** The send queue, and the receive queue, of a socket. */
export const sendQueueOf = (socket: number): number => 2 * socket;
export const receiveQueueOf = (socket: number): number => 2 * socket + 1;

/** Applies event `event` of a machine, numbered as in its tables, to `row`, with all that follows from it. */
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
  /** Effects of steps that are being routed; a stack. The steps write to it. */
  readonly routing: EffectSink;
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

type Factory = (
  routed: Routed,
  sendQueueOf: (socket: number) => number,
  receiveQueueOf: (socket: number) => number,
) => RoutedStep[];

/** By machines, then by routes: many systems run the same. */
const factories = new WeakMap<readonly CompiledMachine[], WeakMap<Routes, Factory>>();

/** Makes the functions that apply events: one for each machine, in order. */
export function routedSteps(
  machines: readonly CompiledMachine[],
  names: readonly string[],
  routes: Routes,
  routed: Routed,
): RoutedStep[] {
  const known = factories.get(machines) ?? new WeakMap<Routes, Factory>();
  factories.set(machines, known);
  let factory = known.get(routes);
  if (factory === undefined) {
    const source = routerSource(machines, names, routes);
    factory = new Function('routed', 'sendQueueOf', 'receiveQueueOf', source) as Factory;
    known.set(routes, factory);
  }
  return factory(routed, sendQueueOf, receiveQueueOf);
}

/**
 * JavaScript of the function body that makes the steps of all machines.
 *
 * @throws Error on a route that names a machine, an event or an argument that there is not
 */
export function routerSource(machines: readonly CompiledMachine[], names: readonly string[], routes: Routes): string {
  const room = Math.max(...machines.map(({ effectsMax }) => effectsMax)) * EFFECT_STRIDE;
  let effect = 0;
  return [
    `'use strict';`,
    `const { rows, routing, out, machineSteps, requests, connectionRequests, buffers, pins, grow, refuse } = routed;`,
    `const { oldestHeldRequest, oldestUndecided, newestUndecided } = routed;`,
    ...machines.map((machine, index) => {
      const cases = machine.effects.map(({ name, parameters }) => {
        const id = effect++;
        const parts = (routes[names[index]!]?.[name] ?? (['perform'] as const)).map((route) =>
          routeSource(
            route,
            id,
            parameters.map((parameter) => parameter.name),
          ),
        );
        return `case ${id}: ${parts.join(' ')} break;`;
      });
      const finals = [...machine.final.keys()].filter((state) => machine.final[state] === 1);
      return [
        `const rows${index} = rows[${index}];`,
        `const step${index} = (event, row, p0, p1, p2, p3, p4) => {`,
        `if (row >= rows${index}.used) rows${index}.ensure(row);`,
        `const base = routing.top;`,
        `if (base + ${room} > routing.buffer.length) grow(routing, ${room});`,
        `machineSteps[${index}]++;`,
        `if (rows${index}.step(row, event, p0, p1, p2, p3, p4) === 0) refuse(${index}, event, row);`,
        `const end = routing.top;`,
        // What follows is put above `end`, so what is here stays, in this buffer if the stack moves to a larger one.
        `if (end > base) { const b = routing.buffer;`,
        `for (let at = base; at < end; at += ${EFFECT_STRIDE}) switch (b[at] | 0) {`,
        ...cases,
        `} routing.top = base; }`,
        ...(finals.length === 0
          ? []
          : [
              `const state = rows${index}.states[row];`,
              `if (${finals.map((state) => `state === ${state}`).join(' || ')}) rows${index}.create(row);`,
            ]),
        `};`,
      ].join('\n');
    }),
    `return [${machines.map((_, index) => `step${index}`).join()}];`,
  ].join('\n');

  function routeSource(route: Route, id: number, parameters: readonly string[]): string {
    const argument = (name: string): string => {
      const index = parameters.indexOf(name);
      if (index < 0) throw new Error(`a route names argument '${name}', which its effect does not have`);
      return `b[at + ${index + 2}]`;
    };
    if (route === 'perform') {
      return [
        `{ if (out.top + ${EFFECT_STRIDE} > out.buffer.length) grow(out, ${EFFECT_STRIDE});`,
        `const o = out.buffer, t = out.top; o[t] = ${id}; o[t + 1] = row;`,
        ...parameters.map((name, index) => `o[t + ${index + 2}] = ${argument(name)};`),
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
    const send = (target: string): string =>
      `step${machine}(${event}, ${target}, ${[0, 1, 2, 3, 4].map((index) => values[index] ?? '0').join(', ')});`;
    return sendSource(route.to, send, argument);
  }
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
      return send('sendQueueOf(row)');
    case 'receiveQueue':
      return send('receiveQueueOf(row)');
    case 'queue':
      return send('requests.owner(row)');
    case 'listener':
      return send('connectionRequests.owner(row)');
    case 'sendRequests':
      return each('requests', 'sendQueueOf(row)');
    case 'receiveRequests':
      return each('requests', 'receiveQueueOf(row)');
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
