import { guestSuite } from './guest.ts';
import { cases } from './peer.suite.ts';

guestSuite('iWARP against verbs over siw', new URL('peer.suite.ts', import.meta.url), cases, {
  hosts: true,
  within: 'h2',
  device: 'siw',
  programs: ['gcc', 'clang'],
});
