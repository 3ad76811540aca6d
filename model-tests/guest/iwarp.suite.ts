/**
 * wsdirect's iWARP adapter against the kernel's siw, on one wire: siw's programs run on host h1, wsdirect on h2, over
 * TCP. Runs in the guest.
 */

import assert from 'node:assert/strict';

import type { GuestCase } from './guest.ts';
import { pingRping, serveRping } from './peers/rping.ts';
import { type Family, ours, oursAt, siw, siwAt, withApplication } from './peers/siw.ts';
import { deviceListens, start } from './programs.ts';

const RPING_PORT = 7174;

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

export const cases: readonly GuestCase[] = [
  ...rpingCases('IPv4', 64, 1),
  ...rpingCases('IPv4', 1000, 100),
  ...rpingCases('IPv4', 65_535, 20),
  ...rpingCases('IPv6', 1000, 10),
];
