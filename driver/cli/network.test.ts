/**
 * The commands between two machines: two network namespaces with a cable in between, which the tests make themselves.
 *
 * Theory of operation: a namespace has interfaces, addresses, routes and ports of its own, so that nothing but what comes
 * through the cable reaches the other one; pulling the cable is a peer that vanishes. Making them takes root and iproute2.
 * Without either the tests are skipped and say why; where `CI` is set they fail instead.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, describe, test } from 'vitest';

import { killAfterEach, Running, testFolder } from './test-running.ts';

const folder = testFolder();
const inFolder = (name: string): string => path.join(folder, name);
killAfterEach();

const [near, far] = [`wsd-${process.pid}-a`, `wsd-${process.pid}-b`] as const;
const farAddress = { IPv4: '10.77.0.2', IPv6: 'fd77::2' } as const;

function ip(line: string): string | null {
  const { status, stderr, error } = spawnSync('ip', line.split(' '), { encoding: 'utf8' });
  return status === 0 ? null : `ip ${line}: ${(error?.message ?? stderr).trim()}`;
}

/** Makes both machines. @returns why that can't be; null when it is done */
function connect(): string | null {
  const lines = [
    `netns add ${near}`,
    `netns add ${far}`,
    `link add cable netns ${near} type veth peer name cable netns ${far}`,
    ...[
      [near, 1],
      [far, 2],
    ].flatMap(([host, number]) => [
      `-n ${host} address add 10.77.0.${number}/24 dev cable`,
      `-n ${host} address add fd77::${number}/64 dev cable nodad`,
      `-n ${host} link set lo up`,
      `-n ${host} link set cable up`,
    ]),
  ];
  for (const line of lines) {
    const trouble = ip(line);
    if (trouble !== null) return trouble;
  }
  return [near, far].map(carries).find((trouble) => trouble !== null) ?? null;
}

/** Waits for the cable: until it carries something, Node.js lists no address of its end. */
function carries(host: string): string | null {
  const end = Date.now() + 10_000;
  for (;;) {
    const { stdout } = spawnSync('ip', ['-n', host, 'link', 'show', 'cable'], { encoding: 'utf8' });
    if (/ state UP /.test(stdout)) return null;
    if (Date.now() > end) return `the cable of ${host} carries nothing: ${stdout.trim()}`;
  }
}

const on = (host: string) => ({ under: ['ip', 'netns', 'exec', host] });
const nearby = (...args: string[]) => new Running(folder, args, on(near));

async function serve(family: 'IPv4' | 'IPv6', name: string, ...args: string[]) {
  mkdirSync(inFolder(name), { recursive: true });
  const host = family === 'IPv4' ? farAddress[family] : `[${farAddress[family]}]`;
  const server = new Running(folder, ['serve', name, '--listen', `${host}:7471`, ...args], on(far));
  await server.says(/ at wsd:\S+ over iwarp/);
  return { server, at: `${host}:7471`, url: `wsd://${host}:7471/` };
}

async function assertFails(args: readonly string[], message: RegExp, code = 1): Promise<void> {
  const result = await nearby(...args).end();
  assert.match(result.err, message);
  assert.equal(result.code, code);
}

async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 60_000;
  while (!condition()) {
    assert.ok(Date.now() < end, 'it takes for ever');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const isPartial = (name: string) => readdirSync(inFolder(name)).some((file) => file.endsWith('.part'));

describe('between two machines', () => {
  const missing = process.platform === 'linux' ? connect() : 'network namespaces are a thing of Linux';
  const isRequired = process.env['CI'] !== undefined;
  if (missing !== null) console.log(`skipped: commands between two machines: ${missing}`);
  beforeAll(() => assert.ok(missing === null || !isRequired, missing ?? ''));
  afterAll(() => {
    for (const host of [near, far]) ip(`netns delete ${host}`);
  });
  const onNetwork = test.skipIf(missing !== null && !isRequired);

  for (const family of ['IPv4', 'IPv6'] as const) {
    onNetwork(
      `${family}: files go there and back, of every kind of size, and pings`,
      { timeout: 300_000 },
      async () => {
        const name = `files-${family}`;
        const { server, at, url } = await serve(family, name);
        for (const size of [0, 1, 4096, 61_441, 20_000_000]) {
          const given = new Uint8Array(size).map((_, index) => (index * 7) % 251);
          writeFileSync(inFolder('given'), given);
          const put = await nearby('put', 'given', `${url}file`).end();
          assert.equal(put.code, 0, put.err);
          const get = await nearby('get', `${url}file`, 'taken').end();
          assert.equal(get.code, 0, get.err);
          assert.ok(readFileSync(inFolder('taken')).equals(given));
        }
        const ping = await nearby('ping', at, '-c', '3', '-i', '0').end();
        assert.match(ping.out, /3 sent, 3 came back/);
        assert.deepEqual((await server.end('SIGINT')).code, 130);
      },
    );
  }

  onNetwork('Ctrl-C at either end in the middle of a file ends both', async () => {
    const { server, url } = await serve('IPv4', 'cut');
    writeFileSync(inFolder('large'), '');
    truncateSync(inFolder('large'), 2_000_000_000);
    const first = nearby('put', 'large', `${url}new`);
    await until(() => isPartial('cut'));
    const put = await first.end('SIGINT');
    assert.deepEqual([put.code, put.err], [130, 'wsdirect: interrupted\n']);
    await server.says(/the connection is lost/);
    assert.deepEqual(readdirSync(inFolder('cut')), []);

    const second = nearby('put', 'large', `${url}new`);
    await until(() => isPartial('cut'));
    const ended = await server.end('SIGINT');
    assert.deepEqual([ended.code, ended.err], [130, 'wsdirect: interrupted\n']);
    const cut = await second.end();
    assert.match(cut.err, /the connection is lost/);
    assert.equal(cut.code, 1);
    assert.deepEqual(readdirSync(inFolder('cut')), []);
  });

  onNetwork('a port where nobody listens, an address that nobody has, and one to which no way leads', async () => {
    await assertFails(
      ['ping', '10.77.0.2:7472'],
      /^wsdirect: connection refused: nobody listens at 10\.77\.0\.2:7472\n$/,
    );
    await assertFails(
      ['ping', '[fd77::2]:7472'],
      /^wsdirect: connection refused: nobody listens at \[fd77::2\]:7472\n$/,
    );
    await assertFails(['ping', '10.77.0.99:7471'], /^wsdirect: cannot connect to 10\.77\.0\.99:7471: .+\n$/);
    await assertFails(['ping', '192.0.2.1:7471'], /^wsdirect: no way leads from here to 192\.0\.2\.1\n$/);
    await assertFails(['ping', '[2001:db8::1]:7471'], /^wsdirect: no way leads from here to 2001:db8::1\n$/);
  });

  onNetwork('a peer that vanishes without a word is given up by both ends', async () => {
    const { server, at } = await serve('IPv4', 'gone', '--idle', '2');
    const ping = nearby('ping', at, '-c', '1000', '-i', '50');
    await ping.says(/round 3/);
    assert.equal(ip(`-n ${far} link set cable down`), null);
    try {
      await server.says(/10\.77\.0\.1:\d+: ping ended/);
      const { code, err } = await ping.end();
      assert.match(
        err,
        /^wsdirect: 10\.77\.0\.2:7471(: the connection is lost| does not answer: nothing happened for)/,
      );
      assert.equal(code, 1);
      assert.equal((await server.end('SIGINT')).code, 130);
    } finally {
      assert.equal(ip(`-n ${far} link set cable up`), null);
    }
  });
});
