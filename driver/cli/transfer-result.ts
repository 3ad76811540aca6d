/** What a transfer came to, for people and for programs. */

import type { Endpoint, EndpointCounts } from '../client/endpoint.ts';
import { counted, durationText, rateText } from './command.ts';

export interface TransferResult {
  /** Bytes of the file. */
  readonly size: number;
  /** SHA-256, hexadecimal. */
  readonly sha256: string;
  readonly isEqual: boolean;
  readonly seconds: number;
  readonly bytesPerSecond: number;
  readonly counts: EndpointCounts;
}

/** @param transfer - a sender or receiver that is through */
export function transferResult(
  endpoint: Endpoint,
  transfer: { readonly digest: Uint8Array | null; readonly isEqual: boolean | null },
  size: number,
  startMs: number,
): TransferResult {
  const seconds = (performance.now() - startMs) / 1e3;
  return {
    size,
    sha256: Buffer.from(transfer.digest!).toString('hex'),
    isEqual: transfer.isEqual === true,
    seconds,
    bytesPerSecond: Math.round(size / seconds),
    counts: { ...endpoint.counts },
  };
}

export const transferText = ({ size, seconds, sha256 }: TransferResult): string =>
  `${counted(size, 'byte')} in ${durationText(seconds)}, ${rateText(size, seconds)}, sha256 ${sha256}`;
