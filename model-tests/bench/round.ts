/** What a whole WSPSend costs, from the call to its result, over an adapter that completes at once. */

import { type AnyStateMachine, createActor } from 'xstate';
import { out, WsaOverlapped } from '../../driver/index.ts';
import { defineMachines, productionLimits, WSA } from '../../machines/index.ts';
import { immediateConnection } from './connection.ts';
import { type Figure, nanosecondsOfBoth } from './measure.ts';

export async function roundFigures(): Promise<Figure[]> {
  const { host, near } = immediateConnection({ journal: { mode: 'ring' } });
  const { provider } = host;
  const memory = new Uint8Array(4096);
  host.register(near, memory);
  const overlapped = new WsaOverlapped();
  overlapped.hEvent = 1n;
  const buffers = [{ len: 64, buf: memory.subarray(0, 64) }];
  const errno = out(0);
  const bytes = out(0);
  const flags = out(0);
  const round = (): void => {
    provider.WSPSend(near, buffers, 1, null, 0, overlapped, null, null, errno);
    if (errno.value !== WSA.WSA_IO_PENDING) throw new Error(`WSPSend failed with ${errno.value}`);
    if (!provider.WSPGetOverlappedResult(near, overlapped, bytes, false, flags, errno)) {
      throw new Error(`the request is not done: ${errno.value}`);
    }
  };
  const actor = createActor(defineMachines(productionLimits).socket.machine as AnyStateMachine).start();
  for (const type of ['spi.socket', 'upcall.handleCreated', 'spi.bind', 'spi.connect', 'adapter.connectStarted']) {
    actor.send({ type } as never);
  }
  actor.send({ type: 'adapter.established' } as never);
  const send = { type: 'spi.send', request: 1, polled: 1, fence: 0, pieces: 1, refusal: 0 };
  const callsPerRun = 100;
  const [cost, sent] = await nanosecondsOfBoth(
    () => {
      for (let index = 0; index < callsPerRun; index++) round();
    },
    () => {
      for (let index = 0; index < callsPerRun; index++) actor.send(send as never);
    },
    callsPerRun,
  );
  return [
    {
      what: 'WSPSend, completion, WSPGetOverlappedResult, with journal',
      value: cost,
      unit: 'ns',
      peer: "one of XState's actor.send()",
      peerValue: sent,
      bound: 0.5,
    },
  ];
}
