import { findLibrary } from '../../driver/adapter/verbs/library.ts';
import { guestSuite } from './guest.ts';
import { cases } from './runs.suite.ts';

// Built outside: what the guest writes is lost.
const library = findLibrary();
if ('reason' in library) console.log(`the verbs adapter's tests will fail: ${library.reason}`);

guestSuite('runs within one host', new URL('runs.suite.ts', import.meta.url), cases);
