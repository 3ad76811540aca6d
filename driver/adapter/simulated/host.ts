/** What the parts of the simulator need of each other. */

import type { AdapterCapabilities, CompletionStatus, ConnectionEvent, Opcode } from '../adapter.ts';
import type { Faults } from './faults.ts';
import type { MemoryTable } from './memory.ts';
import type { Random } from './random.ts';

/** How the simulated network behaves when nothing goes wrong. */
export interface NetworkSettings {
  /** One way from host to host, ns; 0 to 10^12. */
  readonly latencyNs: number;
  /** Added to each message, drawn from 0 to this; never reorders one connection. ns, 0 to 10^12. */
  readonly jitterNs: number;
  /** Of each direction of each connection, bytes per second; above 0, `Infinity` for no limit. */
  readonly bandwidth: number;
  /** By how much virtual time moves with each poll, ns; 0 to 10^12. */
  readonly pollQuantumNs: number;
  /**
   * What a message does that meets no receive: wait until there is one, as InfiniBand with unlimited retry, or break
   * the connection, as iWARP.
   */
  readonly receiverNotReady: 'wait' | 'fail';
  /** From the posting of the missing receive to the sender's next attempt, ns; 0 to 10^12. */
  readonly receiverNotReadyRetryNs: number;
  /** How long the transport waits for an acknowledgement before it gives the connection up, ns; 0 to 10^12. */
  readonly retryTimeoutNs: number;
  /** When a connection attempt to an unknown host fails, ns; null for never, so that the caller's timer must act. */
  readonly unreachableAfterNs: number | null;
  /** Private data arrives filled up with zeros to the largest size, as on InfiniBand. */
  readonly privateDataPadded: boolean;
}

/** What carries messages: the network as its hosts see it. */
export interface Fabric {
  readonly nowNs: number;
  readonly settings: NetworkSettings;
  /** Has `action` carried out at `timeNs`, not before now. */
  schedule(timeNs: number, action: () => void): void;
  random(stream: string): Random;
}

/** A host as its connectors see it. */
export interface Host {
  readonly fabric: Fabric;
  readonly capabilities: AdapterCapabilities;
  readonly memory: MemoryTable;
  readonly faults: Faults;
  /** Unique in the network; names streams of random numbers. */
  readonly hostIndex: number;
  /** Appends a completion for the next poll. */
  complete(connector: number, context: number, status: CompletionStatus, bytes: number, opcode: Opcode): void;
  /** Appends a connection event, now or, by a fault, late. */
  raise(event: ConnectionEvent): void;
}
