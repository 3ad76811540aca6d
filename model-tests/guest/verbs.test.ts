import { findLibrary } from '../../driver/adapter/verbs/library.ts';
import { buildFaults } from '../verbs/native.ts';
import { guestSuite } from './guest.ts';
import { cases, connectionsMs } from './verbs.suite.ts';

// Built outside: what the guest writes is lost.
const library = findLibrary();
if ('reason' in library) console.log(`the verbs adapter's tests will fail: ${library.reason}`);
else buildFaults('undefined');

guestSuite('verbs within one host', new URL('verbs.suite.ts', import.meta.url), cases, {
  timeoutS: 600 + (2 * connectionsMs) / 1000,
});
