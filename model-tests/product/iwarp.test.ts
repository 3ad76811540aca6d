// Goal: paths through worlds come true over a real adapter, too.
// Method: the driver hears of everything in the script's order, and before it does a real adapter has done it: iWARP over TCP
// on the loopback interface. The same over RDMA devices: model-tests/guest/runs.ts.

import { strict as assert } from 'node:assert';
import { test } from 'vitest';
import { Opcode, WorkRequestField } from '../../driver/index.ts';
import { IwarpAdapter } from '../../driver/adapter/iwarp.ts';
import { liveWorlds, playedOver } from './live.ts';
import { playOver, productTests } from './index.ts';

const open = () => new IwarpAdapter({ addresses: ['127.0.0.1'] });

/** Of each world. */
const PATHS = 60;

for (const [world, share] of Object.entries(liveWorlds)) {
  test(world, { timeout: 120_000 }, async () => {
    const { played, text } = await playedOver(world, PATHS, { open, address: '127.0.0.1' });
    console.log(text);
    assert.ok(played >= share * PATHS, `only ${played} are played`);
  });
}

test('a message that the adapter spoils is noticed', async () => {
  const spoiling = new Proxy(open(), {
    get(target, name) {
      if (name === 'post') {
        return (count: number) => {
          // One byte less is sent.
          const words = target.workRequests;
          if (words[WorkRequestField.opcode] === Opcode.send) words[WorkRequestField.elements + 1]! -= 1;
          return target.post(count);
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const script = productTests('data, depth 1').script(0);
  await assert.rejects(playOver(script, spoiling, '127.0.0.1'), /what message 1 holds/);
});
