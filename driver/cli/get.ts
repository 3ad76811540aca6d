/** `wsdirect get`: takes a file from a server. */

import { Command } from 'commander';

import { FileReceiver } from '../client/file-transfer.ts';
import { encodeRequest, expectReady } from '../client/file-service.ts';
import { type Terminal, UserError, Exit } from './command.ts';
import { OutputFile } from './files.ts';
import { Progress } from './progress.ts';
import { parseUrl, remoteExitCodes, type RemoteOptions, withRemote, withRemoteOptions } from './remote.ts';
import { transferResult, transferText } from './transfer-result.ts';

export function getCommand(terminal: Terminal): Command {
  return withRemoteOptions(new Command('get'))
    .description('Take a file from wsdirect serve, and prove that it is the same.')
    .argument('<url>', 'wsd://HOST:PORT/PATH', parseUrl)
    .argument('<file>', 'where it goes; what is there is replaced when the new file is whole and equal')
    .addHelpText('after', remoteExitCodes)
    .action(async (url: ReturnType<typeof parseUrl>, file: string, options: RemoteOptions) => {
      const output = new OutputFile(file);
      try {
        const result = await withRemote(terminal, 'get', url, options, async ({ endpoint, until }) => {
          const startMs = performance.now();
          endpoint.send(encodeRequest({ operation: 'get', path: url.path, size: 0 }));
          expectReady(
            await until(
              () => endpoint.take(),
              () => endpoint.step(),
            ),
          );
          let progress: Progress | null = null;
          const receiver = new FileReceiver(endpoint, {
            begin: (_name, size) => {
              progress = new Progress('getting', size, options.json);
            },
            write: (bytes) => output.write(bytes),
            end: (isEqual) => output.end(isEqual),
          });
          try {
            await until(
              () => (receiver.isDone ? true : null),
              () => {
                const done = receiver.step();
                progress?.update(receiver.received);
                return done;
              },
            );
          } finally {
            (progress as Progress | null)?.stop();
          }
          return transferResult(endpoint, receiver, receiver.received, startMs);
        });
        if (!result.isEqual) throw new UserError('what came is not what was sent: the digests differ', Exit.failed);
        terminal.write(
          options.json === true
            ? `${JSON.stringify({ file: output.file, ...result }, null, 2)}\n`
            : `${output.file}: ${transferText(result)}\n`,
        );
      } finally {
        output.discard();
      }
    });
}
