import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';

import { describe, test } from 'vitest';

import { killAfterEach, Running, type Start, testFolder } from './test-running.ts';

const folder = testFolder();

killAfterEach();

const wsdirect = (...args: string[]) => new Running(folder, args).end();

/** Serves a new folder of that name. */
async function serve(name: string, args: readonly string[] = [], start: Start = {}) {
  mkdirSync(path.join(folder, name), { recursive: true });
  const server = new Running(folder, ['serve', name, '--listen', '127.0.0.1:0', ...args], start);
  const [, url] = await server.says(/ at (wsd:\S+) over iwarp/);
  return { server, url: url!, port: new URL(url!).port };
}

const inFolder = (name: string) => path.join(folder, name);
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const pattern = (size: number) => new Uint8Array(size).map((_, index) => (index * 7) % 251);

async function assertRefused(args: readonly string[], message: RegExp, code = 1): Promise<void> {
  const result = await wsdirect(...args);
  assert.match(result.err, message);
  assert.equal(result.code, code);
}

describe('files between processes', () => {
  test('there and back, of every kind of size, proved by both journals', async () => {
    const { server, url } = await serve('sizes', ['--journal', 'server.wsdj']);
    for (const size of [0, 1, 4095, 4096, 3_000_000]) {
      writeFileSync(inFolder('given'), pattern(size));
      const put = await wsdirect('put', 'given', `${url}a%20name`, '--json', '--journal', `put-${size}.wsdj`);
      assert.equal(put.code, 0, put.err);
      const { sha256: digest, isEqual } = JSON.parse(put.out);
      assert.deepEqual([digest, isEqual], [sha256(pattern(size)), true]);
      const get = await wsdirect('get', `${url}a%20name`, 'taken');
      assert.equal(get.code, 0, get.err);
      assert.ok(readFileSync(inFolder('taken')).equals(pattern(size)));
      assert.deepEqual(readdirSync(inFolder('sizes')), ['a name']);
    }
    assert.equal((await server.end('SIGINT')).code, 130);
    for (const journal of ['server.wsdj', 'put-0.wsdj', 'put-3000000.wsdj']) {
      assert.match((await wsdirect('replay', journal)).out, /\nreplay: equal\n$/);
    }
  });

  test('over IPv6, by name and number', async () => {
    mkdirSync(inFolder('six'));
    writeFileSync(inFolder('six/file'), 'six');
    const server = new Running(folder, ['serve', 'six', '--listen', '[::1]:0']);
    const [, port] = await server.says(/wsd:\/\/\[::1\]:(\d+)\//);
    const get = await wsdirect('get', `wsd://[::1]:${port}/file`, 'from-six');
    assert.equal(get.code, 0, get.err);
    assert.equal(readFileSync(inFolder('from-six'), 'utf8'), 'six');
    const ping = await wsdirect('ping', `[::1]:${port}`, '-c', '2', '-i', '0');
    assert.match(ping.out, /2 sent, 2 came back/);
    await server.end('SIGTERM');
  });

  test('several clients at once, more than the limit are refused', async () => {
    const { server, url, port } = await serve('many', ['--max-clients', '3']);
    writeFileSync(inFolder('many/big'), pattern(20_000_000));
    const waiting = [1, 2, 3].map(() => new Running(folder, ['ping', `127.0.0.1:${port}`, '-c', '1000', '-i', '50']));
    await Promise.all(waiting.map((ping) => ping.says(/round 2/)));
    await assertRefused(['get', `${url}big`, 'nothing'], /takes no more clients now/);
    for (const ping of waiting) assert.equal((await ping.end('SIGINT')).code, 130);
    // Their places are free again when the server has heard of it.
    await server.says(/(ping ended[\s\S]*){3}/);
    const results = await Promise.all([1, 2, 3].map((index) => wsdirect('get', `${url}big`, `copy-${index}`)));
    for (const [index, { code, err }] of results.entries()) {
      assert.equal(code, 0, err);
      assert.equal(sha256(readFileSync(inFolder(`copy-${index + 1}`))), sha256(pattern(20_000_000)));
    }
    await server.end('SIGINT');
  });

  test('ping as JSON', async () => {
    const { server, port } = await serve('ping');
    const { code, out, err } = await wsdirect(
      'ping',
      `localhost:${port}`,
      '-c',
      '3',
      '-i',
      '0',
      '-s',
      '4000',
      '--json',
    );
    assert.equal(code, 0, err);
    const { sent, received, microseconds } = JSON.parse(out);
    assert.deepEqual([sent, received, microseconds.length], [3, 3, 3]);
    await server.end('SIGINT');
  });
});

describe('what a server does not give or take', () => {
  test('nothing outside of its folder, in either direction', async () => {
    writeFileSync(inFolder('secret'), 'secret');
    const { server, url } = await serve('safe');
    symlinkSync('../secret', inFolder('safe/link'));
    await assertRefused(['get', `${url}..%2Fsecret`, 'never'], /refuses: a path here has no empty, \. or \.\. part/);
    await assertRefused(['put', 'secret', `${url}..%2Fnew`], /refuses: a path here has no empty, \. or \.\. part/);
    await assertRefused(['get', `${url}link`, 'never'], /refuses: symbolic links are not followed/);
    await assertRefused(['get', `${url}absent`, 'never'], /refuses: no such file/);
    await assertRefused(['put', 'secret', `${url}absent/new`], /refuses: no such folder/);
    for (const name of ['never', 'new']) assert.ok(!existsSync(inFolder(name)));
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.endsWith('.part')),
      [],
    );
    await server.end('SIGINT');
  });

  test('read-only, too large, no space: nothing is left of it', async () => {
    writeFileSync(inFolder('large'), pattern(2_000_000));
    const readOnly = await serve('read-only', ['--read-only']);
    await assertRefused(['put', 'large', `${readOnly.url}new`], /refuses: nothing may be put here/);
    await readOnly.server.end('SIGINT');
    const small = await serve('small', ['--max-bytes', '1000K']);
    await assertRefused(['put', 'large', `${small.url}new`], /refuses: files of more than 1024000 bytes/);
    await small.server.end('SIGINT');
    // In blocks of 512 bytes: the file system refuses in the middle of the file.
    const full = await serve('full', [], { shellFirst: 'ulimit -f 2000; ' });
    writeFileSync(inFolder('full/new'), 'old');
    await assertRefused(['put', 'large', `${full.url}new`], /refuses: the file is too large for its disk/);
    assert.deepEqual(readdirSync(inFolder('full')), ['new']);
    assert.equal(readFileSync(inFolder('full/new'), 'utf8'), 'old');
    await full.server.end('SIGINT');
    for (const name of ['read-only', 'small']) assert.deepEqual(readdirSync(inFolder(name)), []);
  });

  test('the same at the taking end', async () => {
    const { server, url } = await serve('source');
    writeFileSync(inFolder('source/large'), pattern(2_000_000));
    const get = await new Running(folder, ['get', `${url}large`, 'limited'], { shellFirst: 'ulimit -f 2000; ' }).end();
    assert.match(get.err, /^wsdirect: cannot write .*limited: /);
    assert.equal(get.code, 2);
    assert.ok(!existsSync(inFolder('limited')));
    await assertRefused(['get', `${url}large`, '.'], /cannot write \.: it is a folder/, 2);
    await assertRefused(['get', `${url}large`, 'absent/file'], /cannot write absent\/file: no such/, 2);
    await server.end('SIGINT');
  });
});

describe('what can go wrong', () => {
  test('addresses and options', async () => {
    mkdirSync(inFolder('plain'));
    await assertRefused(['get', 'http://127.0.0.1:1/x', 'f'], /It has to be wsd:/, 2);
    await assertRefused(['get', 'wsd://127.0.0.1/x', 'f'], /It has to be wsd:/, 2);
    await assertRefused(['get', 'wsd://127.0.0.1:1/', 'f'], /It names no file/, 2);
    await assertRefused(['get', 'wsd://127.0.0.1:1/%zz', 'f'], /a % that is not followed/, 2);
    await assertRefused(['ping', '127.0.0.1'], /It has to be HOST:PORT/, 2);
    await assertRefused(['ping', 'no.such.name.invalid:1'], /no address is known for no\.such\.name\.invalid/);
    await assertRefused(['ping', '127.0.0.1:1', '--adapter', 'simulated'], /joins hosts of one process only/, 2);
    await assertRefused(['ping', '127.0.0.1:1', '--adapter', 'x'], /no adapter 'x': one of iwarp, /, 2);
    await assertRefused(['serve', 'absent'], /cannot serve absent: no such file or folder/, 2);
    await assertRefused(['serve', 'plain', '--listen', '192.0.2.77:7471'], /it is no address of this computer/, 2);
    writeFileSync(inFolder('old.wsdj'), 'old');
    await assertRefused(['serve', 'plain', '--journal', 'old.wsdj'], /old\.wsdj exists; name another one/, 2);
    assert.equal(readFileSync(inFolder('old.wsdj'), 'utf8'), 'old');
  });

  test('a port that is in use, one where nobody listens, and one with another protocol', async () => {
    const { server, port } = await serve('used');
    await assertRefused(['serve', 'used', '--listen', `127.0.0.1:${port}`], /the port is in use/, 2);
    await server.end('SIGINT');
    await assertRefused(
      ['ping', `127.0.0.1:${port}`],
      /^wsdirect: connection refused: nobody listens at 127\.0\.0\.1:/,
    );
    const other = net.createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port: otherPort } = other.address() as net.AddressInfo;
    await assertRefused(['ping', `127.0.0.1:${otherPort}`], /what answers there does not speak iWARP/);
    other.close();
  });

  test('Ctrl-C at either end in the middle of a file: the other end hears of it, and nothing is left', async () => {
    const { server, url } = await serve('cut', ['--journal', 'cut-server.wsdj']);
    const source = inFolder('cut-source');
    writeFileSync(source, new Uint8Array(400_000_000));
    const first = new Running(folder, ['put', source, `${url}new`, '--journal', 'cut-put.wsdj']);
    await until(() => readdirSync(inFolder('cut')).some((name) => name.endsWith('.part')));
    const put = await first.end('SIGINT');
    assert.deepEqual([put.code, put.err], [130, 'wsdirect: interrupted\n']);
    await server.says(/the connection is lost/);
    assert.deepEqual(readdirSync(inFolder('cut')), []);

    const second = new Running(folder, ['put', source, `${url}new`]);
    await until(() => readdirSync(inFolder('cut')).some((name) => name.endsWith('.part')));
    const ended = await server.end('SIGTERM');
    assert.deepEqual([ended.code, ended.err], [143, 'wsdirect: terminated\n']);
    const cut = await second.end();
    assert.equal(cut.code, 1);
    assert.match(cut.err, /the connection is lost/);
    assert.deepEqual(readdirSync(inFolder('cut')), []);
    for (const journal of ['cut-server.wsdj', 'cut-put.wsdj']) {
      assert.match((await wsdirect('replay', journal)).out, /\nreplay: equal\n$/);
    }
    rmSync(source);
  });

  test('a client that says nothing is sent away', async () => {
    const { server, port } = await serve('idle', ['--idle', '1']);
    const ping = await wsdirect('ping', `127.0.0.1:${port}`, '-c', '2', '-i', '3000');
    assert.equal(ping.code, 1);
    assert.match(ping.err, /refuses: nothing happened for 1000 ms|the connection is lost/);
    await server.end('SIGINT');
  });

  test('--once ends with its client, and says how that went', async () => {
    for (const [name, code] of [
      ['there', 0],
      ['absent', 1],
    ] as const) {
      const { server, url } = await serve(`once-${name}`, ['--once']);
      writeFileSync(inFolder(`once-${name}/there`), 'there');
      await wsdirect('get', url + name, 'once');
      assert.equal((await server.end()).code, code);
    }
  });
});

async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 60_000;
  while (!condition()) {
    assert.ok(Date.now() < end, 'it takes for ever');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
