/**
 * The error of a broken invariant, and predicates that hold in every reachable system.
 *
 * Theory of operation: an event that a state does not expect means that the driver or a machine is wrong. Nothing
 * recovers from that, so the message stands alone.
 */

/** A machine met an event that its state does not accept. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
  readonly machine: string;
  readonly row: number;
  readonly event: string;
  readonly state: string;
  /** Position in the journal: number of events applied before. */
  readonly step: number;

  constructor(machine: string, row: number, event: string, state: string, step: number) {
    super(`${machine} ${row}: ${event} in state '${state}' (journal step ${step})`);
    this.machine = machine;
    this.row = row;
    this.event = event;
    this.state = state;
    this.step = step;
  }
}
