/** Random and stored runs over the software devices, between two hosts. Runs in the guest. */

import type { GuestCase } from './guest.ts';
import { onHost } from './namespace.ts';
import { groundOf, openVerbs, runCases } from './runs.ts';

const hosts = ['h1', 'h2'] as const;

export const cases: readonly GuestCase[] = (['rxe', 'siw'] as const).flatMap((device) =>
  runCases(
    device,
    groundOf(device, (address, index) => onHost(hosts[index], openVerbs(address))),
    'model-tests/guest/runs-hosts.test.ts',
  ),
);
