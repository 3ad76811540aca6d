/** Scripts over a real adapter: how many of them, and why not the others. */

import { strict as assert } from 'node:assert';
import type { Adapter } from '../../driver/index.ts';
import type { LiveTraits } from './live-adapter.ts';
import { FLUSHED_BY_PEER, Impossible, obstacleToLive, playOver, productTests, type Script } from './index.ts';

/** Edges of a world whose paths are looked at. */
const EDGES = 3000;

/** Worlds, and the share of their paths that is played at least. */
export const liveWorlds: Readonly<Record<string, number>> = {
  'data, depth 1': 0.8,
  'data, depth 2': 0.8,
  'ordering, depth 1': 0.8,
  'close, everything pending': 0.8,
  'close and fail': 0.3,
  'registering, deregistering and closing': 0.1,
  'pieces and failures': 0.03,
  // One end's peer is whoever plays the network; it says of each path why it can't be played.
  'first message': 0,
};

/** A real adapter to play over. */
export interface LiveStage {
  /** Makes one, not open yet, that serves `address`. */
  open(): Adapter;
  readonly address: string;
  /** Default: as iWARP. */
  readonly traits?: LiveTraits;
}

/**
 * Plays `count` paths of a world over a real adapter, spread over all of them.
 *
 * What a trait excludes is looked at once: an adapter that could do it after all fails.
 *
 * @returns how many ran; and in words also how many can't, by the reason
 * @throws what the first that fails throws
 */
export async function playedOver(
  world: string,
  count: number,
  { open, address, traits }: LiveStage,
): Promise<{ readonly played: number; readonly text: string }> {
  const { tours, script } = productTests(world, EDGES);
  const { length } = tours.paths;
  const refused = new Map<string, number>();
  const refuse = (why: string): void => void refused.set(why, (refused.get(why) ?? 0) + 1);
  let excluded: Script | null = null;
  let played = 0;
  let works = 0;
  const chosen = Math.min(count, length);
  for (let index = 0; index < chosen; index++) {
    const each = script(Math.floor((index * length) / chosen));
    const obstacle = obstacleToLive(each);
    if (obstacle !== null) {
      refuse(obstacle);
      continue;
    }
    try {
      works += await playOver(each, open(), address, traits);
      played++;
    } catch (error) {
      if (!(error instanceof Impossible)) throw error;
      if (error.message === FLUSHED_BY_PEER) excluded ??= each;
      refuse(error.message);
    }
  }
  if (excluded !== null) {
    await assert.rejects(playOver(excluded, open(), address), /the real adapter never brings: flush/);
  }
  const text = [
    `${world}: ${played} of ${chosen} paths as predicted, ${works} work requests done by the adapter`,
    ...[...refused].map(([why, often]) => `    ${often} can't be played: ${why}`),
  ].join('\n');
  return { played, text };
}
