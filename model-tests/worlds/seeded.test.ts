// Goal: bugs that are easy to write and hard to test for are found, each with a short counterexample.
// Method: a bug is put into the tables or the routes, and a world's own properties are judged.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { routes } from '../../machines/index.ts';
import { explore, type Property, replay, type Verdict, type WorldDefinition } from '../explorer/index.ts';
import { brokenMachines, type Fault } from './broken-tables.ts';
import { closeProperties, everything } from './close.ts';
import { connectedPair, type PairRequest } from './connected-pair.ts';
import { smallest } from './surroundings.ts';
import { listenerProperties } from './listener.ts';
import { listening } from './listening.ts';
import { deregisteringClosed, memoryProperties, reading as readingRequests } from './remote.ts';
import { requestProperties } from './requirements.ts';

/** The shortest way to break a property whose name begins so; at most 15 steps. */
function find(definition: WorldDefinition, properties: readonly Property[], name: string): string[] {
  const found = explore(definition, properties);
  const verdict: Verdict | undefined = found.verdicts.find(
    (candidate) => candidate.property.startsWith(name) && !candidate.holds,
  );
  assert.ok(verdict !== undefined, `'${name}' is not broken`);
  assert.ok(verdict.path.length <= 15, found.report(verdict));
  return replay(definition, verdict.path).map(({ rule }) => rule.name);
}

describe('bugs put in on purpose are found', () => {
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
        smallest,
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
    const path = find(twice, requestProperties(receives), 'S-03: a request is done at most once');
    assert.deepEqual(path, ['A: closed', 'A receive 1: flush', 'A: completion up-call', 'A: close timer']);
  });

  test('a buffer given back while the adapter still owns it', () => {
    const early = connectedPair({
      ...everything,
      name: 'early',
      machines: brokenMachines(smallest, [
        { machine: 'overlappedRequest', state: 'posted', event: 'socket.closing', as: 'held' },
      ]),
    });
    assert.equal(find(early, closeProperties, '16.2: what the adapter still holds').length, 1);
  });

  test('a key still valid after deregistration while a read is in flight', () => {
    // The region is given back with the socket only, as a cache of registrations would that serves remote ones too.
    const kept: WorldDefinition = {
      ...deregisteringClosed,
      name: 'kept',
      routes: { ...routes, registeredBuffer: { ...routes.registeredBuffer, deregisterRegion: [] } },
    };
    assert.deepEqual(find(kept, memoryProperties(readingRequests.slice(0, 2)), 'S-19: nobody reaches memory'), [
      'B read 1: called, notified',
      'the next reaches A',
      'A: deregisters',
      'A is read',
    ]);
  });

  test('FD_ACCEPT lost between enumeration and accept', () => {
    // The end of an accept looks at the queue no more: whoever came before it is announced to nobody.
    const lost = listening({
      name: 'lost',
      peers: 2,
      defer: false,
      routes: {
        ...routes,
        socket: {
          ...routes.socket,
          acceptEnded: [{ send: 'networkEvents/socket.acceptEnded', to: 'sameRow', with: ['accepted', 0] }],
        },
      },
    });
    assert.deepEqual(find(lost, listenerProperties(2), 'L-05'), [
      'peer 0 asks',
      'peer 1 asks',
      'WSPAccept',
      'WSPEventSelect(FD_ACCEPT)',
      'WSPEnumNetworkEvents',
      'CF_ACCEPT',
    ]);
  });
});
