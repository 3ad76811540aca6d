/** What many sockets and requests take: the provider against as many XState actors. */

import { type AnyStateMachine, createActor } from 'xstate';
import { OVERLAPPED_BYTES, out, WsaOverlapped } from '../../driver/index.ts';
import { defineMachines, MEM_WRITE, productionLimits } from '../../machines/index.ts';
import { immediateHost } from '../support/two-hosts.ts';
import { connectImmediately } from './connection.ts';
import { type Figure, liveBytes } from './measure.ts';

const SOCKETS = 100_000;
const REQUESTS = 1_000_000;
/** Actors that are made to measure one: as many as the figure is about would not fit. */
const ACTORS = 20_000;

/** Bytes of one started actor of `machine`. */
function actorBytes(machine: AnyStateMachine, events: readonly object[]): number {
  const before = liveBytes();
  const actors = Array.from({ length: ACTORS }, () => {
    const actor = createActor(machine).start();
    for (const event of events) actor.send(event as never);
    return actor;
  });
  const bytes = (liveBytes() - before) / actors.length;
  for (const actor of actors) actor.stop();
  return bytes;
}

export function memoryFigures(report: (line: string) => void): Figure[] {
  const { socket, overlappedRequest } = defineMachines(productionLimits);
  const perSocket = actorBytes(
    socket.machine,
    [
      'spi.socket',
      'upcall.handleCreated',
      'spi.bind',
      'spi.connect',
      'adapter.connectStarted',
      'adapter.established',
    ].map((type) => ({ type })),
  );
  const perRequest = actorBytes(overlappedRequest.machine, [{ type: 'queue.start', polled: 1, fence: 0, pieces: 1 }]);
  const actors = SOCKETS * perSocket + REQUESTS * perRequest;
  report(`one actor: socket ${perSocket.toFixed(0)} bytes, overlapped request ${perRequest.toFixed(0)} bytes`);

  // The switch's own: structures, memory, and what it notes of each up-call.
  const overlapped = Array.from(
    { length: REQUESTS / SOCKETS },
    () => new ArrayBuffer(SOCKETS * OVERLAPPED_BYTES),
  ).flatMap((slab) => Array.from({ length: SOCKETS }, (_, index) => new WsaOverlapped(slab, index * OVERLAPPED_BYTES)));
  for (const structure of overlapped) structure.words[6] = 1;
  const memory = new Uint8Array(4096);
  const host = immediateHost();
  const errno = out(0);
  const flags = out(0);
  const buffers = [{ len: memory.length, buf: memory }];

  const before = liveBytes();
  let next = 0;
  for (let index = 0; index < SOCKETS; index++) {
    const near = connectImmediately(host, 1 + (index % 60_000));
    host.register(near, memory, MEM_WRITE);
    for (let count = 0; count < REQUESTS / SOCKETS; count++) {
      host.provider.WSPRecv(near, buffers, 1, null, flags, overlapped[next++]!, null, null, errno);
    }
    host.upcalls.length = 0;
  }
  host.handles.clear();
  const { sockets, requests } = host.provider.inventory();
  if (sockets !== SOCKETS || requests !== REQUESTS) throw new Error(`made ${sockets} sockets and ${requests} requests`);
  const bytes = liveBytes() - before;
  report(
    `${(bytes / (SOCKETS + REQUESTS)).toFixed(0)} bytes for each socket or request, in all of provider and adapter`,
  );
  return [
    {
      what: '100,000 connected sockets with 1,000,000 pending requests',
      value: bytes / 2 ** 20,
      unit: 'MiB',
      peer: 'as many XState actors',
      peerValue: actors / 2 ** 20,
      bound: 1 / 20,
    },
  ];
}
