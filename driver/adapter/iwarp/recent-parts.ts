/** Parts of buffers, of which the last ones are kept. */

interface Part {
  of: Uint8Array;
  from: number;
  end: number;
  part: Uint8Array;
}

const NOTHING = new Uint8Array(0);
const none = (): Part => ({ of: NOTHING, from: 0, end: 0, part: NOTHING });

/**
 * Views of parts of buffers. Message after message lies at the same place of the same buffer, and to make a view of it
 * takes longer than to copy it: so the two last ones are kept, for who asks in turns.
 */
export class RecentParts {
  #last = none();
  #before = none();

  /** @returns `bytes.subarray(from, end)`, or one that was returned before */
  of(bytes: Uint8Array, from: number, end: number): Uint8Array {
    const last = this.#last;
    if (last.of === bytes && last.from === from && last.end === end) return last.part;
    const before = this.#before;
    this.#last = before;
    this.#before = last;
    if (before.of === bytes && before.from === from && before.end === end) return before.part;
    before.of = bytes;
    before.from = from;
    before.end = end;
    before.part = bytes.subarray(from, end);
    return before.part;
  }
}
