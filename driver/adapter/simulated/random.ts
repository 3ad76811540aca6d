/**
 * Seeded random numbers for the simulator.
 *
 * The generator is sfc32 of PractRand (Chris Doty-Humphrey, public domain): 128 bits of state, good enough for any
 * test, and ten lines. Each use has a stream of its own, named by a string, so that drawing more often in one place
 * moves nothing in another: a fault that is switched on leaves the delays as they were.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /**
   * @param seed - a safe integer
   * @param stream - what the numbers are for; other names give independent numbers
   */
  constructor(seed: number, stream: string) {
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 2 ** 32) | 0;
    this.#c = hash(stream);
    // As in PractRand: the first rounds only mix the seed.
    for (let round = 0; round < 15; round++) this.uint32();
  }

  /** 0 to 2^32 - 1 */
  uint32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** 0 up to but not 1, in steps of 2^-53 */
  fraction(): number {
    return ((this.uint32() >>> 5) * 2 ** 26 + (this.uint32() >>> 6)) / 2 ** 53;
  }

  /** An integer from 0 to `max`, both included; `max` is a non-negative safe integer below 2^53 - 1. */
  upTo(max: number): number {
    return max === 0 ? 0 : Math.floor(this.fraction() * (max + 1));
  }
}

/** FNV-1a over UTF-16 code units. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  return value | 0;
}
