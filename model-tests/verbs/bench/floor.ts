/**
 * The least that a wake-up by a descriptor takes Node.js: two processes that do nothing but pass a byte to and fro.
 *
 * `floor.ts server|client FOLDER COUNT`: over two named pipes in FOLDER, which the server makes. Both watch the descriptor
 * as the adapter watches its own, and read and write by system calls without anything around them. The client prints
 * microseconds a round trip, of the second half. `floor.ts call` prints those of a system call that does nothing.
 */

import { execFileSync } from 'node:child_process';
import { constants, openSync } from 'node:fs';
import path from 'node:path';

import koffi from 'koffi';

const CALLS = 20_000;
if (process.argv[2] === 'call') {
  const began = performance.now();
  for (let call = 0; call < CALLS; call++) void process.ppid;
  console.log((((performance.now() - began) * 1000) / CALLS).toFixed(2));
  process.exit();
}
const [mode, folder, countText] = process.argv.slice(2) as [string, string, string];
const count = Number(countText);
const there = path.join(folder, 'there');
const back = path.join(folder, 'back');
if (mode === 'server') execFileSync('mkfifo', [there, back]);
// Opened for both, neither waits for the other end.
const open = (file: string): number => openSync(file, constants.O_RDWR | constants.O_NONBLOCK);
const [input, output] = mode === 'server' ? [open(there), open(back)] : [open(back), open(there)];

const libc = koffi.load('libc.so.6');
const read = libc.func('read', 'long', ['int', 'uint8 *', 'ulong']) as (
  fd: number,
  to: Uint8Array,
  n: number,
) => number;
const write = libc.func('write', 'long', ['int', 'uint8 *', 'ulong']) as typeof read;
const byte = new Uint8Array(1);
let [done, began] = [0, 0];
const watch = koffi.node.poll(input, { readable: true }, () => {
  if (read(input, byte, 1) !== 1) return;
  done++;
  if (done === Math.floor(count / 2)) began = performance.now();
  if (mode === 'server' || done < count) write(output, byte, 1);
  if (done < count) return;
  watch.close();
  if (mode === 'client') console.log((((performance.now() - began) * 1000) / Math.ceil(count / 2)).toFixed(2));
});
if (mode === 'client') write(output, byte, 1);
else console.log('ready');
