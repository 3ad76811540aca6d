/** Transitions of a search, in the order of their states: what leads-to is judged on. */

import { type Block, Head } from './expander.ts';
import type { Graph } from './fairness.ts';

/** Times by which an array grows: what isn't used of it yet costs nothing, and what is copied does. */
const GROWTH = 4;

/** Grows by itself. */
export class EdgeStore {
  #to = new Int32Array(4096);
  #rule = new Uint16Array(4096);
  #start = new Int32Array(1024);
  #states = 0;
  #edges = 0;

  /** Takes up the transitions of the next states. @param numbers - those of the block's finds */
  take({ head, edgeTo, edgeRule, edgeCount }: Block, numbers: Int32Array): void {
    const count = head[Head.transitions]!;
    const states = head[Head.end]! - head[Head.start]!;
    if (this.#edges + count > this.#to.length) {
      const length = GROWTH * (this.#edges + count);
      const [to, rule] = [new Int32Array(length), new Uint16Array(length)];
      to.set(this.#to.subarray(0, this.#edges));
      rule.set(this.#rule.subarray(0, this.#edges));
      [this.#to, this.#rule] = [to, rule];
    }
    if (this.#states + states >= this.#start.length) {
      const start = new Int32Array(GROWTH * (this.#states + states));
      start.set(this.#start);
      this.#start = start;
    }
    const [all, start] = [this.#to, this.#start];
    this.#rule.set(edgeRule.subarray(0, count), this.#edges);
    for (let edge = 0, at = this.#edges; edge < count; edge++, at++) {
      const to = edgeTo[edge]!;
      all[at] = to < 0 ? numbers[-1 - to]! : to;
    }
    for (let state = 0; state < states; state++) {
      this.#edges += edgeCount[state]!;
      start[++this.#states] = this.#edges;
    }
  }

  get graph(): Graph {
    return { states: this.#states, start: this.#start, to: this.#to, rule: this.#rule };
  }

  /** Bytes in use. */
  get bytes(): number {
    return 6 * this.#edges + 4 * this.#states;
  }
}
