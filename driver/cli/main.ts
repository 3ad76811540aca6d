/** The `wsdirect` command. Does its work on being loaded. */

import { Command, CommanderError } from 'commander';

import { adaptersCommand } from './adapters.ts';
import { Exit, Interrupted, packageVersion, type Terminal, UserError } from './command.ts';
import { demoCommand } from './demo.ts';
import { machinesCommand } from './machines.ts';
import { replayCommand } from './replay.ts';

const abort = new AbortController();
// Once: a second Ctrl-C ends the process as it would any other.
process.once('SIGINT', () => abort.abort());
// A reader that has seen enough, as `head` does, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(process.exitCode ?? Exit.ok);
});

const terminal: Terminal = {
  write: (text) => void process.stdout.write(text),
  interrupted: abort.signal,
};

async function main(): Promise<number> {
  let exitCode: number = Exit.ok;
  const finish = (code: number): void => {
    exitCode = code;
  };
  const program = new Command('wsdirect')
    .description('A Windows Sockets Direct provider over RDMA whose program is statecharts.')
    .version(packageVersion())
    .showHelpAfterError("(try 'wsdirect help' or 'wsdirect help COMMAND')")
    .addHelpText(
      'after',
      '\nExit codes: 0 success, 1 something is unequal or failed, 2 wrong usage or unusable input, 130 ended by Ctrl-C.',
    );
  for (const command of [demoCommand, replayCommand, machinesCommand, adaptersCommand]) {
    program.addCommand(command(terminal, finish).copyInheritedSettings(program));
  }
  for (const command of [program, ...program.commands]) command.exitOverride();
  try {
    await program.parseAsync();
    return exitCode;
  } catch (error) {
    // Commander has said already what is wrong.
    if (error instanceof CommanderError) return error.exitCode === 0 ? Exit.ok : Exit.usage;
    if (error instanceof Interrupted) {
      process.stderr.write('wsdirect: interrupted\n');
      return Exit.interrupted;
    }
    if (!(error instanceof UserError)) throw error;
    process.stderr.write(`wsdirect: ${error.message}\n`);
    return error.exitCode;
  }
}

process.exitCode = await main();
