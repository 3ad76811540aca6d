// Goal: the explorer counts what can be counted by hand, and each kind of property can hold and can break.
// Method: toy machines of a few states, with a provider that has no rows.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { setup } from 'xstate';
import * as chart from '../../machines/index.ts';
import {
  field,
  flag,
  implementations,
  initialContext,
  language,
  type MachineDefinition,
  range,
} from '../../machines/index.ts';
import {
  add,
  all,
  always,
  atMost,
  before,
  deadlock,
  equal,
  explore,
  type Formula,
  type Found,
  implies,
  leadsTo,
  less,
  not,
  type Property,
  replay,
  type Rule,
  row,
  sometimes,
  sum,
  transition,
  type WorldDefinition,
} from './index.ts';

/** Counts up to 3; `guarded` false lets it count beyond its range. */
function counter(guarded: boolean): MachineDefinition {
  const contract = { context: { n: field(range(0, 3)) }, events: { up: {} }, effects: {} } as const;
  const { context: c, when, update } = language(contract);
  const machine = setup(implementations(contract)).createMachine({
    id: 'counter',
    context: initialContext(contract),
    initial: 'counting',
    states: {
      counting: {
        on: {
          up: guarded
            ? { guard: when(chart.less(c.n, 3)), actions: update({ n: chart.add(c.n, 1) }) }
            : { actions: update({ n: chart.add(c.n, 1) }) },
        },
      },
    },
  });
  return { contract, machine };
}

/** A request that is served while the server is awake, a server that sleeps and wakes, and who may give up. */
function server(): MachineDefinition {
  const contract = {
    context: { awake: field(flag, 1) },
    events: { ask: {}, serve: {}, toggle: {}, close: {} },
    effects: { served: {} },
  } as const;
  const { context: c, when, update, effect } = language(contract);
  const toggle = { actions: update({ awake: chart.subtract(1, c.awake) }) };
  const machine = setup(implementations(contract)).createMachine({
    id: 'server',
    context: initialContext(contract),
    initial: 'idle',
    states: {
      idle: { on: { ask: 'asked', toggle } },
      asked: {
        on: {
          serve: { guard: when(chart.equal(c.awake, 1)), target: 'done', actions: effect('served', {}) },
          toggle,
          close: 'done',
        },
      },
      done: { on: {} },
    },
  });
  return { contract, machine };
}

const rule = (name: string, send: Rule['send'], row = 0, fair?: string): Rule => ({
  name,
  send,
  row,
  class: 'toy',
  ...(fair === undefined ? {} : { fair }),
});
const n = (counter: number): Formula => row('counter', counter).field('n');
const both = add(n(0), n(1));
const awake = row('server', 0).field('awake');
const counters = (guarded = true): WorldDefinition => ({
  name: 'counters',
  environment: { counter: counter(guarded) },
  rows: { counter: 2 },
  performs: {},
  drops: [],
  rules: [rule('first up', 'counter/up', 0), rule('second up', 'counter/up', 1)],
});
const servers = (...rules: Rule[]): WorldDefinition => ({
  name: 'server',
  environment: { server: server() },
  rows: { server: 1 },
  performs: {},
  drops: ['server/served'],
  rules: [rule('ask', 'server/ask'), ...rules],
});
const [serve, toggle, close] = [
  rule('serve', 'server/serve', 0, 'serve'),
  rule('toggle', 'server/toggle'),
  rule('close', 'server/close'),
];
const asked = row('server', 0).in('asked');
const done = row('server', 0).in('done');
const answered = (fair: readonly string[]): Property => leadsTo('who asks is answered', asked, done, fair);
const broken = (found: Found) => found.verdicts.filter(({ holds }) => !holds);
const names = (found: Found, rules: readonly number[]) => rules.map((index) => found.world.rules[index]!.name);

describe('counting', () => {
  test('two counters to 3: 16 states, 24 steps, 6 deep', () => {
    const found = explore(counters(), [
      always('never beyond 3', all(atMost(n(0), 3), atMost(n(1), 3))),
      sometimes('both full', all(equal(n(0), 3), equal(n(1), 3))),
      implies('a full first', equal(n(0), 3), less(2, n(0))),
      transition('only upwards', equal(both, sum(before(both), 1))),
      deadlock('ends full', equal(both, 6)),
    ]);
    found.assertProperties();
    assert.deepEqual(found.size, { states: 16, transitions: 24, depth: 6 });
    assert.deepEqual(found.unfired, []);
    assert.deepEqual(found.unreached, []);
    assert.equal(found.layout.bits, 4);
  });

  test('two searches are alike', () => {
    const property = sometimes('both full', all(equal(n(0), 3), equal(n(1), 3)));
    const [one, two] = [explore(counters(), [property]), explore(counters(), [property])];
    assert.deepEqual(one.verdicts, two.verdicts);
    assert.deepEqual(one.size, two.size);
  });

  test('what never happens is named', () => {
    const found = explore(servers(serve), []);
    assert.deepEqual(found.size, { states: 3, transitions: 2, depth: 2 });
    const all = explore({ ...servers(serve), rules: [toggle] }, []);
    assert.deepEqual(all.size, { states: 2, transitions: 2, depth: 1 });
    assert.deepEqual(all.unreached, ['server: asked', 'server: done']);
    assert.deepEqual(explore({ ...servers(serve), rules: [serve] }, []).unfired, ['serve']);
  });

  test('a search that does not fit says so', () => {
    const never = always('never 3', less(n(0), 3));
    const found = explore({ ...counters(), rows: { counter: 8 }, rules: manyRules() }, [never, sometimes('1', n(0))], {
      memoryMax: 60_000,
    });
    assert.equal(found.complete, false);
    assert.ok(found.bytes <= 60_000);
    // What was broken before memory ran out is broken; what was shown is shown; the rest is not known to hold.
    assert.deepEqual(
      found.verdicts.map(({ holds, unknown }) => (unknown ? 'unknown' : holds)),
      ['unknown', false, true],
    );
    const rest = explore({ ...counters(), rows: { counter: 8 }, rules: manyRules() }, [], { memoryMax: 60_000 });
    assert.throws(() => rest.assertProperties(), /nothing is known/);
  });

  test('a search can end at the first violation', () => {
    const found = explore(counters(), [always('never 2', less(n(0), 2)), always('never 3', less(n(0), 3))], {
      stopWhenBroken: true,
    });
    assert.equal(found.complete, false);
    assert.deepEqual(
      found.verdicts.map(({ unknown }) => unknown),
      [true, false, true],
    );
    assert.equal(found.verdicts[1]!.path.length, 2);
  });
  const manyRules = () => Array.from({ length: 8 }, (_, row) => rule(`${row} up`, 'counter/up', row));
});

describe('a property that breaks comes with a shortest path', () => {
  test('always', () => {
    const found = explore(counters(), [always('never 2 and 1', not(all(equal(n(0), 2), equal(n(1), 1))))]);
    assert.equal(broken(found)[0]!.path.length, 3);
    assert.throws(() => found.assertProperties(), /counter 0: n 0 → 1/);
    const last = replay(found.world.definition, broken(found)[0]!.path).at(-1)!;
    assert.equal(last.error, undefined);
  });

  test('sometimes', () => {
    const found = explore(counters(), [sometimes('seven', equal(both, 7))]);
    assert.equal(broken(found)[0]!.because, 'never');
  });

  test('implies, also when its left side never holds', () => {
    const found = explore(counters(), [
      implies('2 is 3', equal(n(0), 2), equal(n(0), 3)),
      implies('of nothing', less(3, n(0)), 1),
    ]);
    assert.deepEqual(
      broken(found).map(({ because, path }) => [because, path.length]),
      [
        ['broken', 2],
        ['its left side never holds', 0],
      ],
    );
  });

  test('transition', () => {
    const found = explore(counters(), [transition('the second stays below', less(n(1), 2))]);
    assert.deepEqual(names(found, broken(found)[0]!.path), ['second up', 'second up']);
  });

  test('deadlock', () => {
    const found = explore(servers(serve, toggle), [deadlock('ends awake', awake)]);
    found.assertProperties();
    const asleep = explore(servers(close, toggle), [deadlock('ends awake', awake)]);
    assert.equal(broken(asleep)[0]!.path.length, 3);
  });

  test('a value outside its range', () => {
    const found = explore(counters(false), []);
    assert.match(broken(found)[0]!.because, /counter 0: n is 4, outside its range/);
    assert.equal(broken(found)[0]!.path.length, 4);
    assert.match(replay(found.world.definition, broken(found)[0]!.path).at(-1)!.error!, /outside its range/);
  });

  test('an event that nobody expects', () => {
    const found = explore(
      {
        ...servers(serve),
        environment: { server: server(), counter: counter(true) },
        rows: { server: 1, counter: 1 },
        performs: { 'server/served': [{ send: 'counter/up', to: 'self' }] },
        drops: [],
        rules: [rule('ask', 'server/ask'), serve, rule('up', 'counter/up')],
      },
      [],
    );
    assert.match(broken(found)[0]!.because, /counter 0: up in state 'counting'/);
    assert.equal(broken(found)[0]!.path.length, 5);
  });

  test('a row that the world does not have', () => {
    const found = explore(
      {
        ...servers(serve),
        environment: { server: server(), counter: counter(true) },
        performs: { 'server/served': [{ send: 'counter/up', to: 2 }] },
        drops: [],
      },
      [],
    );
    assert.match(broken(found)[0]!.because, /counter: row 2 is not in the world/);
  });

  test('an effect that nobody performs is no world', () => {
    assert.throws(() => explore({ ...servers(serve), drops: [] }, []), /nobody performs server\/served/);
    assert.throws(
      () => explore({ ...servers(serve), drops: ['server/served', 'other'] }, []),
      /no effect is called other/,
    );
  });
});

describe('leads to', () => {
  test('holds only with fairness', () => {
    const unfair = explore(servers(serve), [answered([])]);
    assert.equal(broken(unfair).length, 1);
    explore(servers(serve), [answered(['serve'])]).assertProperties();
  });

  // A search for real cycles alone would say that it holds: from here on only the application can act, and need not.
  test('a run may stop where no fair rule can happen', () => {
    const found = explore(servers({ ...serve, send: 'server/toggle', name: 'toggle' }, close), [answered(['serve'])]);
    assert.equal(broken(found).length, 1);
    const stops = explore({ ...servers(close), rules: [rule('ask', 'server/ask', 0, 'ask'), close] }, [
      answered(['ask']),
    ]);
    assert.match(broken(stops)[0]!.because, /a run can stop before it/);
    assert.deepEqual(names(stops, broken(stops)[0]!.path), ['ask']);
    assert.deepEqual(broken(stops)[0]!.cycle, []);
  });

  test('weak fairness does not help who is put off again and again', () => {
    const found = explore(servers(serve, { ...toggle, fair: 'toggle' }), [answered(['serve', 'toggle'])]);
    const [verdict] = broken(found);
    assert.match(verdict!.because, /a run can go on without it \(fair: serve, toggle\)/);
    assert.deepEqual(names(found, verdict!.cycle), ['toggle', 'toggle']);
    assert.match(found.report(verdict!), /for ever/);
  });

  test('of nothing', () => {
    const found = explore({ ...servers(serve), rules: [serve] }, [answered(['serve'])]);
    assert.equal(broken(found)[0]!.because, 'its left side never holds');
  });
});
