/**
 * Every bound that decides something in a machine, with its unit.
 *
 * Theory of operation: a machine is made from its limits, so that the machine that is explored exhaustively (with the
 * smallest limits that can show every difference) and the one that runs (with production's) are one text.
 */

export interface Limits {
  /** Successful WSPStartupEx calls without their WSPCleanup. */
  readonly startupsMax: number;
  /** Sockets that aren't closed. */
  readonly socketsMax: number;
  /** Connection requests that a listener queues at most, whatever backlog is asked for. Source: 4.2 (R). */
  readonly backlogMax: number;
  /** Requests of one direction that the adapter holds at once. Source: 7.6. */
  readonly queueDepth: number;
  /** Requests of one direction that wait for room in the adapter. Source: 7.6. */
  readonly overflowMax: number;
  /** Work requests that one overlapped request is split into at most. Source: 7.6. */
  readonly piecesMax: number;
  /** WSPRegister*Memory calls that one registration counts. */
  readonly referencesMax: number;
}

/** What production runs with. */
export const productionLimits: Limits = {
  startupsMax: 1024,
  socketsMax: 1_048_576,
  backlogMax: 1024,
  queueDepth: 32,
  overflowMax: 256,
  piecesMax: 8,
  referencesMax: 65_535,
};

/** The smallest limits under which every guard can be both true and false; what exhaustive exploration uses. */
export const explorationLimits: Limits = {
  startupsMax: 2,
  socketsMax: 2,
  backlogMax: 2,
  queueDepth: 2,
  overflowMax: 2,
  piecesMax: 3,
  referencesMax: 2,
};

/** Requests of one direction that a connected socket may have pending. */
export const pendingMax = (limits: Limits): number => limits.queueDepth + limits.overflowMax;
