/**
 * Attackers: many TCP connections from a process of their own, so that descriptors are counted apart.
 *
 * As a program: `attackers.ts PORT COUNT`; opens them, prints how many came about, and holds them until it is ended.
 */

import net from 'node:net';

const [port, count] = process.argv.slice(2).map(Number) as [number, number];
/** Connections on their way at once: more would overflow the listener's backlog and wait for retransmission. */
const PARALLEL = 64;

let started = 0;
let opened = 0;
let failed = 0;
const held: net.Socket[] = [];

function next(): void {
  if (started === count) {
    if (opened + failed === count) console.log(`${opened} ${failed}`);
    return;
  }
  started++;
  const socket = net.connect(port, '127.0.0.1');
  held.push(socket);
  let isOver = false;
  const over = (isOpen: boolean): void => {
    if (isOver) return;
    isOver = true;
    if (isOpen) opened++;
    else failed++;
    next();
  };
  socket.on('connect', () => over(true));
  socket.on('error', () => over(false));
}
for (let index = 0; index < Math.min(PARALLEL, count); index++) next();
process.stdin.on('end', () => process.exit()).resume();
