import { cases } from './devices.suite.ts';
import { guestSuite } from './guest.ts';

guestSuite('the guest', new URL('devices.suite.ts', import.meta.url), cases, { hosts: true, timeoutS: 120 });
