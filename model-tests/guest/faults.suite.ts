/**
 * wsdirect's iWARP adapter when the network or the peer fails: each request ends once, with the right error, and nothing
 * is left. Runs in the guest.
 */

import assert from 'node:assert/strict';

import { SpiError } from '../../driver/client/host.ts';
import { WSA } from '../../machines/index.ts';
import type { GuestCase } from './guest.ts';
import { rpingCases } from './interop.ts';
import { setLink, disturbed } from './network.ts';
import { pattern, VERBS_PORT, verbsPeer } from './peers/c-peer.ts';
import { decodeInfo, encodeInfo, INFO_BYTES } from './peers/messages.ts';
import { wires } from './peers/wire.ts';

const { iwarp } = wires;
const MIB = 1024 * 1024;

/** The error number that a request ends with, 0 for none. */
const errorOf = (request: Promise<unknown>): Promise<number> =>
  request.then(
    () => 0,
    (error: unknown) => (error instanceof SpiError ? error.error : Promise.reject(error)),
  );

const netemCases = [
  { what: '1 % loss', netem: ['loss', '1%'] },
  { what: '10 % loss', netem: ['loss', '10%'] },
  { what: 'reordering', netem: ['delay', '2ms', 'reorder', '25%', '50%'] },
].flatMap(({ what, netem }): readonly GuestCase[] =>
  rpingCases(iwarp, 'IPv4', 30_000, 5).map((each) => ({
    name: `${what}: ${each.name}`,
    timeoutMs: 180_000,
    run: () => disturbed(iwarp.link, netem, async () => await each.run()),
  })),
);

const killCases: readonly GuestCase[] = [
  {
    name: 'a peer that is killed while it writes',
    run: () =>
      iwarp.withApplication(async (application) => {
        const listener = application.listen(iwarp.oursAt(VERBS_PORT));
        const peer = await verbsPeer('connect', iwarp.ours.IPv4, VERBS_PORT, [
          'send:1',
          'learn',
          'write:65536:1000000000:16',
        ]);
        const connection = await application.accept(listener);
        const memory = connection.memory(MIB);
        const message = connection.memory(INFO_BYTES);
        assert.equal(await connection.receive(message), 1);
        const pending = [connection.receive(connection.memory(8)), connection.receive(connection.memory(8))];
        message.set(encodeInfo(connection.expose(memory, 'write')));
        await connection.send(message);
        while (memory.at(-1) === 0) await new Promise((resolve) => setTimeout(resolve, 10));
        peer.kill();
        // Its kernel ends the connection for it.
        for (const request of pending) assert.equal(await errorOf(request), WSA.WSAECONNRESET);
        assert.equal(Buffer.compare(memory, pattern(MIB)), 0);
        connection.close();
      }),
  },
  {
    name: 'a peer that is killed while it is read from',
    run: () =>
      iwarp.withApplication(async (application) => {
        const peer = await verbsPeer('listen', iwarp.theirs.IPv4, VERBS_PORT, ['offer', 'wait']);
        const connection = await application.connect(iwarp.ours.IPv4, iwarp.theirsAt(VERBS_PORT));
        const message = connection.memory(INFO_BYTES);
        const source = decodeInfo(message.subarray(0, await connection.receive(message)));
        const memory = connection.memory(MIB);
        await connection.read(memory, source);
        const reads = Array.from({ length: 8 }, () => errorOf(connection.read(memory, source)));
        peer.kill();
        const errors = await Promise.all(reads);
        // Those before the end have their bytes; from the first that hasn't, none has.
        const first = errors.findIndex((error) => error !== 0);
        for (const error of first < 0 ? [] : errors.slice(first)) assert.equal(error, WSA.WSAECONNRESET);
        assert.equal(await errorOf(connection.read(memory, source)), WSA.WSAECONNRESET);
        connection.close();
      }),
  },
  {
    name: 'a listener that is stopped and killed while it is connected to',
    run: () =>
      iwarp.withApplication(async (application) => {
        const peer = await verbsPeer('listen', iwarp.theirs.IPv4, VERBS_PORT, []);
        peer.kill('SIGSTOP');
        const connecting = errorOf(application.connect(iwarp.ours.IPv4, iwarp.theirsAt(VERBS_PORT)));
        setTimeout(() => peer.kill(), 500);
        const error = await connecting;
        assert.ok(error === WSA.WSAECONNREFUSED || error === WSA.WSAETIMEDOUT, `${error}`);
      }),
  },
];

const linkCases: readonly GuestCase[] = [
  {
    name: 'a link that goes down and comes back while siw writes: TCP goes on',
    timeoutMs: 120_000,
    run: () =>
      iwarp.withApplication(async (application) => {
        const listener = application.listen(iwarp.oursAt(VERBS_PORT));
        const actions = ['send:1', 'learn', 'write:65536:2000:16', 'send:8', 'wait'];
        const peer = await verbsPeer('connect', iwarp.ours.IPv4, VERBS_PORT, actions);
        const connection = await application.accept(listener);
        const memory = connection.memory(MIB);
        const message = connection.memory(INFO_BYTES);
        assert.equal(await connection.receive(message), 1);
        const last = connection.receive(connection.memory(8));
        message.set(encodeInfo(connection.expose(memory, 'write')));
        await connection.send(message);
        while (memory[0] === 0) await new Promise((resolve) => setTimeout(resolve, 1));
        await setLink('h1', iwarp.link, 'down');
        let isOver = false;
        void last.finally(() => {
          isOver = true;
        });
        await new Promise((resolve) => setTimeout(resolve, 1000));
        assert.ok(!isOver, 'all was written before the link went down');
        await setLink('h1', iwarp.link, 'up');
        assert.equal(await last, 8);
        assert.equal(Buffer.compare(memory, pattern(MIB)), 0);
        connection.close();
        await peer.succeeds();
      }),
  },
];

export const cases: readonly GuestCase[] = [...netemCases, ...killCases, ...linkCases];
