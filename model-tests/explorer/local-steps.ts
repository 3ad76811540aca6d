/**
 * Local steps: what a rule made of one part of a state, when it read and wrote nothing of the other.
 *
 * Theory of operation: whatever the other part is, the rule does the same then; so it need not happen again. A table of
 * fixed size: a step takes the place of another now and then, which only costs the time to make that once more.
 */

/** Steps that are remembered at most; 8 MiB. */
const STEPS = 1 << 20;

export class LocalSteps {
  readonly #rules: number;
  /** Number of the part, plus 1, and of what came of it. */
  readonly #steps = new Int32Array(2 * STEPS);

  /** @param rules - of the world */
  constructor(rules: number) {
    this.#rules = rules;
  }

  /** @returns number of the part that `rule` makes of part `part`; -1 when that isn't known */
  get(part: number, rule: number): number {
    const at = 2 * ((Math.imul(part, this.#rules) + rule) & (STEPS - 1));
    return this.#steps[at] === part + 1 ? this.#steps[at + 1]! : -1;
  }

  /** Remembers that `rule` makes part `to` of part `part`. */
  set(part: number, rule: number, to: number): void {
    const at = 2 * ((Math.imul(part, this.#rules) + rule) & (STEPS - 1));
    this.#steps[at] = part + 1;
    this.#steps[at + 1] = to;
  }
}
