import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, describe, test } from 'vitest';

import { adapterRegistry } from '../adapter/registry.ts';
import { HeadBytes } from '../journal/format.ts';

const program = path.join(import.meta.dirname, 'wsdirect.js');
const folder = mkdtempSync(path.join(tmpdir(), 'wsdirect-cli-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs the command as a user would, in the tests' folder. */
function wsdirect(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { cwd: folder, encoding: 'utf8' });
  return { code: status, out: stdout, err: stderr };
}

/** A command that is refused in one line. */
function assertRefused(args: string[], message: RegExp, code = 2): void {
  const result = wsdirect(...args);
  assert.equal(result.code, code, result.err);
  assert.match(result.err, message);
  assert.doesNotMatch(result.err, /\n\s+at /, 'no stack for users');
}

describe('demo', () => {
  test('without a file: moves the one that the package ships, and proves it', () => {
    const { code, out, err } = wsdirect('demo', '--out', 'shipped');
    assert.equal(code, 0, err);
    assert.match(out, /RDMA reads {2}\d+ bytes in 8 reads\n/);
    assert.match(out, /\nsha256 equal\nreplay: equal\n$/);
    assert.deepEqual(readdirSync(path.join(folder, 'shipped')).sort(), [
      'client.mmd',
      'client.wsdj',
      'received-wsd.md',
      'server.wsdj',
    ]);
    const shipped = path.join(import.meta.dirname, '../../docs/spec/wsd.md');
    assert.ok(readFileSync(path.join(folder, 'shipped/received-wsd.md')).equals(readFileSync(shipped)));
    const diagram = readFileSync(path.join(folder, 'shipped/client.mmd'), 'utf8');
    assert.match(diagram, /^sequenceDiagram\n/);
    assert.match(diagram, /switch->>provider: WSPConnect socket 0\n/);
  });

  test.each([
    ['iwarp', [0, 1, 67_108_864]],
    ['simulated', [0, 1, 4096, 4097, 3_000_000]],
  ] as const)('over %s, files of %j bytes', (adapter, sizes) => {
    for (const size of sizes) {
      const file = path.join(folder, `file-${size}`);
      writeFileSync(
        file,
        new Uint8Array(size).map((_, index) => index % 251),
      );
      const out = ['--out', 'sizes', '--receive-file', 'received', '--notify'];
      const { code, out: said, err } = wsdirect('demo', file, '--adapter', adapter, ...out);
      assert.equal(code, 0, err);
      assert.match(said, /\nsha256 equal\nreplay: equal\n$/);
      assert.ok(readFileSync(path.join(folder, 'received')).equals(readFileSync(file)));
      rmSync(file);
    }
  });

  test('the same seed gives the same journals', () => {
    const [first, second] = ['a', 'b'].map((name) => {
      const { code, out } = wsdirect(
        'demo',
        '--adapter',
        'simulated',
        '--seed',
        '7',
        '--chunk',
        '8K',
        '--out',
        name,
        '--json',
      );
      assert.equal(code, 0);
      const { seed, chunkBytes, isEqual, taken, hosts } = JSON.parse(out);
      assert.deepEqual({ seed, chunkBytes, isEqual }, { seed: 7, chunkBytes: 8192, isEqual: true });
      assert.equal(taken.reads, 15);
      assert.deepEqual(
        hosts.map(({ verdict }: { verdict: { type: string } }) => verdict.type),
        ['equal', 'equal'],
      );
      return readFileSync(path.join(folder, name, 'server.wsdj'));
    });
    assert.ok(first!.equals(second!));
  });

  test('refuses what it cannot use, in one line', () => {
    writeFileSync(path.join(folder, 'plain'), 'text');
    mkdirSync(path.join(folder, 'same'));
    writeFileSync(path.join(folder, 'same/client.wsdj'), 'an old journal');
    assertRefused(['demo', 'absent'], /^wsdirect: cannot read absent: no such file or folder\n$/);
    assertRefused(['demo', '.'], /^wsdirect: cannot read \.: it is a folder\n$/);
    assertRefused(['demo', '/dev/zero'], /no regular file/);
    assertRefused(['demo', 'plain', '--out', 'plain/below'], /^wsdirect: cannot make folder plain\/below: /);
    // Node.js's own way to make folders never comes back from there.
    if (existsSync('/proc/self'))
      assertRefused(['demo', 'plain', '--out', '/proc/new'], /cannot make folder \/proc\/new/);
    for (const [address, why] of [
      ['192.0.2.1', 'it is no address of this computer'],
      ['absent.invalid', 'no address is known for absent.invalid'],
    ] as const) {
      const { code, err } = wsdirect('demo', 'plain', '--out', 'same', '--address', address);
      assert.notEqual(code, 0);
      assert.match(err, new RegExp(`^wsdirect: .*${why}\n$`));
    }
    assertRefused(['demo', 'plain', '--receive-file', 'absent/file'], /^wsdirect: cannot write absent\/file: no such/);
    assertRefused(['demo', 'plain', '--receive-file', 'plain'], /would replace the file that is sent/);
    assertRefused(['demo', 'same/client.wsdj', '--out', 'same'], /would replace the file that is sent/);
    assert.equal(readFileSync(path.join(folder, 'same/client.wsdj'), 'utf8'), 'an old journal');
    assertRefused(['demo', '--seed', 'x'], /whole number from 0/);
    assertRefused(['demo', '--seed', '1'], /--seed is for a simulation/);
    assertRefused(['demo', '--adapter', 'x'], /no adapter 'x': one of iwarp, /);
    assertRefused(['demo', '--chunk', '0'], /bytes from 1 to/);
    assertRefused(['demo', '--frobnicate'], /unknown option '--frobnicate'/);
  });

  test.each(['iwarp', 'simulated'])(
    'over %s, Ctrl-C ends it with 130, and leaves no part of a file',
    async (adapter) => {
      const file = path.join(folder, 'long');
      const out = path.join(folder, `cut-${adapter}`);
      writeFileSync(file, new Uint8Array(200_000_000));
      const args = ['demo', file, '--adapter', adapter, '--out', out, '--chunk', '4K'];
      const child = spawn(process.execPath, [program, ...args], { cwd: folder });
      const ended = new Promise((resolve) => child.on('close', resolve));
      let said = '';
      child.stderr.setEncoding('utf8').on('data', (text) => {
        said += text;
      });
      const hasBegun = () =>
        existsSync(out) &&
        readdirSync(out).some((name) => name.endsWith('.part') && statSync(path.join(out, name)).size > 0);
      while (!hasBegun()) {
        assert.equal(child.exitCode, null, said);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      child.kill('SIGINT');
      assert.equal(await ended, 130);
      assert.equal(said, 'wsdirect: interrupted\n');
      assert.deepEqual(readdirSync(out).sort(), ['client.wsdj', 'server.wsdj']);
      // What was done until then is on record.
      for (const journal of ['client.wsdj', 'server.wsdj']) {
        assert.match(wsdirect('replay', path.join(out, journal)).out, /replay: equal\n$/);
      }
      rmSync(file);
    },
  );
});

describe('replay', () => {
  beforeAll(() => {
    assert.equal(wsdirect('demo', '--out', 'replayed').code, 0);
  });

  test('an undamaged journal is equal', () => {
    const { code, out } = wsdirect('replay', 'replayed/client.wsdj');
    assert.equal(code, 0);
    assert.match(out, /^journal of client over the iwarp adapter: \d+ records\n/);
    assert.match(out, /\nreplay: equal\n$/);
  });

  test('--until shows the states there', () => {
    const { code, out } = wsdirect('replay', 'replayed/client.wsdj', '--until', '9');
    assert.equal(code, 0);
    assert.match(out, /socket +0 +connecting\.pending/);
    assert.match(out, /spi\.connect\(\) +bound\.idle → connecting\.starting +socket 0: startConnect\(\)/);
    assert.match(out, /replay: equal so far: stopped before record 9\n$/);
  });

  test('--socket shows its history, at most --last of it', () => {
    const { out } = wsdirect('replay', 'replayed/server.wsdj', '--socket', '1', '--last', '5');
    assert.match(out, /\d+ earlier records not shown/);
    assert.match(out, /spi\.closeSocket|adapter\.flushed/);
    const { out: json } = wsdirect('replay', 'replayed/server.wsdj', '--socket', '0', '--json', '--last', '10000');
    const { history, verdict } = JSON.parse(json);
    assert.equal(verdict.type, 'equal');
    assert.ok(history.length > 5);
    assert.ok(history.every(({ socket }: { socket: number }) => socket === 0));
    assert.ok(history.some(({ event }: { event: string }) => event === 'spi.listen'));
  });

  test('a socket that is not in it is refused', () => {
    assertRefused(
      ['replay', 'replayed/client.wsdj', '--socket', '17'],
      /^wsdirect: there is no step of socket 17 among /,
    );
  });

  test('Ctrl-C ends it at once', async () => {
    assert.equal(wsdirect('demo', '--out', 'long', '--chunk', '16', '--adapter', 'simulated').code, 0);
    const child = spawn(process.execPath, [program, 'replay', 'long/client.wsdj'], { cwd: folder });
    const ended = new Promise((resolve) => child.on('close', (_, signal) => resolve(signal)));
    child.kill('SIGINT');
    assert.equal(await ended, 'SIGINT');
  });

  test('--diagram', () => {
    const { code, out } = wsdirect('replay', 'replayed/server.wsdj', '--diagram', '--steps', '30');
    assert.equal(code, 0);
    assert.match(out, /^sequenceDiagram\n {4}participant switch/);
    assert.match(out, /condition function connection request 0\n/);
    assert.match(out, /more steps\n$/);
  });

  test('damage', () => {
    const bytes = readFileSync(path.join(folder, 'replayed/client.wsdj'));
    const variant = (name: string, change: (copy: Buffer) => Buffer) =>
      writeFileSync(path.join(folder, name), change(Buffer.from(bytes)));
    variant('damaged', (copy) => {
      copy[copy.length - 500]! ^= 1;
      return copy;
    });
    variant('header', (copy) => {
      copy[20]! ^= 1;
      return copy;
    });
    const damaged = wsdirect('replay', 'damaged');
    assert.equal(damaged.code, 1);
    assert.match(damaged.out, /replay: damaged from record 0 .*CRC/);
    assertRefused(['replay', 'header'], /^wsdirect: header: journal header is damaged/, 1);
  });

  test('a journal without an end', () => {
    const bytes = readFileSync(path.join(folder, 'replayed/client.wsdj'));
    writeFileSync(path.join(folder, 'open.wsdj'), bytes.subarray(0, bytes.length - HeadBytes.trailer - 32));
    const { code, out } = wsdirect('replay', 'open.wsdj');
    assert.equal(code, 0);
    assert.match(out, /replay: not closed: every step is as recorded/);
  });

  test('refuses what is no journal, in one line', () => {
    writeFileSync(path.join(folder, 'text'), 'not a journal at all');
    writeFileSync(path.join(folder, 'nothing'), '');
    assertRefused(['replay', 'text'], /^wsdirect: text is not a journal\n$/);
    assertRefused(['replay', 'nothing'], /^wsdirect: nothing is not a journal\n$/);
    assertRefused(['replay', 'absent'], /^wsdirect: cannot read absent: no such file or folder\n$/);
    assertRefused(['replay', '.'], /^wsdirect: cannot read \.: it is a folder\n$/);
    assertRefused(['replay'], /missing required argument 'journal'/);
    assertRefused(['replay', 'text', '--until', '-1'], /whole number/);
  });
});

describe('machines', () => {
  test('lists all, and prints one', () => {
    const { code, out } = wsdirect('machines');
    assert.equal(code, 0);
    assert.match(out, /^machine +states +events +transitions/);
    assert.match(out, /\noverlappedRequest +\d+ /);
    const { digest, machines } = JSON.parse(wsdirect('machines', '--json').out);
    assert.match(digest, /^[0-9a-f]{64}$/);
    assert.equal(machines.length, 8);
    const one = wsdirect('machines', 'registeredBuffer');
    assert.equal(one.code, 0);
    assert.match(one.out, /^stateDiagram-v2\n/);
    const { states, events } = JSON.parse(wsdirect('machines', 'provider', '--json').out);
    assert.equal(states[0], 'uninitialised');
    assert.equal(events[0].name, 'spi.startup');
  });

  test('a reader that has seen enough is no error', () => {
    const command = `"${process.execPath}" "${program}" machines socket | head -1`;
    const { stdout, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
    assert.equal(stdout, 'stateDiagram-v2\n');
    assert.equal(stderr, '');
  });

  test('an unknown machine', () => {
    assertRefused(['machines', 'sockets'], /^wsdirect: no machine 'sockets': one of provider, socket, .*\n$/);
  });
});

test('adapters: which can be used, and why not the others', () => {
  const { code, out } = wsdirect('adapters');
  assert.equal(code, 0);
  assert.match(out, /\niwarp +yes/);
  assert.match(out, /\nsimulated +yes/);
  const listed = JSON.parse(wsdirect('adapters', '--json').out) as { name: string; usable: boolean; reason: string }[];
  assert.deepEqual(
    listed.map(({ name }) => name),
    adapterRegistry.map(({ name }) => name),
  );
  for (const { usable, reason } of listed) assert.equal(usable, reason === null);
});

describe('the command itself', () => {
  test('help of every command says its exit codes', () => {
    for (const name of ['', 'demo', 'serve', 'get', 'put', 'ping', 'replay', 'machines', 'adapters']) {
      const { code, out } = wsdirect(...(name === '' ? [] : [name]), '--help');
      assert.equal(code, 0);
      assert.match(out, /Exit code/);
    }
  });

  test('help shows defaults as they would be typed', () => {
    assert.match(wsdirect('serve', '--help').out, /\(default:\s+127\.0\.0\.1:7471\)/);
    assert.match(wsdirect('check', '--help').out, /\(default: 4G\)/);
  });

  test('version', () => {
    const { code, out } = wsdirect('--version');
    assert.equal(code, 0);
    assert.match(out, /^\d+\.\d+\.\d+\n$/);
  });

  test('wrong usage', () => {
    assertRefused(['frobnicate'], /^wsdirect: unknown command 'frobnicate'\n\(see 'wsdirect help'\)\n$/);
    assertRefused(
      ['machines', '--no-such'],
      /^wsdirect: unknown option '--no-such'\n\(see 'wsdirect help machines'\)\n$/,
    );
    assert.equal(wsdirect().code, 2);
  });
});
