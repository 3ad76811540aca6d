/** Random and stored runs over the software devices, between two addresses of one host. Runs in the guest. */

import type { GuestCase } from './guest.ts';
import { run } from './programs.ts';
import { groundOf, openVerbs, pathsCase, runCases } from './runs.ts';

const rxe = groundOf('rxe', openVerbs);
const siw = groundOf('siw', openVerbs);

export const cases: readonly GuestCase[] = [
  {
    name: 'each device has two addresses',
    async run() {
      await run(['ip', 'address', 'add', '10.77.0.2/24', 'dev', 'eth0']);
      await run(['ip', 'address', 'add', '10.78.0.2/24', 'dev', 'eth1']);
    },
  },
  ...runCases('rxe', rxe, 'model-tests/guest/runs.test.ts'),
  pathsCase('rxe', rxe),
  ...runCases('siw', siw, 'model-tests/guest/runs.test.ts'),
  pathsCase('siw', siw),
];
