/** What ABC is asked: proofs of small worlds, and bounded searches of worlds that nobody can search to their end. */

import { abcTools, runAbc } from '../engines/abc.ts';
import { missingTools } from '../engines/engine.ts';
import { anyOrder, type AnyOrderOptions, anyOrderProperties } from '../worlds/any-order.ts';
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
  readonly how: SymbolicRecord['how'];
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

/** Worlds out of reach: three requests of each kind have 10^9 states and more when they close. */
const beyond: readonly (AnyOrderOptions & { readonly steps: number })[] = [
  { name: 'any order, four of each, closing', sends: 4, receives: 4, closing: true, failing: true, steps: 8 },
];

const taskOf = (
  how: SymbolicRecord['how'],
  bounds: string,
  definition: WorldDefinition,
  properties: readonly Property[],
): SymbolicTask => ({
  world: definition.name,
  bounds,
  how,
  digest: digestOf(definition, properties, how),
  definition,
  properties,
});

/** All that is asked. */
export function symbolicTasks(): readonly SymbolicTask[] {
  return [
    ...proved.map((name) => {
      const found = worlds.find((world) => world.name === name);
      if (found === undefined) throw new Error(`no world is called '${name}'`);
      return taskOf('proof', found.bounds, found.definition, found.properties);
    }),
    ...beyond.map(({ steps, ...options }) =>
      taskOf(
        steps,
        `${options.sends} sends and ${options.receives} receives of each of two sockets, called in any order; both close, the network fails`,
        anyOrder(options),
        anyOrderProperties(options),
      ),
    ),
  ];
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
  how,
  digest,
  definition,
  properties,
}: SymbolicTask): Promise<SymbolicRecord> {
  const asked = { how: how === 'proof' ? 'pdr' : { bmc: how }, seconds: SECONDS, learn: LEARNT } as const;
  const { verdict, frames, clauses, latches, ands, cpuSeconds } = await runAbc(definition, properties, asked);
  return { world, bounds, digest, how, verdict, frames, clauses, latches, ands, cpuSeconds };
}
