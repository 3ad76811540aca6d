/** Random runs, and the runs that lead a driver everywhere, over a real device. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import fc from 'fast-check';

import { VerbsAdapter } from '../../driver/adapter/verbs.ts';
import { liveWorlds, playedOver } from '../product/live.ts';
import type { Run } from '../random/action.ts';
import { failureText, nothingIsFoundOver, type Tally } from '../random/arbitrary.ts';
import type { LiveGroundOptions } from '../random/ground.ts';
import { replayed, replayText } from '../random/live.ts';
import type { GuestCase } from './guest.ts';
import { note } from './note.ts';
import { keepingNothing } from './resources.ts';

export type DeviceKind = 'rxe' | 'siw';

/** Both hosts' adapters on a device's network. */
export const groundOf = (device: DeviceKind, open: LiveGroundOptions['open']): LiveGroundOptions => {
  const subnet = device === 'rxe' ? 77 : 78;
  return {
    addresses: [`10.${subnet}.0.1`, `10.${subnet}.0.2`],
    nobody: `10.${subnet}.0.9`,
    // iWARP has nothing like RoCE's "receiver not ready".
    receiverNotReady: device === 'rxe' ? 'wait' : 'fail',
    // The kernel keeps to itself what becomes of a request before it is accepted (drivers/infiniband/core/ucma.c).
    tellsWithdrawals: false,
    quietMs: 10,
    open,
  };
};

export const openVerbs = (address: string): VerbsAdapter => new VerbsAdapter({ addresses: [address] });

const { WSD_RUNS, WSD_SEED, WSD_PATH, WSD_REPLAY } = process.env;
const RUNS = Number(WSD_RUNS ?? 60);

/** @param file - of the test, for who wants a failure again */
export const runCases = (device: DeviceKind, ground: LiveGroundOptions, file: string): readonly GuestCase[] => [
  {
    name: `${device}: the stored runs`,
    timeoutMs: 240_000,
    run: keepingNothing(async () => {
      const url = new URL('../driver-paths.json', import.meta.url);
      const runs = JSON.parse(readFileSync(url, 'utf8')) as readonly Run[];
      note(`${device}: ${replayText(await replayed(runs, ground))}`);
    }),
  },
  {
    name: `${device}: random runs`,
    timeoutMs: 600_000,
    run: keepingNothing(async () => {
      const tally: Tally = { runs: 0, counts: new Map() };
      const found = await fc.check(nothingIsFoundOver(ground, {}, tally, WSD_REPLAY), {
        numRuns: RUNS,
        unbiased: true,
        seed: Number(WSD_SEED ?? 1),
        ...(WSD_PATH === undefined ? {} : { path: WSD_PATH }),
      });
      if (found.failed) assert.fail(failureText(found, `${file} -t '${device}: random runs'`));
      note(`${device}: ${tally.runs} random runs (seed ${found.seed}) find nothing`);
    }),
  },
];

/** Of each world. */
const PATHS = 30;

/** Paths through worlds, whose sockets are both ends of a connection of the device with itself. */
export const pathsCase = (device: DeviceKind, { open, addresses: [address] }: LiveGroundOptions): GuestCase => ({
  name: `${device}: paths of worlds`,
  timeoutMs: 400_000,
  run: keepingNothing(async () => {
    const traits = { flushesWhenPeerLeaves: device === 'siw' };
    for (const [world, share] of Object.entries(liveWorlds)) {
      const { played, text } = await playedOver(world, PATHS, { open: () => open(address, 0), address, traits });
      note(`${device}: ${text}`);
      assert.ok(played >= Math.floor(share * PATHS), `only ${played} are played`);
    }
  }),
});
