// Goal: closing a socket strands no request, frees no buffer that the adapter still owns, and closes the switch handle
// once and last; what the other side has pending ends with an error.
// Method: two connected sockets with a send and a receive each. Both can be closed at any time; the loss of one end
// reaches the other by a flush, by an event, or by neither before its own close; what was carried out before completes
// late; flushes come in any order; the close timer can be faster than all of them.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { routes } from '../../machines/index.ts';
import {
  explore,
  type Found,
  leadsTo,
  type Property,
  replay,
  sometimes,
  type StateView,
  type Verdict,
} from '../explorer/index.ts';
import { brokenMachines, type Fault } from './broken-tables.ts';
import { connectedPair, type PairOptions, type PairRequest, pairLimits } from './connected-pair.ts';
import { closingProperties, consistency, isPending, isTold, requestProperties } from './requirements.ts';

const requests: readonly PairRequest[] = [
  { socket: 0, kind: 'send', place: 0 },
  { socket: 0, kind: 'receive', place: 0 },
  { socket: 1, kind: 'send', place: 0 },
  { socket: 1, kind: 'receive', place: 0 },
];
const numbers = requests.map((_, request) => request);
const fair = {
  completions: numbers.map((request) => `complete ${request}`),
  flushes: numbers.map((request) => `flush ${request}`),
  notices: ['arrive A', 'notice A', 'arrive B', 'notice B'],
  upcalls: ['notify A', 'return A', 'notify B', 'return B'],
  timers: ['expire A', 'expire B'],
};
const isClosed = (socket: number) => (state: StateView) => state.in('caller', socket, 'closed');
const isOver = (socket: number) => (state: StateView) => state.in('handle', socket, 'closed');
const side = ['A', 'B'] as const;

const properties: readonly Property[] = [
  ...requestProperties(requests).filter(({ name }) => !name.startsWith('S-13')),
  ...closingProperties(requests),
  ...[0, 1].flatMap((socket) => [
    leadsTo(
      `L-07: once ${side[socket]} is closed its handle is, if the adapter flushes`,
      isClosed(socket),
      isOver(socket),
      [...fair.completions, ...fair.flushes, ...fair.upcalls],
    ),
    leadsTo(
      `L-07: once ${side[socket]} is closed its handle is, if only its timer expires`,
      isClosed(socket),
      isOver(socket),
      [...fair.timers, ...fair.upcalls],
    ),
  ]),
  leadsTo(
    'L-08: once A is closed, what B receives ends',
    (state) => isClosed(0)(state) && isPending(3)(state),
    isTold(3),
    [...fair.completions, ...fair.flushes, ...fair.notices, ...fair.upcalls],
  ),
  ...numbers.map((request) =>
    leadsTo(
      `L-01: once its socket is closed or broken, request ${request} is done`,
      (state) =>
        isPending(request)(state) &&
        (isClosed(requests[request]!.socket)(state) || state.in('socket', requests[request]!.socket, 'broken')),
      isTold(request),
      [...fair.completions, ...fair.flushes, ...fair.upcalls],
    ),
  ),
  sometimes(
    'a request succeeds at the adapter after its socket was closed',
    (state) => state.in('overlappedRequest', 0, 'aborting') && state.in('work', 0, 'landed'),
  ),
  sometimes('both are closing', (state) => state.in('socket', 0, 'closing') && state.in('socket', 1, 'closing')),
  sometimes(
    'a socket is closed inside its completion up-call',
    (state) => state.in('socket', 0, 'closing') && state.in('notifier', 0, 'running'),
  ),
];
const everything: PairOptions = { name: 'close, everything pending', requests, called: [1, 0, 1, 0], closing: true };

describe('close', () => {
  test('everything pending on both sides', () => {
    const { property, prepare } = consistency();
    const found = explore(connectedPair(everything), [...properties, property], { prepare });
    found.assertProperties();
    assert.deepEqual(found.unfired, []);
    assert.deepEqual(found.size, { states: 16707, transitions: 82218, depth: 14 });
  });

  test('with failures of network and adapter', () => {
    const found = explore(
      connectedPair({ ...everything, name: 'close and fail', failing: true, removal: true }),
      properties,
    );
    found.assertProperties();
    assert.deepEqual(found.unfired, []);
    assert.deepEqual(found.size, { states: 46650, transitions: 254420, depth: 17 });
  });

  test('called at any time', () => {
    const found = explore(
      connectedPair({ name: 'close and call', requests, polled: [0], closing: true }),
      properties.filter(({ kind }) => kind !== 'leadsTo'),
    );
    found.assertProperties();
    assert.deepEqual(found.unfired, []);
    assert.deepEqual(found.size, { states: 106257, transitions: 486656, depth: 22 });
  });
});

describe('bugs put in on purpose are found', () => {
  const find = (found: Found, property: string): Verdict => {
    const verdict = found.verdicts.find((candidate) => candidate.property.startsWith(property) && !candidate.holds);
    assert.ok(verdict !== undefined, `'${property}' is not broken`);
    assert.ok(verdict.path.length <= 15, found.report(verdict));
    return verdict;
  };

  test('a completion delivered twice when closing races with a flush', () => {
    // A request leaves its queue's order only when it is over: so closing still finds it, and completes it once more.
    const { leaveOrder, retire, ...others } = routes.overlappedRequest;
    const receives: readonly PairRequest[] = [
      { socket: 0, kind: 'receive', place: 0 },
      { socket: 1, kind: 'receive', place: 0 },
    ];
    const twice = connectedPair({
      name: 'twice',
      requests: receives,
      called: [0, 0],
      closing: true,
      routes: { ...routes, overlappedRequest: { ...others, leaveOrder: [], retire: [...leaveOrder!, ...retire!] } },
      machines: brokenMachines(
        pairLimits,
        ['socket.broken', 'socket.closing', 'socket.lost'].flatMap((event): Fault[] => [
          {
            machine: 'overlappedRequest',
            state: 'due',
            event,
            like: { state: 'finished', event: event === 'socket.lost' ? 'socket.broken' : event },
          },
          {
            machine: 'overlappedRequest',
            state: 'notifying',
            event,
            like: { state: 'due', event: 'dispatcher.notify' },
          },
        ]),
      ),
    });
    const found = explore(twice, requestProperties(receives));
    const verdict = find(found, 'S-03: a request is done at most once');
    const names = replay(twice, verdict.path).map(({ rule }) => rule.name);
    assert.deepEqual(names, ['A: closed', 'A receive 1: flush', 'A: completion up-call', 'A: close timer']);
  });

  test('a buffer given back while the adapter still owns it', () => {
    const early = connectedPair({
      ...everything,
      name: 'early',
      machines: brokenMachines(pairLimits, [
        { machine: 'overlappedRequest', state: 'posted', event: 'socket.closing', as: 'held' },
      ]),
    });
    const found = explore(early, properties);
    assert.equal(find(found, '16.2: what the adapter still holds').path.length, 1);
  });
});
