/** What ABC is asked: proofs of small worlds, and a seeded bug in one that is too large to list its states. */

import { type AbcOptions, abcTools, runAbc } from '../engines/abc.ts';
import { missingTools } from '../engines/engine.ts';
import { explore, type Property, type WorldDefinition } from '../explorer/index.ts';
import { anyOrder } from '../worlds/any-order.ts';
import { worlds } from '../worlds/index.ts';
import { digestOf, type SymbolicRecord } from './results.ts';

/** Seconds of one run of ABC. */
const SECONDS = 240;
/** States that are searched first, to learn which branches are taken. */
const LEARNT = 5000;
/** Requests of each kind in the world with a seeded bug. */
const REQUESTS = 4;

/** One thing to ask. */
export interface SymbolicTask {
  readonly world: string;
  readonly bounds: string;
  readonly digest: string;
  readonly definition: WorldDefinition;
  readonly properties: readonly Property[];
  readonly asked: AbcOptions;
  /** The world that has been broken on purpose: something has to be found. */
  readonly unbroken: WorldDefinition | null;
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
  // Each message is called, received and delivered; then the last is completed.
  const asked = { how: { reach: 3 * REQUESTS + 2 }, seconds: SECONDS, learn: 100, wander: 5000 } as const;
  return {
    world: definition.name,
    bounds: `${REQUESTS} sends and ${REQUESTS} receives of each of two sockets, called in any order`,
    digest: digestOf(definition, [], asked),
    definition,
    properties: [],
    asked,
    unbroken,
  };
}

/** All that is asked. */
export function symbolicTasks(): readonly SymbolicTask[] {
  const proofs = proved.map((name): SymbolicTask => {
    const found = worlds.find((world) => world.name === name);
    if (found === undefined) throw new Error(`no world is called '${name}'`);
    const { bounds, definition, properties } = found;
    const asked = { how: 'pdr', seconds: SECONDS, learn: LEARNT } as const;
    const digest = digestOf(definition, properties, 'proof');
    return { world: name, bounds, digest, definition, properties, asked, unbroken: null };
  });
  return [...proofs, seeded()];
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
  unbroken,
}: SymbolicTask): Promise<SymbolicRecord> {
  const { verdict, path, clauses, latches, ands, cpuSeconds } = await runAbc(definition, properties, asked);
  const record = { world, bounds, digest, verdict, clauses, latches, ands, cpuSeconds };
  if (unbroken === null) return record;
  // How large it is can be told by exchange of its rows, which ABC knows nothing of.
  const { orbitSum } = explore(unbroken, [], { reductions: { symmetry: true } });
  return { ...record, seeded: { rules: path?.length ?? 0, states: orbitSum } };
}
