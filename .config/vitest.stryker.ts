/** The tests that judge mutants of the driver: those that are quick, each well below a second. */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    include: ['driver/*.test.ts', 'model-tests/requirements/*.test.ts'],
    pool: 'threads',
    isolate: false,
    // Not those that are long, which would be run for nearly every mutant.
    testNamePattern:
      /^(?!.*no wake-up is lost in any sequence|.*drawn by chance|.*however the network behaves|.*every dropped event is found)/,
    testTimeout: 120_000,
  },
});
