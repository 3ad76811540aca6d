/**
 * wsdirect's iWARP adapter against the kernel's siw, on one wire: siw's programs run on host h1, wsdirect on h2, over
 * TCP. Runs in the guest.
 */

import assert from 'node:assert/strict';

import { Terminate } from '../../driver/adapter/iwarp/terminate.ts';
import { RdmapOpcode } from '../../driver/adapter/iwarp/wire.ts';
import { capture, dissect } from './capture.ts';
import type { GuestCase } from './guest.ts';
import { Messages } from './peers/messages.ts';
import { type Perftest, runPerftest, servePerftest } from './peers/perftest.ts';
import { pingRping, serveRping } from './peers/rping.ts';
import { type Family, ours, oursAt, siw, siwAt, withApplication, withRaw } from './peers/siw.ts';
import { accepted, VERBS_PORT } from './peers/verbs.ts';
import { deviceListens, start } from './programs.ts';

const RPING_PORT = 7174;
const EXAMPLE_PORT = 7471;
const PERFTEST_PORT = 18_515;

const rping = (role: '-s' | '-c', address: string, size: number, count: number) =>
  start(['rping', role, '-v', '-V', '-S', `${size}`, '-C', `${count}`, '-a', address], { within: 'h1' });

const rpingCases = (family: Family, size: number, count: number): readonly GuestCase[] => [
  {
    name: `rping, ${count} of ${size} bytes over ${family}: wsdirect listens`,
    run: () =>
      withApplication(async (application) => {
        const listener = application.listen(oursAt(RPING_PORT, family));
        const client = rping('-c', ours[family], size, count);
        const connection = await application.accept(listener);
        const texts = await serveRping(connection, size, count);
        const output = await client.succeeds();
        assert.equal(texts.length, count);
        for (const [index, text] of texts.entries()) {
          assert.ok(text.startsWith(`rdma-ping-${index}: `), text);
          assert.ok(output.includes(`ping data: ${text.slice(0, 40)}`), `rping didn't see ${text.slice(0, 40)}`);
        }
      }),
  },
  {
    name: `rping, ${count} of ${size} bytes over ${family}: wsdirect connects`,
    run: () =>
      withApplication(async (application) => {
        const server = rping('-s', siw[family], size, count);
        await deviceListens(server, RPING_PORT);
        const connection = await application.connect(ours[family], siwAt(RPING_PORT, family));
        await pingRping(connection, size, count);
        connection.close();
        const output = await server.succeeds();
        assert.equal(output.match(/server ping data: /g)?.length, count);
      }),
  },
];

// ---------------------------------------------------------------- rdma_client, rdma_xclient and their servers

const exampleCases = (suffix: string, options: readonly string[]): readonly GuestCase[] => [
  {
    name: `rdma_${suffix}client: wsdirect listens`,
    run: () =>
      withApplication(async (application) => {
        const listener = application.listen(oursAt(EXAMPLE_PORT));
        const client = start([`rdma_${suffix}client`, '-s', ours.IPv4, '-p', `${EXAMPLE_PORT}`, ...options], {
          within: 'h1',
        });
        const connection = await application.accept(listener);
        const messages = new Messages(connection);
        assert.equal((await messages.next()).length, 16);
        // The client of a shared receive queue waits for no answer.
        if (suffix === '') await messages.send(new Uint8Array(16));
        assert.match(await client.succeeds(), /end 0/);
      }),
  },
  {
    name: `rdma_${suffix}server: wsdirect connects`,
    run: () =>
      withApplication(async (application) => {
        const where = suffix === '' ? ['-s', siw.IPv4] : [];
        const command = [`rdma_${suffix}server`, ...where, '-p', `${EXAMPLE_PORT}`, ...options];
        const server = start(command, { within: 'h1' });
        await deviceListens(server, EXAMPLE_PORT);
        const connection = await application.connect(ours.IPv4, siwAt(EXAMPLE_PORT));
        const messages = new Messages(connection);
        await messages.send(new Uint8Array(16));
        if (suffix === '') assert.equal((await messages.next()).length, 16);
        assert.match(await server.succeeds(), /end 0/);
      }),
  },
];

// ---------------------------------------------------------------- perftest

const perftest = (test: Perftest, size: number, count: number, server?: string) =>
  start(
    [test, '-F', '-R', '-s', `${size}`, '-n', `${count}`, '-d', 'siw1', ...(server === undefined ? [] : [server])],
    {
      within: 'h1',
    },
  );

const perftestCases = (test: Perftest, size: number, count: number): readonly GuestCase[] => [
  {
    name: `${test}, ${count} of ${size} bytes: wsdirect listens`,
    run: () =>
      withApplication(async (application) => {
        const listener = application.listen(oursAt(PERFTEST_PORT));
        const client = perftest(test, size, count, ours.IPv4);
        await servePerftest(application, listener, test, size, count);
        assert.match(await client.succeeds(), new RegExp(`^ ${size} +${count} `, 'm'));
      }),
  },
  {
    name: `${test}, ${count} of ${size} bytes: wsdirect connects`,
    run: () =>
      withApplication(async (application) => {
        // It ends with 1.
        const said = start([test, '--version']);
        await said.ends();
        const version = /Version: (\S+)/.exec(said.output)?.[1];
        const server = perftest(test, size, count);
        await deviceListens(server, PERFTEST_PORT);
        await runPerftest(application, ours.IPv4, siwAt(PERFTEST_PORT), test, version!, size, count);
        assert.match(await server.succeeds(), new RegExp(`^ ${size} +${count} `, 'm'));
      }),
  },
];

// ---------------------------------------------------------------- on the wire

const { rdmaWrite, readRequest, readResponse, send } = RdmapOpcode;

const captureCases: readonly GuestCase[] = [
  {
    name: 'rping in both roles, captured: tshark finds every byte right',
    timeoutMs: 180_000,
    async run() {
      const size = 65_535;
      const count = 3;
      const stop = await capture('eth1', '/run/rping.pcapng');
      for (const { run: ping } of rpingCases('IPv4', size, count)) await ping();
      const sent = await dissect(await stop(), RPING_PORT);
      assert.deepEqual([...sent.keys()].sort(), [siw.IPv4, ours.IPv4]);
      for (const [address, { fpdus, opcodes, dissectedBytes, streamBytes }] of sent) {
        assert.equal(dissectedBytes, streamBytes, `${address}: bytes that tshark passed over`);
        const [writes, responses] = [opcodes.get(rdmaWrite)!, opcodes.get(readResponse)!];
        // Each end was once the client, which sends two messages for a ping, and once the server, which sends two.
        assert.equal(opcodes.get(send), 4 * count);
        assert.equal(opcodes.get(readRequest), count);
        assert.ok(writes > count && responses > count, `${address}: large messages in one segment`);
        assert.equal(fpdus, writes + responses + 5 * count);
      }
    },
  },
  {
    name: 'a Terminate of wsdirect, captured: tshark finds the reason',
    timeoutMs: 180_000,
    async run() {
      const stop = await capture('eth1', '/run/terminate.pcapng');
      await withRaw(async (raw) => {
        const { peer } = await accepted(raw, ['bad-write:8', 'wait']);
        await raw.event('disconnected');
        await peer.succeeds();
      });
      const sent = await dissect(await stop(), VERBS_PORT);
      const { layer, type, code } = Terminate.taggedInvalidStag;
      assert.deepEqual(sent.get(ours.IPv4)?.reasons, [[layer, type, code]]);
    },
  },
];

export const cases: readonly GuestCase[] = [
  ...rpingCases('IPv4', 64, 1),
  ...rpingCases('IPv4', 1000, 100),
  ...rpingCases('IPv4', 65_535, 20),
  ...rpingCases('IPv6', 1000, 10),
  ...exampleCases('', []),
  ...exampleCases('x', ['-c', 'r']),
  ...perftestCases('ib_send_lat', 64, 200),
  ...perftestCases('ib_write_bw', 4096, 100),
  ...perftestCases('ib_read_bw', 4096, 100),
  ...captureCases,
];
