/** What a random run consists of: plain data, so that a run that failed can be kept in a file. */

import type { FaultPlan } from '../../driver/index.ts';
import type { Operation } from './model.ts';

/** Which host. */
export type HostIndex = 0 | 1;
/** An up-call in which something else can be made to happen. */
export type UpcallName = 'create' | 'closeHandle' | 'complete' | 'set' | 'reset' | 'condition';
/** What is wrong with a transfer's arguments, if anything. */
export type Flaw = 'none' | 'empty' | 'flags' | 'tooLong' | 'unregistered' | 'busy' | 'malformed';

/**
 * One thing that the switches, the network or time do. `s`, `r` and `t` pick a socket, registration or token, whatever
 * is there at the time; see `pick` in world.ts.
 */
export type Action =
  | { readonly type: 'startup'; readonly host: HostIndex; readonly version: number }
  | { readonly type: 'cleanup'; readonly host: HostIndex }
  | { readonly type: 'socket'; readonly host: HostIndex }
  | { readonly type: 'bind'; readonly host: HostIndex; readonly s: number; readonly port: number }
  | { readonly type: 'listen'; readonly host: HostIndex; readonly s: number; readonly backlog: number }
  | { readonly type: 'connect'; readonly host: HostIndex; readonly s: number; readonly target: number }
  | { readonly type: 'select'; readonly host: HostIndex; readonly s: number; readonly mask: number }
  | { readonly type: 'events'; readonly host: HostIndex; readonly s: number; readonly reset: boolean }
  | { readonly type: 'accept'; readonly host: HostIndex; readonly s: number; readonly verdict: number }
  | { readonly type: 'close'; readonly host: HostIndex; readonly s: number }
  | { readonly type: 'duplicate'; readonly host: HostIndex; readonly s: number; readonly ours: boolean }
  | { readonly type: 'takeOver'; readonly host: HostIndex; readonly t: number }
  | {
      readonly type: 'register';
      readonly host: HostIndex;
      readonly s: number;
      readonly part: number;
      readonly access: number;
    }
  | { readonly type: 'registerRdma'; readonly host: HostIndex; readonly s: number; readonly access: number }
  | { readonly type: 'deregister'; readonly host: HostIndex; readonly s: number; readonly r: number }
  | {
      readonly type: 'transfer';
      readonly host: HostIndex;
      readonly s: number;
      readonly operation: Operation;
      readonly length: number;
      readonly elements: number;
      readonly notify: boolean;
      readonly flaw: Flaw;
      readonly r: number;
    }
  | { readonly type: 'outcome'; readonly host: HostIndex; readonly s: number; readonly r: number }
  | { readonly type: 'option'; readonly host: HostIndex; readonly s: number; readonly set: boolean }
  | { readonly type: 'poll'; readonly host: HostIndex }
  | { readonly type: 'network'; readonly instants: number }
  | { readonly type: 'pass'; readonly ms: number }
  | { readonly type: 'settle' }
  /** A connection to the other host. Stages: 0 made and used for messages; 1 begun; 2 made; 3 made, also for RDMA. */
  | { readonly type: 'pair'; readonly host: HostIndex; readonly stage: number }
  | { readonly type: 'arm'; readonly host: HostIndex; readonly upcall: UpcallName; readonly actions: readonly Action[] }
  | { readonly type: 'refuseHandle'; readonly host: HostIndex; readonly error: number }
  | { readonly type: 'failCompletions'; readonly host: HostIndex; readonly on: boolean }
  | { readonly type: 'remove'; readonly host: HostIndex; readonly told: boolean }
  /** What a listener listens on is removed. */
  | { readonly type: 'removeListener'; readonly host: HostIndex; readonly s: number };

/** The world that a run happens in. */
export interface Setup {
  readonly seed: number;
  readonly latencyNs: number;
  readonly jitterNs: number;
  readonly receiverNotReady: 'wait' | 'fail';
  readonly privateDataPadded: boolean;
  /** Elements of one work request: below 4, RDMA requests are split. */
  readonly elementsMax: number;
  /** The adapters have room for one request of each direction of a connection, fewer than providers would post. */
  readonly isShallow?: boolean;
  readonly pureSan: boolean;
  /** Connections that are there from the beginning. */
  readonly pairs: number;
  /** As of the action `pair`. */
  readonly stage: number;
  /** How it ends: every socket is closed first, or the providers are cleaned up with what is there. */
  readonly ending: 'close' | 'cleanup';
  readonly faults: readonly [Partial<FaultPlan>, Partial<FaultPlan>];
}

/** A run: what the file of a regression holds. */
export interface Run {
  readonly setup: Setup;
  readonly actions: readonly Action[];
}
