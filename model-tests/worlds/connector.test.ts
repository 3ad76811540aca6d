// Goal: a connector that gives back what iWARP's connection manager still holds is found.
// Method: the world "a connector, iWARP" with the connector that InfiniBand has; the world's own properties are judged.

import { strict as assert } from 'node:assert';
import { test } from 'vitest';
import { explore, replay } from '../explorer/index.ts';
import { lettingGo, lettingGoProperties } from './connector.ts';

test('a call waits for the connection manager when a connector does not', () => {
  const definition = lettingGo('broken', true, false);
  const { verdicts } = explore(definition, lettingGoProperties);
  const verdict = verdicts.find(({ property }) => property === 'no call has to wait for the connection manager');
  assert.equal(verdict?.holds, false);
  const path = replay(definition, verdict.path).map(({ rule }) => rule.name);
  assert.deepEqual(path, ['a peer asks', 'the owner: prepare', 'the owner: accept', 'the owner: disconnect']);
});
