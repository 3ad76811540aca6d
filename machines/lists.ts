/**
 * Lists of rows: the requests of a queue, the connection requests of a listener, the registrations of a socket.
 *
 * Theory of operation: integers hold all lists of a kind; a row is in at most one. What is known of a row lies side by side,
 * so that to reach it is to reach one line of the processor's cache. Nothing is allocated but for growth.
 */

const NONE = -1;

/** @returns `words` in room for `length` or more, with {@link NONE} behind them */
function grown(words: Int32Array, length: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(Math.max(length, words.length * 2)).fill(NONE);
  larger.set(words);
  return larger;
}

// Words of an owner, and where they are.
const OWNER_WORDS = 2;
const HEAD = 0;
const TAIL = 1;

// Words of a member, and where they are.
const MEMBER_WORDS = 4;
const NEXT = 0;
const PREVIOUS = 1;
/** Of the list that it is in or was in last. */
const OWNER = 2;
/** 1 in a list. */
const IS_MEMBER = 3;

/** Doubly linked lists of member rows, one for each owner row. */
export class RowLists {
  #owners = new Int32Array(16 * OWNER_WORDS).fill(NONE);
  #members = new Int32Array(16 * MEMBER_WORDS).fill(NONE);

  /** Puts `member` behind the last of `owner`'s list. */
  append(owner: number, member: number): void {
    const of = owner * OWNER_WORDS;
    const at = member * MEMBER_WORDS;
    if (of >= this.#owners.length) this.#owners = grown(this.#owners, of + OWNER_WORDS);
    if (at >= this.#members.length) this.#members = grown(this.#members, at + MEMBER_WORDS);
    const owners = this.#owners;
    const members = this.#members;
    const last = owners[of + TAIL]!;
    members[at + NEXT] = NONE;
    members[at + PREVIOUS] = last;
    members[at + OWNER] = owner;
    members[at + IS_MEMBER] = 1;
    if (last === NONE) owners[of + HEAD] = member;
    else members[last * MEMBER_WORDS + NEXT] = member;
    owners[of + TAIL] = member;
  }

  /** Takes `member` out of its list. {@link RowLists.owner} still tells whose it was. */
  remove(member: number): void {
    const owners = this.#owners;
    const members = this.#members;
    const at = member * MEMBER_WORDS;
    const of = members[at + OWNER]! * OWNER_WORDS;
    const next = members[at + NEXT]!;
    const previous = members[at + PREVIOUS]!;
    if (previous === NONE) owners[of + HEAD] = next;
    else members[previous * MEMBER_WORDS + NEXT] = next;
    if (next === NONE) owners[of + TAIL] = previous;
    else members[next * MEMBER_WORDS + PREVIOUS] = previous;
    members[at + IS_MEMBER] = 0;
  }

  has(member: number): boolean {
    return this.#members[member * MEMBER_WORDS + IS_MEMBER] === 1;
  }
  /** @returns the owner of the list that `member` is in or was in last; -1 when it never was in one */
  owner(member: number): number {
    return this.#members[member * MEMBER_WORDS + OWNER] ?? NONE;
  }
  /** @returns -1 when the list is empty */
  first(owner: number): number {
    return this.#owners[owner * OWNER_WORDS + HEAD] ?? NONE;
  }
  /** @returns -1 when the list is empty */
  last(owner: number): number {
    return this.#owners[owner * OWNER_WORDS + TAIL] ?? NONE;
  }
  /** @returns -1 behind the last */
  next(member: number): number {
    return this.#members[member * MEMBER_WORDS + NEXT]!;
  }
  /** @returns -1 before the first */
  previous(member: number): number {
    return this.#members[member * MEMBER_WORDS + PREVIOUS]!;
  }
  /** Members of `owner`'s list, oldest first; a copy. */
  members(owner: number): number[] {
    const found: number[] = [];
    for (let row = this.first(owner); row !== NONE; row = this.next(row)) found.push(row);
    return found;
  }

  /** All lists as numbers: owner, length, members; owners ascending, empty lists left out. */
  serialize(): Uint32Array {
    const owners = this.#owners;
    const members = this.#members;
    let words = 0;
    for (let of = 0; of < owners.length; of += OWNER_WORDS) {
      let row = owners[of + HEAD]!;
      if (row !== NONE) words += 2;
      for (; row !== NONE; row = members[row * MEMBER_WORDS + NEXT]!) words++;
    }
    const out = new Uint32Array(words);
    let at = 0;
    for (let of = 0; of < owners.length; of += OWNER_WORDS) {
      let row = owners[of + HEAD]!;
      if (row === NONE) continue;
      out[at] = of / OWNER_WORDS;
      const lengthAt = at + 1;
      for (at += 2; row !== NONE; row = members[row * MEMBER_WORDS + NEXT]!) out[at++] = row;
      out[lengthAt] = at - lengthAt - 1;
    }
    return out;
  }
}

// Words of a pin, and where they are.
const PIN_WORDS = 2;
const BUFFER = 0;
const NEXT_PIN = 1;

/** Which registrations each request has pinned: any number each, from one pool. */
export class Pins {
  /** By request: its newest pin. */
  #heads = new Int32Array(16).fill(NONE);
  #pins = new Int32Array(16 * PIN_WORDS).fill(NONE);
  #free = NONE;
  #used = 0;

  add(request: number, buffer: number): void {
    if (request >= this.#heads.length) this.#heads = grown(this.#heads, request + 1);
    let at = this.#free;
    if (at === NONE) {
      at = this.#used;
      this.#used += PIN_WORDS;
      if (at >= this.#pins.length) this.#pins = grown(this.#pins, at + PIN_WORDS);
    } else {
      this.#free = this.#pins[at + NEXT_PIN]!;
    }
    this.#pins[at + BUFFER] = buffer;
    this.#pins[at + NEXT_PIN] = this.#heads[request]!;
    this.#heads[request] = at;
  }

  /** Takes one pin of `request`. @returns its registration, or -1 when none is left */
  take(request: number): number {
    const at = this.#heads[request] ?? NONE;
    if (at === NONE) return NONE;
    this.#heads[request] = this.#pins[at + NEXT_PIN]!;
    this.#pins[at + NEXT_PIN] = this.#free;
    this.#free = at;
    return this.#pins[at + BUFFER]!;
  }

  /** Registrations that `request` has pinned; a copy. */
  of(request: number): number[] {
    const found: number[] = [];
    for (let at = this.#heads[request] ?? NONE; at !== NONE; at = this.#pins[at + NEXT_PIN]!)
      found.push(this.#pins[at + BUFFER]!);
    return found;
  }

  /** All pins as numbers: request, count, registrations in the order that {@link Pins.take} gives; requests ascending. */
  serialize(): Uint32Array {
    const heads = this.#heads;
    const pins = this.#pins;
    let words = 0;
    for (let request = 0; request < heads.length; request++) {
      let pin = heads[request]!;
      if (pin !== NONE) words += 2;
      for (; pin !== NONE; pin = pins[pin + NEXT_PIN]!) words++;
    }
    const out = new Uint32Array(words);
    let at = 0;
    for (let request = 0; request < heads.length; request++) {
      let pin = heads[request]!;
      if (pin === NONE) continue;
      out[at] = request;
      const countAt = at + 1;
      for (at += 2; pin !== NONE; pin = pins[pin + NEXT_PIN]!) out[at++] = pins[pin + BUFFER]!;
      out[countAt] = at - countAt - 1;
    }
    return out;
  }
}
