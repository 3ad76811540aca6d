/**
 * What the rest of the system can send to a machine, for exploring that machine alone.
 *
 * Alone, a machine would meet events that no system sends: a request retired that was never admitted, and its counter
 * would fall below 0. A machine may rely on the others there and needs no guard; what it relies on is written down here.
 * Each rule is data: an event, the states in which somebody can send it, and a condition on the memory and the event.
 * An event that no rule names can come at any time. The system's own exploration checks that the rules are true.
 */

import {
  all,
  type CompiledMachine,
  choose,
  type Expression,
  evaluate,
  less,
  type MachineName,
  type Values,
} from '../../machines/index.ts';
import { add } from '../../machines/expression.ts';
import type { EventInstance } from './reference.ts';

/** An event that is sent only in some states. */
export interface Rule {
  readonly event: string;
  /** Configurations, or the beginnings of their names: `dormant` stands for `dormant.parted` too. Absent: all. */
  readonly states?: readonly string[];
  /** Absent: always. */
  readonly when?: Expression;
}

const context = (name: string): Expression => ({ op: 'context', name });
const parameter = (name: string): Expression => ({ op: 'event', name });

export const environments: Readonly<Record<MachineName, readonly Rule[]>> = {
  provider: [
    // A socket is closed once, after it was opened.
    { event: 'socket.closed', when: less(0, context('sockets')) },
  ],
  socket: [
    // Two queues and the first message; each is drained once after it was halted, and the socket is free after the third.
    { event: 'queue.drained', states: ['broken', 'dormant', 'closing'], when: less(context('drained'), 3) },
    // A request that leaves was queued. One that leaves from inside a WSPAccept was offered; any other was neither
    // offered nor deferred.
    {
      event: 'request.left',
      when: choose(
        parameter('offered'),
        all(less(0, context('offered')), less(0, context('queued'))),
        less(add(context('offered'), context('deferred')), context('queued')),
      ),
    },
    { event: 'request.deferred', when: less(0, context('offered')) },
    { event: 'request.deferredLeft', when: less(0, context('deferred')) },
  ],
  networkEvents: [],
  connectionRequest: [],
  requestQueue: [
    // Only a request that the adapter holds, or that is paired, gives a place back.
    { event: 'request.creditReturned', when: less(0, context('posted')) },
    // A request that is over has given its place back, or never had one.
    { event: 'request.retired', when: less(add(context('posted'), context('held')), context('pending')) },
  ],
  firstMessage: [],
  overlappedRequest: [],
  registeredBuffer: [],
};

/** Whether the rest of the system can send `instance` to `machine` in this state. */
export function isPossible(rules: readonly Rule[], state: string, values: Values, { event }: EventInstance): boolean {
  return rules.every(
    ({ event: type, states, when }) =>
      type !== event.type ||
      ((states === undefined || states.some((name) => state === name || state.startsWith(`${name}.`))) &&
        (when === undefined || evaluate(when, values, event as unknown as Values) !== 0)),
  );
}

/** Throws when a rule names an event that the machine does not have: it would say nothing. */
export function checkRules(machine: CompiledMachine, rules: readonly Rule[]): void {
  for (const { event, states = [] } of rules) {
    if (!machine.events.some(({ name }) => name === event)) throw new Error(`${machine.name} has no event '${event}'`);
    for (const state of states) {
      if (!machine.configurations.some((name) => name === state || name.startsWith(`${state}.`))) {
        throw new Error(`${machine.name} has no state '${state}'`);
      }
    }
  }
}
