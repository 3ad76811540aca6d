/**
 * Local steps: what a rule made of one part of a state, when it read and wrote nothing of the other.
 *
 * Theory of operation: whatever the other part is, the rule does the same then; so it need not happen again. The table is
 * of one size and small, because it is looked into for every step: the rules that are local first have a column, and the
 * parts that were found first, which are those of most states, have a row. Without a place a step is made once more.
 */

/** Steps that are remembered at most; 16 MiB, of which what isn't used costs nothing. */
const STEPS = 1 << 22;
const COLUMNS = 32;

export class LocalSteps {
  /** By part and column: number of the part that follows, plus 1; 0 for none yet. */
  readonly #steps = new Int32Array(STEPS);
  /** By rule: its column; -1 for none. */
  readonly #columns: Int8Array;
  #taken = 0;

  /** @param rules - of the world */
  constructor(rules: number) {
    this.#columns = new Int8Array(rules).fill(-1);
  }

  /** @returns number of the part that `rule` makes of part `part`; -1 when that isn't known */
  get(part: number, rule: number): number {
    const column = this.#columns[rule]!;
    const at = part * COLUMNS + column;
    return column < 0 || at >= STEPS ? -1 : this.#steps[at]! - 1;
  }

  /** Remembers that `rule` makes part `to` of part `part`. */
  set(part: number, rule: number, to: number): void {
    if (this.#columns[rule]! < 0) {
      if (this.#taken === COLUMNS) return;
      this.#columns[rule] = this.#taken++;
    }
    const at = part * COLUMNS + this.#columns[rule]!;
    if (at < STEPS) this.#steps[at] = to + 1;
  }
}
