/**
 * The tests that judge mutants of the driver: those that are quick, each well below a second.
 *
 * Stryker runs tests again for each mutant, and vitest begins each run in a new thread, which loads everything again: that
 * takes a hundred times as long as the tests of one file. Here one thread makes all runs. A mutant is switched on within
 * loaded code, and a test file is evaluated again by each run, so nothing else is left to be loaded.
 */
import { fileURLToPath } from 'node:url';
import { type Plugin, defineConfig } from 'vitest/config';
import { type PoolOptions, type WorkerRequest, ThreadsPoolWorker } from 'vitest/node';

/**
 * All tests but those that are long, which would be run for nearly every mutant. As an option it would be in force for each
 * run, in place of Stryker's own choice of the tests that come to the mutant.
 */
const quick =
  /^(?!.*no wake-up is lost in any sequence|.*drawn by chance|.*however the network behaves|.*every dropped event is found)/;

type Listener = (message: unknown) => void;

/** A thread that outlives the runs of tests. */
class KeptWorker extends ThreadsPoolWorker {
  override readonly name = 'kept';
  readonly #listeners = new Set<Listener>();
  #isStarted = false;
  /** Says which tests are to be run. */
  #config: unknown;

  override on(event: string, callback: Listener): void {
    if (event === 'message') this.#listeners.add(callback);
    super.on(event, callback);
  }

  override off(event: string, callback: Listener): void {
    this.#listeners.delete(callback);
    super.off(event, callback);
  }

  override async start(): Promise<void> {
    if (!this.#isStarted) await super.start();
  }

  override async stop(): Promise<void> {
    for (const listener of this.#listeners) this.off('message', listener);
  }

  async end(): Promise<void> {
    if (this.#isStarted) await super.stop();
  }

  override send(message: WorkerRequest): void {
    switch (message.type) {
      case 'start':
        this.#config = {
          ...message.context.config,
          testNamePattern: message.context.config.testNamePattern ?? quick,
        };
        if (this.#isStarted) return this.#answer('started');
        this.#isStarted = true;
        return super.send(message);
      case 'run':
        return super.send({ ...message, context: { ...message.context, config: this.#config } } as WorkerRequest);
      case 'stop':
        return this.#answer('stopped');
      default:
        return super.send(message);
    }
  }

  #answer(type: 'started' | 'stopped'): void {
    for (const listener of [...this.#listeners]) listener({ type, __vitest_worker_response__: true });
  }
}

let worker: KeptWorker | undefined;
const pool = { name: 'kept', createPoolWorker: (options: PoolOptions) => (worker ??= new KeptWorker(options)) };

/** Stryker says which pool is used, and knows those of vitest alone; this comes after. */
const keepWorker: Plugin = {
  name: 'keep-worker',
  configureVitest: ({ project, vitest }) => {
    vitest.onClose(() => worker?.end());
    // Stryker has been ended; the thread would go on waiting.
    process.on('disconnect', () => process.exit());
    Object.assign(project.config, { pool: pool.name, poolRunner: pool });
  },
};

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  plugins: [keepWorker],
  test: {
    include: [
      ...['driver/*.test.ts', 'driver/journal/*.test.ts', 'model-tests/requirements/*.test.ts'],
      // Without what talks to the network or to other programs.
      'driver/adapter/iwarp/{crc32c,output,recent-parts,stream,terminate,wire,work-requests}.test.ts',
      'driver/client/registered-pool.test.ts',
    ],
    isolate: false,
    testTimeout: 120_000,
  },
});
