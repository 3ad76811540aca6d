import { findLibrary } from '../../driver/adapter/verbs/library.ts';
import { guestSuite } from './guest.ts';
import { cases } from './verbs-hosts.suite.ts';

// Built outside: what the guest writes is lost.
const library = findLibrary();
if ('reason' in library) console.log(`the verbs adapter's tests will fail: ${library.reason}`);

guestSuite('verbs between two hosts', new URL('verbs-hosts.suite.ts', import.meta.url), cases, {
  hosts: true,
  within: 'h2',
  timeoutS: 1500,
});
