/** Scripts over a real adapter: how many of them, and why not the others. */

import type { Adapter } from '../../driver/index.ts';
import { Impossible, obstacleToLive, playOver, productTests } from './index.ts';

/** Edges of a world whose paths are looked at. */
const EDGES = 3000;

/**
 * Plays `count` paths of a world over a real adapter, spread over all of them.
 *
 * @param open - makes an adapter, not open yet, that serves `address`
 * @returns how many ran; and in words also how many can't, by the reason
 * @throws what the first that fails throws
 */
export async function playedOver(
  world: string,
  count: number,
  open: () => Adapter,
  address: string,
): Promise<{ readonly played: number; readonly text: string }> {
  const { tours, script } = productTests(world, EDGES);
  const { length } = tours.paths;
  const refused = new Map<string, number>();
  const refuse = (why: string): void => void refused.set(why, (refused.get(why) ?? 0) + 1);
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
      works += await playOver(each, open(), address);
      played++;
    } catch (error) {
      if (!(error instanceof Impossible)) throw error;
      refuse(error.message);
    }
  }
  const text = [
    `${world}: ${played} of ${chosen} paths as predicted, ${works} work requests done by the adapter`,
    ...[...refused].map(([why, often]) => `    ${often} can't be played: ${why}`),
  ].join('\n');
  return { played, text };
}
