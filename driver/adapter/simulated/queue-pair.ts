/**
 * A reliable queue pair: two queues of work requests, and the way of each request to the peer and back.
 *
 * Theory of operation: requests are launched in order, arrive in order, are carried out in order at the peer, and
 * are answered in order. So the life of a send queue is five counters that chase each other,
 *
 *     posted >= launched >= arrived >= executed >= completed >= reported
 *
 * and nothing is kept per message but its descriptor. No message is stored in between: bytes go from memory to
 * memory when a send or write is carried out, or when the answer to a read comes in. A request that is flushed
 * before that moves nothing, since its memory is the owner's again.
 */

import type { CompletionStatus as Status, Opcode as OpcodeValue, QueueDepths } from '../adapter.ts';
import {
  CompletionStatus,
  MemoryAccess,
  Opcode,
  WORK_REQUEST_FENCE,
  WORK_REQUEST_WORDS,
  WorkRequestField,
} from '../adapter.ts';
import type { Host } from './host.ts';
import { addressAt, MemorySpans, wordAt } from './memory.ts';
import { AdapterMisuseError } from './misuse.ts';
import { Path } from './path.ts';
import type { Random } from './random.ts';

/** Descriptors in posting order, and how far they got. All counters only grow. */
class WorkRequestQueue {
  /** Work requests taken. */
  posted = 0;
  /** Of these, those that have a completion. */
  completed = 0;
  /** Of these, those whose completion was polled: only then is the place free again. */
  reported = 0;
  /** A slow flush is under way. */
  flushing = false;
  words: Uint32Array;
  readonly #depth: number;

  constructor(depth: number) {
    this.#depth = depth;
    this.words = new Uint32Array(depth * WORK_REQUEST_WORDS);
  }

  push(words: Uint32Array, base: number): boolean {
    if (this.posted - this.reported >= this.#depth) return false;
    const target = this.baseOf(this.posted);
    for (let word = 0; word < WORK_REQUEST_WORDS; word++) this.words[target + word] = wordAt(words, base + word);
    this.posted++;
    return true;
  }

  /** Where the descriptor of the request with this number begins in {@link WorkRequestQueue.words}. */
  baseOf(request: number): number {
    return (request % this.#depth) * WORK_REQUEST_WORDS;
  }

  /** Forgets everything that is posted. */
  drop(): void {
    this.completed = this.posted;
    this.reported = this.posted;
    this.words = new Uint32Array(0);
  }
}

/** A request that was not carried out this time, and will be tried again. */
const NOT_READY = -1;

// Of the request at hand; free again when the bytes are moved.
const source = new MemorySpans();
const target = new MemorySpans();

/** Told when a queue pair breaks without its owner's doing. */
export interface QueuePairOwner {
  queuePairBroke(): void;
}

export class QueuePair {
  /** `closed`: receives can be posted. `ready`: everything can. `error`: what is posted is flushed. */
  state: 'closed' | 'ready' | 'error' = 'closed';
  readonly protectionDomain: number;
  readonly #host: Host;
  readonly #owner: QueuePairOwner;
  readonly #connector: number;
  readonly #sends: WorkRequestQueue;
  readonly #receives: WorkRequestQueue;
  readonly #requests: Path;
  /** Answers to the peer's requests. */
  readonly #responses: Path;
  #peer: QueuePair | null = null;

  #launched = 0;
  #arrived = 0;
  #executed = 0;
  #readsOutstanding = 0;
  /** How the peer refused request `executed - 1`; after a refusal nothing more is carried out. */
  #refusal: Status = CompletionStatus.success;
  /** Waiting: for the peer to be ready at all, or to post a receive. */
  #stalled = false;
  #resumeScheduled = false;
  /** First request that doesn't arrive any more. */
  #lostFrom = Number.POSITIVE_INFINITY;
  /** Answers don't arrive any more either. */
  #deaf = false;
  #givingUp = false;
  /** No send failed yet: a success can't come after a failure. */
  #lateSuccessPossible = true;

  constructor(
    host: Host,
    owner: QueuePairOwner,
    connector: number,
    protectionDomain: number,
    depths: QueueDepths,
    random: Random,
    delayNs: number,
  ) {
    this.#host = host;
    this.#owner = owner;
    this.#connector = connector;
    this.protectionDomain = protectionDomain;
    this.#sends = new WorkRequestQueue(depths.send);
    this.#receives = new WorkRequestQueue(depths.receive);
    this.#requests = new Path(host, random, delayNs);
    this.#responses = new Path(host, random, delayNs);
  }

  get postedSends(): number {
    return this.#sends.posted - this.#sends.reported;
  }

  get postedReceives(): number {
    return this.#receives.posted - this.#receives.reported;
  }

  /** When the last answer that is under way reaches the peer. */
  get lastResponseNs(): number {
    return this.#responses.lastArrivalNs;
  }

  /** Connects this end; the other one follows when it hears of it. */
  connectTo(peer: QueuePair): void {
    this.#peer = peer;
    if (this.state !== 'closed') return;
    this.state = 'ready';
    // What the peer sent while this end wasn't ready.
    if (peer.#peer === this) peer.resume();
  }

  /** Takes the descriptor at `base`. @returns false when the queue is full */
  post(words: Uint32Array, base: number, opcode: OpcodeValue): boolean {
    const isReceive = opcode === Opcode.receive;
    if (!isReceive && this.state === 'closed') {
      throw new AdapterMisuseError(`connector ${this.#connector}: send posted before the connection`);
    }
    const queue = isReceive ? this.#receives : this.#sends;
    if (!queue.push(words, base)) return false;
    if (this.state === 'error') this.#flush(queue);
    else if (!isReceive) this.#launch();
    else this.#peer?.receiveWasPosted();
    return true;
  }

  /** A completion of this queue pair was polled. */
  reported(opcode: number): void {
    if (opcode === Opcode.receive) this.#receives.reported++;
    else this.#sends.reported++;
  }

  /** From now on nothing moves, and what is posted is flushed. */
  enterError(): void {
    if (this.state === 'error') return;
    this.state = 'error';
    this.#flush(this.#sends);
    this.#flush(this.#receives);
    // A peer that waits for a receive here must find out that none will come.
    this.#peer?.resume();
  }

  /** Both directions fall silent; the transport finds out after its time. */
  loseConnection(): void {
    this.#lostFrom = Math.min(this.#lostFrom, this.#arrived);
    this.#deaf = true;
    this.#giveUpLater();
  }

  /** Forgets what is posted, without completions. */
  drop(): void {
    this.#sends.drop();
    this.#receives.drop();
    this.enterError();
    this.#peer = null;
  }

  // The requester's part.

  #launch(): void {
    const sends = this.#sends;
    while (this.#launched < sends.posted) {
      const base = sends.baseOf(this.#launched);
      const isRead = wordAt(sends.words, base + WorkRequestField.opcode) === Opcode.rdmaRead;
      const isFenced = (wordAt(sends.words, base + WorkRequestField.flags) & WORK_REQUEST_FENCE) !== 0;
      const readsMax = this.#host.capabilities.readDepthMax;
      if (isFenced && this.#readsOutstanding > 0) return;
      if (isRead && this.#readsOutstanding > 0 && this.#readsOutstanding >= readsMax) return;
      if (isRead) this.#readsOutstanding++;
      if (this.#host.faults.messageLost.strikes()) {
        this.#lostFrom = Math.min(this.#lostFrom, this.#launched);
        this.#giveUpLater();
      }
      const byteCount = isRead ? 0 : elementBytes(sends.words, base);
      this.#host.fabric.schedule(this.#requests.arrivalNs(byteCount), this.#onArrival);
      this.#launched++;
    }
  }

  readonly #onArrival = (): void => {
    if (this.state !== 'ready' || this.#arrived >= this.#lostFrom) return;
    this.#arrived++;
    this.#execute();
  };

  /** Carries out at the peer what has arrived there, as far as it goes. */
  #execute(): void {
    while (
      this.state === 'ready' &&
      this.#executed < this.#arrived &&
      this.#refusal === CompletionStatus.success &&
      !this.#stalled
    ) {
      const peer = this.#peer;
      if (peer === null || peer.state === 'error') {
        // Nobody answers there.
        this.#giveUpLater();
        return;
      }
      if (peer.state === 'closed') {
        this.#stalled = true;
        return;
      }
      const base = this.#sends.baseOf(this.#executed);
      const outcome = this.#carryOut(peer, base);
      if (outcome === NOT_READY) {
        this.#stalled = true;
        return;
      }
      this.#executed++;
      this.#refusal = outcome;
      const isRead = wordAt(this.#sends.words, base + WorkRequestField.opcode) === Opcode.rdmaRead;
      const byteCount = isRead ? elementBytes(this.#sends.words, base) : 0;
      this.#host.fabric.schedule(peer.#responses.arrivalNs(byteCount), this.#onResponse);
      // Only now: the news of the break goes after the answer that says why.
      if (isPeersAffair(outcome)) peer.#break();
    }
  }

  #carryOut(peer: QueuePair, base: number): Status | typeof NOT_READY {
    const opcode = wordAt(this.#sends.words, base + WorkRequestField.opcode);
    const localAccess = opcode === Opcode.rdmaRead ? MemoryAccess.localWrite : 0;
    if (!this.#findLocal(this.#sends, base, localAccess, source)) return CompletionStatus.localProtection;
    const { messageSizeMax, rdmaSizeMax, readDepthMax } = this.#host.capabilities;
    if (source.byteCount > (opcode === Opcode.send ? messageSizeMax : rdmaSizeMax)) return CompletionStatus.localLength;
    switch (opcode) {
      case Opcode.rdmaWrite:
        if (!this.#findRemote(peer, base, MemoryAccess.remoteWrite, target)) return CompletionStatus.remoteAccess;
        source.moveTo(target);
        return CompletionStatus.success;
      case Opcode.rdmaRead:
        if (readDepthMax === 0 || peer.#host.capabilities.readDepthMax === 0) return CompletionStatus.fault;
        // Only looked at: the bytes move when the answer is back, see #finishRead.
        if (!this.#findRemote(peer, base, MemoryAccess.remoteRead, target)) return CompletionStatus.remoteAccess;
        return CompletionStatus.success;
      default:
        return peer.#deliver(this.#host.fabric.settings.receiverNotReady);
    }
  }

  readonly #onResponse = (): void => {
    if (this.state !== 'ready' || this.#deaf) return;
    const request = this.#sends.completed;
    const isRefused = this.#refusal !== CompletionStatus.success && request === this.#executed - 1;
    const base = this.#sends.baseOf(request);
    let status: Status = isRefused ? this.#refusal : CompletionStatus.success;
    let byteCount = 0;
    if (wordAt(this.#sends.words, base + WorkRequestField.opcode) === Opcode.rdmaRead) {
      byteCount = elementBytes(this.#sends.words, base);
      if (!isRefused) status = this.#finishRead(base);
      this.#readsOutstanding--;
    }
    this.#complete(this.#sends, status, byteCount);
    if (status === CompletionStatus.success) this.#launch();
    else this.#break();
  };

  #finishRead(base: number): Status {
    const peer = this.#peer;
    // Both memories are looked up again: either end may have taken its region back in the meantime.
    if (peer === null || !this.#findRemote(peer, base, MemoryAccess.remoteRead, source)) {
      return CompletionStatus.remoteAccess;
    }
    if (!this.#findLocal(this.#sends, base, MemoryAccess.localWrite, target)) return CompletionStatus.localProtection;
    source.moveTo(target);
    return CompletionStatus.success;
  }

  #findLocal(queue: WorkRequestQueue, base: number, access: number, into: MemorySpans): boolean {
    return this.#host.memory.findElements(this.protectionDomain, queue.words, base, access, into);
  }

  #findRemote(peer: QueuePair, base: number, access: number, into: MemorySpans): boolean {
    const { words } = this.#sends;
    const address = addressAt(words, base + WorkRequestField.remoteAddressLow);
    const key = wordAt(words, base + WorkRequestField.remoteKey);
    return peer.#host.memory.findRemote(peer.protectionDomain, key, address, elementBytes(words, base), access, into);
  }

  resume(): void {
    this.#stalled = false;
    this.#execute();
  }

  receiveWasPosted(): void {
    if (this.#stalled) this.resumeLater();
  }

  resumeLater(): void {
    if (this.#resumeScheduled) return;
    this.#resumeScheduled = true;
    const { fabric } = this.#host;
    fabric.schedule(fabric.nowNs + fabric.settings.receiverNotReadyRetryNs, () => {
      this.#resumeScheduled = false;
      this.resume();
    });
  }

  #giveUpLater(): void {
    if (this.#givingUp) return;
    this.#givingUp = true;
    const { fabric } = this.#host;
    fabric.schedule(fabric.nowNs + fabric.settings.retryTimeoutNs, () => {
      if (this.state !== 'ready') return;
      if (this.#sends.completed < this.#sends.posted) {
        this.#complete(this.#sends, CompletionStatus.retryExceeded, 0);
      }
      this.#break();
    });
  }

  // The responder's part.

  /** Places the message in `source` in the oldest receive. @returns how the sender's request ends */
  #deliver(whenNotReady: 'wait' | 'fail'): Status | typeof NOT_READY {
    const receives = this.#receives;
    const isRefused = this.#host.faults.receiverNotReady.strikes();
    if (isRefused || receives.completed === receives.posted) {
      if (whenNotReady === 'fail') return CompletionStatus.receiverNotReady;
      if (isRefused) this.#peer?.resumeLater();
      return NOT_READY;
    }
    const base = receives.baseOf(receives.completed);
    if (!this.#findLocal(receives, base, MemoryAccess.localWrite, target)) {
      this.#complete(receives, CompletionStatus.localProtection, 0);
      return CompletionStatus.remoteOperation;
    }
    const { byteCount } = source;
    if (target.byteCount < byteCount) {
      this.#complete(receives, CompletionStatus.localLength, 0);
      return CompletionStatus.remoteOperation;
    }
    source.moveTo(target);
    this.#complete(receives, CompletionStatus.success, byteCount);
    return CompletionStatus.success;
  }

  // Both.

  #break(): void {
    if (this.state === 'error') return;
    this.enterError();
    this.#owner.queuePairBroke();
  }

  #complete(queue: WorkRequestQueue, status: Status, byteCount: number): void {
    const base = queue.baseOf(queue.completed);
    queue.completed++;
    if (queue === this.#sends && status !== CompletionStatus.success) this.#lateSuccessPossible = false;
    const context = wordAt(queue.words, base + WorkRequestField.context);
    const opcode = wordAt(queue.words, base + WorkRequestField.opcode) as OpcodeValue;
    this.#host.complete(this.#connector, context, status, byteCount, opcode);
  }

  #flush(queue: WorkRequestQueue): void {
    const { plan } = this.#host.faults;
    if (plan.flushDelayNsMax > 0) {
      this.#flushSlowly(queue);
      return;
    }
    while (queue.completed < queue.posted) this.#flushNext(queue);
  }

  #flushSlowly(queue: WorkRequestQueue): void {
    if (queue.flushing || queue.completed === queue.posted) return;
    queue.flushing = true;
    const { fabric, faults } = this.#host;
    fabric.schedule(fabric.nowNs + faults.delayNs(faults.plan.flushDelayNsMax), () => {
      queue.flushing = false;
      if (queue.completed === queue.posted) return;
      this.#flushNext(queue);
      this.#flushSlowly(queue);
    });
  }

  #flushNext(queue: WorkRequestQueue): void {
    if (queue === this.#sends && this.#succeedsLate()) {
      this.#complete(queue, CompletionStatus.success, 0);
      return;
    }
    this.#complete(queue, CompletionStatus.flushed, 0);
  }

  /** Whether the oldest send was carried out at the peer and counts as such, though its answer is still to come. */
  #succeedsLate(): boolean {
    const request = this.#sends.completed;
    const isRefused = this.#refusal !== CompletionStatus.success && request === this.#executed - 1;
    const base = this.#sends.baseOf(request);
    return (
      this.#lateSuccessPossible &&
      request < this.#executed &&
      !isRefused &&
      wordAt(this.#sends.words, base + WorkRequestField.opcode) !== Opcode.rdmaRead &&
      this.#host.faults.lateSuccess.strikes()
    );
  }
}

function elementBytes(words: Uint32Array, base: number): number {
  let byteCount = 0;
  const elementCount = wordAt(words, base + WorkRequestField.elementCount);
  for (let index = 0; index < elementCount; index++) {
    byteCount += wordAt(words, base + WorkRequestField.elements + 4 * index + 1);
  }
  return byteCount;
}

/** Whether the peer's queue pair breaks with the request. What is wrong at the requester alone breaks only there. */
function isPeersAffair(status: Status): boolean {
  return (
    status === CompletionStatus.remoteAccess ||
    status === CompletionStatus.remoteOperation ||
    status === CompletionStatus.receiverNotReady
  );
}
