/** Statements of the specification's section 21 on the edges of 10.2 and 10.3, for the sockets of any world. */

import {
  all,
  always,
  any,
  before,
  each,
  type Formula,
  given,
  iff,
  not,
  type Property,
  row,
  transition,
  type WorldDefinition,
} from '../explorer/index.ts';

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

/** States in which a socket waits for its timer, and never is without one. */
export const timed = [
  'connecting.pending',
  'connected.suspended',
  'connected.attaching',
  'dormant.handing',
  'closing.handing',
];
/** States in which it may have one; in others none runs. */
const maybeTimed = [...timed, 'closing'];

/** The adapter has a connector for socket `number` as long as the socket says so; where one is made, from then on. */
export function connectorAsSaid({ environment = {} }: WorldDefinition, number: number): Formula {
  const link = row('link', number);
  const asSaid = iff(row('socket', number).field('attached'), not(link.in('gone')));
  const { link: made } = environment;
  return made !== undefined && 'machine' in made && 'absent' in made.machine.states
    ? any(link.in('absent', 'early'), asSaid)
    : asSaid;
}

/** What holds of the life of every socket of `definition`. */
export function lifecycle(definition: WorldDefinition): Property[] {
  const { rows } = definition;
  const count = rows['socket'] ?? 0;
  const sockets = Array.from({ length: count }, (_, number) => row('socket', number));
  const numbers = (machine: string): number[] =>
    Array.from({ length: Math.min(count, rows[machine] ?? 0) }, (_, number) => number);
  const [timers, links] = [numbers('timer'), numbers('link')];
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
    ...(timers.length === 0
      ? []
      : [
          always(
            'L-04, L-07, L-11: a socket that waits has a timer, and no other has',
            each(timers, (number) => {
              const running = row('timer', number).in('running');
              return all(
                given(sockets[number]!.in(...timed), running),
                given(running, sockets[number]!.in(...maybeTimed)),
              );
            }),
          ),
        ]),
    ...(links.length === 0
      ? []
      : [
          always(
            'S-02, S-19: the adapter has a connector for a socket exactly as long as the socket says so',
            each(links, (number) => connectorAsSaid(definition, number)),
          ),
        ]),
  ];
}
