/**
 * A connection end: how it is set up, how it ends, and who is told.
 *
 * Theory of operation: news between two ends (request, answer, confirmation, withdrawal, disconnect) goes by one path
 * in order, beside the data. So a withdrawal comes after its request, and a disconnect after the acceptance; but
 * either may meet an end that has moved on, and is then ignored there.
 */

import type { QueueDepths } from '../adapter.ts';
import { AdapterStatus } from '../adapter.ts';
import type { Host } from './host.ts';
import { AdapterMisuseError } from './misuse.ts';
import { Path } from './path.ts';
import type { QueuePairOwner } from './queue-pair.ts';
import { QueuePair } from './queue-pair.ts';
import type { Random } from './random.ts';

/** Numbers of InfiniBand's connection manager. */
export const REJECT_NO_SUCH_SERVICE = 8;
export const REJECT_BY_CONSUMER = 28;

const NO_DATA: Uint8Array = new Uint8Array(0);

/** `undecided` and `prepared` are the accepting side's, `connecting` is the asking side's. */
type ConnectorState =
  | 'idle'
  | 'connecting'
  | 'undecided'
  | 'prepared'
  | 'accepted'
  | 'established'
  | 'ended'
  | 'destroyed';

export class Connector implements QueuePairOwner {
  readonly id: number;
  /** The listener that a passive end came from, -1 for an active one. */
  readonly listener: number;
  readonly #host: Host;
  readonly #random: Random;
  readonly #delayNs: number;
  readonly #news: Path;
  #state: ConnectorState;
  #queuePair: QueuePair | null = null;
  #peer: Connector | null;

  /** @param request - where a passive end comes from; null for an active one */
  constructor(host: Host, id: number, request: { readonly listener: number; readonly peer: Connector } | null) {
    this.#host = host;
    this.id = id;
    this.listener = request?.listener ?? -1;
    this.#peer = request?.peer ?? null;
    this.#state = request === null ? 'idle' : 'undecided';
    this.#random = host.fabric.random(`host ${host.hostIndex} connector ${id}`);
    this.#delayNs = this.#random.upTo(host.faults.plan.connectionDelayNsMax);
    this.#news = new Path(host, this.#random, this.#delayNs);
  }

  get state(): ConnectorState {
    return this.#state;
  }

  get queuePair(): QueuePair | null {
    return this.#queuePair;
  }

  createQueuePair(protectionDomain: number, depths: QueueDepths): void {
    this.#host.memory.attachConnector(protectionDomain);
    this.#queuePair = new QueuePair(this.#host, this, this.id, protectionDomain, depths, this.#random, this.#delayNs);
    if (this.#state === 'undecided') this.#state = 'prepared';
  }

  // What the owner does.

  /** @param ask - carried out when the request has reached the other host */
  connect(ask: () => void): number {
    if (this.#state !== 'idle') return AdapterStatus.invalidState;
    this.#state = 'connecting';
    this.#send(ask);
    return AdapterStatus.ok;
  }

  accept(privateData: Uint8Array): number {
    const peer = this.#peer;
    const data = padded(privateData, this.#host.capabilities.privateDataMax.accept, this.#host);
    if (this.#state !== 'prepared' || peer === null) return AdapterStatus.invalidState;
    this.#state = 'accepted';
    if (peer.#queuePair !== null) this.#queuePair?.connectTo(peer.#queuePair);
    this.#send(() => peer.wasAccepted(this, data));
    return AdapterStatus.ok;
  }

  reject(privateData: Uint8Array): void {
    if (this.#state === 'accepted' || this.#state === 'established') {
      throw new AdapterMisuseError(`connector ${this.id}: rejected after it was accepted`);
    }
    const data = padded(privateData, this.#host.capabilities.privateDataMax.reject, this.#host);
    this.#refuse(data);
    this.destroy();
  }

  disconnect(): void {
    const wasUp = this.#isUp();
    this.#leave();
    if (wasUp && this.#host.faults.disconnectedEchoed.strikes()) {
      this.#send(() => this.#host.raise({ type: 'disconnected', connector: this.id }));
    }
  }

  destroy(): void {
    if (this.#state === 'destroyed') return;
    this.#queuePair?.drop();
    this.#leave();
    this.#state = 'destroyed';
    if (this.#queuePair !== null) this.#host.memory.detachConnector(this.#queuePair.protectionDomain);
  }

  /**
   * The adapter is gone.
   *
   * @param peersAreTold - otherwise they have to find out
   */
  remove(peersAreTold: boolean): void {
    if (peersAreTold) {
      const peer = this.#peer;
      if (this.#state === 'undecided' || this.#state === 'prepared') this.#send(() => peer?.connectFails());
      else this.#leave();
    }
    this.#end();
  }

  /** The network between the two ends is gone. */
  loseConnection(): void {
    this.#queuePair?.loseConnection();
    this.#peer?.queuePair?.loseConnection();
  }

  // What the network does.

  /** The request of this end has made `passive` at the other host. */
  requestArrived(passive: Connector): void {
    this.#peer = passive;
  }

  /** Nobody listens there. The answer takes as long as any. */
  nobodyListens(): void {
    this.#send(() => this.wasRejected(REJECT_NO_SUCH_SERVICE, NO_DATA));
  }

  /** The attempt leads nowhere. */
  connectFails(): void {
    if (this.#state !== 'connecting') return;
    this.#end();
    this.#host.raise({ type: 'connectFailed', connector: this.id });
  }

  queuePairBroke(): void {
    if (!this.#isUp()) return;
    this.#tellDisconnect();
    this.#end();
    this.#raiseDisconnected();
  }

  // What news from the peer does.

  wasAccepted(passive: Connector, privateData: Uint8Array): void {
    if (this.#state !== 'connecting') {
      passive.acceptanceCameTooLate();
      return;
    }
    const { faults, fabric } = this.#host;
    if (faults.answerLost.strikes()) return;
    this.#state = 'established';
    if (passive.#queuePair !== null) this.#queuePair?.connectTo(passive.#queuePair);
    this.#host.raise({ type: 'established', connector: this.id, privateData });
    this.#send(() => passive.wasConfirmed());
    if (faults.connectionLost.strikes()) {
      const lostNs = fabric.nowNs + faults.delayNs(faults.plan.connectionLostAfterNsMax);
      fabric.schedule(lostNs, () => this.loseConnection());
    }
  }

  wasConfirmed(): void {
    if (this.#state !== 'accepted' || this.#host.faults.confirmationLost.strikes()) return;
    this.#state = 'established';
    this.#host.raise({ type: 'established', connector: this.id, privateData: NO_DATA });
  }

  wasRejected(reason: number, privateData: Uint8Array): void {
    if (this.#state !== 'connecting' || this.#host.faults.answerLost.strikes()) return;
    this.#end();
    this.#host.raise({ type: 'rejected', connector: this.id, reason, privateData });
  }

  wasWithdrawn(): void {
    if (this.#state === 'accepted') {
      this.acceptanceCameTooLate();
      return;
    }
    if (this.#state !== 'undecided' && this.#state !== 'prepared') return;
    if (this.#host.faults.withdrawalLost.strikes()) return;
    this.#end();
    this.#host.raise({ type: 'withdrawn', connector: this.id });
  }

  /** The peer had given up when it was accepted. */
  acceptanceCameTooLate(): void {
    if (this.#state !== 'accepted') return;
    this.#end();
    this.#host.raise({ type: 'connectFailed', connector: this.id });
  }

  peerDisconnected(): void {
    if (!this.#isUp()) return;
    this.#end();
    this.#raiseDisconnected();
  }

  // Both.

  #isUp(): boolean {
    return this.#state === 'accepted' || this.#state === 'established';
  }

  /** Ends this end by its owner's wish and tells the peer what it must know. */
  #leave(): void {
    const state = this.#state;
    if (state === 'connecting') this.#send(() => this.#peer?.wasWithdrawn());
    else if (state === 'undecided' || state === 'prepared') this.#refuse(NO_DATA);
    else if (state === 'accepted' || state === 'established') this.#tellDisconnect();
    this.#end();
  }

  #refuse(privateData: Uint8Array): void {
    const peer = this.#peer;
    if (this.#state !== 'undecided' && this.#state !== 'prepared') return;
    this.#send(() => peer?.wasRejected(REJECT_BY_CONSUMER, privateData));
    this.#end();
  }

  #end(): void {
    if (this.#state !== 'destroyed') this.#state = 'ended';
    this.#queuePair?.enterError();
  }

  #tellDisconnect(): void {
    const peer = this.#peer;
    const arrivalNs = this.#news.arrivalNs(0);
    const answersNs = this.#host.faults.disconnectOvertakes.strikes() ? 0 : (this.#queuePair?.lastResponseNs ?? 0);
    this.#host.fabric.schedule(Math.max(arrivalNs, answersNs), () => peer?.peerDisconnected());
  }

  #raiseDisconnected(): void {
    const { faults } = this.#host;
    if (faults.disconnectedLost.strikes()) return;
    this.#host.raise({ type: 'disconnected', connector: this.id });
    if (faults.disconnectedDoubled.strikes()) this.#host.raise({ type: 'disconnected', connector: this.id });
  }

  #send(news: () => void): void {
    this.#host.fabric.schedule(this.#news.arrivalNs(0), news);
  }
}

/** A copy, since the caller may use its array again; on some networks it arrives longer than it was sent. */
export function padded(privateData: Uint8Array, byteCountMax: number, host: Host): Uint8Array {
  if (privateData.byteLength > byteCountMax) {
    throw new AdapterMisuseError(`private data: ${privateData.byteLength} bytes, at most ${byteCountMax} fit`);
  }
  const data = new Uint8Array(host.fabric.settings.privateDataPadded ? byteCountMax : privateData.byteLength);
  data.set(privateData);
  return data;
}
