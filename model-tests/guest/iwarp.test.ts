import { guestSuite } from './guest.ts';
import { cases } from './iwarp.suite.ts';

guestSuite('iWARP against siw', new URL('iwarp.suite.ts', import.meta.url), cases, {
  hosts: true,
  within: 'h2',
  device: 'siw',
  programs: ['gcc', 'tshark', 'dumpcap'],
});
