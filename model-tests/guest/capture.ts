/**
 * A packet capture of iWARP, and what tshark's own dissectors make of it.
 *
 * Theory of operation: dumpcap writes what passes an interface; afterwards tshark takes the TCP streams of one port
 * apart. What it says is counted for each sender, in FPDUs and in bytes, so that a byte which it passed over is missed.
 */

import { fpduBytes, MPA_HEADER_BYTES } from '../../driver/adapter/iwarp/wire.ts';
import { run, start } from './programs.ts';

/** What one end has sent. */
export interface Sent {
  /** FPDUs whose checksum tshark found right, as it found all. */
  readonly fpdus: number;
  /** Messages' segments by RDMAP opcode. */
  readonly opcodes: ReadonlyMap<number, number>;
  /** Bytes of start-up frames and FPDUs. */
  readonly dissectedBytes: number;
  /** Bytes of its halves of TCP, which it has ended. */
  readonly streamBytes: number;
  /** Layer, type and code of each Terminate that is about a tagged segment. */
  readonly reasons: readonly (readonly number[])[];
}

/** Starts to capture what passes `device`. @returns ends it, and gives the file's name */
export async function capture(device: string, file: string): Promise<() => Promise<string>> {
  const dumpcap = start(['dumpcap', '-q', '-i', device, '-w', file]);
  await dumpcap.says(/File: /);
  return async () => {
    // What has passed is in the kernel's buffer, which dumpcap reads twice a second.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    dumpcap.kill('SIGINT');
    await dumpcap.succeeds();
    return file;
  };
}

// tshark takes a payload for RPC over RDMA now and then, which it never is.
const tshark = (file: string, args: readonly string[]): Promise<string> =>
  run(['tshark', '--disable-protocol', 'rpcordma', '-r', file, ...args]);

const FIELDS = {
  source: 'ip.src',
  stream: 'tcp.stream',
  isLast: 'tcp.flags.fin',
  sequence: 'tcp.seq',
  startups: 'iwarp_mpa.pdlength',
  fpdus: 'iwarp_mpa.ulpdulength',
  opcodes: 'iwarp_rdma.opcode',
  layer: 'iwarp_rdma.term_layer',
  type: 'iwarp_rdma.term_etype_ddp',
  code: 'iwarp_rdma.term_errcode_ddp_tagged',
} as const;
/** What tshark says of a packet: a field may be there several times. */
type Packet = { readonly [Name in keyof typeof FIELDS]: readonly string[] };

async function packetsOf(file: string, filter: string): Promise<Packet[]> {
  const fields = Object.values(FIELDS).flatMap((field) => ['-e', field]);
  const output = await tshark(file, ['-Y', filter, '-T', 'fields', '-E', 'separator=|', ...fields]);
  const names = Object.keys(FIELDS);
  const lines = output.split('\n').map((line) => line.split('|'));
  return lines
    .filter((values) => values.length === names.length)
    .map((values) => {
      const entries = values.map((value, index) => [names[index], value === '' ? [] : value.split(',')]);
      return Object.fromEntries(entries) as Packet;
    });
}

/**
 * Takes the connections of `port` apart.
 *
 * @returns by address, what that end has sent
 * @throws Error when a packet is malformed, or a checksum is wrong or missing
 */
export async function dissect(file: string, port: number): Promise<ReadonlyMap<string, Sent>> {
  const text = await tshark(file, ['-O', 'iwarp_mpa', '-Y', `tcp.port == ${port}`]);
  const wrong = /^.*(Malformed Packet|Bad length|Bad CRC32).*$/m.exec(text);
  if (wrong !== null) throw new Error(text.slice(Math.max(0, wrong.index - 2000), wrong.index + 500));

  const all = new Map<string, { -readonly [Name in keyof Sent]: Sent[Name] } & { opcodes: Map<number, number> }>();
  const ended = new Set<string>();
  let fpdus = 0;
  for (const packet of await packetsOf(file, `tcp.port == ${port} && (iwarp_mpa || tcp.flags.fin == 1)`)) {
    const source = packet.source[0]!;
    const sent = all.get(source) ?? { fpdus: 0, opcodes: new Map(), dissectedBytes: 0, streamBytes: 0, reasons: [] };
    all.set(source, sent);
    for (const length of packet.startups) sent.dissectedBytes += MPA_HEADER_BYTES + Number(length);
    for (const length of packet.fpdus) sent.dissectedBytes += fpduBytes(Number(length));
    for (const opcode of packet.opcodes.map(Number)) sent.opcodes.set(opcode, (sent.opcodes.get(opcode) ?? 0) + 1);
    sent.fpdus += packet.fpdus.length;
    fpdus += packet.fpdus.length;
    if (packet.layer.length > 0) {
      sent.reasons = [...sent.reasons, [packet.layer, packet.type, packet.code].map(([value]) => Number(value))];
    }
    // The number after the last byte, of which the first has 1. It may be sent again.
    const half = `${source} ${packet.stream[0]}`;
    if (!['1', 'True'].includes(packet.isLast[0]!) || ended.has(half)) continue;
    ended.add(half);
    sent.streamBytes += Number(packet.sequence[0]) - 1;
  }
  const good = text.match(/Good CRC32/g)?.length ?? 0;
  if (good !== fpdus) throw new Error(`${fpdus} FPDUs, of which ${good} have a checksum`);
  return all;
}
