/** The `wsdirect` command. Does its work on being loaded. */

import { Command, CommanderError } from 'commander';

import { adaptersCommand } from './adapters.ts';
import { checkCommand } from './check.ts';
import { Exit, Interrupted, packageVersion, type Terminal, UserError } from './command.ts';
import { demoCommand } from './demo.ts';
import { getCommand } from './get.ts';
import { machinesCommand } from './machines.ts';
import { pingCommand } from './ping.ts';
import { putCommand } from './put.ts';
import { replayCommand } from './replay.ts';
import { serveCommand } from './serve.ts';

let abort: AbortController | null = null;

/** A command that has nothing to put away doesn't ask, and is ended by a signal as any other program. */
function interrupted(): AbortSignal {
  if (abort !== null) return abort.signal;
  const made = new AbortController();
  // Once: a second Ctrl-C ends the process as it would any other.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => made.abort(new Interrupted(signal)));
  abort = made;
  return made.signal;
}

// A reader that has seen enough, as `head` does, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(process.exitCode ?? Exit.ok);
});

const terminal: Terminal = {
  write: (text) => void process.stdout.write(text),
  report: (text) => void process.stderr.write(text),
  get interrupted() {
    return interrupted();
  },
};

async function main(): Promise<number> {
  let exitCode: number = Exit.ok;
  const finish = (code: number): void => {
    exitCode = code;
  };
  const program = new Command('wsdirect')
    .description('A Windows Sockets Direct provider over RDMA whose program is statecharts.')
    .version(packageVersion())
    .showHelpAfterError("(see 'wsdirect help')")
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'wsdirect: ')) })
    .addHelpText(
      'after',
      '\nExit codes: 0 success, 1 something is unequal or failed, 2 wrong usage or unusable input,' +
        '\n130 ended by Ctrl-C, 143 by SIGTERM.',
    );
  const commands = [
    demoCommand,
    serveCommand,
    getCommand,
    putCommand,
    pingCommand,
    replayCommand,
    checkCommand,
    machinesCommand,
    adaptersCommand,
  ];
  for (const command of commands) {
    const made = command(terminal, finish).copyInheritedSettings(program);
    program.addCommand(made.showHelpAfterError(`(see 'wsdirect help ${made.name()}')`));
  }
  for (const command of [program, ...program.commands]) command.exitOverride();
  try {
    await program.parseAsync();
    return exitCode;
  } catch (error) {
    // Commander has said already what is wrong.
    if (error instanceof CommanderError) return error.exitCode === 0 ? Exit.ok : Exit.usage;
    if (error instanceof Interrupted) {
      process.stderr.write(`wsdirect: ${error.message}\n`);
      return error.exitCode;
    }
    if (!(error instanceof UserError)) throw error;
    process.stderr.write(`wsdirect: ${error.message}\n`);
    return error.exitCode;
  }
}

process.exitCode = await main();
