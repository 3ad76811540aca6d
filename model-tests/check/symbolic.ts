/** What ABC is asked: proofs of small worlds. */

import { abcTools, runAbc } from '../engines/abc.ts';
import { missingTools } from '../engines/engine.ts';
import { worlds } from '../worlds/index.ts';
import type { Property, WorldDefinition } from '../explorer/index.ts';
import { digestOf, type SymbolicRecord } from './results.ts';

/** Seconds of one run of ABC. */
const SECONDS = 240;
/** States that are searched first, to learn which branches are taken. */
const LEARNT = 5000;

/** One thing to ask. */
export interface SymbolicTask {
  readonly world: string;
  readonly bounds: string;
  readonly digest: string;
  readonly definition: WorldDefinition;
  readonly properties: readonly Property[];
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

const taskOf = (bounds: string, definition: WorldDefinition, properties: readonly Property[]): SymbolicTask => ({
  world: definition.name,
  bounds,
  digest: digestOf(definition, properties, 'proof'),
  definition,
  properties,
});

/** All that is asked. */
export function symbolicTasks(): readonly SymbolicTask[] {
  return proved.map((name) => {
    const found = worlds.find((world) => world.name === name);
    if (found === undefined) throw new Error(`no world is called '${name}'`);
    return taskOf(found.bounds, found.definition, found.properties);
  });
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
}: SymbolicTask): Promise<SymbolicRecord> {
  const asked = { how: 'pdr', seconds: SECONDS, learn: LEARNT } as const;
  const { verdict, clauses, latches, ands, cpuSeconds } = await runAbc(definition, properties, asked);
  return { world, bounds, digest, verdict, clauses, latches, ands, cpuSeconds };
}
