/**
 * Lists of rows: the requests of a queue, the connection requests of a listener, the registrations of a socket.
 *
 * Theory of operation: one set of integer columns holds all lists of a kind; a row is in at most one. Nothing is
 * allocated but for growth.
 */

const NONE = -1;

function grown(column: Int32Array<ArrayBuffer>, rows: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(Math.max(rows, column.length * 2)).fill(NONE);
  larger.set(column);
  return larger;
}

/** Doubly linked lists of member rows, one for each owner row. */
export class RowLists {
  #head = new Int32Array(16).fill(NONE);
  #tail = new Int32Array(16).fill(NONE);
  #next = new Int32Array(16).fill(NONE);
  #previous = new Int32Array(16).fill(NONE);
  #owner = new Int32Array(16).fill(NONE);
  #member = new Uint8Array(16);

  /** Puts `member` behind the last of `owner`'s list. */
  append(owner: number, member: number): void {
    if (owner >= this.#head.length) {
      this.#head = grown(this.#head, owner + 1);
      this.#tail = grown(this.#tail, owner + 1);
    }
    if (member >= this.#next.length) {
      this.#next = grown(this.#next, member + 1);
      this.#previous = grown(this.#previous, member + 1);
      this.#owner = grown(this.#owner, member + 1);
      const members = new Uint8Array(this.#next.length);
      members.set(this.#member);
      this.#member = members;
    }
    const last = this.#tail[owner]!;
    this.#previous[member] = last;
    this.#next[member] = NONE;
    this.#owner[member] = owner;
    this.#member[member] = 1;
    if (last === NONE) this.#head[owner] = member;
    else this.#next[last] = member;
    this.#tail[owner] = member;
  }

  /** Takes `member` out of its list. {@link RowLists.owner} still tells whose it was. */
  remove(member: number): void {
    const owner = this.#owner[member]!;
    const next = this.#next[member]!;
    const previous = this.#previous[member]!;
    if (previous === NONE) this.#head[owner] = next;
    else this.#next[previous] = next;
    if (next === NONE) this.#tail[owner] = previous;
    else this.#previous[next] = previous;
    this.#member[member] = 0;
  }

  has(member: number): boolean {
    return this.#member[member] === 1;
  }
  /** @returns the owner of the list that `member` is in or was in last; -1 when it never was in one */
  owner(member: number): number {
    return this.#owner[member] ?? NONE;
  }
  /** @returns -1 when the list is empty */
  first(owner: number): number {
    return this.#head[owner] ?? NONE;
  }
  /** @returns -1 when the list is empty */
  last(owner: number): number {
    return this.#tail[owner] ?? NONE;
  }
  /** @returns -1 behind the last */
  next(member: number): number {
    return this.#next[member]!;
  }
  /** @returns -1 before the first */
  previous(member: number): number {
    return this.#previous[member]!;
  }
  /** Members of `owner`'s list, oldest first; a copy. */
  members(owner: number): number[] {
    const found: number[] = [];
    for (let row = this.first(owner); row !== NONE; row = this.next(row)) found.push(row);
    return found;
  }

  /** All lists as numbers: owner, length, members; owners ascending, empty lists left out. */
  serialize(): number[] {
    const words: number[] = [];
    for (let owner = 0; owner < this.#head.length; owner++) {
      if (this.#head[owner] === NONE) continue;
      const members = this.members(owner);
      words.push(owner, members.length);
      for (const member of members) words.push(member);
    }
    return words;
  }
}

/** Which registrations each request has pinned: any number each, from one pool. */
export class Pins {
  #head = new Int32Array(16).fill(NONE);
  #buffer = new Int32Array(16).fill(NONE);
  #next = new Int32Array(16).fill(NONE);
  #free = NONE;
  #used = 0;

  add(request: number, buffer: number): void {
    if (request >= this.#head.length) this.#head = grown(this.#head, request + 1);
    let slot = this.#free;
    if (slot === NONE) {
      slot = this.#used++;
      if (slot >= this.#buffer.length) {
        this.#buffer = grown(this.#buffer, slot + 1);
        this.#next = grown(this.#next, slot + 1);
      }
    } else {
      this.#free = this.#next[slot]!;
    }
    this.#buffer[slot] = buffer;
    this.#next[slot] = this.#head[request]!;
    this.#head[request] = slot;
  }

  /** Takes one pin of `request`. @returns its registration, or -1 when none is left */
  take(request: number): number {
    const slot = this.#head[request] ?? NONE;
    if (slot === NONE) return NONE;
    this.#head[request] = this.#next[slot]!;
    this.#next[slot] = this.#free;
    this.#free = slot;
    return this.#buffer[slot]!;
  }

  /** Registrations that `request` has pinned; a copy. */
  of(request: number): number[] {
    const found: number[] = [];
    for (let slot = this.#head[request] ?? NONE; slot !== NONE; slot = this.#next[slot]!)
      found.push(this.#buffer[slot]!);
    return found;
  }

  /** All pins as numbers: request, count, registrations in the order that {@link Pins.take} gives; requests ascending. */
  serialize(): number[] {
    const words: number[] = [];
    for (let request = 0; request < this.#head.length; request++) {
      if (this.#head[request] === NONE) continue;
      const buffers = this.of(request);
      words.push(request, buffers.length);
      for (const buffer of buffers) words.push(buffer);
    }
    return words;
  }
}
