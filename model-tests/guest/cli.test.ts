import { findLibrary } from '../../driver/adapter/verbs/library.ts';
import { guestSuite } from './guest.ts';
import { cases } from './cli.suite.ts';

// Built outside: what the guest writes is lost.
const library = findLibrary();
if ('reason' in library) console.log(`the verbs adapter's tests will fail: ${library.reason}`);

guestSuite('commands within one host', new URL('cli.suite.ts', import.meta.url), cases);
