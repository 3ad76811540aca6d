// Goal: each fact that the machines keep between them is missed when it does not hold.
// Method: a listener with a request, and a connected socket with two receives and a registration; then one row is put
// where no step leads.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { brokenInvariants, compileMachines, explorationLimits, M, type MachineName, System } from './index.ts';

const machines = compileMachines(explorationLimits);
type Happening = readonly [machine: MachineName, row: number, event: string, parameters?: Record<string, number>];
const opened = (socket: number): Happening[] => [
  ['socket', socket, 'spi.socket'],
  ['socket', socket, 'upcall.handleCreated'],
  ['socket', socket, 'spi.bind'],
];
const story: readonly Happening[] = [
  ['provider', 0, 'spi.startup'],
  ['provider', 0, 'adapter.opened'],
  ...opened(0),
  ['socket', 0, 'spi.listen', { backlog: 2 }],
  ['socket', 0, 'adapter.listening'],
  ['socket', 0, 'adapter.connectRequest', { request: 0 }],
  ...opened(1),
  ['socket', 1, 'spi.connect'],
  ['socket', 1, 'adapter.connectStarted'],
  ['socket', 1, 'adapter.established'],
  ['socket', 1, 'spi.registerMemory', { buffer: 0 }],
  ['registeredBuffer', 0, 'adapter.registered'],
  ...[0, 1].flatMap((request): Happening[] => [
    ['registeredBuffer', 0, 'request.pinned', { request }],
    ['socket', 1, 'spi.recv', { request, pieces: 1 }],
  ]),
];

function told(): System {
  const system = new System(machines);
  for (const [machine, row, event, parameters = {}] of story) {
    const { parameters: names } = machines[M[machine]]!.events.find(({ name }) => name === event)!;
    const [p0, p1, p2, p3, p4] = names.map(({ name }) => parameters[name] ?? 0);
    system.effects.top = 0;
    system.apply(system.eventId(machine, event), row, p0, p1, p2, p3, p4);
  }
  return system;
}

/** What is wrong with a row: another state, or other values of fields. */
type Wrong = readonly [machine: MachineName, row: number, what: string | Record<string, number>];
const wrongs: readonly (readonly [fact: string, wrong: Wrong])[] = [
  ['the provider counts its sockets', ['provider', 0, { sockets: 1 }]],
  ["a request is in its queue's order until it is reported", ['overlappedRequest', 0, 'due']],
  ["a request's socket is open", ['socket', 1, 'unopened']],
  ['the oldest request knows that it is', ['overlappedRequest', 1, { head: 1 }]],
  ['and is reported as soon as it is finished', ['overlappedRequest', 0, 'finished']],
  ['a queue counts its pending', ['requestQueue', 3, { pending: 1 }]],
  ['held and posted requests', ['requestQueue', 3, { posted: 1 }]],
  ['a request has pinned nothing once it needs nothing', ['overlappedRequest', 0, 'finished']],
  ['a listener counts its queued, offered and deferred requests', ['socket', 0, { queued: 2 }]],
  ['a socket counts what is drained of it', ['socket', 1, { drained: 1 }]],
  ['a socket knows whether it has a connector', ['socket', 1, { attached: 0 }]],
  ['only what is selected is recorded', ['networkEvents', 0, { acceptRecorded: 1 }]],
  ['who waits for the first message is paired with it', ['firstMessage', 1, 'waiting']],
  ['S-20: a registration counts its pins', ['registeredBuffer', 0, { pins: 1 }]],
  ['and is listed while it is registered', ['registeredBuffer', 0, 'unregistered']],
  ['a closed socket has no registrations', ['socket', 1, 'unopened']],
  ['outside its range', ['socket', 0, { drained: 9 }]],
];

describe('facts between machines', () => {
  test('hold of a system that was stepped to where it is', () => {
    assert.deepEqual(brokenInvariants(told()), []);
  });

  test.for(wrongs)('%s', ([fact, [machine, row, what]]) => {
    const system = told();
    const rows = system.rows[M[machine]]!;
    if (typeof what === 'string') {
      const state = rows.machine.configurations.indexOf(what);
      assert.ok(state >= 0, `${machine} has no state '${what}'`);
      rows.states[row] = state;
    } else {
      for (const [name, value] of Object.entries(what)) {
        rows.columns[rows.machine.fields.findIndex((field) => field.name === name)]![row] = value;
      }
    }
    const broken = brokenInvariants(system);
    assert.ok(
      broken.some((text) => text.includes(fact)),
      `nobody says so: ${broken.join('; ')}`,
    );
  });
});
