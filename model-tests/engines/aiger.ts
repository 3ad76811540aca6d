/**
 * And-inverter graphs: circuits of two-input ands, inverters and latches, as symbolic engines take them.
 *
 * A literal is twice the number of a variable, plus 1 when it is inverted; 0 is false and 1 is true. Inputs come first,
 * then latches, then ands, each after its operands. Format: AIGER, binary (Biere, "The AIGER And-Inverter Graph Format").
 */

export type Literal = number;
export const FALSE: Literal = 0;
export const TRUE: Literal = 1;
export const negate = (literal: Literal): Literal => literal ^ 1;

/** A circuit while it is made. */
export class Circuit {
  readonly inputs: number;
  readonly latches: number;
  /** Operands of each and, in pairs. */
  readonly operands: Literal[] = [];
  /** Of each latch, what it holds next; all begin with 0. */
  readonly next: Literal[] = [];
  /** What must never be 1. */
  bad: Literal = FALSE;
  readonly #known = new Map<number, Map<number, Literal>>();

  constructor(inputs: number, latches: number) {
    this.inputs = inputs;
    this.latches = latches;
  }

  input(index: number): Literal {
    return 2 * (1 + index);
  }
  latch(index: number): Literal {
    return 2 * (1 + this.inputs + index);
  }
  /** Number of the first and. */
  get firstAnd(): number {
    return 1 + this.inputs + this.latches;
  }

  and(left: Literal, right: Literal): Literal {
    if (left > right) [left, right] = [right, left];
    if (left === FALSE || left === negate(right)) return FALSE;
    if (left === TRUE || left === right) return right;
    let known = this.#known.get(left);
    if (known === undefined) {
      known = new Map();
      this.#known.set(left, known);
    }
    let found = known.get(right);
    if (found === undefined) {
      found = 2 * (this.firstAnd + this.operands.length / 2);
      this.operands.push(left, right);
      known.set(right, found);
    }
    return found;
  }

  or(left: Literal, right: Literal): Literal {
    return negate(this.and(negate(left), negate(right)));
  }

  choose(test: Literal, yes: Literal, no: Literal): Literal {
    if (yes === no) return yes;
    return this.or(this.and(test, yes), this.and(negate(test), no));
  }

  /** The circuit in AIGER's binary format. */
  toAiger(): Uint8Array {
    const ands = this.operands.length / 2;
    const lines = [
      `aig ${this.inputs + this.latches + ands} ${this.inputs} ${this.latches} 1 ${ands}`,
      ...this.next.map(String),
      String(this.bad),
    ];
    const bytes = [...new TextEncoder().encode(`${lines.join('\n')}\n`)];
    const put = (delta: number): void => {
      let rest = delta;
      for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
      bytes.push(rest);
    };
    for (let index = 0; index < ands; index++) {
      const [less, more] = [this.operands[2 * index]!, this.operands[2 * index + 1]!];
      put(2 * (this.firstAnd + index) - more);
      put(more - less);
    }
    return Uint8Array.from(bytes);
  }

  /**
   * Clauses, in DIMACS's numbers, that make each variable of the circuit the value of its and.
   *
   * Variable v of the circuit is v + 1 there, so that 1 is the constant, which is false.
   */
  clauses(): number[][] {
    const clauses = [[-1]];
    for (let index = 0; index < this.operands.length / 2; index++) {
      const and = this.firstAnd + index + 1;
      const [left, right] = [this.operands[2 * index]!, this.operands[2 * index + 1]!].map(toDimacs) as [
        number,
        number,
      ];
      clauses.push([-and, left], [-and, right], [and, -left, -right]);
    }
    return clauses;
  }

  /** Number of variables in {@link Circuit.clauses}. */
  get dimacsVariables(): number {
    return this.firstAnd + this.operands.length / 2;
  }
}

/** A literal as DIMACS has it. */
export const toDimacs = (literal: Literal): number => ((literal & 1) === 1 ? -1 : 1) * ((literal >> 1) + 1);
