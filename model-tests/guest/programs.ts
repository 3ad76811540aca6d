/** Programs that a case runs beside itself in the guest. */

import { type ChildProcess, spawn } from 'node:child_process';

export interface ProgramOptions {
  /** Network namespace; default that of the caller. */
  readonly within?: 'h1' | 'h2';
  readonly env?: Readonly<Record<string, string>>;
}

/** A program that was started. */
export class Program {
  readonly name: string;
  readonly pid: number;
  /** Standard output and standard error so far. */
  output = '';
  readonly #child: ChildProcess;
  readonly #exit: Promise<number>;
  readonly #watchers = new Set<() => void>();
  #isOver = false;

  constructor(command: readonly string[], options: ProgramOptions = {}) {
    const place = options.within === undefined ? [] : ['ip', 'netns', 'exec', options.within];
    const [file, ...args] = [...place, ...command];
    this.name = command.join(' ');
    this.#child = spawn(file!, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...options.env } });
    this.pid = this.#child.pid ?? -1;
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
        this.#look();
      });
    }
    this.#exit = new Promise((resolve) => {
      this.#child.on('error', (error) => {
        this.output += error.message;
        resolve(127);
      });
      this.#child.on('close', (code, signal) => resolve(signal === null ? (code ?? 1) : 128));
    });
    void this.#exit.then(() => {
      this.#isOver = true;
      this.#look();
    });
    running.add(this);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Resolves when the output has it. @throws Error when the program ends without it */
  async says(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.output)) {
      if (this.#isOver) throw new Error(`it never said ${pattern}: ${this.report()}`);
      await new Promise<void>((resolve) => this.#watchers.add(resolve));
    }
  }

  /** The exit code; 128 when a signal ended it. */
  ends(): Promise<number> {
    return this.#exit;
  }

  /** @throws Error with its output when it doesn't end with 0 */
  async succeeds(): Promise<string> {
    const code = await this.#exit;
    if (code !== 0) throw new Error(`exit code ${code}: ${this.report()}`);
    return this.output;
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.#child.kill(signal);
  }

  report(): string {
    return `${this.name}\n${this.output.slice(-4000)}`;
  }

  #look(): void {
    for (const resolve of this.#watchers) resolve();
    this.#watchers.clear();
  }
}

const running = new Set<Program>();

/** Starts a program; it is ended with its case at the latest. */
export const start = (command: readonly string[], options?: ProgramOptions): Program => new Program(command, options);

/** Runs a program to its end. @returns its output @throws Error when its exit code isn't 0 */
export const run = (command: readonly string[], options?: ProgramOptions): Promise<string> =>
  start(command, options).succeeds();

/**
 * Resolves when a program listens at an RDMA device's port, which few of them say.
 *
 * @throws Error when the program ends before
 */
export async function deviceListens(program: Program, port: number): Promise<void> {
  while (!program.isOver) {
    const ids = JSON.parse(await run(['rdma', '-j', 'resource', 'show', 'cm_id'])) as {
      readonly state: string;
      readonly 'src-addr'?: string;
    }[];
    if (ids.some((id) => id.state === 'LISTEN' && id['src-addr']?.endsWith(`:${port}`))) return;
  }
  throw new Error(`it ended before it listened: ${program.report()}`);
}

/** Ends every program that still runs. @returns what those that ran since the last call have said */
export async function endPrograms(): Promise<string> {
  const all = [...running];
  running.clear();
  for (const program of all) if (!program.isOver) program.kill();
  await Promise.all(all.map((program) => program.ends()));
  return all.map((program) => program.report()).join('\n');
}
