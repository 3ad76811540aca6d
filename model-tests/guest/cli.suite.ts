/** wsdirect's commands over both devices, within one host. Runs in the guest. */

import { adaptersCase, demoCases, missingCases } from './cli.ts';
import type { GuestCase } from './guest.ts';

export const cases: readonly GuestCase[] = [
  adaptersCase,
  ...demoCases('rxe', '10.77.0.1'),
  ...demoCases('siw', '10.78.0.1'),
  ...missingCases,
];
