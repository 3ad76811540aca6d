/**
 * Tokens of WSPDuplicateSocket: what one process stores of a socket and another takes up.
 *
 * Source: specification, section 15.3.
 */

import type { SocketAddress } from './adapter/adapter.ts';
import type { PeerEnd } from './tables.ts';

/** What a socket is rebuilt from. Plain data, so that it can cross to another process. */
export interface DuplicatedSocket {
  readonly listening: boolean;
  readonly backlog: number;
  readonly local: SocketAddress;
  readonly remote: SocketAddress | null;
  /** 16 bytes, or null for a listener. */
  readonly connectionId: Uint8Array | null;
  readonly peer: PeerEnd | null;
  readonly options: { readonly debug: number; readonly noDelay: number };
}

/** Where tokens are kept. Shared by the providers that may hand sockets to each other. */
export interface DuplicationStore {
  /** @returns a token that isn't in use: 1 to 2^32 - 1; or null when there is no room */
  put(socket: DuplicatedSocket, processId: number): number | null;
  /** Takes the socket out, once. @returns null when the token is unknown, used, or for another process */
  take(token: number, processId: number): DuplicatedSocket | null;
}

/** Tokens among the providers of one process. */
export class ProcessDuplicationStore implements DuplicationStore {
  readonly #sockets = new Map<number, { readonly socket: DuplicatedSocket; readonly processId: number }>();
  #last: number;

  /** @param last - the token given out last: the next one follows it */
  constructor(last = 0) {
    this.#last = last;
  }

  put(socket: DuplicatedSocket, processId: number): number | null {
    if (this.#sockets.size >= 0xffff) return null;
    do this.#last = this.#last === 0xffff_ffff ? 1 : this.#last + 1;
    while (this.#sockets.has(this.#last));
    this.#sockets.set(this.#last, { socket, processId });
    return this.#last;
  }

  take(token: number, processId: number): DuplicatedSocket | null {
    const found = this.#sockets.get(token);
    if (found === undefined || found.processId !== processId) return null;
    this.#sockets.delete(token);
    return found.socket;
  }
}

/** The store that providers share when they are given none. */
export const processDuplicationStore = new ProcessDuplicationStore();
