/** What is seen on a terminal while a file moves: `script` of util-linux runs the command on a pseudo-terminal. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { describe, test } from 'vitest';

import { killAfterEach, Running, testFolder } from './test-running.ts';

const folder = testFolder();
const inFolder = (name: string): string => path.join(folder, name);
killAfterEach();

const SIZE = 400_000_000;
const HIDE_CURSOR = '\u001b[?25l';
const ERASE_LINE = '\u001b[2K';
const SHOW_CURSOR = '\u001b[?25h';

const { status } = spawnSync('script', ['--version']);
const missing = status === 0 ? null : 'script of util-linux is missing';
if (missing !== null) console.log(`skipped: progress on a terminal: ${missing}`);
const onTerminal = test.skipIf(missing !== null && process.env['CI'] === undefined);

async function serve(name: string) {
  mkdirSync(inFolder(name));
  const server = new Running(folder, ['serve', name, '--listen', '127.0.0.1:0']);
  const [, url] = await server.says(/ at (wsd:\S+) over iwarp/);
  return { server, url: url! };
}

/** Zeros that take no disk. */
function zeros(name: string): void {
  writeFileSync(inFolder(name), '');
  truncateSync(inFolder(name), SIZE);
}

describe('progress on a terminal', () => {
  onTerminal('shows how far it is and the rate, and nothing of it when the file is there', async () => {
    assert.equal(missing, null);
    const { server, url } = await serve('shown');
    zeros('given');
    const { code, out } = await new Running(folder, ['put', 'given', `${url}file`], { onTerminal: true }).end();
    assert.equal(code, 0, out);
    assert.match(out, /putting \[[^\]]+\] \d+% \d+(\.\d+)? [kMG]?B\/s/);
    assert.ok(out.lastIndexOf(SHOW_CURSOR) > out.lastIndexOf(HIDE_CURSOR), 'the cursor is back');
    // The bar's line is erased, and the result takes its place.
    const [, ...afterBar] = out.slice(out.lastIndexOf('putting [')).split(ERASE_LINE);
    assert.match(afterBar.join(''), /^given: 400000000 bytes in .+, sha256 [0-9a-f]{64}\r?\n$/);
    await server.end('SIGINT');
  });

  onTerminal('Ctrl-C gives the cursor back and leaves one line', async () => {
    assert.equal(missing, null);
    const { server, url } = await serve('ended');
    zeros('given');
    const put = new Running(folder, ['put', 'given', `${url}file`], { onTerminal: true });
    await put.says(/putting \[/);
    put.child.stdin!.write('\u0003');
    const { code, out } = await put.end();
    assert.equal(code, 130, out);
    assert.ok(out.lastIndexOf(SHOW_CURSOR) > out.lastIndexOf(HIDE_CURSOR), 'the cursor is back');
    assert.match(out, /wsdirect: interrupted\r?\n$/);
    await server.says(/the connection is lost/);
    assert.ok(!existsSync(inFolder('ended/file')));
    await server.end('SIGINT');
  });
});
