// Goal: `wsdirect check` judges journals and worlds from the command line, with the exit codes that its help names.
// Method: the command as a user runs it, on the journals of a demo.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, beforeAll, describe, test } from 'vitest';

const program = path.join(import.meta.dirname, 'wsdirect.js');
const folder = mkdtempSync(path.join(tmpdir(), 'wsdirect-cli-check-'));
afterAll(() => rmSync(folder, { recursive: true }));

function wsdirect(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { cwd: folder, encoding: 'utf8' });
  return { code: status, out: stdout, err: stderr };
}

describe('journals', () => {
  beforeAll(() => {
    assert.equal(wsdirect('demo', '--out', 'demo').code, 0);
  });

  test('of both ends: judged one by one and together', () => {
    const { code, out, err } = wsdirect('check', '--journal', 'demo/client.wsdj', 'demo/server.wsdj');
    assert.equal(code, 0, out + err);
    assert.match(out, /demo\/client\.wsdj: \d+ records; as a behaviour of the machines: equal\n/);
    assert.match(out, /\nS-03 +holds +at \d+ places\n/);
    assert.match(out, /\nS-17 +not judged +what peers do to memory is not in a journal\n/);
    assert.match(out, /both ends: 1 connection in common\n/);
    assert.match(out, /\nS-12 +holds +\d+ messages over one connection, /);
    assert.match(out, /\ncheck: the journals hold\n$/);
  });

  test('as JSON', () => {
    const { code, out } = wsdirect('check', '--journal', 'demo/client.wsdj', '--json');
    assert.equal(code, 0);
    const { good, journals, pair } = JSON.parse(out);
    assert.deepEqual([good, journals[0].isBehaviour, pair], [true, true, null]);
  });

  test('damaged: rejected, and nothing else is an answer', () => {
    const bytes = readFileSync(path.join(folder, 'demo/client.wsdj'));
    bytes[bytes.length - 200]! ^= 1;
    writeFileSync(path.join(folder, 'damaged.wsdj'), bytes);
    const { code, out } = wsdirect('check', '--journal', 'damaged.wsdj');
    assert.equal(code, 1);
    assert.match(out, /\ncheck: rejected; damaged\.wsdj: damaged from record \d+ .*\n$/);
  });

  test('of different runs: refused, since nothing follows from them together', () => {
    assert.equal(wsdirect('demo', '--out', 'other').code, 0);
    for (const other of ['other/server.wsdj', 'demo/client.wsdj']) {
      const { code, err } = wsdirect('check', '--journal', 'demo/client.wsdj', other);
      assert.equal(code, 2);
      assert.match(err, /^wsdirect: .* have no connection in common, .*: they are not both ends of one run\n$/);
    }
  });

  test.each([['--property', 'S-03'], ['--mutate'], ['--out', 'folder'], ['--workers', '2']])(
    'are not searched: %s is refused',
    (...option) => {
      const { code, err } = wsdirect('check', '--journal', 'demo/client.wsdj', ...option);
      assert.equal(code, 2);
      assert.match(err, /^wsdirect: option '--journal <files\.\.\.>' cannot be used with option '--/);
      assert.match(err, /\(see 'wsdirect help check'\)\n$/);
    },
  );

  test('that are none are refused in one line', () => {
    writeFileSync(path.join(folder, 'plain'), 'text');
    for (const [args, message] of [
      [['plain'], /^wsdirect: plain is not a journal\n$/],
      [['absent'], /^wsdirect: cannot read absent: no such file or folder\n$/],
    ] as const) {
      const { code, err } = wsdirect('check', '--journal', ...args);
      assert.equal(code, 2);
      assert.match(err, message);
    }
  });
});

describe('worlds', () => {
  test('one that holds, by one property', () => {
    const { code, out, err } = wsdirect('check', 'data, depth 1', '--property', 'S-03', '--workers', '2');
    assert.equal(code, 0, err);
    assert.match(out, /\d+ states, \d+ transitions, depth \d+/);
    assert.match(out, /\ncheck: 1 world: everything asked holds\n$/);
  });

  test('one that does not fit: exit code 3', () => {
    const { code, out } = wsdirect('check', 'close and call', '--property', 'S-03', '--max-memory', '1M');
    assert.equal(code, 3);
    assert.match(out, /OUT OF LIMITS: nothing is known of the rest/);
    assert.match(out, /\ncheck: 1 world: out of limits\n$/);
  });

  test('that are none are refused', () => {
    const { code, err } = wsdirect('check', 'nowhere');
    assert.equal(code, 2);
    assert.match(err, /^wsdirect: no world 'nowhere': one of\n/);
  });
});
