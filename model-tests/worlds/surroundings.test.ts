// Goal: what the worlds' surroundings accept they keep, and what they have no place for breaks the world.
// Method: the list of each that has one is filled, and one more is put in; then all is taken out again.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import type { MachineDefinition } from '../../machines/index.ts';
import { Layout, World } from '../explorer/index.ts';
import { channel, DUE_MAX, notifier } from './surroundings.ts';

/** One row of `machine`, and what it asks for: the name of each effect with its first argument. */
function alone(name: string, machine: MachineDefinition) {
  const effects = Object.keys(machine.contract.effects);
  const inputs = Object.entries(machine.contract.events).flatMap(([event, parameters]) =>
    (Object.keys(parameters).length === 0 ? [undefined] : Array.from({ length: 9 }, (_, value) => value)).map(
      (value) => ({ event, value }),
    ),
  );
  const world = new World({
    name: `${name}, alone`,
    environment: { [name]: machine },
    rows: { [name]: 1 },
    performs: {},
    drops: effects.map((effect) => `${name}/${effect}`),
    rules: inputs.map(({ event, value }) => ({
      name: event,
      send: `${name}/${event}`,
      row: 0,
      with: value === undefined ? [] : [value],
      class: 'test',
    })),
  });
  const layout = new Layout(world);
  const asked: string[] = [];
  const base = world.system.effectBase[world.names.indexOf(name)]!;
  world.onEffect = (effect, _, at) => {
    asked.push(`${effects[effect - base]} ${world.system.effects.buffer[at + 2]}`);
  };
  return {
    asked,
    /** Lets it happen. @throws Error when a value is out of its range then */
    send: (event: string, value?: number): void => {
      world.fire(inputs.findIndex((input) => input.event === event && input.value === value));
      layout.pack(new Int32Array(layout.words), 0);
    },
  };
}

describe('turns of completion up-calls', () => {
  const order = [3, 8, 1, 5];

  test('come in the order in which they were due', () => {
    const { send, asked } = alone('notifier', notifier());
    assert.equal(order.length, DUE_MAX);
    for (const request of order) send('due', request);
    for (const _ of order) {
      send('notify');
      send('return', 0);
    }
    assert.deepEqual(
      asked.filter((effect) => effect.startsWith('notify ')),
      order.map((request) => `notify ${request}`),
    );
  });

  test('are no more than there are places for', () => {
    const { send } = alone('notifier', notifier());
    for (const request of order) send('due', request);
    assert.throws(() => send('due', 2), /count is 5, outside its range/);
  });
});

describe('messages under way', () => {
  test('arrive in the order in which they were sent', () => {
    const { send, asked } = alone('channel', channel(3));
    for (const request of [4, 2, 7]) send('send', request);
    for (const request of [6, 1, 5]) send('receive', request);
    for (let message = 0; message < 3; message++) send('deliver');
    assert.deepEqual(asked, ['landed 6', 'acknowledged 4', 'landed 1', 'acknowledged 2', 'landed 5', 'acknowledged 7']);
  });

  test.each(['send', 'receive'] as const)('%s: no more than there are places for', (event) => {
    const { send } = alone('channel', channel(2));
    for (const request of [1, 2]) send(event, request);
    assert.throws(() => send(event, 3), /outside its range/);
  });
});
