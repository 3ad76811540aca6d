// Goal: every peer gets one verdict, and the switch learns of every request that it may accept.
// Method: three peers that ask and withdraw at any time, a backlog of 2 that shrinks to 1, a switch that selects,
// enumerates, accepts, defers, refuses and closes in any order, inside its condition function too. Three peers suffice:
// one is being decided on, one waits behind it, one is too many.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { routes } from '../../machines/index.ts';
import {
  always,
  explore,
  implies,
  leadsTo,
  type Property,
  replay,
  sometimes,
  type StateView,
} from '../explorer/index.ts';
import { listener } from './listener.ts';
import { consistency } from './requirements.ts';

const listening = (state: StateView): boolean => state.in('socket', 0, 'listening');
const socket = (state: StateView, name: string): number => state.field('socket', 0, name);
const record = (state: StateView, name: string): number => state.field('networkEvents', 0, name);
const undeferred = (state: StateView): boolean =>
  listening(state) && socket(state, 'offered') < socket(state, 'queued') && socket(state, 'deferred') === 0;
const waiting = (peer: number) => (state: StateView) => state.in('peer', peer, 'waiting');

function propertiesOf(peers: number): Property[] {
  const all = Array.from({ length: peers }, (_, peer) => peer);
  return [
    implies('S-21: the queue is never longer than the backlog', listening, (state) => {
      const most = Math.max(socket(state, 'backlog'), socket(state, 'offered'));
      return socket(state, 'queued') <= most;
    }),
    implies(
      'S-22: who is being decided on has been told nothing',
      (state) => state.in('acceptor', 0, 'deciding'),
      (state) => state.in('peer', state.field('acceptor', 0, 'current'), 'waiting', 'withdrawn'),
    ),
    always('S-23: nobody gets two verdicts', (state) =>
      all.every((peer) => state.field('peer', peer, 'verdicts') <= 1),
    ),
    implies(
      'S-23: who waits for a verdict is a request of the listener',
      (state) => all.some((peer) => waiting(peer)(state)),
      (state) => all.every((peer) => !waiting(peer)(state) || !state.in('connectionRequest', peer, 'arrived')),
    ),
    implies(
      'S-27: FD_ACCEPT is recorded only while it is selected',
      (state) => record(state, 'acceptRecorded') === 1,
      (state) => record(state, 'acceptSelected') === 1,
    ),
    implies(
      'L-05, S-28: a request that may be accepted is on record, or was reported',
      (state) => state.in('acceptor', 0, 'idle') && undeferred(state) && record(state, 'acceptSelected') === 1,
      (state) => record(state, 'acceptRecorded') === 1 || state.field('acceptor', 0, 'reported') === 1,
    ),
    implies(
      'L-05, S-28: while something is on record the event is set',
      (state) => record(state, 'acceptRecorded') === 1,
      (state) => state.in('eventObject', 0, 'set'),
    ),
    implies(
      'S-29: a closed listener sets no event',
      (state) => state.in('eventObject', 0, 'over'),
      (state) => state.field('eventObject', 0, 'late') === 0,
    ),
    implies(
      'S-08, S-10: the handle of a closed listener is closed, once',
      (state) => state.in('acceptor', 0, 'closed', 'decidingClosed'),
      (state) => state.in('handle', 0, 'closed') && state.field('handle', 0, 'closes') === 1,
    ),
    ...all.map((peer) =>
      leadsTo(
        `L-06: peer ${peer} gets a verdict, if the switch closes`,
        waiting(peer),
        (state) => !waiting(peer)(state),
        ['close'],
      ),
    ),
    sometimes('a peer withdraws while it is decided on', (state) =>
      all.some((peer) => state.in('connectionRequest', peer, 'withdrawnWhileOffered')),
    ),
    sometimes('the listener is closed inside the condition function', (state) =>
      all.some((peer) => state.in('connectionRequest', peer, 'closedWhileOffered')),
    ),
    sometimes('a request is deferred', (state) => socket(state, 'deferred') === 1),
  ];
}

describe('listener', () => {
  test('three peers', () => {
    const { property, prepare } = consistency();
    const found = explore(
      listener({ name: 'three peers', peers: 3 }),
      [
        ...propertiesOf(3),
        sometimes(
          'a peer is one too many',
          (state) => listening(state) && socket(state, 'queued') === 2 && state.in('peer', 2, 'refused'),
        ),
        property,
      ],
      { prepare },
    );
    found.assertProperties();
    assert.deepEqual(found.unfired, []);
    assert.deepEqual(found.size, { states: 6539, transitions: 56_731, depth: 18 });
  });

  test('a switch that keeps accepting and defers nobody', () => {
    const found = explore(
      listener({ name: 'who keeps accepting', peers: 2, defer: false }),
      [0, 1].map((peer) =>
        leadsTo(
          `L-06: peer ${peer} gets a verdict, if the switch keeps accepting`,
          waiting(peer),
          (state) => !waiting(peer)(state),
          ['accept', 'decide', 'close accepted', 'flush'],
        ),
      ),
    );
    found.assertProperties();
    assert.deepEqual(found.size, { states: 901, transitions: 7026, depth: 13 });
  });
});

test('FD_ACCEPT lost between enumeration and accept is found', () => {
  // The end of an accept looks at the queue no more: whoever came before it is announced to nobody.
  const lost = listener({
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
  const verdict = explore(lost, propertiesOf(2)).verdicts.find(
    ({ property, holds }) => property.startsWith('L-05') && !holds,
  );
  const names = replay(lost, verdict!.path).map(({ rule }) => rule.name);
  assert.deepEqual(names, [
    'peer 0 asks',
    'peer 1 asks',
    'WSPAccept',
    'WSPEventSelect(FD_ACCEPT)',
    'WSPEnumNetworkEvents',
    'CF_ACCEPT',
  ]);
});
