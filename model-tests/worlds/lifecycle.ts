/** Statements of the specification's section 21 on the edges of 10.2 and 10.3, for the sockets of any world. */

import { before, each, given, not, type Property, row, transition, type WorldDefinition } from '../explorer/index.ts';

/** States as the machine names them, by what the switch may do with the socket. */
const none = ['unopened'] as const;
const over = ['closing', ...none] as const;
const opening = ['opening', 'orphaned', 'accepting', 'resuming'] as const;

/**
 * Where a socket can be after one call or event, up-calls inside it included; by where it was. A take-over and an accept
 * make a new socket, so nothing leads out of dormant but its end.
 */
const edges: readonly (readonly [from: readonly string[], to: readonly string[]])[] = [
  [
    ['opening', 'orphaned'],
    ['opening', 'orphaned', 'created', ...over],
  ],
  [['accepting'], ['accepting', 'connected', 'broken', ...over]],
  [['resuming'], ['resuming', 'orphaned', 'connected', 'listening', 'broken', ...over]],
  [['created'], ['created', 'bound', ...none]],
  [['bound'], ['bound', 'connecting', 'connected', 'listening', ...none]],
  [['listening'], ['listening', 'dormant', ...none]],
  [['connecting'], ['connecting', 'bound', 'connected', ...over]],
  [['connected'], ['connected', 'broken', 'dormant', ...over]],
  [['broken'], ['broken', ...over]],
  [['dormant'], ['dormant', ...over]],
  [['closing'], over],
];

/** What holds of the life of every socket of `definition`. */
export function lifecycle({ rows }: WorldDefinition): Property[] {
  const sockets = Array.from({ length: rows['socket'] ?? 0 }, (_, number) => row('socket', number));
  return [
    transition(
      'S-01: a socket follows only the edges of 10.2 and 10.3',
      each(sockets, (socket) => each(edges, ([from, to]) => given(before(socket.in(...from)), socket.in(...to)))),
    ),
    transition(
      'S-36: once connected, a socket never again is one that could be anything else',
      each(sockets, (socket) =>
        given(
          before(socket.in('connected', 'broken', 'dormant', 'closing')),
          not(socket.in('created', 'bound', 'connecting', 'listening', ...opening)),
        ),
      ),
    ),
  ];
}
