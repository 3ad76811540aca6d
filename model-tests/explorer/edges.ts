/** Transitions of a search, in the order of their states: what leads-to is judged on. */

import type { Graph } from './fairness.ts';

/** Grows by doubling. */
export class EdgeStore {
  #to = new Int32Array(4096);
  #rule = new Uint16Array(4096);
  #start = new Int32Array(1025);
  #states = 0;
  #edges = 0;

  /** One more transition of the state that is next to end. */
  add(to: number, rule: number): void {
    if (this.#edges === this.#to.length) {
      const larger = new Int32Array(this.#edges * 2);
      larger.set(this.#to);
      this.#to = larger;
      const rules = new Uint16Array(this.#edges * 2);
      rules.set(this.#rule);
      this.#rule = rules;
    }
    this.#to[this.#edges] = to;
    this.#rule[this.#edges++] = rule;
  }

  /** The transitions of one more state are complete. */
  endOfState(): void {
    this.#states++;
    if (this.#states === this.#start.length) {
      const larger = new Int32Array(this.#states * 2);
      larger.set(this.#start);
      this.#start = larger;
    }
    this.#start[this.#states] = this.#edges;
  }

  get graph(): Graph {
    return { states: this.#states, start: this.#start, to: this.#to, rule: this.#rule };
  }

  get bytes(): number {
    return this.#to.byteLength + this.#rule.byteLength + this.#start.byteLength;
  }
}
