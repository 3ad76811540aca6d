/** wsdirect's commands over both devices, between two hosts. Runs in the guest. */

import { remoteCases } from './cli.ts';
import type { GuestCase } from './guest.ts';

export const cases: readonly GuestCase[] = [...remoteCases('rxe', '10.77.0.1'), ...remoteCases('siw', '10.78.0.1')];
