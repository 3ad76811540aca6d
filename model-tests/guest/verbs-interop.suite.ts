/** wsdirect's verbs adapter against other people's programs between two hosts, on both kinds of device. Runs in the guest. */

import type { GuestCase } from './guest.ts';
import { interopCases } from './interop.ts';
import { wires } from './peers/wire.ts';

export const cases: readonly GuestCase[] = [...interopCases(wires.rxe), ...interopCases(wires.siw)];
