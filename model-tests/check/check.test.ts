// Goal: `wsdirect check` says what came of a world, ends with the right code, and a violation can be gone again: as a path,
// as a journal that is a behaviour of the machines, and as a picture.
// Method: worlds of the catalogue, with properties that break on purpose.

import { strict as assert } from 'node:assert';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, test } from 'vitest';
import { checkTrace } from '../../driver/check/trace.ts';
import type { CheckOptions } from '../../driver/cli/check.ts';
import { readJournal } from '../../driver/journal/reader.ts';
import { routes } from '../../machines/index.ts';
import { always, leadsTo, not, row, searchHashed } from '../explorer/index.ts';
import { type CatalogWorld, worlds } from '../worlds/index.ts';
import { checkWorlds } from './worlds.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'wsdirect-check-'));
afterAll(() => rmSync(folder, { recursive: true }));

const data = worlds.find(({ name }) => name === 'data, depth 1')!;
const done = row('overlapped', 0).in('done');
const broken: CatalogWorld = {
  ...data,
  name: data.name,
  properties: [
    always('S-99: nothing is ever done', not(done)),
    leadsTo('L-99: it is done without anybody doing it', not(done), done, []),
  ],
};
/** A request's end is told to its queue twice. */
const unexpected: CatalogWorld = {
  ...data,
  definition: {
    ...data.definition,
    routes: {
      ...routes,
      overlappedRequest: {
        ...routes.overlappedRequest,
        retire: [...routes.overlappedRequest['retire']!, { send: 'requestQueue/request.retired', to: 'queue' }],
      },
    },
  },
};
const defaults: CheckOptions = { workers: 1, maxMemory: 2 ** 28, out: folder };

async function check(
  catalogue: readonly CatalogWorld[],
  names: readonly string[],
  options: Partial<CheckOptions> = {},
) {
  let out = '';
  let err = '';
  const terminal = {
    write: (text: string): void => {
      out += text;
    },
    report: (text: string): void => {
      err += text;
    },
    interrupted: new AbortController().signal,
  };
  const code = await checkWorlds(terminal, names, { ...defaults, ...options }, catalogue);
  return { code, out, err };
}

describe('a world', () => {
  test('that holds: exit code 0', async () => {
    const { code, out } = await check(worlds, ['data, depth 1']);
    assert.equal(code, 0);
    assert.match(out, /data, depth 1: .*\n {2}1331 states, 3236 transitions, depth 18/);
    assert.match(out, /properties hold\n/);
  });

  test('alike with threads and reductions', async () => {
    for (const options of [{ workers: 2 }, { reduce: true }]) {
      assert.equal((await check(worlds, ['data, depth 1'], options)).code, 0);
    }
  });

  test('too large for its memory: exit code 3, and never "holds"', async () => {
    const { code, out } = await check(worlds, ['data, depth 2'], { maxMemory: 40_000 });
    assert.equal(code, 3);
    assert.match(out, /OUT OF LIMITS/);
    assert.doesNotMatch(out, /properties hold/);
  });

  test('too large for its memory, hashed: says that it proves nothing', async () => {
    const { code, out } = await check(worlds, ['data, depth 2'], { maxMemory: 40_000, hashed: true });
    assert.equal(code, 3);
    assert.match(out, /not exhaustive, it proves nothing/);
  });

  test('that is none is refused, with the names of those that are', async () => {
    await assert.rejects(check(worlds, ['nowhere']), /no world 'nowhere': one of\n[\s\S]* {2}data, depth 1\n/);
    await assert.rejects(
      check(worlds, ['networkEvents']),
      /'networkEvents' is a machine, and machines are searched in worlds: .* one of\n/,
    );
    await assert.rejects(
      check(worlds, ['data, depth 1'], { property: 'S-77' }),
      /nothing is asked under 'S-77' in these worlds; there is .*S-03, S-04/,
    );
  });

  test('that is violated says so where its files cannot be written, too', async () => {
    const file = path.join(folder, 'a-file');
    writeFileSync(file, '');
    for (const json of [false, true]) {
      const { code, out, err } = await check([broken], [], { out: path.join(file, 'below'), json });
      assert.equal(code, 1);
      assert.match(out, /S-99: nothing is ever done/);
      assert.match(err, /^wsdirect: cannot make folder .*a-file\/below: a part of its path is no folder\n/);
    }
  });

  test('as JSON', async () => {
    const { code, out } = await check([broken], [], { json: true });
    const result = JSON.parse(out);
    assert.equal(code, 1);
    assert.equal(result.worlds[0].states, 1331);
    assert.equal(result.worlds[0].verdicts[1].property, 'S-99: nothing is ever done');
    assert.equal(result.worlds[0].verdicts[1].holds, false);
  });
});

describe('a violation', () => {
  test('is printed and written, and can be gone again', async () => {
    const { code, out } = await check([broken], []);
    assert.equal(code, 1);
    const again = /again: npx wsdirect check 'data, depth 1' --replay '([^']*S-99[^']*)'/.exec(out);
    assert.ok(again !== null, out);
    const file = again[1]!;
    const { path: names } = JSON.parse(readFileSync(file, 'utf8'));
    for (const name of names) assert.ok(out.includes(name));
    // The call, with what came of it.
    assert.match(out, /events: .*socket 0 spi\.send polled 1 pieces 1/);
    assert.match(out, /overlapped 0: idle → pending/);
    const replayed = await check([broken], ['data, depth 1'], { replay: file });
    assert.equal(replayed.code, 1);
    assert.match(replayed.out, /replay: as it was/);
    // What the provider saw is a behaviour of the machines, and breaks no statement.
    const trace = checkTrace(readJournal(readFileSync(file.replace(/json$/, 'wsdj'))));
    assert.equal(trace.verdict.type, 'equal');
    assert.deepEqual(trace.broken, []);
    const diagram = readFileSync(file.replace(/json$/, 'mmd'), 'utf8');
    assert.match(diagram, /^sequenceDiagram\n/);
    for (const name of names) assert.ok(diagram.includes(`Note over switch,adapter: ${name}`), diagram);
  });

  test('by an event that nobody expects stops the search, and Spin stops there too', async () => {
    const { code, out } = await check([unexpected], [], { spin: true });
    assert.equal(code, 1);
    assert.match(out, /\n {2}STOPPED AT A VIOLATION: nothing is known of the rest\n/);
    assert.doesNotMatch(out, /OUT OF LIMITS|never happened/);
    const steps = out.match(/^ {2}\d+\. /gm)!.length;
    assert.match(out, new RegExp(`Spin.*(: stops after ${steps} steps, .*: agrees|: skipped: .* not installed)\\n`));
  });

  test('of a leads-to comes with what goes on for ever', async () => {
    const { out } = await check([broken], [], { property: 'L-99' });
    assert.match(out, /a run can stop before it \(without fairness\)/);
  });

  test('on a path of rules that are no more is refused', async () => {
    await assert.rejects(check([broken], ['data, depth 1'], { replay: path.join(folder, 'absent') }), /cannot read/);
  });
});

test('a hashed search finds what is broken, and calls itself what it is', () => {
  const { violation, text } = searchHashed(broken.definition, broken.properties, { memory: 2 ** 20, seconds: 20 });
  assert.equal(violation?.property, 'S-99: nothing is ever done');
  assert.match(text, /need not be the shortest/);
  const none = searchHashed(data.definition, data.properties, { memory: 2 ** 20, seconds: 20 });
  assert.equal(none.violation, null);
  assert.match(none.text, /not exhaustive/);
});
