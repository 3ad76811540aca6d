// Goal: MPA start-up does what RFC 5044 and 6581 say, in both roles, for every combination of what either side may say.
// Method: two whole connections, joined; and one connection against frames made by hand.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';

import { Opcode } from '../../driver/adapter/adapter.ts';
import { decodeTerminate, Terminate } from '../../driver/adapter/iwarp/terminate.ts';
import {
  type EnhancedData,
  encodeStartup,
  FpduReader,
  fpduIsIntact,
  type StartupFrame,
  StartupReader,
  sealFpdu,
  UNTAGGED_BYTES,
} from '../../driver/adapter/iwarp/wire.ts';
import { eachFpdu } from '../../driver/adapter/iwarp/test-end.ts';
import { Party, settle, Wire } from './party.ts';

const flags = [false, true] as const;
const revisions = [1, 2] as const;

/** The start-up frame at the beginning of `bytes`, and what follows it. */
function frameIn(bytes: Buffer, kind: StartupFrame['kind']): { frame: StartupFrame; rest: Buffer } {
  const { frame, taken } = new StartupReader(kind).take(bytes);
  assert.ok(frame !== null && frame !== 'malformed');
  return { frame, rest: bytes.subarray(taken) };
}

const frame = (kind: StartupFrame['kind'], given: Partial<StartupFrame> = {}): Buffer =>
  Buffer.from(
    encodeStartup({
      kind,
      revision: 2,
      markers: false,
      crc: true,
      rejected: false,
      enhanced: null,
      privateData: new Uint8Array(0),
      ...given,
    }),
  );
const enhanced = (given: Partial<EnhancedData> = {}): EnhancedData => ({
  peerToPeer: true,
  byEmptyFpdu: false,
  byWrite: true,
  byRead: false,
  incomingReads: 2,
  outgoingReads: 2,
  ...given,
});

/** A responder that is given `bytes` as a peer's request; what it says goes nowhere. */
function responderWith(
  bytes: Buffer,
  settings: ConstructorParameters<typeof Party>[1] = {},
): { party: Party; wire: Wire } {
  const party = new Party(1, settings);
  // Its peer is nobody: a party that never takes what comes.
  const wire = new Wire(dialing(), party);
  party.connection.bytesArrived(bytes);
  return { party, wire };
}

function dialing(settings: ConstructorParameters<typeof Party>[1] = {}): Party {
  const party = new Party(0, settings);
  party.connect();
  return party;
}

/** An initiator that has asked and is given `bytes` as the answer. */
function initiatorWith(
  bytes: Buffer,
  settings: ConstructorParameters<typeof Party>[1] = {},
): { party: Party; wire: Wire } {
  const party = dialing(settings);
  const wire = new Wire(party, new Party(1));
  party.connection.bytesArrived(bytes);
  return { party, wire };
}

describe('two ends', () => {
  const all = revisions.flatMap((asked) =>
    revisions.flatMap((spoken) =>
      flags.flatMap((near) => flags.flatMap((far) => flags.map((accepts) => ({ asked, spoken, near, far, accepts })))),
    ),
  );

  test.each(all)(
    'agree [RFC 5044 7.1.1] [RFC 5044 7.1.2] [RFC 6581 10]: asked for revision $asked, spoken $spoken, checksums $near and $far, accepted $accepts',
    ({ asked, spoken, near, far, accepts }) => {
      const initiator = new Party(0, { revision: asked, crc: near });
      let responder = new Party(1, { revision: spoken, crc: far });
      initiator.connect('hello');
      settle(initiator, () => responder);
      if (asked > spoken) {
        // Closed without a word, as the standard wants it; the initiator asks again.
        assert.deepEqual(responder.events, ['forgotten']);
        assert.equal(initiator.states, 'connecting/unopened');
        responder = new Party(1, { revision: spoken, crc: far });
        settle(initiator, () => responder);
      }
      assert.deepEqual(responder.events, ['connectRequest hello']);
      responder.prepare();
      const [inbox, outbox] = [responder.register(new Uint8Array(8)), initiator.register(new Uint8Array(8))];
      responder.post(Opcode.receive, 1, inbox);
      initiator.post(Opcode.receive, 2, outbox);
      const { wire } = initiator;
      if (!accepts) {
        responder.connection.reject(Buffer.from('sorry'));
        settle(initiator, () => responder);
        assert.deepEqual(initiator.events, ['rejected 28 sorry']);
        assert.deepEqual(initiator.done, ['2 flushed']);
        assert.deepEqual([initiator.timer, responder.timer], [null, null]);
        return;
      }
      responder.connection.accept(Buffer.from('welcome'));
      settle(initiator, () => responder);
      assert.deepEqual(
        [initiator.events, responder.events],
        [['established welcome'], ['connectRequest hello', 'established']],
      );
      initiator.post(Opcode.send, 3, initiator.register(Buffer.from('to')));
      responder.post(Opcode.send, 4, responder.register(Buffer.from('fro')));
      settle(initiator, () => responder);
      assert.deepEqual(
        [initiator.done, responder.done.toSorted()],
        [
          ['3 success', '2 success 3'],
          ['1 success 2', '4 success'],
        ],
      );
      assert.deepEqual([initiator.timer, responder.timer], [null, null]);

      // Checksums as either wants them; revision as asked, or as far as it was understood.
      const request = frameIn(wire!.sent[0], 'request');
      const reply = frameIn(wire!.sent[1], 'reply');
      const revision = Math.min(asked, spoken);
      assert.deepEqual([request.frame.revision, reply.frame.revision], [revision, revision]);
      assert.deepEqual([request.frame.crc, reply.frame.crc], [near, far]);
      assert.equal(request.frame.enhanced !== null, revision === 2);
      for (const { rest } of [request, reply]) {
        new FpduReader().take(
          rest,
          eachFpdu((fpdu) => {
            if (near || far) assert.ok(fpduIsIntact(fpdu));
            else assert.equal(fpdu.readUInt32LE(fpdu.byteLength - 4), 0);
            return true;
          }),
        );
      }
    },
  );

  test.each([0, 1, 56, 508])('carry %i bytes of private data both ways [RFC 5044 7.1.1]', (length) => {
    const [initiator, responder] = [new Party(0), new Party(1)];
    initiator.connect('a'.repeat(length));
    settle(initiator, () => responder);
    responder.prepare();
    responder.connection.accept(Buffer.from('b'.repeat(length)));
    settle(initiator, () => responder);
    const data = (letter: string) => (length === 0 ? '' : ` ${letter.repeat(length)}`);
    assert.deepEqual(initiator.events, [`established${data('b')}`]);
    assert.equal(responder.events[0], `connectRequest${data('a')}`);
  });

  test('carry 512 bytes in revision 1, and no more in any [RFC 5044 7.1.1]', () => {
    const [initiator, responder] = [new Party(0, { revision: 1 }), new Party(1)];
    initiator.connect('a'.repeat(512));
    settle(initiator, () => responder);
    responder.prepare();
    responder.connection.accept(Buffer.from('b'.repeat(512)));
    settle(initiator, () => responder);
    assert.deepEqual(initiator.events, [`established ${'b'.repeat(512)}`]);
    assert.throws(() => frame('request', { privateData: new Uint8Array(513) }), RangeError);
    assert.throws(() => frame('request', { enhanced: enhanced(), privateData: new Uint8Array(509) }), RangeError);
  });

  test('end by reset when an initiator is declined as revision 1 too [RFC 6581 10]', () => {
    const initiator = dialing();
    for (const tries of [1, 2]) {
      assert.equal(initiator.dials, tries);
      new Wire(initiator, new Party(1)).reset(0);
    }
    assert.deepEqual([initiator.events, initiator.states, initiator.timer], [['connectFailed'], 'ended/ended', null]);
  });

  test('do not try again when an answer had begun', () => {
    const { party, wire } = initiatorWith(Buffer.from('MPA'));
    wire.reset(0);
    assert.deepEqual([party.dials, party.events], [1, ['connectFailed']]);
  });
});

describe('a responder', () => {
  const cases = flags.flatMap((peerToPeer) =>
    flags.flatMap((byEmptyFpdu) =>
      flags.flatMap((byWrite) => flags.map((byRead) => ({ peerToPeer, byEmptyFpdu, byWrite, byRead }))),
    ),
  );

  test.each(cases)(
    'chooses one of the offered signs of readiness [RFC 6581 9.2]: A $peerToPeer, B $byEmptyFpdu, C $byWrite, D $byRead',
    (offer) => {
      for (const readDepth of [0, 2]) {
        const { party, wire } = responderWith(frame('request', { enhanced: enhanced(offer) }), { readDepth });
        party.prepare();
        party.connection.accept(new Uint8Array(0));
        const answer = frameIn(wire.sent[1], 'reply').frame.enhanced!;
        const chosen = (['byWrite', 'byRead', 'byEmptyFpdu'] as const).filter((sign) => answer[sign]);
        const possible = (['byWrite', 'byRead', 'byEmptyFpdu'] as const).filter(
          (sign) => offer[sign] && (sign !== 'byRead' || readDepth > 0),
        );
        assert.equal(answer.peerToPeer, offer.peerToPeer);
        assert.deepEqual(chosen, possible.slice(0, 1));
      }
    },
  );

  test.each([
    ['an FPDU without content', Buffer.alloc(0)],
    ['a write of no bytes', Buffer.from('c14000000000000000000000000000', 'hex').subarray(0, 14)],
    ['a read of no bytes', readOfNothing()],
    ['a send of no bytes', Buffer.from('414300000000000000000000000100000000', 'hex')],
  ])('may talk from %s on, and not before [RFC 5044 7.1.2] [RFC 6581 9.2]', (_, ulpdu) => {
    const { party, wire } = responderWith(
      frame('request', { enhanced: enhanced({ byRead: true, byEmptyFpdu: true }) }),
    );
    party.prepare();
    party.post(Opcode.receive, 9, null);
    party.connection.accept(new Uint8Array(0));
    party.post(Opcode.send, 1, null);
    const before = frameIn(wire.sent[1], 'reply').rest;
    assert.equal(before.byteLength, 0);
    assert.deepEqual([party.events, party.timer], [['connectRequest'], 'startup']);
    const bytes = Buffer.alloc(128);
    bytes.set(ulpdu, 2);
    party.connection.bytesArrived(bytes.subarray(0, sealFpdu(bytes, 0, ulpdu.byteLength, true)));
    assert.deepEqual([party.events, party.timer], [['connectRequest', 'established'], null]);
    assert.ok(party.done.includes('1 success'));
    assert.ok(frameIn(wire.sent[1], 'reply').rest.byteLength > 0);
  });

  const depths = [0, 1, 2, 5, 0x3ffe, 0x3fff];
  test.each(depths.flatMap((incoming) => depths.map((outgoing) => ({ incoming, outgoing }))))(
    'takes no more reads than it can, and asks for no more than the peer can [RFC 6581 9.1]: $incoming and $outgoing',
    ({ incoming, outgoing }) => {
      const asked = enhanced({ incomingReads: incoming, outgoingReads: outgoing });
      const { party, wire } = responderWith(frame('request', { enhanced: asked }), { readDepth: 4 });
      party.prepare();
      party.connection.accept(new Uint8Array(0));
      const answer = frameIn(wire.sent[1], 'reply').frame.enhanced!;
      assert.deepEqual([answer.incomingReads, answer.outgoingReads], [Math.min(4, outgoing), Math.min(4, incoming)]);
    },
  );

  test('refuses a peer that needs markers, and closes on one of another revision [RFC 5044 4.3] [RFC 5044 7.1.1]', () => {
    const markers = responderWith(frame('request', { markers: true }));
    assert.equal(frameIn(markers.wire.sent[1], 'reply').frame.rejected, true);
    assert.deepEqual(markers.party.events, ['forgotten']);
    for (const revision of [0, 3, 255]) {
      const { party, wire } = responderWith(frame('request', { revision }));
      assert.equal(wire.sent[1].byteLength, 0);
      assert.deepEqual([party.events, party.timer], [['forgotten'], null]);
    }
  });

  test('ignores flags that mean nothing to it', () => {
    // A request can't reject; revision 1 has no enhanced data.
    const bytes = frame('request', { revision: 1, privateData: Buffer.from('abcd') });
    bytes[16]! |= 0x3f;
    assert.deepEqual(responderWith(bytes).party.events, ['connectRequest abcd']);
  });

  test('hears of a peer that talks before it is answered, or leaves [RFC 5044 7.1.2]', () => {
    const early = responderWith(Buffer.concat([frame('request'), Buffer.from([0])]));
    assert.deepEqual(early.party.events, ['connectRequest', 'withdrawn']);
    const { party, wire } = responderWith(frame('request'));
    wire.reset(0);
    assert.deepEqual(party.events, ['connectRequest', 'withdrawn']);
  });

  test.each([
    ['a reply', frame('reply')],
    ['garbage', Buffer.from('GET / HTTP/1.1\r\n')],
    ['too much private data', Buffer.concat([Buffer.from('MPA ID Req Frame'), Buffer.from([0, 1, 2, 1])])],
    [
      'an end before the enhanced data',
      Buffer.concat([Buffer.from('MPA ID Req Frame'), Buffer.from([0x10, 2, 0, 3, 1, 2, 3])]),
    ],
  ])('tells nobody of %s [RFC 5044 7.1.1]', (_, bytes) => {
    const { party, wire } = responderWith(bytes);
    assert.deepEqual([party.events, party.timer, wire.sent[1].byteLength], [['forgotten'], null, 0]);
  });
});

describe('an initiator', () => {
  test('asks for what it can do [RFC 5044 7.1.1] [RFC 6581 9.1]', () => {
    for (const readDepth of [0, 3]) {
      const initiator = dialing({ readDepth });
      const wire = new Wire(initiator, new Party(1));
      const { frame: asked, rest } = frameIn(wire.sent[0], 'request');
      assert.equal(rest.byteLength, 0, 'it says nothing before it is answered');
      assert.deepEqual([asked.markers, asked.rejected], [false, false]);
      assert.deepEqual(asked.enhanced, enhanced({ incomingReads: readDepth, outgoingReads: readDepth }));
    }
  });

  test.each([
    ['no enhanced data', null, Terminate.invalidStartup],
    ['too many reads', enhanced({ outgoingReads: 3 }), Terminate.insufficientReads],
    ['a read as the sign of readiness', enhanced({ byWrite: false, byRead: true }), Terminate.noMatchingReadyToReceive],
    ['no sign of readiness', enhanced({ byWrite: false }), Terminate.noMatchingReadyToReceive],
  ] as const)(
    'says by a Terminate that a reply with %s is of no use [RFC 6581 8] [RFC 6581 9.1]',
    (_, data, reason) => {
      for (const crc of flags) {
        const { party, wire } = initiatorWith(frame('reply', { enhanced: data, crc }), { crc: false });
        const { rest } = frameIn(wire.sent[0], 'request');
        const found: Buffer[] = [];
        new FpduReader().take(
          rest,
          eachFpdu((fpdu) => {
            if (crc) assert.ok(fpduIsIntact(fpdu));
            found.push(Buffer.from(fpdu.subarray(2 + UNTAGGED_BYTES, 2 + fpdu.readUInt16BE(0))));
            return true;
          }),
        );
        const { layer, type, code } = reason;
        const nothing = { ddpHeader: new Uint8Array(0), segmentLength: 0, readRequest: new Uint8Array(0) };
        assert.deepEqual(found.map(decodeTerminate), [{ layer, type, code, ...nothing }]);
        assert.deepEqual([party.events, party.states, party.timer], [['connectFailed'], 'ended/ended', null]);
      }
    },
  );

  test.each([0, 1, 2, 0x3fff])('has no more reads under way than the reply allows: %i [RFC 6581 9.1]', (allowed) => {
    const { party, wire } = initiatorWith(frame('reply', { enhanced: enhanced({ incomingReads: allowed }) }));
    const before = wire.sent[0].byteLength;
    for (const context of [1, 2, 3, 4]) party.post(Opcode.rdmaRead, context, party.register(new Uint8Array(4)));
    let requests = 0;
    new FpduReader().take(
      wire.sent[0].subarray(before),
      eachFpdu((fpdu) => {
        if ((fpdu[3]! & 15) === 1) requests++;
        return true;
      }),
    );
    assert.equal(requests, Math.min(2, allowed));
    // Without any, a read can't be.
    assert.deepEqual(party.done, allowed === 0 ? ['1 remoteOperation', '2 flushed', '3 flushed', '4 flushed'] : []);
  });

  test.each([
    ['of another revision', frame('reply', { revision: 1 })],
    ['that needs markers', frame('reply', { markers: true, enhanced: enhanced() })],
    ['that is a request', frame('request')],
    ['that is garbage', Buffer.from('HTTP/1.1 400 Bad')],
  ])('fails by a reply %s [RFC 5044 7.1.1] [RFC 5044 4.3]', (_, bytes) => {
    const { party } = initiatorWith(bytes);
    assert.deepEqual([party.events, party.states, party.timer], [['connectFailed'], 'ended/ended', null]);
  });

  test('takes what follows a reply in the same portion', () => {
    const zero = Buffer.alloc(8);
    const { party } = initiatorWith(
      Buffer.concat([frame('reply', { enhanced: enhanced() }), zero.subarray(0, sealFpdu(zero, 0, 0, true))]),
    );
    assert.deepEqual([party.events, party.states], [['established'], 'operating/transferring']);
  });

  test('is told that it is connected before it is told of the end, when what it had posted cannot be sent', () => {
    const party = dialing();
    const gone = party.register(new Uint8Array(4));
    party.memory.deregister(gone.id);
    party.post(Opcode.send, 1, gone);
    new Wire(party, new Party(1));
    party.connection.bytesArrived(frame('reply', { enhanced: enhanced() }));
    assert.deepEqual(party.events, ['established', 'disconnected']);
    assert.deepEqual(party.done, ['1 localProtection']);
  });

  test('is told of a rejection with its private data, in either revision [RFC 5044 7.1.1]', () => {
    for (const revision of revisions) {
      const rejected = frame('reply', { revision, rejected: true, privateData: Buffer.from('no') });
      assert.deepEqual(initiatorWith(rejected, { revision }).party.events, ['rejected 28 no']);
    }
  });
});

/** ULPDU of a read of no bytes. */
function readOfNothing(): Buffer {
  const bytes = Buffer.alloc(18 + 28);
  bytes.writeUInt16BE(0x4141, 0);
  bytes.writeUInt32BE(1, 6);
  bytes.writeUInt32BE(1, 10);
  return bytes;
}
