/**
 * Snapshot: a whole system as bytes, and its digest.
 *
 * Layout: 32-bit little-endian words. Number of steps (two words); steps of each machine (two words each); then for each
 * machine its number of rows, its states and its fields, each column one word a row; then the lists, the pins, and the
 * requests that have left their queue's order and aren't over (each with its queue, to which it will yet report), each
 * preceded by its number of words. What is equal as a system is equal as bytes, whatever its columns' capacity.
 */

import { sha256 } from '@noble/hashes/sha2.js';
import type { CompiledMachine } from './compile.ts';
import { M, System } from './system.ts';

const HIGH = 0x1_0000_0000;

/** Everything that decides how `system` goes on, and its counts of steps. @throws Error in the middle of a step's effects */
export function snapshotOf(system: System): Uint8Array {
  const words: number[] = [system.steps >>> 0, Math.floor(system.steps / HIGH)];
  for (const count of system.machineSteps) words.push(count >>> 0, Math.floor(count / HIGH));
  const lists = [
    ...[system.requests, system.connectionRequests, system.buffers, system.pins].map((list) => list.serialize()),
    leftRequests(system),
  ];
  const size =
    words.length +
    system.rows.reduce((sum, rows) => sum + 1 + rows.used * (1 + rows.columns.length), 0) +
    lists.reduce((sum, list) => sum + 1 + list.length, 0);
  const out = new Uint32Array(size);
  out.set(words);
  let at = words.length;
  for (const rows of system.rows) {
    out[at++] = rows.used;
    for (const column of [rows.states, ...rows.columns]) {
      out.set(column.subarray(0, rows.used), at);
      at += rows.used;
    }
  }
  for (const list of lists) {
    out[at++] = list.length;
    out.set(list, at);
    at += list.length;
  }
  return new Uint8Array(out.buffer);
}

/** The system that {@link snapshotOf} gave `bytes` of. @param machines - the same as then */
export function restoreSystem(machines: readonly CompiledMachine[], bytes: Uint8Array): System {
  const system = new System(machines);
  const words = new Uint32Array(bytes.slice().buffer);
  let at = 0;
  const take = (): number => {
    const word = words[at++];
    if (word === undefined) throw new RangeError('the snapshot ends too early');
    return word;
  };
  const takeLong = (): number => take() + take() * HIGH;
  system.steps = takeLong();
  for (let machine = 0; machine < machines.length; machine++) system.machineSteps[machine] = takeLong();
  for (const rows of system.rows) {
    const used = take();
    if (used === 0) continue;
    rows.ensure(used - 1);
    for (const column of [rows.states, ...rows.columns]) {
      column.set(words.subarray(at, at + used));
      at += used;
    }
  }
  for (const list of [system.requests, system.connectionRequests, system.buffers]) {
    for (let left = take(); left > 0; ) {
      const owner = take();
      const count = take();
      for (let index = 0; index < count; index++) list.append(owner, take());
      left -= count + 2;
    }
  }
  for (let left = take(); left > 0; ) {
    const request = take();
    const count = take();
    const buffers = Array.from({ length: count }, take);
    for (const buffer of buffers.reverse()) system.pins.add(request, buffer);
    left -= count + 2;
  }
  for (let left = take(); left > 0; left -= 2) {
    const request = take();
    // Whose list a row was in last is known of it from then on.
    system.requests.append(take(), request);
    system.requests.remove(request);
  }
  return system;
}

/** Requests whose completion up-call is due or running, each followed by its queue. */
function leftRequests({ requests, rows }: System): number[] {
  const { states, used } = rows[M.overlappedRequest]!;
  const found: number[] = [];
  for (let request = 0; request < used; request++) {
    if (states[request] !== 0 && !requests.has(request)) found.push(request, requests.owner(request));
  }
  return found;
}

/** SHA-256 of what decides how `system` goes on, but not of how many steps led here; 32 bytes. */
export const digestOfSystem = (system: System): Uint8Array =>
  sha256(snapshotOf(system).subarray(4 * (2 + 2 * system.machineSteps.length)));

/** SHA-256 of the whole snapshot, counts of steps included, which a journal ends with; 32 bytes. */
export const digestOfRun = (system: System): Uint8Array => sha256(snapshotOf(system));
