/** What is measured, and how it is told. */

export type Scenario = 'roundTrip' | 'messages' | 'writes' | 'echoes';
/** `adapter`: the iWARP adapter without a provider. */
export type Transport = 'net' | 'adapter' | 'iwarp' | 'iwarp-crc';

/** What a parent asks of an end. */
export type Order =
  /** Take connections; answered with the port. */
  | { readonly serve: Scenario }
  /** Make connections to `port`; answered with 0 when each is ready for the exchange. */
  | { readonly connect: Scenario; readonly port: number; readonly connections: number }
  /** Exchange on the connections for `ms`; answered with a {@link Measured} when nothing is on its way any more. */
  | { readonly run: number }
  /** Answered with the bytes that this process has in memory. */
  | { readonly memory: true }
  /** Answered with the microseconds of processor time that this process has used. */
  | { readonly usage: true }
  /** Close all connections; answered with 0. */
  | { readonly close: true };

/** What was done, and how long it took. */
export interface Measured {
  readonly count: number;
  readonly seconds: number;
  /** Median of a round trip, where it is measured. */
  readonly p50Us: number;
}

/** Bytes of one message, by scenario. */
export const messageBytes: Readonly<Record<Scenario, number>> = {
  roundTrip: 64,
  messages: 1024 * 1024,
  writes: 1024 * 1024,
  echoes: 1024,
};
/** Messages that are on their way at once, where many are. */
export const WINDOW = 8;

export interface End {
  serve(scenario: Scenario): Promise<number>;
  /** Makes connections, for {@link End.run}. */
  connect(scenario: Scenario, port: number, connections: number): Promise<void>;
  /** Can be asked again and again of the same connections. */
  run(ms: number): Promise<Measured>;
  close(): Promise<void>;
}

/** What exchanges for `ms` on connections that were made for it. */
export type Exchange = (ms: number) => Promise<Measured>;

/** Round trips that were measured one by one. */
export class RoundTrips {
  readonly #us = new Float64Array(2_000_000);
  #count = 0;
  readonly #startMs = performance.now();
  readonly #endMs: number;
  #lastMs = this.#startMs;

  constructor(ms: number) {
    this.#endMs = this.#startMs + ms;
  }

  /** One is over, and the next begins. @returns false when it is enough */
  next(): boolean {
    const nowMs = performance.now();
    this.#us[this.#count++] = (nowMs - this.#lastMs) * 1000;
    this.#lastMs = nowMs;
    return nowMs < this.#endMs && this.#count < this.#us.length;
  }

  measured(): Measured {
    const sorted = this.#us.subarray(0, this.#count).sort();
    return { count: this.#count, seconds: (this.#lastMs - this.#startMs) / 1e3, p50Us: sorted[this.#count >> 1]! };
  }
}

/** Echoes on many connections, each with one on its way. */
export class Echoes {
  readonly #startMs = performance.now();
  readonly #endMs: number;
  readonly #over: (measured: Measured) => void;
  #nowMs = this.#startMs;
  #underWay: number;
  #count = 0;

  /** @param over - told when none is on its way any more */
  constructor(ms: number, connections: number, over: (measured: Measured) => void) {
    this.#endMs = this.#startMs + ms;
    this.#underWay = connections;
    this.#over = over;
  }

  /** One has come. @returns whether its connection sends the next */
  next(): boolean {
    this.#count++;
    this.#nowMs = performance.now();
    if (this.#nowMs < this.#endMs) return true;
    if (--this.#underWay === 0) {
      this.#over({ count: this.#count, seconds: (this.#nowMs - this.#startMs) / 1e3, p50Us: 0 });
    }
    return false;
  }
}
