import { writeSync } from 'node:fs';
import type { Reporter, SerializedError, TestModule } from 'vitest/node';

/**
 * Ends the run with `N passed, N failed`, and `, N skipped` if any were, alone on the last line, for a reader that is
 * a program.
 *
 * What fails outside a test is counted too, once each, so that 0 failed means a good run: a file that does not load,
 * a hook, an error that nothing caught.
 */
export class SummaryReporter implements Reporter {
  #passed = 0;
  #failed = 0;
  #skipped = 0;

  onInit(): void {
    // At exit, since vitest prints its coverage table and its own complaints after the reporters' last call.
    process.once('exit', () => {
      const skipped = this.#skipped > 0 ? `, ${this.#skipped} skipped` : '';
      writeSync(1, `\n${this.#passed} passed, ${this.#failed} failed${skipped}\n`);
    });
  }

  onTestRunEnd(testModules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    this.#passed = 0;
    this.#skipped = 0;
    this.#failed = unhandledErrors.length;
    for (const testModule of testModules) {
      this.#failed += testModule.errors().length;
      for (const suite of testModule.children.allSuites()) this.#failed += suite.errors().length;
      for (const test of testModule.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') this.#passed += 1;
        else if (state === 'failed') this.#failed += 1;
        else this.#skipped += 1; // skipped, to do, or still pending when the run was cut short
      }
    }
  }
}
