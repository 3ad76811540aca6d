// Goal: a journal that a driver wrote is a behaviour of the machines and breaks no statement; one that was tampered with
// is noticed.
// Method: journals of two hosts that move a file; each record in turn swapped, dropped, doubled or altered, with checksums
// made anew, so that only what the journal says can give it away.

import assert from 'node:assert/strict';

import { beforeAll, describe, test } from 'vitest';
import { compileMachines, productionLimits } from '../../machines/index.ts';
import { isDetail } from '../journal/format.ts';
import type { JournalContents } from '../journal/reader.ts';
import { fileJournals, recordWords, withRecords } from '../journal/test-journals.ts';
import { checkPair, checkTrace, type Trace } from './trace.ts';

type Records = number[][];

const isGood = ({ isBehaviour, broken }: Trace): boolean => isBehaviour && broken.length === 0;
const outcome = ({ judgements }: Pick<Trace, 'judgements'>, statement: string): string | undefined =>
  judgements.find((each) => each.statement === statement)?.outcome;

describe.each([false, true])('notify %s', (notify) => {
  let near: JournalContents;
  let far: JournalContents;
  beforeAll(() => {
    [near, far] = fileJournals(50_000, notify);
  });

  test('both journals are behaviours, and break nothing', () => {
    for (const contents of [near, far]) {
      const trace = checkTrace(contents);
      assert.equal(trace.verdict.type, 'equal');
      assert.deepEqual(trace.broken, []);
      const judged = ['S-01', 'S-03', 'S-04', 'S-07', 'S-08', 'S-09', 'S-10', 'S-13', 'S-20', 'S-30', 'S-34', 'S-35'];
      for (const statement of judged) assert.equal(outcome(trace, statement), 'holds', statement);
      assert.equal(outcome(trace, 'S-05'), notify ? 'holds' : 'vacuous');
      assert.equal(outcome(trace, 'S-17'), 'not judged');
    }
    assert.equal(outcome(checkTrace(near), 'S-25'), 'holds');
    for (const statement of ['S-21', 'S-22', 'S-23', 'S-24'])
      assert.equal(outcome(checkTrace(far), statement), 'holds');
  });

  test('together: one connection, the messages of one are those of the other', () => {
    const pair = checkPair(checkTrace(near), checkTrace(far));
    assert.deepEqual(pair.broken, []);
    assert.deepEqual([pair.isOneRun, pair.connections], [true, 1]);
    assert.equal(outcome(pair, 'S-12'), 'holds');
  });

  test('tampered records are noticed', () => {
    const records = recordWords(near);
    const peer = checkTrace(far);
    const tried = new Map<string, number>();
    const missed = new Map<string, number>();
    const count = (counts: Map<string, number>, name: string) => counts.set(name, (counts.get(name) ?? 0) + 1);
    const events = compileMachines(productionLimits).flatMap(({ name, events: mine }) =>
      mine.map((event) => ({ name: `${name}/${event.name}`, parameters: event.parameters.map((each) => each.name) })),
    );
    const demand = (kind: string, changed: Records, where = kind): void => {
      count(tried, kind);
      const trace = checkTrace(withRecords(near, changed));
      const pair = checkPair(trace, peer);
      const noticed = !isGood(trace) || pair.broken.length > 0 || !pair.isOneRun;
      if (!noticed) count(missed, where);
    };
    for (const [index, record] of records.entries()) {
      if (isDetail(record[0]!)) continue;
      const [before, after] = [records.slice(0, index), records.slice(index + 1)];
      const { name, parameters } = events[record[0]! & 0xffff]!;
      demand('dropped', [...before, ...after]);
      demand('doubled', [...before, record, record, ...after]);
      for (const word of [0, 1, 2, 3, 4, 5, 6]) {
        const altered = [...record];
        altered[word]! ^= 1;
        const what = word === 1 ? 'row' : word === 0 ? 'head' : (parameters[word - 2] ?? 'unused');
        demand('altered', [...before, altered, ...after], `altered ${name}, ${what}`);
      }
      const next = after[0];
      if (next === undefined || isDetail(next[0]!) || next.join() === record.join()) continue;
      const other = events[next[0]! & 0xffff]!.name;
      demand('swapped', [...before, next, record, ...after.slice(1)], `swapped ${name} with ${other}`);
    }
    const all = [...tried.values()].reduce((sum, each) => sum + each);
    const unseen = [...missed.values()].reduce((sum, each) => sum + each, 0);
    console.log(
      `${all - unseen} of ${all} tampered journals are noticed (${[...tried].map((each) => each.join(' ')).join(', ')})`,
    );
    for (const [what, times] of missed) console.log(`  not noticed ${times} times: ${what}`);
    assert.equal(missed.has('dropped') || missed.has('doubled'), false);
    // The rest are two steps that don't mind each other, and numbers that are only handed on to an effect.
    assert.ok(unseen <= all / 7, `${unseen} of ${all}`);
  });
});
