/**
 * How an attempt to connect can end, by the driver's own codec and table: what a rejection brings, and what is made of it.
 *
 * Theory of operation: everything that can come is put through `driver/handshake.ts` and `driver/status.ts`, beside what is
 * certain of it by S-26: only a provider's own word, or that the configuration guarantees it. Whatever comes to the same
 * is one rule of a world; if the driver made something final of what nobody said, there were a rule for that, too.
 */

import { AdapterStatus } from '../../driver/index.ts';
import { decodeReject, encodeReject } from '../../driver/handshake.ts';
import { connectError, rejectionError } from '../../driver/status.ts';
import { RejectReason, WSA, wsaName } from '../../machines/index.ts';

/** Private data of a rejection: what no provider wrote, and whatever reason one can write. */
const texts: readonly { readonly bytes: Uint8Array; readonly isRefusal: boolean }[] = [
  ...[0, 5, 6, 148].map((length) => ({ bytes: new Uint8Array(length).fill(RejectReason.condition), isRefusal: false })),
  ...Array.from({ length: 256 }, (_, reason) => ({
    bytes: encodeReject(reason),
    isRefusal: Object.values<number>(RejectReason).includes(reason),
  })),
  ...Object.values(RejectReason).flatMap((reason) => [
    { bytes: encodeReject(reason).subarray(0, 5), isRefusal: false },
    // Not our mark, and not our version.
    ...[0, 4].map((at) => ({
      bytes: encodeReject(reason).map((byte, place) => byte ^ +(place === at)),
      isRefusal: false,
    })),
  ]),
];
/** Adapters' own numbers: "no such service" as InfiniBand numbers it, and the others. */
const NO_SUCH_SERVICE = 8;
const numbers = Array.from({ length: 256 }, (_, number) => number);

/** What comes to the same. */
export interface Rejection {
  readonly name: string;
  /** What is certain: WSAECONNREFUSED, WSAECONNRESET, or 0 for nothing. */
  readonly said: number;
  /** What the driver reports. */
  readonly result: number;
}

const names: Readonly<Record<string, string>> = {
  [`${WSA.WSAECONNREFUSED} ${WSA.WSAECONNREFUSED}`]: 'peer refuses',
  [`${WSA.WSAECONNRESET} ${WSA.WSAECONNRESET}`]: 'peer has no listener',
  [`0 ${WSA.WSAETIMEDOUT}`]: 'a rejection of which nothing is certain',
};

/** Every rejection that there can be, each kind once. */
export const rejections: readonly Rejection[] = [
  ...new Map(
    texts.flatMap(({ bytes, isRefusal }) =>
      numbers.flatMap((number) =>
        [false, true].map((pureSan): [string, Rejection] => {
          const guaranteed = pureSan && number === NO_SUCH_SERVICE;
          const said = isRefusal ? WSA.WSAECONNREFUSED : guaranteed ? WSA.WSAECONNRESET : 0;
          const result = rejectionError(decodeReject(bytes), number, pureSan);
          const key = `${said} ${result}`;
          return [
            key,
            { name: names[key] ?? `${wsaName(result)}, and ${wsaName(said)} is what is certain`, said, result },
          ];
        }),
      ),
    ),
  ).values(),
];

/** Errors of an attempt that can't begin. */
export const beginnings: readonly number[] = [
  ...new Set(
    Object.values(AdapterStatus)
      .filter((status) => status !== AdapterStatus.ok)
      .map(connectError),
  ),
];
