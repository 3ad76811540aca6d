/**
 * What the iWARP standards require of an end, as far as it can be seen from outside; in the project's own words.
 *
 * A test names a section in its title, `[RFC 5044 7.1.1]`; the code that keeps a requirement is named here, as a file and
 * a name in it.
 */

/** The requirements of one section. */
export interface Section {
  /** As tests name it: `RFC 5044 7.1.1`. */
  readonly id: string;
  readonly statement: string;
  /** `path#name` from the root of the repository. */
  readonly code: readonly string[];
}

const iwarp = 'driver/adapter/iwarp';
const machines = 'machines/iwarp.ts';

export const sections: readonly Section[] = [
  {
    id: 'RFC 5044 4.1',
    statement:
      'An FPDU is a length, the ULPDU, zeros up to a multiple of four bytes, and a checksum; the length counts the ULPDU alone.',
    code: [`${iwarp}/wire.ts#sealFpdu`, `${iwarp}/wire.ts#FpduReader`],
  },
  {
    id: 'RFC 5044 4.3',
    statement:
      'Markers go to whoever asks for them. This end never asks, and does not send any: a peer that needs them gets no connection, as from other software implementations.',
    code: [`${machines}#createMpaStartupMachine`],
  },
  {
    id: 'RFC 5044 4.4',
    statement:
      'The checksum is CRC32C over length, ULPDU and padding, and is used when either end wants it; otherwise its field is zero and not looked at. A wrong one ends the stream.',
    code: [`${iwarp}/wire.ts#fpduIsIntact`, `${iwarp}/stream.ts#receive`],
  },
  {
    id: 'RFC 5044 4.5',
    statement:
      "Segments are no longer than the MULPDU. Here that is a setting, 128 to 65,535 bytes: a program above TCP doesn't learn the segment size of its connection, so FPDUs aren't aligned to segments, which the standard allows.",
    code: [`${iwarp}/stream.ts#roomFor`, 'driver/adapter/iwarp.ts#ulpduMax'],
  },
  {
    id: 'RFC 5044 5.2',
    statement: 'FPDUs are found by their lengths from the first one on, however TCP cuts or joins what it brings.',
    code: [`${iwarp}/wire.ts#FpduReader`],
  },
  {
    id: 'RFC 5044 7.1.1',
    statement:
      'Request and reply have their key, the flags M, C and R, the revision, and up to 512 bytes of private data; what is none ends TCP, as does a revision that is unknown. A rejection may bring private data.',
    code: [`${iwarp}/wire.ts#StartupReader`, `${iwarp}/wire.ts#encodeStartup`, `${machines}#createMpaStartupMachine`],
  },
  {
    id: 'RFC 5044 7.1.2',
    statement:
      'The initiator sends no FPDU before it has the reply, the responder none before it has the first FPDU; either wait is bounded.',
    code: [`${machines}#createMpaStartupMachine`, `${machines}#createIwarpStreamMachine`],
  },
  {
    id: 'RFC 5044 7.2',
    statement: "A stream ends by the end of TCP's halves after all that was sent; what is posted is flushed.",
    code: [`${machines}#createIwarpStreamMachine`],
  },
  {
    id: 'RFC 5044 8',
    statement:
      'Each error of MPA has its number. Of an FPDU with a wrong checksum nothing is used, and nothing repeated.',
    code: [`${iwarp}/terminate.ts#Terminate`, `${iwarp}/stream.ts#takeFpdu`],
  },
  {
    id: 'RFC 6581 8',
    statement: 'A reply that the initiator can do nothing with is answered by a Terminate of MPA that says why.',
    code: [`${iwarp}/connection.ts#terminateReply`, `${iwarp}/terminate.ts#Terminate`],
  },
  {
    id: 'RFC 6581 9',
    statement: 'Revision 2 with flag S puts four bytes before the private data: flags A to D and both read depths.',
    code: [`${iwarp}/wire.ts#EnhancedData`],
  },
  {
    id: 'RFC 6581 9.1',
    statement:
      'Neither end has more reads under way than the other takes; 0x3fff leaves that to the application, here to the setting. More than was agreed ends the stream; a reply that wants more than was offered ends the connection.',
    code: [`${iwarp}/connection.ts#openStream`, `${iwarp}/stream.ts#mayLaunch`, `${iwarp}/stream.ts#takeRead`],
  },
  {
    id: 'RFC 6581 9.2',
    statement:
      'The responder chooses one of the offered signs of readiness; here any first FPDU serves. The initiator offers, and sends, a write of no bytes.',
    code: [`${iwarp}/connection.ts#objection`, `${iwarp}/stream.ts#sendReadyToReceive`],
  },
  {
    id: 'RFC 6581 10',
    statement:
      'An end that knows revision 1 alone closes on a request of revision 2; the initiator then asks again by revision 1, once.',
    code: [`${machines}#peer.declined`],
  },
  {
    id: 'RFC 5041 4.1',
    statement: 'The control byte has the flags T and L and version 1; another version ends the stream.',
    code: [`${iwarp}/wire.ts#Control`],
  },
  {
    id: 'RFC 5041 4.2',
    statement: 'A tagged segment names a key and an offset of 64 bits, all of which are used.',
    code: [`${iwarp}/wire.ts#putTagged`],
  },
  {
    id: 'RFC 5041 4.3',
    statement: 'An untagged segment names its queue, the number of its message, and its place in that.',
    code: [`${iwarp}/wire.ts#putUntagged`],
  },
  {
    id: 'RFC 5041 5.2',
    statement:
      'A message is cut into segments in order, the last one marked, and put together the same however it was cut.',
    code: [`${iwarp}/stream.ts#request`, `${iwarp}/stream.ts#placeSend`],
  },
  {
    id: 'RFC 5041 7.1',
    statement:
      "Before a byte is placed its key must be one, of the connection's protection domain, with room and right; queue, message number and place must be those that are due.",
    code: [`${iwarp}/memory.ts#remote`, `${iwarp}/stream.ts#placeUntagged`, `${iwarp}/stream.ts#placeTagged`],
  },
  {
    id: 'RFC 5041 7.2',
    statement: 'Each error of placement has its number.',
    code: [`${iwarp}/terminate.ts#Terminate`],
  },
  {
    id: 'RFC 5040 4.1',
    statement:
      'The second control byte has version 1 and the opcode; another version, or an opcode that is none, ends the stream.',
    code: [`${iwarp}/wire.ts#RdmapOpcode`, `${iwarp}/stream.ts#place`],
  },
  {
    id: 'RFC 5040 4.2',
    statement:
      "Sends, read requests and Terminates have queues of their own, 0, 1 and 2; an opcode in another's queue, or a queue that is none, ends the stream.",
    code: [`${iwarp}/wire.ts#QueueNumber`, `${iwarp}/stream.ts#placeUntagged`],
  },
  {
    id: 'RFC 5040 4.4',
    statement: 'A read request has 28 bytes: key and offset of the sink, length, key and offset of the source.',
    code: [`${iwarp}/wire.ts#decodeReadRequest`],
  },
  {
    id: 'RFC 5040 4.7',
    statement:
      "A send that invalidates names a key. It is ended if it is one of the connection's protection domain whose owner lets peers do so; otherwise the stream ends.",
    code: [`${iwarp}/memory.ts#invalidate`, `${iwarp}/terminate.ts#refusalOf`],
  },
  {
    id: 'RFC 5040 4.8',
    statement:
      'A Terminate has layer, type and code, and of the refused segment its length, its DDP header, and of a read request its content, as the error has it.',
    code: [`${iwarp}/terminate.ts#encodeTerminate`, `${iwarp}/stream.ts#terminate`],
  },
  {
    id: 'RFC 5040 5.1',
    statement: 'A write is placed as it comes and told to nobody there; one of no bytes needs no right.',
    code: [`${iwarp}/stream.ts#placeTagged`],
  },
  {
    id: 'RFC 5040 5.2',
    statement: 'A read is answered into the sink that it names; answers come in the order of the requests.',
    code: [`${iwarp}/stream.ts#answer`, `${iwarp}/stream.ts#placeAnswer`],
  },
  {
    id: 'RFC 5040 5.3',
    statement: 'Sends meet receives in order, one each; a key is ended before its receive is complete.',
    code: [`${iwarp}/stream.ts#placeSend`],
  },
  {
    id: 'RFC 5040 5.4',
    statement: 'A Terminate is the last that an end sends, and is not answered by one.',
    code: [`${iwarp}/stream.ts#terminate`, `${machines}#createIwarpStreamMachine`],
  },
  {
    id: 'RFC 5040 5.5',
    statement:
      'Completions come in posting order. A send or write is complete when it has left, so one that the peer refuses has succeeded; the requests that follow are flushed, with the reason in vendorStatus.',
    code: [`${iwarp}/stream.ts#completeSends`, `${iwarp}/stream.ts#flushRefused`],
  },
  {
    id: 'RFC 5040 6.1',
    statement: 'A stream begins with the end of its start-up, and both owners are told.',
    code: [`${machines}#createIwarpStreamMachine`],
  },
  {
    id: 'RFC 5040 6.2',
    statement: 'A stream that is broken ends at once: what is posted is flushed, and its owner is told once.',
    code: [`${machines}#createIwarpStreamMachine`],
  },
  {
    id: 'RFC 5040 7.2',
    statement: 'An error of the peer ends the stream before anything of the segment is placed.',
    code: [`${iwarp}/stream.ts#receive`],
  },
];
