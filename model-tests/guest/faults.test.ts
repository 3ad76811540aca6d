import { cases } from './faults.suite.ts';
import { guestSuite } from './guest.ts';

guestSuite('iWARP under faults', new URL('faults.suite.ts', import.meta.url), cases, {
  hosts: true,
  within: 'h2',
  device: 'siw',
  programs: ['gcc'],
});
