import assert from 'node:assert/strict';

import { describe, test } from 'vitest';

import { type CompiledMachine, compileIwarpMachines, EFFECT_STRIDE, MachineRows } from './index.ts';

const { startup, stream } = compileIwarpMachines();

/** Steps a new row through `events`, each with its parameters. @returns where it ends and the effects of the last event */
function stepped(machine: CompiledMachine, ...events: readonly (readonly [string, ...number[]])[]) {
  const sink = { buffer: new Float64Array(16 * EFFECT_STRIDE), top: 0 };
  const rows = new MachineRows(machine, 0, sink);
  rows.ensure(0);
  for (const [name, ...p] of events) {
    sink.top = 0;
    const event = machine.events.findIndex((candidate) => candidate.name === name);
    const before = rows.stateName(0);
    const accepted = rows.step(0, event, p[0] ?? 0, p[1] ?? 0, p[2] ?? 0, p[3] ?? 0, p[4] ?? 0);
    assert.equal(accepted, 1, `${name} in ${before}`);
  }
  const effects: string[] = [];
  for (let at = 0; at < sink.top; at += EFFECT_STRIDE) {
    const { name, parameters } = machine.effects[sink.buffer[at]!]!;
    const args = parameters.map((_, index) => sink.buffer[at + 2 + index]!);
    effects.push([name, ...args].join(' '));
  }
  return { state: rows.stateName(0), effects };
}

const asked = [['connector.connect', 2, 0], ['tcp.connected']] as const;
const undecided = [
  ['tcp.accepted', 0],
  ['peer.request', 2, 2, 0, 1],
] as const;

describe('start-up', () => {
  test('of an initiator opens the stream with the checksums that either end wants', () => {
    for (const [own, peers, expected] of [
      [0, 0, 0],
      [0, 1, 1],
      [1, 0, 1],
      [1, 1, 1],
    ] as const) {
      const found = stepped(
        startup,
        ['connector.connect', 2, own],
        ['tcp.connected'],
        ['peer.reply', 2, 0, peers, 0, 0],
      );
      assert.deepEqual(found, {
        state: 'operating',
        effects: ['stopTimer', 'raiseEstablished', `openStream 1 ${expected}`],
      });
    }
  });

  const failure = { state: 'ended', effects: ['stopTimer', 'closeTcp', 'abandonStream', 'raiseConnectFailed'] };
  for (const [what, event] of [
    ['another revision', ['peer.reply', 1, 0, 0, 0, 0]],
    ['markers', ['peer.reply', 2, 1, 0, 0, 0]],
    ['garbage', ['peer.malformed']],
    ['the end of TCP', ['tcp.lost']],
    ['silence', ['clock.expired']],
  ] as const) {
    test(`that is answered by ${what} fails`, () => assert.deepEqual(stepped(startup, ...asked, event), failure));
  }

  test('that is answered by unusable enhanced data fails, and the responder is told why', () => {
    for (const code of [4, 6, 7]) {
      assert.deepEqual(stepped(startup, ...asked, ['peer.reply', 2, 0, 1, 0, code]), {
        state: 'ended',
        effects: ['stopTimer', `terminateReply ${code} 1`, 'closeTcp', 'abandonStream', 'raiseConnectFailed'],
      });
    }
  });

  test('that is declined without a word asks again as revision 1, once [RFC 6581 10]', () => {
    const again = [...asked, ['peer.declined']] as const;
    assert.deepEqual(stepped(startup, ...again), { state: 'connecting', effects: ['openTcp'] });
    assert.deepEqual(stepped(startup, ...again, ['tcp.connected']).effects, ['sendRequest 1']);
    assert.deepEqual(stepped(startup, ...again, ['tcp.connected'], ['peer.declined']), failure);
    assert.equal(stepped(startup, ...again, ['tcp.connected'], ['peer.reply', 1, 0, 0, 0, 0]).state, 'operating');
  });

  test('that is rejected says by whom', () => {
    assert.deepEqual(stepped(startup, ...asked, ['peer.reply', 2, 0, 0, 1, 7]).effects.at(-1), 'raiseRejected 28');
    assert.deepEqual(stepped(startup, ['connector.connect', 1, 1], ['tcp.refused']).effects.at(-1), 'raiseRejected 8');
  });

  test('of a responder tells nobody of what is no request', () => {
    for (const event of [
      ['peer.request', 0, 2, 0, 0],
      ['peer.request', 3, 2, 0, 0],
      ['peer.request', 2, 1, 0, 0],
      ['peer.malformed'],
      ['tcp.lost'],
      ['clock.expired'],
    ] as const) {
      const found = stepped(startup, ['tcp.accepted', 1], event);
      assert.deepEqual(found, { state: 'ended', effects: ['stopTimer', 'closeTcp', 'forget'] });
    }
    const markers = stepped(startup, ['tcp.accepted', 1], ['peer.request', 1, 2, 1, 0]);
    assert.deepEqual(markers.effects, ['stopTimer', 'sendRefusal', 'closeTcp', 'forget']);
  });

  test('of a responder is confirmed by the first FPDU, and fails without it', () => {
    const accepted = [...undecided, ['connector.prepare'], ['connector.accept']] as const;
    assert.deepEqual(stepped(startup, ...accepted).effects, ['startTimer', 'sendReply 0', 'openStream 0 1']);
    assert.equal(stepped(startup, ...accepted, ['stream.began']).effects.at(-1), 'raiseEstablished');
    for (const event of ['tcp.lost', 'clock.expired'] as const) {
      assert.deepEqual(stepped(startup, ...accepted, [event]), failure);
    }
  });

  test('that the peer withdraws is told, prepared or not; that the owner refuses is answered', () => {
    for (const before of [undecided, [...undecided, ['connector.prepare']]] as const) {
      for (const event of ['tcp.lost', 'peer.malformed'] as const) {
        assert.equal(stepped(startup, ...before, [event]).effects.at(-1), 'raiseWithdrawn');
      }
      for (const event of ['connector.reject', 'connector.disconnect'] as const) {
        assert.equal(stepped(startup, ...before, [event]).effects[0], 'sendReply 1');
      }
    }
  });
});

describe('a stream', () => {
  const opened = ['startup.opened', 1] as const;

  test('of the initiator talks first, that of the responder waits for it [RFC 5044 7.1.2]', () => {
    assert.deepEqual(stepped(stream, opened).effects, ['sendReadyToReceive', 'permitSending']);
    assert.deepEqual(stepped(stream, ['startup.opened', 0], ['peer.fpdu']), {
      state: 'transferring',
      effects: ['began', 'permitSending'],
    });
  });

  test('that breaks says why before it ends [RFC 5040 5.4] [RFC 5040 6.2]', () => {
    const found = stepped(stream, opened, ['stream.fault', 1, 2, 5]);
    assert.deepEqual(found, {
      state: 'terminating',
      effects: ['sendTerminate 1 2 5', 'flush', 'endTcp', 'startTimer', 'raiseDisconnected'],
    });
    for (const event of ['tcp.lost', 'clock.expired'] as const) {
      const over = stepped(stream, opened, ['stream.fault', 1, 2, 5], [event]);
      assert.deepEqual(over, { state: 'ended', effects: ['stopTimer', 'closeTcp'] });
    }
  });

  test('whose peer has ended waits for what it wrote to leave, and no longer than it may', () => {
    for (const event of [['stream.fault', 1, 2, 5], ['connector.disconnect']] as const) {
      assert.deepEqual(stepped(stream, opened, event, ['peer.end']), { state: 'lingering', effects: ['closeTcp'] });
      for (const last of ['tcp.lost', 'clock.expired'] as const) {
        const over = stepped(stream, opened, event, ['peer.end'], [last]);
        assert.deepEqual(over, { state: 'ended', effects: ['stopTimer', 'closeTcp'] });
      }
    }
  });

  test('that ends flushes, and tells the owner unless it was its wish', () => {
    for (const [event, told] of [
      ['clock.expired', true],
      ['peer.end', true],
      ['peer.terminate', true],
      ['tcp.lost', true],
      ['connector.disconnect', false],
    ] as const) {
      const { effects } = stepped(stream, opened, [event]);
      assert.match(effects[0]!, /^flush/);
      assert.equal(effects.includes('raiseDisconnected'), told);
    }
  });

  test('whose peer does not read any more is bounded until it reads again', () => {
    assert.deepEqual(stepped(stream, opened, ['output.blocked']).effects, ['startStallTimer']);
    assert.deepEqual(stepped(stream, opened, ['output.blocked'], ['output.moved']).effects, ['stopTimer']);
    assert.equal(stepped(stream, opened, ['output.blocked'], ['clock.expired']).state, 'ended');
  });

  test('tells the owner of its end once, whatever comes after', () => {
    for (const first of ['peer.end', 'peer.terminate', 'tcp.lost', 'connector.disconnect', 'stream.fault'] as const) {
      for (const { name } of stream.events) {
        if (name.startsWith('startup.')) continue;
        assert.ok(!stepped(stream, opened, [first], [name]).effects.includes('raiseDisconnected'), `${first}, ${name}`);
      }
    }
  });
});

test('every wait for the peer is bounded, and stands in a state that takes every end of TCP', () => {
  const accepts = (machine: CompiledMachine, state: string, event: string): boolean => {
    const rows = new MachineRows(machine, 0, { buffer: new Float64Array(16 * EFFECT_STRIDE), top: 0 });
    rows.place(0, machine.configurations.indexOf(state), []);
    return (
      rows.step(
        0,
        machine.events.findIndex(({ name }) => name === event),
        0,
        0,
        0,
        0,
        0,
      ) === 1
    );
  };
  for (const state of ['connecting', 'awaitingReply', 'awaitingRequest', 'accepted']) {
    assert.ok(accepts(startup, state, 'clock.expired') && accepts(startup, state, 'tcp.lost'), state);
  }
  for (const state of ['closing', 'terminating', 'lingering']) {
    assert.ok(accepts(stream, state, 'clock.expired') && accepts(stream, state, 'tcp.lost'), state);
  }
});
