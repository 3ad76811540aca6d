/** `wsdirect ping`: round trips to a server, through the whole provider at both ends. */

import { setTimeout as sleep } from 'node:timers/promises';

import { Command } from 'commander';

import { EndpointError } from '../client/endpoint.ts';
import { encodeRequest, expectReady, Kind, throwIfRefused, withKind } from '../client/file-service.ts';
import { endpointText } from '../client/host.ts';
import { sameBytes } from '../handshake.ts';
import { byteCount, counted, type Terminal, wholeNumber } from './command.ts';
import {
  parseTarget,
  remoteExitCodes,
  type RemoteOptions,
  type Target,
  withRemote,
  withRemoteOptions,
} from './remote.ts';

interface Options extends RemoteOptions {
  readonly count: number;
  readonly interval: number;
  readonly size: number;
}

/** What a message has room for besides its kind. */
const SIZE_MAX = 4000;

export function pingCommand(terminal: Terminal): Command {
  return withRemoteOptions(new Command('ping'))
    .description('Send messages to wsdirect serve and have them sent back.')
    .argument('<host:port>', 'where it listens', parseTarget)
    .option('-c, --count <number>', 'how many', wholeNumber(1, 1e9), 5)
    .option('-i, --interval <milliseconds>', 'from one to the next', wholeNumber(0, 3_600_000), 200)
    .option('-s, --size <bytes>', 'bytes of each', byteCount(1, SIZE_MAX), 64)
    .addHelpText('after', remoteExitCodes)
    .action(async (target: Target, options: Options) => {
      await ping(terminal, target, options);
    });
}

async function ping(terminal: Terminal, target: Target, options: Options): Promise<void> {
  const { count, interval, size, adapter, json } = options;
  const say = json === true ? () => {} : terminal.write;
  const microseconds: number[] = [];
  let sent = 0;
  try {
    await withRemote(terminal, 'ping', target, options, async ({ endpoint, address, until }) => {
      endpoint.send(encodeRequest({ operation: 'ping', path: '', size: 0 }));
      const step = (): number => endpoint.step();
      expectReady(await until(() => endpoint.take(), step));
      say(`ping ${endpointText(address)} over ${adapter}: ${counted(size, 'byte')}\n`);
      const message = withKind(Kind.ping, new Uint8Array(size - 1));
      for (let round = 1; round <= count; round++) {
        if (round > 1 && interval > 0)
          await sleep(interval, undefined, { signal: terminal.interrupted }).catch(() => {});
        await until(() => (endpoint.canSend ? true : null), step);
        message[1] = round;
        const startMs = performance.now();
        endpoint.send(message);
        sent++;
        const back = await until(() => endpoint.take(), step);
        const us = (performance.now() - startMs) * 1000;
        throwIfRefused(back);
        if (back.type !== 'data' || !sameBytes(back.payload, message)) {
          throw new EndpointError('what came back is not what was sent');
        }
        microseconds.push(us);
        say(`${counted(size, 'byte')} from ${endpointText(address)}: round ${round}, ${us.toFixed(0)} us\n`);
      }
    });
  } finally {
    const sorted = microseconds.toSorted((left, right) => left - right);
    const [min, p50, max] = [sorted[0], sorted[sorted.length >> 1], sorted.at(-1)];
    if (sent > 0) {
      const times =
        sorted.length === 0 ? '' : `; min/p50/max ${[min, p50, max].map((us) => us!.toFixed(0)).join('/')} us`;
      say(`${sent} sent, ${sorted.length} came back${times}\n`);
      if (json === true) {
        terminal.write(`${JSON.stringify({ sent, received: sorted.length, size, microseconds }, null, 2)}\n`);
      }
    }
  }
}
