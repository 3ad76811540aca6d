/**
 * Details: facts beside the steps that a reader wants and the machines don't need. Never payload.
 *
 * Layout of a detail record: word 0 has the detail's kind above the mark; word 1 the row; words 2 to 5 an address in 16
 * bytes, network order (IPv4 in the last four); word 6 port and, in bit 16, 1 for IPv6; word 7 is 0.
 */

import type { SocketAddress } from '../adapter/adapter.ts';
import { addressBytes, addressText } from '../spi.ts';
import { DETAIL_EVENT_ID } from './format.ts';

export const DetailKind = { localAddress: 1, remoteAddress: 2 } as const;

/** The eight words of a detail about the address of socket `row`. */
export function detailWords(kind: number, row: number, { family, address, port }: SocketAddress): number[] {
  const bytes = new Uint8Array(16);
  const own = addressBytes(address, family);
  bytes.set(own, 16 - own.length);
  const view = new DataView(bytes.buffer);
  return [
    DETAIL_EVENT_ID | (kind << 16),
    row,
    view.getUint32(0),
    view.getUint32(4),
    view.getUint32(8),
    view.getUint32(12),
    port | (family === 'IPv6' ? 0x1_0000 : 0),
    0,
  ];
}

/** A detail record. @param word - gives word `index` of the record */
export function readDetail(word: (index: number) => number): { kind: number; row: number; address: SocketAddress } {
  const family = word(6) & 0x1_0000 ? 'IPv6' : 'IPv4';
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < 4; index++) view.setUint32(4 * index, word(2 + index));
  const address = addressText(family === 'IPv4' ? bytes.subarray(12) : bytes);
  return { kind: word(0) >>> 16, row: word(1), address: { family, address, port: word(6) & 0xffff } };
}
