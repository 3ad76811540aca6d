// Goal: the dispatcher steps, records and performs each event to its end, in that order, and makes up-calls in theirs.
// Method: the real machines, performers and a journal that write down what they are given.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { compileMachines, explorationLimits, InvariantError, routes, snapshotOf, WSA } from '../machines/index.ts';
import { Dispatcher, type Performer } from './dispatcher.ts';
import type { Journal } from './journal/journal.ts';

const machines = compileMachines(explorationLimits);

/** A dispatcher that nothing is behind, with what it did: records as `+event`, effects by name. */
function bench(
  options: { readonly nowUs?: () => number; readonly effects?: Readonly<Record<string, Performer>> } = {},
) {
  const told: string[] = [];
  const records: number[][] = [];
  const journal = {
    append: (...words: number[]) => {
      records.push(words);
      told.push(`+${words[0]! & 0xffff}`);
    },
  } as unknown as Journal;
  const dispatcher = new Dispatcher(machines, () => journal, options.nowUs ?? (() => 7));
  const performers: Record<string, Performer> = {};
  for (const machine of machines) {
    for (const { name } of machine.effects) {
      if (!dispatcher.system.reachesDriver(machine.name as 'socket', name)) continue;
      performers[`${machine.name}/${name}`] = (row) => void told.push(`${name} ${row}`);
    }
  }
  for (const machine of machines) delete performers[`${machine.name}/answer`];
  performers['answer'] = (_row, error) => dispatcher.answer(error);
  Object.assign(performers, options.effects);
  return { dispatcher, told, records, performers, journal };
}
type Bench = ReturnType<typeof bench>;

function connected(
  options: Parameters<typeof bench>[0] = {},
  notify: (request: number) => boolean = () => true,
): Bench {
  const made = bench(options);
  made.dispatcher.connect(made.performers, notify);
  return made;
}

describe('performers', () => {
  test('are there for every effect that reaches the driver', () => {
    const { dispatcher, performers } = bench();
    delete performers['socket/startConnect'];
    assert.throws(
      () => dispatcher.connect(performers, () => true),
      /^Error: nobody performs effect socket\/startConnect$/,
    );
  });

  test('and for no other', () => {
    const { dispatcher, performers } = bench();
    performers['socket/fly'] = () => {};
    performers['sail'] = () => {};
    assert.throws(
      () => dispatcher.connect(performers, () => true),
      /^Error: no machine has the effects socket\/fly, sail$/,
    );
  });

  test('are other ones where effects go other ways', () => {
    const { performers, journal } = bench();
    const { provider: _, ...others } = routes;
    const dispatcher = new Dispatcher(
      machines,
      () => journal,
      () => 7,
      { routes: others },
    );
    assert.throws(() => dispatcher.connect(performers, () => true), /^Error: nobody performs effect provider\//);
  });

  test('one for all machines serves those that have none of their own', () => {
    const { dispatcher } = connected();
    assert.equal(dispatcher.call(dispatcher.event('provider', 'spi.cleanup'), 0), WSA.WSANOTINITIALISED);
  });
});

describe('an event', () => {
  test('is recorded before its effects are performed, and what they report within them', () => {
    const { dispatcher, told } = connected();
    const [startup, opened] = [
      dispatcher.event('provider', 'spi.startup'),
      dispatcher.event('provider', 'adapter.opened'),
    ];
    dispatcher.apply(startup, 0, 0);
    assert.deepEqual(told, [`+${startup}`, 'openAdapter 0']);
    dispatcher.apply(opened, 0);
    assert.deepEqual(told.slice(2), [`+${opened}`]);
    assert.equal(dispatcher.refusal, 0);
  });

  test('has in its record where it led and how many effects came of it, with its parameters', () => {
    const { dispatcher, records } = connected();
    const startup = dispatcher.event('provider', 'spi.startup');
    dispatcher.apply(startup, 0, WSA.WSAEFAULT, 2, 3, 4, 5);
    dispatcher.apply(startup, 0);
    const opening = dispatcher.system.machines[0]!.configurations.indexOf('opening');
    assert.deepEqual(records, [
      [startup | (1 << 24), 0, WSA.WSAEFAULT, 2, 3, 4, 5, 7],
      [startup | (opening << 16) | (1 << 24), 0, 0, 0, 0, 0, 0, 7],
    ]);
  });

  test('changes the system, of which the journal may ask for all there is', () => {
    const { dispatcher, journal } = connected();
    const before = dispatcher.snapshot();
    dispatcher.apply(dispatcher.event('provider', 'spi.startup'), 0, 0);
    assert.deepEqual(dispatcher.snapshot(), snapshotOf(dispatcher.system));
    assert.notDeepEqual(dispatcher.snapshot(), before);
    assert.equal(dispatcher.journal, journal);
  });

  test('that a machine does not expect is neither recorded nor performed', () => {
    const { dispatcher, told } = connected();
    assert.throws(() => dispatcher.apply(dispatcher.event('provider', 'adapter.closed'), 0), InvariantError);
    assert.deepEqual(told, []);
  });

  test('and the effects of one inside it are each performed once, in order', () => {
    const order: string[] = [];
    const made: Bench = connected({
      effects: {
        'socket/createSwitchHandle': (row) => {
          order.push('create');
          made.dispatcher.apply(made.dispatcher.event('socket', 'upcall.handleCreated'), row);
          order.push('created');
        },
      },
    });
    const { dispatcher, records } = made;
    dispatcher.apply(dispatcher.event('provider', 'spi.startup'), 0, 0);
    dispatcher.apply(dispatcher.event('provider', 'adapter.opened'), 0);
    assert.equal(dispatcher.call(dispatcher.event('socket', 'spi.socket'), 1), 0);
    assert.deepEqual(order, ['create', 'created']);
    // Of the three before the last, opening the adapter and each answer; of the last, the answer to the call.
    assert.deepEqual(
      records.map(([word]) => word! >>> 24),
      [1, 1, 1, 1],
    );
    assert.equal(dispatcher.system.effects.top, 0);
    assert.equal(dispatcher.system.rows[1]!.stateName(1), 'created');
  });
});

describe('a call', () => {
  test('gets the first answer', () => {
    const made: Bench = connected({
      effects: {
        'provider/openAdapter': () => {
          made.dispatcher.answer(WSA.WSASYSNOTREADY);
          made.dispatcher.answer(0);
        },
      },
    });
    assert.equal(made.dispatcher.call(made.dispatcher.event('provider', 'spi.startup'), 0, 0), WSA.WSASYSNOTREADY);
  });

  test('inside another has an answer of its own', () => {
    const outer = connected();
    const startup = outer.dispatcher.event('provider', 'spi.startup');
    outer.performers['answer'] = (_row, error) => {
      outer.dispatcher.answer(error);
      if (error === WSA.WSAEFAULT)
        assert.equal(outer.dispatcher.call(startup, 0, WSA.WSAVERNOTSUPPORTED), WSA.WSAVERNOTSUPPORTED);
    };
    outer.dispatcher.connect(outer.performers, () => true);
    assert.equal(outer.dispatcher.call(startup, 0, WSA.WSAEFAULT), WSA.WSAEFAULT);
  });

  test('that nobody answers is a fault of the machines', () => {
    const { dispatcher } = connected();
    assert.throws(
      () => dispatcher.call(dispatcher.event('provider', 'spi.startup'), 0, 0),
      (error) =>
        error instanceof InvariantError &&
        /provider 0: a call that nobody answered in state 'opening'/.test(error.message),
    );
  });
});

describe('completion up-calls', () => {
  test('are made oldest first, a bounded number at a time', () => {
    const made: number[] = [];
    const { dispatcher } = connected({}, (request) => made.push(request) > 0);
    for (const request of [5, 3, 9, 1]) dispatcher.requestNotification(request);
    assert.equal(dispatcher.dueCount, 4);
    assert.equal(dispatcher.deliver(0), 0);
    assert.equal(dispatcher.deliver(1), 1);
    assert.deepEqual(made, [5]);
    assert.equal(dispatcher.dueCount, 3);
    assert.equal(dispatcher.deliver(), 3);
    assert.deepEqual(made, [5, 3, 9, 1]);
    assert.equal(dispatcher.dueCount, 0);
    assert.equal(dispatcher.deliver(), 0);
  });

  test('that have to wait keep their place', () => {
    const made: number[] = [];
    let busy: readonly number[] = [2, 4];
    const { dispatcher } = connected({}, (request) => {
      if (busy.includes(request)) return false;
      made.push(request);
      return true;
    });
    for (const request of [1, 2, 3, 4, 5]) dispatcher.requestNotification(request);
    assert.equal(dispatcher.deliver(2), 2);
    assert.deepEqual(made, [1, 3]);
    assert.equal(dispatcher.dueCount, 3);
    busy = [];
    dispatcher.requestNotification(6);
    assert.equal(dispatcher.deliver(), 4);
    assert.deepEqual(made, [1, 3, 2, 4, 5, 6]);
  });

  test('that become due inside one are made too', () => {
    const made: number[] = [];
    const bed: Bench = connected({}, (request) => {
      made.push(request);
      if (request < 3) bed.dispatcher.requestNotification(request + 1);
      return true;
    });
    bed.dispatcher.requestNotification(0);
    assert.equal(bed.dispatcher.deliver(), 4);
    assert.deepEqual(made, [0, 1, 2, 3]);
  });

  test('that fall due where none was are told of', () => {
    const { dispatcher } = connected({}, () => true);
    const told: number[] = [];
    dispatcher.whenDue = () => told.push(dispatcher.dueCount);
    dispatcher.requestNotification(1);
    dispatcher.requestNotification(2);
    dispatcher.deliver(1);
    dispatcher.requestNotification(3);
    dispatcher.deliver();
    dispatcher.requestNotification(4);
    assert.deepEqual(told, [1, 1]);
  });

  test('that all have to wait are not asked for ever', () => {
    const { dispatcher } = connected({}, () => false);
    dispatcher.requestNotification(1);
    dispatcher.requestNotification(2);
    assert.equal(dispatcher.deliver(), 0);
    assert.equal(dispatcher.dueCount, 2);
  });
});

describe('the time of records', () => {
  const startup = (dispatcher: Dispatcher): void =>
    dispatcher.apply(dispatcher.event('provider', 'spi.startup'), 0, WSA.WSAEFAULT);

  test('is read once for each call, with its first record', () => {
    let reads = 0;
    const { dispatcher, records } = connected({ nowUs: () => ++reads });
    dispatcher.tick();
    dispatcher.tick();
    assert.equal(reads, 0);
    startup(dispatcher);
    startup(dispatcher);
    dispatcher.tick();
    startup(dispatcher);
    assert.deepEqual(
      records.map((words) => words[7]),
      [1, 1, 2],
    );
  });

  test('is read after turns in which nothing happened, and after many in which something did', () => {
    let reads = 0;
    const { dispatcher, records } = connected({ nowUs: () => ++reads });
    const timeOfNext = (): number => {
      startup(dispatcher);
      return records.at(-1)![7]!;
    };
    assert.equal(timeOfNext(), 1);
    dispatcher.beginTurn();
    assert.equal(timeOfNext(), 1);
    // The first of these follows a turn with a record.
    for (let turn = 0; turn < 3; turn++) dispatcher.beginTurn();
    assert.equal(timeOfNext(), 1);
    for (let turn = 0; turn < 4; turn++) dispatcher.beginTurn();
    assert.equal(timeOfNext(), 2);
    let turns = 0;
    for (let time = 2; time === 2 && turns < 1000; turns++) {
      dispatcher.beginTurn();
      time = timeOfNext();
    }
    assert.equal(turns, 64);
  });
});
