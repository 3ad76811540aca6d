/**
 * Cases of interoperation with programs that nobody here wrote, over any wire, each in both roles: their programs run on
 * host h1, wsdirect's provider on h2.
 */

import assert from 'node:assert/strict';

import type { GuestCase } from './guest.ts';
import { Messages } from './peers/messages.ts';
import { type Perftest, runPerftest, servePerftest } from './peers/perftest.ts';
import { pingRping, serveRping } from './peers/rping.ts';
import type { Family, Wire } from './peers/wire.ts';
import { deviceListens, start } from './programs.ts';

export const RPING_PORT = 7174;
const EXAMPLE_PORT = 7471;
const PERFTEST_PORT = 18_515;

const rping = (role: '-s' | '-c', address: string, size: number, count: number) =>
  start(['rping', role, '-v', '-V', '-S', `${size}`, '-C', `${count}`, '-a', address], { within: 'h1' });

export const rpingCases = (wire: Wire, family: Family, size: number, count: number): readonly GuestCase[] => [
  {
    name: `${wire.name}: rping, ${count} of ${size} bytes over ${family}: wsdirect listens`,
    run: () =>
      wire.withApplication(async (application) => {
        const listener = application.listen(wire.oursAt(RPING_PORT, family));
        const client = rping('-c', wire.ours[family], size, count);
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
    name: `${wire.name}: rping, ${count} of ${size} bytes over ${family}: wsdirect connects`,
    run: () =>
      wire.withApplication(async (application) => {
        const server = rping('-s', wire.theirs[family], size, count);
        await deviceListens(server, RPING_PORT);
        const connection = await application.connect(wire.ours[family], wire.theirsAt(RPING_PORT, family));
        await pingRping(connection, size, count);
        connection.close();
        const output = await server.succeeds();
        assert.equal(output.match(/server ping data: /g)?.length, count);
      }),
  },
];

// ---------------------------------------------------------------- rdma_client, rdma_xclient and their servers

const exampleCases = (wire: Wire, suffix: string, options: readonly string[]): readonly GuestCase[] => [
  {
    name: `${wire.name}: rdma_${suffix}client: wsdirect listens`,
    run: () =>
      wire.withApplication(async (application) => {
        const listener = application.listen(wire.oursAt(EXAMPLE_PORT));
        const client = start([`rdma_${suffix}client`, '-s', wire.ours.IPv4, '-p', `${EXAMPLE_PORT}`, ...options], {
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
    name: `${wire.name}: rdma_${suffix}server: wsdirect connects`,
    run: () =>
      wire.withApplication(async (application) => {
        const where = suffix === '' ? ['-s', wire.theirs.IPv4] : [];
        const command = [`rdma_${suffix}server`, ...where, '-p', `${EXAMPLE_PORT}`, ...options];
        const server = start(command, { within: 'h1' });
        await deviceListens(server, EXAMPLE_PORT);
        const connection = await application.connect(wire.ours.IPv4, wire.theirsAt(EXAMPLE_PORT));
        const messages = new Messages(connection);
        await messages.send(new Uint8Array(16));
        if (suffix === '') assert.equal((await messages.next()).length, 16);
        assert.match(await server.succeeds(), /end 0/);
      }),
  },
];

// ---------------------------------------------------------------- perftest

const perftest = (wire: Wire, test: Perftest, size: number, count: number, server?: string) =>
  start(
    [test, '-F', '-R', '-s', `${size}`, '-n', `${count}`, '-d', wire.device, ...(server === undefined ? [] : [server])],
    {
      within: 'h1',
    },
  );

const perftestCases = (wire: Wire, test: Perftest, size: number, count: number): readonly GuestCase[] => [
  {
    name: `${wire.name}: ${test}, ${count} of ${size} bytes: wsdirect listens`,
    run: () =>
      wire.withApplication(async (application) => {
        const listener = application.listen(wire.oursAt(PERFTEST_PORT));
        const client = perftest(wire, test, size, count, wire.ours.IPv4);
        await servePerftest(application, listener, test, size, count);
        assert.match(await client.succeeds(), new RegExp(`^ ${size} +${count} `, 'm'));
      }),
  },
  {
    name: `${wire.name}: ${test}, ${count} of ${size} bytes: wsdirect connects`,
    run: () =>
      wire.withApplication(async (application) => {
        // It ends with 1.
        const said = start([test, '--version']);
        await said.ends();
        const version = /Version: (\S+)/.exec(said.output)?.[1];
        const server = perftest(wire, test, size, count);
        await deviceListens(server, PERFTEST_PORT);
        await runPerftest(application, wire.ours.IPv4, wire.theirsAt(PERFTEST_PORT), test, version!, size, count);
        assert.match(await server.succeeds(), new RegExp(`^ ${size} +${count} `, 'm'));
      }),
  },
];

/** All of them. */
export const interopCases = (wire: Wire): readonly GuestCase[] => [
  ...rpingCases(wire, 'IPv4', 64, 1),
  ...rpingCases(wire, 'IPv4', 1000, 100),
  ...rpingCases(wire, 'IPv4', 65_535, 20),
  ...rpingCases(wire, 'IPv6', 1000, 10),
  ...exampleCases(wire, '', []),
  ...exampleCases(wire, 'x', ['-c', 'r']),
  ...perftestCases(wire, 'ib_send_lat', 64, 200),
  ...perftestCases(wire, 'ib_write_bw', 4096, 100),
  ...perftestCases(wire, 'ib_read_bw', 4096, 100),
];
