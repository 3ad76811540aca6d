import assert from 'node:assert/strict';

import { test } from 'vitest';

import { compileMachines, explorationLimits } from '../machines/index.ts';
import { Dispatcher } from './dispatcher.ts';
import type { Journal } from './journal/journal.ts';

// Goal: records say when they were made, though the clock is read seldom.
test('a turn reads the clock when time may have passed: after empty turns, and after many', () => {
  let [nowUs, readings] = [0, 0];
  const times: number[] = [];
  const journal = { append: (...words: readonly number[]) => times.push(words[7]!) } as unknown as Journal;
  const dispatcher = new Dispatcher(
    compileMachines(explorationLimits),
    () => journal,
    () => {
      readings++;
      return nowUs;
    },
  );
  // Answered, again and again, without a change.
  const cleanup = dispatcher.event('provider', 'spi.cleanup');
  const turn = (isBusy: boolean): void => {
    dispatcher.beginTurn();
    if (isBusy) dispatcher.apply(cleanup, 0);
  };
  // Who finds something in each turn reads it once in many.
  for (let turns = 0; turns < 640; turns++) turn(true);
  assert.ok(readings <= 11, `${readings} readings`);
  // A loop looks in vain before it sleeps, and what wakes it has the time of waking.
  for (let turns = 0; turns < 3; turns++) turn(false);
  nowUs = 5_000_000;
  turn(true);
  assert.equal(times.at(-1), 5_000_000);
  // A call has its own.
  nowUs = 6_000_000;
  dispatcher.tick();
  dispatcher.apply(cleanup, 0);
  assert.equal(times.at(-1), 6_000_000);
});
