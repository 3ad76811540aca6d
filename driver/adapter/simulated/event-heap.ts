/** What is going to happen in the simulated network, earliest first; in order of scheduling at one instant. */
export class EventHeap {
  readonly #heap: Scheduled[] = [];
  #scheduledCount = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** Time of the earliest entry in nanoseconds, or null. */
  get nextNs(): number | null {
    return this.#heap[0]?.timeNs ?? null;
  }

  push(timeNs: number, action: () => void): void {
    const entry = { timeNs, order: this.#scheduledCount++, action };
    let place = this.#heap.length;
    this.#heap.push(entry);
    while (place > 0) {
      const above = (place - 1) >> 1;
      const other = this.#heap[above];
      if (other === undefined || !isBefore(entry, other)) break;
      this.#heap[place] = other;
      place = above;
    }
    this.#heap[place] = entry;
  }

  /** Takes the earliest entry. @returns its action, or null when nothing is scheduled */
  pop(): (() => void) | null {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (first === undefined || last === undefined) return null;
    if (first !== last) this.#sink(last);
    return first.action;
  }

  #sink(entry: Scheduled): void {
    const heap = this.#heap;
    let place = 0;
    for (;;) {
      let below = 2 * place + 1;
      let other = heap[below];
      if (other === undefined) break;
      const right = heap[below + 1];
      if (right !== undefined && isBefore(right, other)) {
        other = right;
        below++;
      }
      if (!isBefore(other, entry)) break;
      heap[place] = other;
      place = below;
    }
    heap[place] = entry;
  }
}

interface Scheduled {
  readonly timeNs: number;
  readonly order: number;
  readonly action: () => void;
}

function isBefore(left: Scheduled, right: Scheduled): boolean {
  return left.timeNs < right.timeNs || (left.timeNs === right.timeNs && left.order < right.order);
}
