/** `wsdirect put`: gives a file to a server. */

import { Command } from 'commander';

import { FileSender } from '../client/file-transfer.ts';
import { encodeRequest, expectReady } from '../client/file-service.ts';
import { type Terminal, UserError, Exit } from './command.ts';
import { InputFile } from './files.ts';
import { Progress } from './progress.ts';
import { parseUrl, type Remote, remoteExitCodes, type RemoteOptions, withRemote, withRemoteOptions } from './remote.ts';
import { type TransferResult, transferResult, transferText } from './transfer-result.ts';

/** Bytes that go at once by RDMA. */
export const CHUNK_BYTES = 1024 * 1024;

export function putCommand(terminal: Terminal): Command {
  return withRemoteOptions(new Command('put'))
    .description('Give a file to wsdirect serve, and prove that it has the same.')
    .argument('<file>', 'what is given')
    .argument('<url>', 'wsd://HOST:PORT/PATH; what is there is replaced when the new file is whole and equal', parseUrl)
    .addHelpText('after', remoteExitCodes)
    .action(async (file: string, url: ReturnType<typeof parseUrl>, options: RemoteOptions) => {
      const input = new InputFile(file);
      try {
        const result = await withRemote(terminal, 'put', url, options, (remote) =>
          putFile(remote, input, url.path, CHUNK_BYTES, options.json === true),
        );
        if (!result.isEqual) throw new UserError('what arrived is not what was sent: the digests differ', Exit.failed);
        terminal.write(
          options.json === true
            ? `${JSON.stringify({ file: input.file, ...result }, null, 2)}\n`
            : `${file}: ${transferText(result)}\n`,
        );
      } finally {
        input.close();
      }
    });
}

/** Gives `input` to the server at the other end. */
export async function putFile(
  { endpoint, until }: Remote,
  input: InputFile,
  path: string,
  chunkBytes: number,
  quiet: boolean,
): Promise<TransferResult> {
  const startMs = performance.now();
  endpoint.send(encodeRequest({ operation: 'put', path, size: input.size }));
  expectReady(
    await until(
      () => endpoint.take(),
      () => endpoint.step(),
    ),
  );
  const sender = new FileSender(endpoint, input, chunkBytes);
  const progress = new Progress('putting', input.size, quiet);
  try {
    await until(
      () => (sender.isEqual === null ? null : true),
      () => {
        const done = sender.step();
        progress.update(sender.sent);
        return done;
      },
    );
  } finally {
    progress.stop();
  }
  return transferResult(endpoint, sender, sender.sent, startMs);
}
