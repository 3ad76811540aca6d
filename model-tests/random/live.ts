/** Runs that have no virtual network to obey them: which are possible there, and how they go. */

import type { Action, Run } from './action.ts';
import { LiveGround, type LiveGroundOptions } from './ground.ts';
import { IwarpAdapter } from '../../driver/adapter/iwarp.ts';
import { DriverCoverage } from '../support/driver-coverage.ts';
import { carryOutLive, randomLimits, type WorldOptions } from './world.ts';

/** The iWARP adapter, over TCP on the loopback interface. */
export const loopback: LiveGroundOptions = {
  addresses: ['127.0.0.1', '127.0.0.2'],
  nobody: '127.0.0.9',
  receiverNotReady: 'fail',
  tellsWithdrawals: true,
  quietMs: 5,
  open: (address) => new IwarpAdapter({ addresses: [address] }),
};

const contains = (actions: readonly Action[], type: Action['type']): boolean =>
  actions.some((action) => action.type === type || (action.type === 'arm' && contains(action.actions, type)));

/** Why a run can't be carried out over adapters that do as they please; null when it can. */
export function obstacleTo(
  { setup, actions }: Run,
  ground: Pick<LiveGroundOptions, 'receiverNotReady'>,
): string | null {
  const faults = setup.faults.flatMap((plan) => Object.keys(plan));
  if (faults.length > 0) return 'it prescribes faults of an adapter or of the network';
  if (contains(actions, 'remove')) return 'it removes an adapter';
  if (contains(actions, 'removeListener')) return 'it removes what a socket listens on';
  if (setup.receiverNotReady === 'fail' && ground.receiverNotReady === 'wait') {
    return 'it is about messages that end a connection when they meet no receive; here they wait';
  }
  return null;
}

/** Carries a run out over real adapters. @throws what it finds */
export async function carryOutOver(
  ground: LiveGroundOptions,
  { setup, actions }: Run,
  options: WorldOptions = {},
): Promise<void> {
  const live = new LiveGround(ground);
  try {
    await carryOutLive({ setup: live.setup(setup), actions }, { ...options, ground: () => live });
  } finally {
    live.close();
  }
}

/** What became of a list of runs. */
export interface Replayed {
  readonly carriedOut: number;
  /** How many can't be, by the reason. */
  readonly impossible: ReadonlyMap<string, number>;
  /** Parts of the machines that the driver took; see driver-coverage.ts. */
  readonly coverage: DriverCoverage;
}

/**
 * Carries out those of `runs` that are possible over real adapters.
 *
 * @throws the first that finds something, with its number and the run as data
 */
export async function replayed(runs: readonly Run[], ground: LiveGroundOptions): Promise<Replayed> {
  const coverage = new DriverCoverage(randomLimits);
  const impossible = new Map<string, number>();
  let carriedOut = 0;
  for (const [index, run] of runs.entries()) {
    const obstacle = obstacleTo(run, ground);
    if (obstacle !== null) {
      impossible.set(obstacle, (impossible.get(obstacle) ?? 0) + 1);
      continue;
    }
    try {
      await carryOutOver(ground, run, { party: ({ provider }) => coverage.watch(provider) });
    } catch (error) {
      throw new Error(`run ${index}: ${JSON.stringify(run)}`, { cause: error });
    }
    carriedOut++;
  }
  return { carriedOut, impossible, coverage };
}

/** `62 of 98 runs: 24/25 states, ...; not: 19 since ...` */
export function replayText({ carriedOut, impossible, coverage }: Replayed): string {
  const count = [...impossible.values()].reduce((sum, each) => sum + each, 0);
  const parts = coverage.all();
  const share = (kind: string, of: readonly string[]): string =>
    `${of.filter((part) => coverage.taken.has(part)).length} of ${of.length} ${kind}`;
  const isTransition = (part: string): boolean => part.includes(':');
  return [
    `${carriedOut} of ${carriedOut + count} runs find nothing; they take ${share(
      'states',
      parts.filter((part) => !isTransition(part)),
    )} and ${share('transitions', parts.filter(isTransition))} of the machines`,
    ...[...impossible].map(([why, often]) => `    ${often} can't be carried out: ${why}`),
  ].join('\n');
}
