/** What ABC is asked: proofs of small worlds, and a seeded bug in one that is too large to list its states. */

import { type AbcOptions, abcTools, runAbc } from '../engines/abc.ts';
import { missingTools } from '../engines/engine.ts';
import { explore, type Property, type WorldDefinition } from '../explorer/index.ts';
import { anyOrder } from '../worlds/any-order.ts';
import { connectedPair, type PairRequest } from '../worlds/connected-pair.ts';
import { worlds } from '../worlds/index.ts';
import { digestOf, type SymbolicRecord } from './results.ts';

/** Seconds of one run of ABC. */
const SECONDS = 240;
/** States that are searched first, to learn which branches are taken. */
const LEARNT = 5000;
/** Requests of each kind in the world with a seeded bug. */
const REQUESTS = 4;

/** Rules within which nothing is wrong in a world of that size: how far ABC gets in some minutes. */
const NEAR = 5;

/** One thing to ask. */
export interface SymbolicTask {
  readonly world: string;
  readonly bounds: string;
  readonly digest: string;
  readonly definition: WorldDefinition;
  readonly properties: readonly Property[];
  readonly asked: AbcOptions;
  /** Of a world that has been broken on purpose, in which something has to be found: how many states it has otherwise. */
  readonly statesWithout: (() => number) | null;
}

/** Worlds that are proved, without a bound on the steps. */
const proved: readonly string[] = [
  'wake-up',
  'start-up and clean-up',
  'connecting',
  'connecting, and the adapter is removed',
  'who keeps accepting',
  'data, depth 1',
];

/** A world in which the number of a message has one value too few: the last message of either side has none. */
function seeded(): SymbolicTask {
  const unbroken = anyOrder({
    name: 'any order, four of each, a message too many',
    sends: REQUESTS,
    receives: REQUESTS,
  });
  const definition = { ...unbroken, carried: { ...unbroken.carried!, 'overlappedRequest/bytes': REQUESTS - 1 } };
  // All are polled: no turn of an up-call names a request, and a search has room for so many names only.
  const { groups, references } = unbroken.symmetry!;
  const naming = Object.entries(references).filter(([field]) => !field.startsWith('notifier/'));
  const polled = { ...unbroken, symmetry: { groups, references: Object.fromEntries(naming) } };
  // Each message is called, received and delivered; then the last is completed.
  const asked = { how: { reach: 3 * REQUESTS + 2 }, seconds: SECONDS, learn: 100, wander: 5000 } as const;
  return {
    world: definition.name,
    bounds: `${REQUESTS} sends and ${REQUESTS} receives of each of two sockets, called in any order`,
    digest: digestOf(definition, [], asked),
    definition,
    properties: [],
    asked,
    // How large it is can be told by exchange of its rows, which ABC knows nothing of.
    statesWithout: () => explore(polled, [], { reductions: { symmetry: true } }).orbitSum,
  };
}

/**
 * Two sockets whose switches call their requests in order, each polled or notified as it comes: no two requests can be
 * exchanged, so none of its states stands for another.
 *
 * @param sockets - those that send
 */
function inOrder(name: string, sockets: readonly (0 | 1)[]): WorldDefinition {
  const some = (socket: 0 | 1, kind: PairRequest['kind']): PairRequest[] =>
    Array.from({ length: REQUESTS }, (_, place) => ({ socket, kind, place }));
  const requests = sockets.flatMap((socket) => [...some(socket, 'send'), ...some(socket === 0 ? 1 : 0, 'receive')]);
  return connectedPair({ name, requests, limits: { queueDepth: REQUESTS, overflowMax: 1 } });
}

/** What is asked of the world {@link inOrder}: a seeded bug, and how far from its beginning nothing is wrong without. */
function ordered(): readonly SymbolicTask[] {
  const bounds = `${REQUESTS} sends and ${REQUESTS} receives of each of two sockets, called in order, polled or notified as it comes`;
  const whole = inOrder('in order, four of each', [0, 1]);
  const broken = inOrder('in order, four of each, a message too many', [0, 1]);
  const definition = { ...broken, carried: { ...broken.carried!, 'overlappedRequest/bytes': REQUESTS - 1 } };
  const reach = { how: { reach: 3 * REQUESTS + 2 }, seconds: SECONDS, learn: 100, wander: 5000 } as const;
  const near = { how: { bmc: NEAR }, seconds: SECONDS, learn: 2000, wander: 800 } as const;
  const task = (made: WorldDefinition, asked: AbcOptions): Omit<SymbolicTask, 'statesWithout'> => ({
    world: made.name,
    bounds,
    digest: digestOf(made, [], asked),
    definition: made,
    properties: [],
    asked,
  });
  return [
    // What one side sends has little to do with what the other does: so many states, squared, there are at least about.
    { ...task(definition, reach), statesWithout: () => explore(inOrder('one way', [0]), []).states ** 2 },
    { ...task(whole, near), statesWithout: null },
  ];
}

/** All that is asked. */
export function symbolicTasks(): readonly SymbolicTask[] {
  const proofs = proved.map((name): SymbolicTask => {
    const found = worlds.find((world) => world.name === name);
    if (found === undefined) throw new Error(`no world is called '${name}'`);
    const { bounds, definition, properties } = found;
    const asked = { how: 'pdr', seconds: SECONDS, learn: LEARNT } as const;
    const digest = digestOf(definition, properties, 'proof');
    return { world: name, bounds, digest, definition, properties, asked, statesWithout: null };
  });
  return [...proofs, seeded(), ...ordered()];
}

/** Why nothing can be asked here; null when it can. */
export function symbolicMissing(): string | null {
  const missing = missingTools(...abcTools);
  return missing.length === 0 ? null : `not installed: ${missing.join(', ')}`;
}

/** Asks. */
export async function askSymbolic({
  world,
  bounds,
  digest,
  definition,
  properties,
  asked,
  statesWithout,
}: SymbolicTask): Promise<SymbolicRecord> {
  const { verdict, path, clauses, latches, ands, frames, cpuSeconds } = await runAbc(definition, properties, asked);
  const record = { world, bounds, digest, verdict, clauses, latches, ands, cpuSeconds };
  if (statesWithout !== null) return { ...record, seeded: { rules: path?.length ?? 0, states: statesWithout() } };
  // Frames are counted from 0, the initial state.
  if (typeof asked.how === 'object' && 'bmc' in asked.how && verdict === 'unknown' && frames === asked.how.bmc) {
    return { ...record, within: asked.how.bmc };
  }
  return record;
}
