/** What the kernel holds of its RDMA devices: each case ends with no more than it began with. Runs in the guest. */

import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';

import { run } from './programs.ts';

/** Between two looks, ms. */
const LOOK_MS = 250;
/** Longer than siw keeps an id that was given up while it connected, or the kernel takes to clear away a killed process. */
const PATIENCE_MS = 15_000;

/** What the kernel holds for all processes, by kind. */
export async function kernelResources(): Promise<Readonly<Record<string, number>>> {
  const devices = JSON.parse(await run(['rdma', '-j', 'resource', 'show'])) as Record<string, number | string>[];
  const sums: Record<string, number> = {};
  for (const device of devices) {
    for (const kind of ['pd', 'cq', 'qp', 'cm_id', 'mr']) sums[kind] = (sums[kind] ?? 0) + Number(device[kind]);
  }
  return sums;
}

/** Resolves when the kernel holds `before` again. @throws AssertionError when it doesn't come to */
export async function heldAgain(before: Readonly<Record<string, number>>): Promise<void> {
  for (let waited = 0; waited < PATIENCE_MS; waited += LOOK_MS) {
    if (isDeepStrictEqual(await kernelResources(), before)) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  assert.deepEqual(await kernelResources(), before);
}

/** Runs `use`, and finds afterwards that the kernel holds no more than before. */
export const keepingNothing = (use: () => Promise<void>) => async (): Promise<void> => {
  const before = await kernelResources();
  await use();
  await heldAgain(before);
};
