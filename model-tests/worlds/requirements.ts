/** Statements of the specification's section 21 on requests, over worlds with the rows of `surroundings.ts`. */

import { WSA } from '../../machines/index.ts';
import {
  all,
  always,
  any,
  atMost,
  before,
  each,
  equal,
  type Formula,
  iff,
  implies,
  kept,
  less,
  named,
  not,
  type Property,
  row,
  some,
  sometimes,
  given,
  transition,
  unequal,
} from '../explorer/index.ts';
import type { PairRequest } from './connected-pair.ts';

/** Request states before the switch is told. */
const untold = ['posted', 'held', 'paired', 'breaking', 'aborting', 'finished', 'due'] as const;

/** An error number, by name. */
export const wsa = (name: keyof typeof WSA): Formula => named(name, WSA[name]);

const structure = (request: number) => row('overlapped', request);
const machine = (request: number) => row('overlappedRequest', request);
export const isPending = (request: number): Formula => structure(request).in('pending');
export const isTold = (request: number): Formula => structure(request).in('done');
/** DONE of 11.3: its outcome is fixed, though the completion up-call may be due. */
export const isDone = (request: number): Formula => any(structure(request).in('done'), machine(request).in('due'));

/** What holds of every request in every world. */
export function requestProperties(requests: readonly PairRequest[]): Property[] {
  const numbers = requests.map((_, request) => request);
  const predecessor = requests.map(({ socket, kind, place }) =>
    requests.findIndex(
      (other) =>
        other.socket === socket && (other.kind === 'receive') === (kind === 'receive') && other.place === place - 1,
    ),
  );
  const followers = numbers.filter((request) => predecessor[request]! >= 0);
  const receives = numbers.filter((request) => requests[request]!.kind === 'receive');
  return [
    always(
      'S-03: a request is done at most once',
      each(numbers, (request) =>
        all(atMost(structure(request).field('publications'), 1), atMost(structure(request).field('notifications'), 1)),
      ),
    ),
    transition(
      'S-03: what is done stays as it is',
      each(numbers, (request) =>
        given(
          before(isTold(request)),
          all(isTold(request), kept(structure(request).field('error')), kept(structure(request).field('message'))),
        ),
      ),
    ),
    always(
      'S-04: only what was started is completed',
      each(numbers, (request) => not(structure(request).in('untimely'))),
    ),
    always(
      'S-05: a polled request causes no up-call',
      each(numbers, (request) =>
        any(not(structure(request).field('polled')), not(structure(request).field('notifications'))),
      ),
    ),
    always(
      'S-05: a request knows whether it is polled',
      each(numbers, (request) =>
        given(
          not(machine(request).in('unstarted')),
          equal(machine(request).field('polled'), structure(request).field('polled')),
        ),
      ),
    ),
    implies(
      'S-06: an up-call says what the request ended with',
      some(numbers, (request) => machine(request).in('notifying')),
      each(numbers, (request) =>
        given(
          machine(request).in('notifying'),
          all(
            equal(structure(request).field('notifications'), 1),
            equal(structure(request).field('error'), machine(request).field('error')),
            equal(structure(request).field('message'), machine(request).field('bytes')),
          ),
        ),
      ),
    ),
    always(
      'S-06, S-08: no up-call with a handle that is none',
      each([0, 1], (socket) => not(row('handle', socket).field('late'))),
    ),
    always(
      'S-07: in progress from the start until told',
      each(numbers, (request) => iff(isPending(request), machine(request).in(...untold))),
    ),
    always(
      'S-12: the n-th receive that succeeds has the n-th message',
      each(receives, (request) =>
        any(
          not(isTold(request)),
          unequal(structure(request).field('error'), 0),
          equal(structure(request).field('message'), requests[request]!.place + 1),
        ),
      ),
    ),
    ...(followers.length === 0
      ? []
      : [
          implies(
            'S-13: done in the order of the calls',
            some(followers, isDone),
            each(followers, (request) =>
              given(
                isDone(request),
                any(isDone(predecessor[request]!), structure(predecessor[request]!).in('refused')),
              ),
            ),
          ),
        ]),
    always(
      '16.2: what the adapter still holds is not done',
      each(numbers, (request) => given(isDone(request), row('work', request).in('idle'))),
    ),
    implies(
      'S-35: what is done needs no registration',
      some(numbers, isDone),
      each(numbers, (request) => given(isDone(request), not(machine(request).pins(requests[request]!.socket)))),
    ),
  ];
}

/**
 * That messages arrive in the order of their sends, each as its own: with the number of a message, which is its receiver's
 * count, the send that it comes from is told, and so whose bytes they are.
 *
 * @param next - field of a wire that names the request of its oldest message
 */
export function arrivalProperties(requests: readonly PairRequest[], next = 'm0'): Property[] {
  const wire = (to: number) => row('channel', to);
  const sends = requests.flatMap(({ socket, kind, place }, request) =>
    kind === 'send' ? [{ to: 1 - socket, place, request }] : [],
  );
  const sent = sends.map(({ to, place, request }) => ({
    to,
    request,
    earlier: sends.filter((other) => other.to === to && other.place < place).length,
  }));
  if (sent.length === 0) return [];
  return [
    transition(
      'S-12: the n-th message that arrives is that of the n-th send',
      each([...new Set(sent.map(({ to }) => to))], (to) =>
        given(
          less(before(wire(to).field('taken')), wire(to).field('taken')),
          some(
            sent.filter((send) => send.to === to),
            ({ earlier, request }) =>
              all(equal(before(wire(to).field('taken')), earlier), equal(before(wire(to).field(next)), request)),
          ),
        ),
      ),
    ),
    ...sent.map(({ to, request, earlier }) =>
      sometimes(`S-12: the message of request ${request} arrives`, equal(wire(to).field('taken'), earlier + 1)),
    ),
  ];
}

/** The request has ended so, whether or not the switch has been told. */
const endedWith = (request: number, error: Formula): Formula =>
  any(
    all(machine(request).in('finished', 'due', 'notifying'), equal(machine(request).field('error'), error)),
    all(isTold(request), equal(structure(request).field('error'), error)),
  );

/** With what requests end, by what became of their socket: 16.2, A.3. */
function outcomeProperties(requests: readonly PairRequest[], devices: boolean): Property[] {
  const pending = ['held', 'paired', 'posted', 'breaking', 'aborting'] as const;
  const ends = (request: number): Formula =>
    all(before(machine(request).in(...pending)), not(machine(request).in(...pending)));
  const socketOf = (request: number) => row('socket', requests[request]!.socket);
  const closed = (request: number): Formula => row('caller', requests[request]!.socket).in('closed');
  const numbers = requests.map((_, request) => request);
  return [
    transition(
      'S-09, 16.2: what is pending when its socket is closed ends with WSA_OPERATION_ABORTED',
      each(numbers, (request) =>
        given(all(ends(request), closed(request)), endedWith(request, wsa('WSA_OPERATION_ABORTED'))),
      ),
    ),
    transition(
      '10.3, A.3: what is pending when its connection is lost ends well or with the reason, or with its own failure',
      each(numbers, (request) =>
        given(
          all(ends(request), not(closed(request))),
          any(
            structure(request).in('refused'),
            endedWith(request, 0),
            all(
              socketOf(request).in('broken'),
              any(endedWith(request, socketOf(request).field('reason')), endedWith(request, wsa('WSAENETDOWN'))),
            ),
            endedWith(request, wsa('WSAEFAULT')),
            endedWith(request, wsa('WSAECONNABORTED')),
          ),
        ),
      ),
    ),
    transition(
      'S-12: what succeeds was carried out by the adapter',
      each(numbers, (request) =>
        given(
          all(
            before(machine(request).in('posted', 'breaking')),
            not(machine(request).in('posted', 'breaking')),
            endedWith(request, 0),
          ),
          before(row('work', request).in('landed')),
        ),
      ),
    ),
    transition(
      '10.3: a connection is lost with WSAENETDOWN when the adapter is removed, and only then',
      each([0, 1], (socket) => {
        const { in: is, field } = row('socket', socket);
        return given(
          all(before(is('connected')), is('broken')),
          iff(
            equal(field('reason'), wsa('WSAENETDOWN')),
            devices
              ? any(row('provider', 0).in('failed'), row('link', socket).field('removed'))
              : row('provider', 0).in('failed'),
          ),
        );
      }),
    ),
    transition(
      'S-11: a reason stays, and is one that the network gave',
      each([0, 1], (socket) =>
        given(
          before(row('socket', socket).in('broken')),
          any(not(row('socket', socket).in('broken')), kept(row('socket', socket).field('reason'))),
        ),
      ),
    ),
  ];
}

/**
 * What holds of sockets that can be closed.
 *
 * @param devices - the device of each connection can be removed
 */
export function closingProperties(requests: readonly PairRequest[], devices = false): Property[] {
  const sockets = [0, 1] as const;
  const handle = (socket: number) => row('handle', socket);
  const isOver = (socket: number): Formula => handle(socket).in('closed');
  const isClosed = (socket: number): Formula => row('caller', socket).in('closed');
  const someOver = some(sockets, isOver);
  /** Of every socket whose handle is closed. */
  const whenOver = (holds: (socket: number) => Formula): Formula =>
    each(sockets, (socket) => given(isOver(socket), holds(socket)));
  const aborted = (request: number): Formula => equal(structure(request).field('error'), wsa('WSA_OPERATION_ABORTED'));
  return [
    ...outcomeProperties(requests, devices),
    always(
      'S-08: a switch handle is closed at most once',
      each(sockets, (socket) => atMost(handle(socket).field('closes'), 1)),
    ),
    implies('S-08: it is closed only after WSPCloseSocket', someOver, whenOver(isClosed)),
    implies(
      'S-08: it is closed when no up-call of the socket runs or is due',
      someOver,
      whenOver((socket) => all(row('notifier', socket).in('idle'), not(row('notifier', socket).field('count')))),
    ),
    implies(
      'S-09: then no request of the socket is pending',
      someOver,
      whenOver((socket) =>
        each(requests, (request, number) => (request.socket === socket ? not(isPending(number)) : 1)),
      ),
    ),
    always(
      'S-10: as many handles are open as there are sockets',
      each(sockets, (socket) => iff(handle(socket).in('open'), not(row('socket', socket).in('unopened')))),
    ),
    implies(
      'S-11: whatever the network does, a socket is there until it is closed',
      some(sockets, (socket) => row('socket', socket).in('broken')),
      each(sockets, (socket) => any(isClosed(socket), row('socket', socket).in('connected', 'broken'))),
    ),
    implies(
      '16.2: only closing aborts',
      some(requests, (_, request) => aborted(request)),
      each(requests, ({ socket }, request) => given(aborted(request), isClosed(socket))),
    ),
  ];
}
