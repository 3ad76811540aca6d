/**
 * What can go wrong in the simulated network, and when.
 *
 * Every fault draws from its own stream of random numbers and has its own count, per host. So one fault can be
 * switched on, or moved from one occurrence to another, without disturbing the rest of the run.
 */

import type { Random } from './random.ts';

/** When a fault strikes: with a chance from 0 to 1 each time, or at exact occurrences, counted from 1. */
export type Occurrence = number | { readonly at: readonly number[] };

/** Calls that can be refused for want of resources. `post` counts work requests, not calls. */
export const REFUSABLE_CALLS = [
  'allocateProtectionDomain',
  'registerMemory',
  'listen',
  'createConnector',
  'connect',
  'prepareAccept',
  'accept',
  'post',
] as const;
export type RefusableCall = (typeof REFUSABLE_CALLS)[number];

/** Faults of one host. All are off unless named. Each is counted at the host where it strikes. */
export interface FaultPlan {
  /** The call answers `outOfResources`, each kind counted for itself; a refused work request may be posted again. */
  readonly outOfResources: Readonly<Partial<Record<RefusableCall, Occurrence>>>;

  /** Extra delay of all that one connection end sends, drawn once for it from 0 to this; ns, 0 to 10^12. */
  readonly connectionDelayNsMax: number;

  /** Per work request sent: it and all after it never arrive; the sender's transport gives up. */
  readonly messageLost: Occurrence;
  /** Per connection that the host opened: both directions fall silent some time after it is up. */
  readonly connectionLost: Occurrence;
  /** Longest time from established to {@link FaultPlan.connectionLost}; ns, 0 to 10^12. */
  readonly connectionLostAfterNsMax: number;
  /** Per arriving message: treated as if no receive were posted, even if one is. */
  readonly receiverNotReady: Occurrence;

  /** Per arriving connection request: nobody hears of it, and the peer gets no answer ever. */
  readonly connectRequestLost: Occurrence;
  /** Per arriving acceptance or rejection: the connecting side never hears of it. */
  readonly answerLost: Occurrence;
  /** Per acceptance: the accepting side gets no `established`; the connection is up all the same. */
  readonly confirmationLost: Occurrence;
  /** Per `withdrawn`: the accepting side learns only by its acceptance leading nowhere. */
  readonly withdrawalLost: Occurrence;
  /** Per end of a connection: no `disconnected` event; the flushed work requests alone tell. */
  readonly disconnectedLost: Occurrence;
  /** Per `disconnected` event: it comes twice. */
  readonly disconnectedDoubled: Occurrence;
  /** Per own {@link Adapter.disconnect}: the caller too gets a `disconnected`, as with librdmacm. */
  readonly disconnectedEchoed: Occurrence;
  /** Per end of a connection: the news overtakes acknowledgements that are under way to the peer. */
  readonly disconnectOvertakes: Occurrence;
  /** Per connection event but `connectRequest`: others, of the same connector too, may come before it. */
  readonly eventLate: Occurrence;
  /** Longest delay of a late event; ns, 0 to 10^12. */
  readonly eventLateNsMax: number;

  /** Longest time before each flushed completion of a queue; ns, 0 to 10^12. At 0 all are there at once. */
  readonly flushDelayNsMax: number;
  /** Per send or write that the peer has carried out and not yet acknowledged: at a flush it counts as a success. */
  readonly lateSuccess: Occurrence;

  /** Per removal of the adapter: it says so twice, as librdmacm does, which tells each of its ids. */
  readonly deviceRemovedDoubled: Occurrence;
  /** Virtual time at which the adapter is removed, peers told; ns, or null for never. */
  readonly deviceRemovedAtNs: number | null;
}

export const NO_FAULTS: FaultPlan = {
  outOfResources: {},
  connectionDelayNsMax: 0,
  messageLost: 0,
  connectionLost: 0,
  connectionLostAfterNsMax: 1_000_000,
  receiverNotReady: 0,
  connectRequestLost: 0,
  answerLost: 0,
  confirmationLost: 0,
  withdrawalLost: 0,
  disconnectedLost: 0,
  disconnectedDoubled: 0,
  disconnectedEchoed: 0,
  disconnectOvertakes: 0,
  eventLate: 0,
  eventLateNsMax: 1_000_000,
  flushDelayNsMax: 0,
  lateSuccess: 0,
  deviceRemovedDoubled: 0,
  deviceRemovedAtNs: null,
};

/** One fault of one host: counts its occasions and says at which it strikes. */
class Fault {
  readonly #occurrence: Occurrence;
  readonly #random: Random;
  #occasions = 0;

  constructor(occurrence: Occurrence, random: Random) {
    if (typeof occurrence === 'number' && !(occurrence >= 0 && occurrence <= 1)) {
      throw new RangeError(`fault plan: chance ${occurrence} is not in 0 to 1`);
    }
    this.#occurrence = occurrence;
    this.#random = random;
  }

  strikes(): boolean {
    this.#occasions++;
    const occurrence = this.#occurrence;
    if (typeof occurrence !== 'number') return occurrence.at.includes(this.#occasions);
    // Without a chance nothing is drawn: this is asked for every message.
    return occurrence > 0 && this.#random.fraction() < occurrence;
  }
}

/** Names of the faults that strike or don't, as opposed to those that are an amount. */
type OccasionName = {
  [Name in keyof FaultPlan]: FaultPlan[Name] extends Occurrence
    ? Occurrence extends FaultPlan[Name]
      ? Name
      : never
    : never;
}[keyof FaultPlan];

/** The faults of one host, ready to strike. */
export class Faults {
  readonly plan: FaultPlan;
  readonly messageLost: Fault;
  readonly connectionLost: Fault;
  readonly receiverNotReady: Fault;
  readonly connectRequestLost: Fault;
  readonly answerLost: Fault;
  readonly confirmationLost: Fault;
  readonly withdrawalLost: Fault;
  readonly disconnectedLost: Fault;
  readonly disconnectedDoubled: Fault;
  readonly disconnectedEchoed: Fault;
  readonly disconnectOvertakes: Fault;
  readonly eventLate: Fault;
  readonly lateSuccess: Fault;
  readonly deviceRemovedDoubled: Fault;
  readonly #refused: ReadonlyMap<RefusableCall, Fault>;
  readonly #amounts: Random;

  /** @param stream - gives the random numbers of one fault, by its name */
  constructor(plan: FaultPlan, stream: (name: string) => Random) {
    const fault = (name: OccasionName): Fault => new Fault(plan[name], stream(name));
    this.plan = plan;
    this.messageLost = fault('messageLost');
    this.connectionLost = fault('connectionLost');
    this.receiverNotReady = fault('receiverNotReady');
    this.connectRequestLost = fault('connectRequestLost');
    this.answerLost = fault('answerLost');
    this.confirmationLost = fault('confirmationLost');
    this.withdrawalLost = fault('withdrawalLost');
    this.disconnectedLost = fault('disconnectedLost');
    this.disconnectedDoubled = fault('disconnectedDoubled');
    this.disconnectedEchoed = fault('disconnectedEchoed');
    this.disconnectOvertakes = fault('disconnectOvertakes');
    this.eventLate = fault('eventLate');
    this.lateSuccess = fault('lateSuccess');
    this.deviceRemovedDoubled = fault('deviceRemovedDoubled');
    this.#refused = new Map(
      REFUSABLE_CALLS.map((call) => [call, new Fault(plan.outOfResources[call] ?? 0, stream(`refuse ${call}`))]),
    );
    this.#amounts = stream('amounts');
  }

  refuses(call: RefusableCall): boolean {
    return this.#refused.get(call)?.strikes() ?? false;
  }

  /** How long something takes that may take up to `maxNs`. */
  delayNs(maxNs: number): number {
    return this.#amounts.upTo(maxNs);
  }
}
