/** The guest itself: its devices work with programs that nobody here wrote. Runs in the guest. */

import assert from 'node:assert/strict';

import type { GuestCase } from './guest.ts';
import { deviceListens, run, start } from './programs.ts';

const rping = (device: string, address: string): GuestCase => ({
  name: `${device}: rping between two hosts`,
  async run() {
    const server = start(['rping', '-s', '-v', '-V', '-C', '10', '-S', '1000', '-a', address], { within: 'h1' });
    await deviceListens(server, 7174);
    await run(['rping', '-c', '-v', '-V', '-C', '10', '-S', '1000', '-a', address], { within: 'h2' });
    await server.succeeds();
  },
});

export const cases: readonly GuestCase[] = [
  {
    name: 'two hosts have one device of each kind',
    async run() {
      const links = JSON.parse(await run(['rdma', '-j', 'link'])) as { ifname: string; state: string }[];
      assert.deepEqual(links.map(({ ifname, state }) => `${ifname} ${state}`).sort(), [
        'rxe1 ACTIVE',
        'rxe2 ACTIVE',
        'siw1 ACTIVE',
        'siw2 ACTIVE',
      ]);
    },
  },
  rping('rxe', '10.77.0.1'),
  rping('siw', '10.78.0.1'),
];
