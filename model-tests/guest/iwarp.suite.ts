/**
 * wsdirect's iWARP adapter against the kernel's siw, on one wire: siw's programs run on host h1, wsdirect on h2, over
 * TCP. Runs in the guest.
 */

import assert from 'node:assert/strict';

import { Terminate } from '../../driver/adapter/iwarp/terminate.ts';
import { RdmapOpcode } from '../../driver/adapter/iwarp/wire.ts';
import { capture, dissect } from './capture.ts';
import type { GuestCase } from './guest.ts';
import { interopCases, RPING_PORT, rpingCases } from './interop.ts';
import { accepted, VERBS_PORT } from './peers/c-peer.ts';
import { wires } from './peers/wire.ts';

const { iwarp } = wires;

// ---------------------------------------------------------------- on the wire

const { rdmaWrite, readRequest, readResponse, send } = RdmapOpcode;

const captureCases: readonly GuestCase[] = [
  {
    name: 'rping in both roles, captured: tshark finds every byte right',
    timeoutMs: 180_000,
    async run() {
      const size = 65_535;
      const count = 3;
      const stop = await capture(iwarp.link, '/run/rping.pcapng');
      for (const { run: ping } of rpingCases(iwarp, 'IPv4', size, count)) await ping();
      const sent = await dissect(await stop(), RPING_PORT);
      assert.deepEqual([...sent.keys()].sort(), [iwarp.theirs.IPv4, iwarp.ours.IPv4]);
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
      const stop = await capture(iwarp.link, '/run/terminate.pcapng');
      await iwarp.withRaw(async (raw) => {
        const { peer } = await accepted(raw, ['bad-write:8', 'wait']);
        await raw.event('disconnected');
        await peer.succeeds();
      });
      const sent = await dissect(await stop(), VERBS_PORT);
      const { layer, type, code } = Terminate.taggedInvalidStag;
      assert.deepEqual(sent.get(iwarp.ours.IPv4)?.reasons, [[layer, type, code]]);
    },
  },
];

export const cases: readonly GuestCase[] = [...interopCases(iwarp), ...captureCases];
