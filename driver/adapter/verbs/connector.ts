/**
 * Connectors and their lifecycles: machines/verbs.ts stepped on its tables by what the connection manager tells.
 */

import { compileVerbsConnectorMachine, EFFECT_STRIDE, InvariantError, MachineRows } from '../../../machines/index.ts';
import { AdapterStatus, type SocketAddress } from '../adapter.ts';
import type { Shim, ShimEvent } from './bindings.ts';
import type { Claim, Device } from './device.ts';
import { toStatus } from './errors.ts';

const NO_DATA = new Uint8Array(0);

/** A protection domain. The kernel's goes once its owner has freed it and the last queue pair in it is gone. */
export class Domain {
  readonly handle: number;
  readonly device: Device;
  readonly address: string;
  #queuePairs = 0;
  #isFreed = false;

  constructor(handle: number, device: Device, address: string) {
    this.handle = handle;
    this.device = device;
    this.address = address;
  }

  enter(): void {
    this.#queuePairs++;
  }

  leave(shim: Shim): void {
    this.#queuePairs--;
    this.#end(shim);
  }

  free(shim: Shim): void {
    this.#isFreed = true;
    this.#end(shim);
  }

  #end(shim: Shim): void {
    if (this.#isFreed && this.#queuePairs === 0) shim.wsd_pd_free(this.handle);
  }
}

/** One connection's end: the shim's id, and its queue pair once it has one. */
export class Connector {
  /** In descriptors and completions. */
  readonly number: number;
  /** rdma_cm_id */
  readonly id: number;
  readonly device: Device;
  /** Of its queue pair; null when it has none. */
  claim: Claim | null = null;
  /** Of its queue pair. */
  domain: Domain | null = null;
  listener = -1;
  arrival: ShimEvent | null = null;
  remote: SocketAddress | null = null;
  /** To send with the next message of the connection manager. */
  privateData: Uint8Array = NO_DATA;
  /** What came with the last one. */
  peerData: Uint8Array = NO_DATA;
  row = -1;

  constructor(number: number, id: number, device: Device) {
    this.number = number;
    this.id = id;
    this.device = device;
  }

  /** As the machine has it: only after its outcome iWARP's connection manager gives back what connects or accepts. */
  get outcomeFirst(): number {
    return this.device.info.isIwarp ? 1 : 0;
  }

  /** Gives its queue pair and its id back. @param adapter - the shim's */
  release(shim: Shim, adapter: number): void {
    if (this.claim !== null) {
      shim.wsd_qp_destroy(adapter, this.id, this.number);
      this.device.leave(this.number, this.claim);
      this.domain!.leave(shim);
    }
    shim.wsd_id_destroy(this.id);
  }
}

/** Carries an effect out. @returns 0, or -errno when a call was refused */
export type Perform = (connector: Connector, effect: string, reason: number) => number;

/** rdma_cm_event_type -> event of the machine; the others are of no interest or aren't a connector's. */
const events: readonly (string | undefined)[] = [
  'cm.addressResolved',
  'cm.failed',
  'cm.routeResolved',
  'cm.failed',
  undefined,
  undefined,
  'cm.failed',
  'cm.failed',
  'cm.rejected',
  'cm.established',
  'cm.disconnected',
];
const REJECTED = 8;

/** Reasons of InfiniBand's connection manager. */
const NOBODY_LISTENS = 8;
const BY_CONSUMER = 28;

export class Lifecycle {
  readonly #rows: MachineRows;
  readonly #sink: { buffer: Float64Array; top: number };
  readonly #effects: readonly string[];
  readonly #free: number[] = [];

  constructor() {
    const machine = compileVerbsConnectorMachine();
    this.#sink = { buffer: new Float64Array(machine.effectsMax * EFFECT_STRIDE), top: 0 };
    this.#rows = new MachineRows(machine, 0, this.#sink);
    this.#effects = machine.effects.map(({ name }) => name);
  }

  begin(connector: Connector): void {
    connector.row = this.#free.pop() ?? this.#rows.used;
    this.#rows.ensure(connector.row);
    this.#rows.create(connector.row);
  }

  end(connector: Connector): void {
    this.#free.push(connector.row);
  }

  stateOf(connector: Connector): string {
    return this.#rows.stateName(connector.row);
  }

  /** Whether the connector can have `event` now. */
  expects(connector: Connector, event: string): boolean {
    return event === 'connector.prepare'
      ? this.stateOf(connector) === 'undecided'
      : this.stateOf(connector) === 'prepared';
  }

  /** Steps by an event of the connection manager. */
  happened(connector: Connector, event: ShimEvent, perform: Perform): void {
    const name = events[event.type];
    if (name === undefined) return;
    connector.peerData = event.privateData;
    this.apply(connector, name, perform, event.type === REJECTED ? reasonOf(connector, event) : 0);
  }

  /**
   * Steps, and has the effects carried out. A call that is refused is the next event.
   *
   * @returns 0, or the status of a call that was refused
   * @throws InvariantError when the machine doesn't expect the event
   */
  apply(connector: Connector, event: string, perform: Perform, parameter = 0): number {
    const rows = this.#rows;
    const { row } = connector;
    const id = rows.machine.events.findIndex(({ name }) => name === event);
    if (rows.step(row, id, parameter, 0, 0, 0, 0) === 0) {
      throw new InvariantError(rows.machine.name, row, event, rows.stateName(row), 0);
    }
    const effects = this.#sink.buffer.slice(0, this.#sink.top);
    this.#sink.top = 0;
    let status: number = AdapterStatus.ok;
    for (let at = 0; at < effects.length; at += EFFECT_STRIDE) {
      const result = perform(connector, this.#effects[effects[at]!]!, effects[at + 2]!);
      if (result === 0) continue;
      status = toStatus(result);
      this.apply(connector, 'call.refused', perform);
    }
    return status;
  }
}

/** InfiniBand says why; of iWARP only what the peer's provider has written tells a refusal from an absence. */
function reasonOf({ device }: Connector, { status, privateData }: ShimEvent): number {
  if (!device.info.isIwarp) return Math.min(0xffff, Math.abs(status));
  return privateData.length === 0 ? NOBODY_LISTENS : BY_CONSUMER;
}
