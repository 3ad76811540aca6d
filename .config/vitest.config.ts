import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { SummaryReporter } from './summary-reporter.ts';

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    include: ['machines', 'driver', 'model-tests', 'docs'].map((folder) => `${folder}/**/*.test.ts`),
    // Modules hold no state between tests, so files may share a process: five times faster than one process for each.
    // Processes, not threads: what takes a process down (native code will be able to) must not take the run with it.
    pool: 'forks',
    isolate: false,
    // An exhaustive search takes seconds on an idle machine and much longer on a loaded one.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['default', new SummaryReporter()],
    coverage: { include: ['machines/**/*.ts', 'driver/**/*.ts'], reporter: ['text', 'html'] },
  },
});
