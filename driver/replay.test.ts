import assert from 'node:assert/strict';

import { describe, test } from 'vitest';

import { compileMachines, digestOf, explorationLimits, machineNames, productionLimits } from '../machines/index.ts';
import type { Host } from './client/host.ts';
import { toSequenceDiagram } from './diagram.ts';
import { isDetail } from './journal/format.ts';
import { memorySink } from './journal/journal.ts';
import { type JournalContents, readJournal } from './journal/reader.ts';
import { fileJournals, moveFile, recordWords, withRecords } from './journal/test-journals.ts';
import {
  callText,
  effectText,
  type ReplayedDetail,
  type ReplayedRecord,
  ReplayError,
  replayJournal,
  valueText,
  verdictText,
} from './replay.ts';

/** The connecting host's journal of a file that is moved. */
const fileRun = (notify = false): JournalContents => fileJournals(50_000, notify)[0];

/** Moves a file while the connecting host keeps a ring, which is read at every turn. */
function ringRun(size: number, ringRecords: number, use: (contents: JournalContents) => void, notify = false): void {
  const watch = ({ provider }: Host): void => {
    const sink = memorySink();
    provider.dumpJournal(sink);
    use(readJournal(sink.bytes()));
  };
  moveFile(size, [{ mode: 'ring', ringRecords }, null], { notify, watch });
}

/** `contents` with its records changed. */
function changed(contents: JournalContents, change: (records: number[][]) => void): JournalContents {
  const records = recordWords(contents);
  change(records);
  return withRecords(contents, records);
}

const recordsOf = (contents: JournalContents): ReplayedRecord[] => {
  const found: ReplayedRecord[] = [];
  replayJournal(contents, { onRecord: (record) => found.push(record) });
  return found;
};

describe('a journal that is as it was written', () => {
  test.each([{ notify: false }, { notify: true }])('file mode, notify $notify: equal', ({ notify }) => {
    const contents = fileRun(notify);
    const details: ReplayedDetail[] = [];
    const records: ReplayedRecord[] = [];
    const replayed = replayJournal(contents, {
      onRecord: (record) => records.push(record),
      onDetail: (detail) => details.push(detail),
    });
    assert.equal(verdictText(replayed.verdict), 'equal');
    assert.equal(replayed.records, contents.records.count);
    assert.equal(replayed.steps, records.length);
    assert.equal(records.length + details.length, contents.records.count);
    assert.deepEqual(
      details.map(({ kind, address: { address, port } }) => `${kind} ${address} ${port}`),
      ['localAddress 10.0.0.1 4000', 'remoteAddress 10.0.0.2 7000'],
    );
    const sent = records.find(({ event }) => event === 'spi.send')!;
    assert.deepEqual(Object.keys(sent.parameters), ['request', 'polled', 'fence', 'pieces', 'refusal']);
    assert.equal(sent.parameters['polled'], notify ? 0 : 1);
    assert.equal(sent.before, 'connected.active');
    const completed = records.find(
      ({ machine, row }) => machine === 'overlappedRequest' && row === sent.parameters['request'],
    )!;
    assert.equal(completed.socket, sent.row);
    assert.equal(replayed.machineSteps.socket > 0, true);
  });

  // A small ring takes its snapshots in the middle of everything.
  test.each([2, 16, 50, 1024, 65_536])('ring mode with %i records, dumped at every turn: equal', (ringRecords) => {
    for (const notify of [false, true]) {
      const bases = new Set<string>();
      const use = (contents: JournalContents): void => {
        bases.add(contents.metadata.base);
        assert.equal(verdictText(replayJournal(contents).verdict), 'equal');
      };
      ringRun(100_000, ringRecords, use, notify);
      assert.equal(bases.has('snapshot'), ringRecords < 1024);
    }
  });

  test('a step has what went into it and what came of it', () => {
    const contents = fileRun();
    const records = recordsOf(contents);
    assert.deepEqual(
      records.map(({ step }) => step),
      records.map((_, index) => index),
    );
    const { timeUs: _, ...connect } = records.find(({ event }) => event === 'spi.connect')!;
    const { sequence, step, row } = connect;
    assert.deepEqual(connect, {
      sequence,
      step,
      machine: 'socket',
      row,
      event: 'spi.connect',
      parameters: {},
      before: 'bound.idle',
      after: 'connecting.starting',
      effects: [{ machine: 'socket', row, effect: 'startConnect', parameters: {} }],
      socket: row,
    });
    const send = records.find(({ event }) => event === 'spi.send')!;
    const { request } = send.parameters;
    assert.deepEqual(
      send.effects.find(({ effect }) => effect === 'postWork'),
      { machine: 'overlappedRequest', row: request, effect: 'postWork', parameters: { fence: 0, pieces: 1 } },
    );
    assert.deepEqual(send.effects.at(-1)?.effect, 'answer');
    // The clock of the simulated network goes on, and the last word of a record is its time.
    assert.deepEqual(
      records.map(({ timeUs }) => timeUs),
      records.map((record) => contents.records.word(record.sequence, 7)),
    );
    assert.ok(records.at(-1)!.timeUs > records[0]!.timeUs);
  });

  test('a step is told once it is found to be as recorded, with the state that it led to', () => {
    const contents = fileRun();
    let told = 0;
    replayJournal(contents, {
      onRecord: ({ machine, row, after, before }, system) => {
        const rows = system.rows[machineNames.indexOf(machine)]!;
        // The row of a machine that has ended is a new one's.
        assert.ok(rows.stateName(row) === after, `${before} ${after}`);
        told++;
      },
    });
    assert.ok(told > 100);
  });

  test('a step is about a socket, or about none', () => {
    const [, contents] = fileJournals(50_000);
    const found: ReplayedRecord[] = [];
    const { verdict } = replayJournal(contents, { onRecord: (record) => found.push(record) });
    assert.equal(verdict.type, 'equal');
    const about = (machine: string) => [
      ...new Set(found.filter((record) => record.machine === machine).map(({ socket }) => socket)),
    ];
    const [listener, accepted] = [0, 1];
    assert.deepEqual(about('provider'), [null]);
    assert.deepEqual(about('socket').toSorted(), [listener, accepted]);
    assert.deepEqual(about('networkEvents'), [listener]);
    assert.deepEqual(about('connectionRequest'), [listener]);
    for (const machine of ['overlappedRequest', 'registeredBuffer']) {
      assert.deepEqual(about(machine), [accepted], machine);
    }
  });

  // The rows that were in use before the snapshot are known from its lists.
  test('and so it is in a ring that begins with a snapshot', () => {
    const expected = new Map(recordsOf(fileRun()).map((record) => [record.sequence, record]));
    let compared = 0;
    ringRun(50_000, 16, (contents) => {
      if (contents.snapshot === undefined) return;
      const { steps, machineSteps } = replayJournal(contents, {
        onRecord: (record) => {
          const { socket, step, before, after } = expected.get(record.sequence)!;
          assert.deepEqual([record.socket, record.step, record.before, record.after], [socket, step, before, after]);
          compared++;
        },
      });
      assert.ok(steps <= contents.records.count);
      // Since the system began.
      assert.ok(Object.values(machineSteps).reduce((sum, count) => sum + count, 0) > steps);
    });
    assert.ok(compared > 20);
  });

  test('until is a number of the journal, in a ring too', () => {
    const expected = new Map(recordsOf(fileRun()).map((record) => [record.sequence, record]));
    let stopped = 0;
    ringRun(50_000, 16, (contents) => {
      const { firstSequence, count } = contents.records;
      if (firstSequence === 0 || count < 2) return;
      const until = firstSequence + count - 1;
      const { verdict, records, system } = replayJournal(contents, { until });
      assert.deepEqual([verdict, records], [{ type: 'stopped', before: until }, count - 1]);
      const next = expected.get(until);
      if (next !== undefined) {
        const rows = system.rows[machineNames.indexOf(next.machine)]!;
        assert.equal(next.row < rows.used ? rows.stateName(next.row) : next.before, next.before);
      }
      stopped++;
    });
    assert.ok(stopped > 0, `${stopped}`);
  });

  test('until: the state before that record', () => {
    const contents = fileRun();
    const connected = recordsOf(contents).find(({ after }) => after === 'connected.active')!;
    for (const [until, state] of [
      [connected.sequence, connected.before],
      [connected.sequence + 1, 'connected.active'],
    ] as const) {
      const { verdict, records, system } = replayJournal(contents, { until });
      assert.deepEqual(verdict, { type: 'stopped', before: until });
      assert.equal(records, until);
      assert.equal(system.rows[1]!.stateName(connected.row), state);
    }
    assert.equal(replayJournal(contents, { until: 1e9 }).verdict.type, 'equal');
    const { verdict, records, steps } = replayJournal(contents, { until: -1 });
    assert.deepEqual([verdict, records, steps], [{ type: 'stopped', before: -1 }, 0, 0]);
  });
});

/** What `make` gives, made when it is first asked for: by a test, which is then what fails. */
function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

const journal = lazily(fileRun);

describe('a journal that was changed', () => {
  const original = lazily(() => recordsOf(journal()));
  const at = (event: string) => original().find((record) => record.event === event)!;

  /** What the replay says of `change`, or null when it found nothing. */
  const divergence = (change: (records: number[][]) => void) => {
    const { verdict } = replayJournal(changed(journal(), change));
    return verdict.type === 'divergent' ? verdict : null;
  };

  test('a flipped parameter is found at its record, or at the first that shows it', () => {
    const bind = at('adapter.completed');
    const found = divergence((records) => {
      records[bind.sequence]![1]! += 1000;
    })!;
    assert.equal(found.sequence, bind.sequence);
    assert.equal(found.machine, 'overlappedRequest');
    assert.equal(found.row, bind.row + 1000);
    assert.equal(found.event, 'adapter.completed');
    const send = at('spi.send');
    const refused = divergence((records) => {
      records[send.sequence]![6] = 10014;
    })!;
    assert.equal(refused.sequence, send.sequence);
    assert.match(refused.expected, /effects: [2-9]/);
    assert.match(refused.found, /effects: 1/);
  });

  test('a parameter outside of what the event takes', () => {
    const send = at('spi.send');
    const found = divergence((records) => {
      records[send.sequence]![3] = 2;
    })!;
    assert.equal(found.sequence, send.sequence);
    assert.equal(found.expected, 'polled 2');
    assert.equal(found.found, 'the event takes no such polled');
  });

  test('a row in a parameter that nobody can have given out; a number of bytes may be any', () => {
    const send = at('spi.send');
    const found = divergence((records) => {
      records[send.sequence]![2] = 1_000_000;
    })!;
    assert.equal(found.sequence, send.sequence);
    assert.match(found.found, /no such request/);
    const completed = original().find(
      ({ event, parameters }) => event === 'adapter.completed' && 'bytes' in parameters,
    )!;
    const word = 2 + Object.keys(completed.parameters).indexOf('bytes');
    const other = divergence((records) => {
      records[completed.sequence]![word] = 0xffff_ffff;
    });
    assert.equal(other, null);
  });

  test('another state, or another number of effects', () => {
    const bind = at('spi.bind');
    const state = divergence((records) => {
      records[bind.sequence]![0]! |= 0xff_0000;
    })!;
    assert.deepEqual([state.sequence, state.step], [bind.sequence, bind.step]);
    assert.equal(state.expected, "state '255', effects: 1");
    assert.equal(state.found, `state '${bind.after}', effects: 1`);
    const effects = divergence((records) => {
      records[bind.sequence]![0]! += 0x0100_0000;
    })!;
    assert.equal(effects.expected, `state '${bind.after}', effects: 2`);
    assert.equal(effects.found, `state '${bind.after}', effects: 1`);
  });

  test('a number in the place of a parameter that the event does not have', () => {
    const bind = at('spi.bind');
    const found = divergence((records) => {
      records[bind.sequence]![4] = 1;
    })!;
    assert.equal(found.sequence, bind.sequence);
    assert.equal(found.expected, '1 in word 4');
    assert.equal(found.found, 'the event has no such parameter, so it would be 0');
  });

  test('a dropped record', () => {
    const { sequence } = at('upcall.handleCreated');
    const found = divergence((records) => records.splice(sequence, 1))!;
    assert.ok(found.sequence >= sequence);
    assert.match(found.found, /not accepted: socket 0: spi\.\w+ in state 'opening'|effects/);
  });

  test('a doubled record', () => {
    const { sequence, row } = at('adapter.established');
    const found = divergence((records) => records.splice(sequence, 0, records[sequence]!))!;
    assert.equal(found.sequence, sequence + 1);
    assert.equal(found.event, 'adapter.established');
    assert.equal(found.row, row);
    assert.match(
      verdictText(found),
      /^divergence at record \d+ \(step \d+\), socket 0, adapter\.established: the journal says .*; found: /,
    );
  });

  test('two swapped records', () => {
    const { sequence } = at('adapter.connectStarted');
    const found = divergence((records) => {
      const other = records.findIndex((record, index) => index > sequence && !isDetail(record[0]!));
      [records[sequence], records[other]] = [records[other]!, records[sequence]!];
    })!;
    assert.ok(found.sequence >= sequence);
  });

  test('every dropped event is found, even one that left no trace in the state', () => {
    const missed = original().filter(({ sequence }) => {
      const { verdict } = replayJournal(changed(journal(), (records) => records.splice(sequence, 1)));
      return verdict.type === 'equal';
    });
    assert.deepEqual(
      missed.map(({ machine, event }) => `${machine} ${event}`),
      [],
    );
  });

  test('an event of no machine, and a row beyond reason', () => {
    const event = divergence((records) => {
      records[3]![0] = (records[3]![0]! & 0xffff_0000) | 0xfffe;
    })!;
    assert.equal(event.machine, null);
    assert.match(verdictText(event), /record 3 .*event 65534.*events 0 to \d+/);
    const row = divergence((records) => {
      records[3]![1] = 0xffff_ffff;
    })!;
    assert.equal(row.expected, 'row 4294967295');
    assert.match(row.found, /^rows up to \d+ can be known by then$/);
  });

  test('another final digest', () => {
    const { verdict } = replayJournal({ ...journal(), digest: journal().digest!.map((byte) => byte ^ 1) });
    assert.equal(verdict.type, 'otherDigest');
  });

  test('no trailer: not closed', () => {
    const { digest: _, ...open } = journal();
    const { verdict, records } = replayJournal({ ...open, closed: false });
    assert.equal(verdict.type, 'notClosed');
    assert.equal(records, journal().records.count);
  });

  test('damage is told after all before it was replayed', () => {
    const sink = memorySink();
    moveFile(50_000, [{ mode: 'file', sink }, null]);
    const bytes = sink.bytes();
    const cut = readJournal(bytes.subarray(0, bytes.length - 60));
    assert.notEqual(cut.damage, null);
    const { verdict, records } = replayJournal(cut);
    assert.equal(verdict.type, 'damaged');
    assert.equal(records, cut.records.count);
  });
});

describe('a journal that these machines did not make', () => {
  test('another digest of machines', () => {
    const foreign = { ...journal(), metadata: { ...journal().metadata, machinesDigest: 'c0ffee' } };
    assert.throws(
      () => replayJournal(foreign),
      (error) =>
        error instanceof ReplayError &&
        error.message.includes('another version of the machines: theirs have digest c0ffee, these have ') &&
        error.message.includes(digestOf(compileMachines(productionLimits))),
    );
  });

  test('limits that are no limits', () => {
    for (const queueDepth of [0, -1, 1.5, 2 ** 53]) {
      const limits = { ...productionLimits, queueDepth };
      assert.throws(() => replayJournal({ ...journal(), metadata: { ...journal().metadata, limits } }), {
        name: 'ReplayError',
        message: `the journal's limit queueDepth is ${queueDepth}: no machines can be made for it`,
      });
    }
  });

  test('limits that the machines were not made for', () => {
    const other = { ...journal(), metadata: { ...journal().metadata, limits: { ...explorationLimits } } };
    assert.throws(() => replayJournal(other), /another version of the machines/);
    const { queueDepth: _, ...fewer } = productionLimits;
    const missing = { ...journal(), metadata: { ...journal().metadata, limits: fewer } };
    assert.throws(() => replayJournal(missing), { name: 'ReplayError', message: /limit queueDepth is missing/ });
  });

  test('a snapshot that is none', () => {
    const broken = { ...journal(), snapshot: { sequence: 0, bytes: new Uint8Array(8) } };
    assert.throws(() => replayJournal(broken), { name: 'ReplayError', message: /snapshot can't be restored/ });
  });
});

describe('in words', () => {
  test('a verdict is one line', () => {
    for (const [verdict, text] of [
      [{ type: 'equal' }, 'equal'],
      [{ type: 'notClosed' }, 'not closed: every step is as recorded, but the journal has no end to compare with'],
      [{ type: 'stopped', before: 7 }, 'equal so far: stopped before record 7'],
      [
        { type: 'otherDigest', expected: 'aa', found: 'bb' },
        "divergence at the end: the journal's state digest is aa; found: bb",
      ],
      [
        { type: 'damaged', sequence: 7, offset: 512, message: 'segment 1 is damaged' },
        'damaged from record 7 (byte 512) on: segment 1 is damaged; all before is as recorded',
      ],
    ] as const) {
      assert.equal(verdictText(verdict), text);
    }
    const where = { type: 'divergent', sequence: 9, step: 8, row: 3, expected: 'a', found: 'b' } as const;
    assert.equal(
      verdictText({ ...where, machine: 'socket', event: 'spi.bind' }),
      'divergence at record 9 (step 8), socket 3, spi.bind: the journal says a; found: b',
    );
    assert.equal(
      verdictText({ ...where, machine: null, event: 'event 900' }),
      'divergence at record 9 (step 8), row 3: the journal says a; found: b',
    );
  });

  test('an effect has its target, and errors have names', () => {
    for (const name of ['error', 'refusal', 'connectError']) assert.equal(valueText(name, 10054), 'WSAECONNRESET');
    assert.equal(valueText('bytes', 10054), '10054');
    assert.equal(callText('closeSwitchHandle', {}), 'closeSwitchHandle()');
    assert.equal(
      effectText({
        machine: 'overlappedRequest',
        row: 7,
        effect: 'completed',
        parameters: { bytes: 10054, error: 10054 },
      }),
      'overlappedRequest 7: completed(bytes=10054, error=WSAECONNRESET)',
    );
  });
});

describe('the diagram', () => {
  test('draws calls with results, effects, adapter events and up-calls', () => {
    const text = toSequenceDiagram(journal(), { steps: 80 });
    assert.equal(text, toSequenceDiagram(journal(), { steps: 80 }));
    for (const line of [
      'switch->>provider: WSPConnect socket 0',
      'provider->>adapter: startConnect socket 0',
      'adapter-->>provider: connectStarted socket 0',
      'provider-->>switch: WSPConnect: WSAEWOULDBLOCK',
      'adapter->>provider: established socket 0',
      'Note over provider: socket 0: connecting.pending → connected.active',
      'provider->>switch: WPUSetEvent socket 0',
      'switch->>provider: WSPRecv socket 0 request 1',
      'provider-->>switch: WSPRecv: WSA_IO_PENDING',
    ]) {
      assert.ok(text.includes(`    ${line}\n`), `${line}\n${text}`);
    }
    assert.match(text, /provider->>adapter: postWork request 1 \(fence 0.*\)\n/);
    assert.match(text, /Note over switch,adapter: \d+ more steps\n$/);
  });

  test('is as long as it may be', () => {
    const [short, long] = [5, 10_000].map((steps) => toSequenceDiagram(journal(), { steps }));
    assert.ok(short!.split('\n').length < 40);
    assert.doesNotMatch(long!, /more steps/);
    // Every call has its result.
    const count = (pattern: RegExp) => long!.match(pattern)!.length;
    assert.equal(count(/switch->>provider: WSP/g), count(/provider-->>switch: WSP/g));
  });
});
