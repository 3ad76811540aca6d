/**
 * Frame conditions: what is not in use is as new, and what is held of the surroundings is what the state needs.
 *
 * A machine that forgets to put a field back, to stop a timer or to let go of a connector does nothing wrong at once. So
 * these say, for the rows of any world and between any two events, which memory may be other than new in which state, and
 * which states of one machine go with which of another, or of what is around it.
 */

import {
  all,
  always,
  any,
  before,
  count,
  each,
  equal,
  type Formula,
  given,
  iff,
  less,
  not,
  type Property,
  row,
  sum,
  transition,
  type WorldDefinition,
} from '../explorer/index.ts';
import { explorationLimits } from '../../machines/index.ts';
import { recordFlags } from '../steps/events.ts';
import { connectorAsSaid, timed } from './lifecycle.ts';

/** Socket states before a connection, with one, and after it; others are within one call. */
const unconnected = ['unopened', 'opening', 'orphaned', 'created', 'bound', 'listening', 'connecting'] as const;
const parting = ['broken', 'dormant.handing', 'dormant.parted', 'closing'] as const;

/** Completions of one socket that can be due at once. */
export function turnsOf({ environment }: WorldDefinition): number {
  const notifier = environment?.['notifier'];
  if (notifier === undefined || !('contract' in notifier)) throw new Error('the world has no notifier by its chart');
  return Object.keys(notifier.contract.context).filter((name) => /^d\d+$/.test(name)).length;
}

/** What holds of the rows of `definition`. */
export function frameConditions(definition: WorldDefinition): Property[] {
  const { rows, limits = explorationLimits } = definition;
  const upTo = (length: number): number[] => Array.from({ length }, (_, number) => number);
  const numbers = (machine: string): number[] => upTo(rows[machine] ?? 0);
  /** Rows that two machines have in common. */
  const both = (machine: string, other: string): number[] =>
    numbers(machine).slice(0, Math.min(rows[machine] ?? 0, rows[other] ?? 0));
  const properties: Property[] = [];
  const state = (name: string, over: readonly number[], holds: (number: number) => Formula): void => {
    if (over.length > 0) properties.push(always(name, each(over, holds)));
  };
  const zero = (machine: string, number: number, ...fields: readonly string[]): Formula =>
    all(...fields.map((name) => not(row(machine, number).field(name))));

  const sockets = numbers('socket');
  const socket = (number: number) => row('socket', number);
  state('a socket that does not listen has no backlog and no queue', sockets, (number) =>
    given(
      not(socket(number).in('listening', 'bound.opening', 'resuming', 'orphaned', 'dormant.unlistening')),
      zero('socket', number, 'backlog', 'queued', 'offered', 'deferred'),
    ),
  );
  state('a listener has a backlog', sockets, (number) =>
    given(socket(number).in('listening'), less(0, socket(number).field('backlog'))),
  );
  state('what was never connected has no reason, no fence and no connector', sockets, (number) =>
    given(
      any(socket(number).in('unopened', 'opening', 'created', 'bound', 'listening')),
      zero('socket', number, 'reason', 'fenceDue', 'attached', 'drained'),
    ),
  );
  state('S-11: a broken socket knows why, and no other does', sockets, (number) =>
    all(
      given(socket(number).in('broken'), less(0, socket(number).field('reason'))),
      given(socket(number).field('reason'), socket(number).in('broken', 'closing')),
    ),
  );

  const queue = (number: number) => row('requestQueue', number);
  state(
    'queues are open while their socket is connected, and at no other time',
    both('socket', 'requestQueue'),
    (number) => {
      const ofSocket = [2 * number, 2 * number + 1].filter((of) => of < (rows['requestQueue'] ?? 0));
      const inAll = (...states: readonly string[]) => each(ofSocket, (of) => queue(of).in(...states));
      return all(
        given(socket(number).in(...unconnected), inAll('unopened')),
        given(socket(number).in('connected.active'), inAll('open')),
        given(socket(number).in('connected.suspended', 'connected.attaching'), inAll('paused')),
        given(socket(number).in(...parting), inAll('halted', 'drained')),
      );
    },
  );
  state('a queue that is not open holds nothing back', numbers('requestQueue'), (number) =>
    all(
      given(queue(number).in('unopened'), zero('requestQueue', number, 'posted', 'first')),
      given(queue(number).in('unopened', 'drained'), zero('requestQueue', number, 'pending')),
      // What was paired with the first message gives no place back when it is over; nobody will want it.
      given(queue(number).in('unopened', 'halted', 'drained'), zero('requestQueue', number, 'held')),
    ),
  );
  state('7.6: no request waits while there is a place', numbers('requestQueue'), (number) =>
    given(
      all(queue(number).in('open'), queue(number).field('held')),
      equal(queue(number).field('posted'), limits.queueDepth),
    ),
  );
  state('a paused queue has nothing at the adapter but what is paired', numbers('requestQueue'), (number) =>
    given(all(queue(number).in('paused'), equal(number % 2, 0)), zero('requestQueue', number, 'posted')),
  );

  const message = (number: number) => row('firstMessage', number);
  state('the first message is looked for while the socket is connected', both('firstMessage', 'socket'), (number) =>
    all(
      given(socket(number).in(...unconnected), message(number).in('unopened')),
      given(socket(number).in('connected'), message(number).in('expecting', 'waiting', 'held', 'spent')),
      given(socket(number).in(...parting), message(number).in('draining', 'drained')),
    ),
  );
  if ((rows['requestQueue'] ?? 0) >= 2 * (rows['firstMessage'] ?? 0)) {
    state('a queue pairs its next request as long as the first message has none', numbers('firstMessage'), (number) => {
      const receives = queue(2 * number + 1);
      return all(
        given(receives.in('open', 'paused'), iff(receives.field('first'), message(number).in('expecting', 'held'))),
        not(queue(2 * number).field('first')),
      );
    });
  }

  const events = (number: number) => row('networkEvents', number);
  state('S-29: a record that has stopped is blank', numbers('networkEvents'), (number) =>
    given(events(number).in('stopped', 'freed'), zero('networkEvents', number, ...recordFlags, 'connectError')),
  );
  state('what is on record of a connect is what nobody was told of', numbers('networkEvents'), (number) =>
    given(events(number).field('connectRecorded'), events(number).field('connectUnreported')),
  );
  state('events are recorded as long as the socket lives', both('networkEvents', 'socket'), (number) =>
    all(
      given(
        socket(number).in('unopened', 'opening', 'created', 'bound', 'connected', 'broken'),
        events(number).in('recording'),
      ),
      given(socket(number).in('dormant', 'closing'), events(number).in('stopped')),
    ),
  );

  const request = (number: number) => row('overlappedRequest', number);
  const requests = numbers('overlappedRequest');
  state('a request that is not started remembers nothing', requests, (number) =>
    given(
      request(number).in('unstarted'),
      zero('overlappedRequest', number, 'polled', 'fence', 'pieces', 'head', 'error', 'bytes'),
    ),
  );
  state('a request has work to do until it is finished, and an outcome from then on', requests, (number) => {
    const { field } = request(number);
    return all(
      given(
        request(number).in('held', 'paired', 'posted', 'breaking', 'aborting'),
        all(less(0, field('pieces')), not(field('bytes'))),
      ),
      given(request(number).in('held', 'paired', 'posted'), not(field('error'))),
      given(request(number).in('breaking'), less(0, field('error'))),
      given(request(number).in('finished', 'due', 'notifying'), not(field('pieces'))),
      not(all(field('bytes'), field('error'))),
    );
  });
  state('S-05: only what is not polled is due', requests, (number) =>
    given(
      request(number).in('due', 'notifying'),
      all(not(request(number).field('polled')), request(number).field('head')),
    ),
  );

  const provider = row('provider', 0);
  properties.push(
    always(
      'S-30: a provider that works was started, and one that was not has no sockets',
      all(
        given(provider.in('ready', 'failed'), less(0, provider.field('startups'))),
        given(provider.in('uninitialised', 'opening'), not(provider.field('sockets'))),
        given(provider.in('uninitialised', 'opening', 'cleaningUp', 'closing'), not(provider.field('startups'))),
      ),
    ),
  );
  state('a registration that is none has no references', numbers('registeredBuffer'), (number) =>
    given(row('registeredBuffer', number).in('unregistered'), zero('registeredBuffer', number, 'references', 'pins')),
  );

  // What is around the provider.
  state('a timer runs only as long as something has a bound in time', both('timer', 'socket'), (number) =>
    all(
      given(row('timer', number).in('running'), socket(number).in(...timed, 'closing.draining')),
      given(socket(number).in(...timed), row('timer', number).in('running')),
    ),
  );
  state('a socket has a connector exactly as long as it says', both('link', 'socket'), (number) =>
    connectorAsSaid(definition, number),
  );
  state('S-09: what is broken or closed has told its connector', both('link', 'socket'), (number) =>
    given(socket(number).in('broken', 'closing.draining'), not(row('link', number).in('up', 'severed'))),
  );
  state('an attempt lasts as long as the socket has a connector', both('attempt', 'socket'), (number) =>
    iff(
      socket(number).field('attached'),
      row('attempt', number).in('trying', 'accepted', 'ended', 'up', 'lost', 'down'),
    ),
  );
  state('a port is open while its socket listens, until the device is gone', both('port', 'socket'), (number) =>
    all(
      given(row('port', number).in('open'), socket(number).in('listening')),
      given(socket(number).in('listening.open'), row('port', number).in('open')),
    ),
  );
  if ((rows['eventObject'] ?? 0) === 1 && sockets.length > 0) {
    const object = row('eventObject', 0);
    properties.push(
      transition(
        'S-27: the event is set only for what is on record',
        given(
          all(before(object.in('reset')), object.in('set')),
          any(events(0).field('acceptRecorded'), events(0).field('connectRecorded')),
        ),
      ),
    );
  }
  if (rows['acceptor'] === 1) {
    state('S-22: a request is decided on inside WSPAccept', numbers('connectionRequest'), (number) =>
      given(
        row('connectionRequest', number).in(
          'offered',
          'closedWhileOffered',
          'withdrawnWhileOffered',
          'lostWhileOffered',
        ),
        row('acceptor', 0).in('deciding', 'decidingClosed'),
      ),
    );
    state('S-23: a request is there as long as its peer waits', both('connectionRequest', 'peer'), (number) =>
      given(
        not(row('connectionRequest', number).in('arrived')),
        row('peer', number).in('waiting', 'refused', 'withdrawn'),
      ),
    );
  }
  const works = both('work', 'overlappedRequest');
  if (limits.piecesMax === 1 && works.length > 0) {
    state('16.2: what the adapter has is a request that waits for it', works, (number) =>
      iff(request(number).in('posted', 'breaking', 'aborting'), not(row('work', number).in('idle'))),
    );
  }
  if (requests.length > 0) {
    state('every completion that is due has a turn', numbers('notifier'), (number) => {
      const notifier = row('notifier', number);
      const mine = (member: number): Formula =>
        any(equal(request(member).owner, 2 * number), equal(request(member).owner, 2 * number + 1));
      const inState = (name: string) => count(requests, (member) => all(mine(member), request(member).in(name)));
      const turns = (member: number) =>
        count(upTo(turnsOf(definition)), (at) =>
          all(less(at, notifier.field('count')), equal(notifier.field(`d${at}`), member)),
        );
      return all(
        equal(notifier.field('count'), inState('due')),
        equal(sum(notifier.in('running')), inState('notifying')),
        each(requests, (member) => given(mine(member), equal(turns(member), request(member).in('due')))),
      );
    });
  }
  return properties;
}
