// Goal: an order of arming and looking that loses a completion is found.
// Method: the world "wake-up" put together wrongly; its own properties are judged.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { explore, replay } from '../explorer/index.ts';
import { sleeping, sleepingProperties } from './wake-up.ts';

/** The shortest way to sleep over a completion, or over what a call leaves. */
function sleptOver(broken: Parameters<typeof sleeping>[1], question = 'no completion is slept over'): string[] {
  const definition = sleeping('broken', broken);
  const { verdicts } = explore(definition, sleepingProperties);
  const verdict = verdicts.find(({ property }) => property === question);
  assert.equal(verdict?.holds, false);
  return replay(definition, verdict.path).map(({ rule }) => rule.name);
}

describe('something is slept over', () => {
  test('by a loop that looks first and arms then', () => {
    assert.deepEqual(sleptOver({ order: 'look, arm' }), ['turn', 'a completion comes', 'give up lingering', 'turn']);
  });

  test('by a loop that lets Node.js run before it looks', () => {
    // The notification is taken by the look that finds its completion gone, and the queue isn't armed again.
    assert.deepEqual(sleptOver({ order: 'arm, yield, look' }).slice(-3), [
      'Node.js runs',
      'turn',
      'a completion comes',
    ]);
  });

  test('by a queue that counts as armed when its notification has been taken', () => {
    const path = sleptOver({ forgetsToDisarm: true });
    assert.ok(path.includes('Node.js runs'), path.join(', '));
    assert.equal(path.at(-1), 'a completion comes');
  });

  test('or what a call leaves, by a loop that is not told of it', () => {
    const path = sleptOver({ tellsOfCalls: false }, 'nothing that a call leaves is slept over');
    assert.equal(path.at(-1), 'a call comes');
    assert.equal(path.filter((rule) => rule === 'a call comes').length, 1);
  });
});
