/**
 * Leads-to under weak fairness, on the stored graph, for many promises in one pass.
 *
 * Theory of operation: a run that never reaches what was promised ends up in a strongly connected set of states without
 * it. Such a set is a fair run if every fair class either can't happen in one of its states or happens between two of
 * them; it suffices to look at maximal sets. Every state has a stutter step as well, in which nothing happens, because a
 * run may simply stop where no fair rule can happen; so a single state is such a set, cycle or not.
 *
 * Most of what a world can do cannot be undone. So states are looked at in an order in which each comes after all that
 * lead to it, as far as there is one: which promises wait in a state is known by then, and the state is a set of its own.
 * What is left are cycles and what follows them; there each promise has a search of its own, by Tarjan.
 */

/** Successors of state s: `to` and `rule` from `start[s]` to `start[s + 1]`. */
export interface Graph {
  readonly states: number;
  readonly start: Int32Array;
  readonly to: Int32Array;
  readonly rule: Uint16Array;
}

/** Bits of an integer, of which one is for each promise, or for each fair class. */
export const BITS_MAX = 31;

/** No number of ways: the state has been looked at. */
const DONE = -1;

/** What is promised where: bit p of a state's number is promise p's. */
export interface Promises {
  /** States in which it is made. */
  readonly made: Int32Array;
  /** States in which it is kept. */
  readonly kept: Int32Array;
  /** Bit of each rule's fair class; 0 for rules without. */
  readonly classOf: Int32Array;
  /** For each promise the bits of the classes that are fair in it. */
  readonly fair: readonly number[];
}

/**
 * @returns for each promise a set of states in which a fair run can stay with the promise made and not kept, or null when
 *   it is always kept
 */
export function findLassos(graph: Graph, promises: Promises): (readonly number[] | null)[] {
  const { states, start, to, rule } = graph;
  const { made, kept, classOf, fair } = promises;
  // For each state, side by side: how many ways lead there from others that have not been looked at; what waits there.
  const open = new Int32Array(2 * states);
  for (let state = 0; state < states; state++) {
    open[2 * state + 1] = made[state]!;
    for (let edge = start[state]!, end = start[state + 1]!; edge < end; edge++) {
      const next = to[edge]!;
      if (next !== state) open[2 * next]!++;
    }
  }
  // Of each promise the first state, by number, in which a run can stop.
  const stops = fair.map(() => states);
  let known = 0;
  const ready: number[] = [];
  for (let next = 0; next < states; next++) {
    // In the order of numbers, in which they lie in memory, but for those that had to wait for a later one.
    if (open[2 * next] === 0) ready.push(next);
    while (ready.length > 0) {
      const state = ready.pop()!;
      open[2 * state] = DONE;
      known++;
      const bits = open[2 * state + 1]! & ~kept[state]!;
      // Classes that can happen, but for those that change nothing.
      let due = 0;
      let idle = 0;
      for (let edge = start[state]!, end = start[state + 1]!; edge < end; edge++) {
        const then = to[edge]!;
        const bit = classOf[rule[edge]!]!;
        if (then === state) {
          idle |= bit;
          continue;
        }
        due |= bit;
        open[2 * then + 1]! |= bits;
        if (--open[2 * then]! === 0 && then < next) ready.push(then);
      }
      due &= ~idle;
      for (let promise = 0, left = bits; left !== 0; promise++, left >>>= 1) {
        if ((left & 1) === 1 && (due & fair[promise]!) === 0 && state < stops[promise]!) stops[promise] = state;
      }
    }
  }
  return fair.map((classes, promise) => {
    if (stops[promise]! < states) return [stops[promise]!];
    if (known === states) return null;
    const isKept = (state: number): boolean => ((kept[state]! >>> promise) & 1) === 1;
    const isOpen = (state: number): boolean =>
      open[2 * state]! > 0 && ((open[2 * state + 1]! >>> promise) & 1) === 1 && !isKept(state);
    return findSet(graph, isOpen, isKept, classOf, classes);
  });
}

/**
 * @param isOpen - whether the promise waits in a state, of those from which others are looked for
 * @param classes - bits of the classes that are fair
 * @returns a set in which a fair run can stay that comes from such a state without the promise being kept
 */
function findSet(
  graph: Graph,
  isOpen: (state: number) => boolean,
  isKept: (state: number) => boolean,
  classOf: Int32Array,
  classes: number,
): readonly number[] | null {
  const { states, start, to, rule } = graph;
  const enabled = (state: number): number => {
    let bits = 0;
    for (let edge = start[state]!; edge < start[state + 1]!; edge++) bits |= classOf[rule[edge]!]!;
    return bits;
  };
  // Tarjan, without recursion.
  const index = new Int32Array(states);
  const low = new Int32Array(states);
  const inStack = new Uint8Array(states);
  const component = new Int32Array(states).fill(-1);
  const stack: number[] = [];
  const path: number[] = [];
  const edgeAt = new Int32Array(states);
  let counter = 0;
  for (let root = 0; root < states; root++) {
    if (index[root] !== 0 || !isOpen(root)) continue;
    path.push(root);
    while (path.length > 0) {
      const state = path.at(-1)!;
      if (index[state] === 0) {
        index[state] = low[state] = ++counter;
        edgeAt[state] = start[state]!;
        stack.push(state);
        inStack[state] = 1;
      }
      let descended = false;
      while (edgeAt[state]! < start[state + 1]!) {
        const next = to[edgeAt[state]!]!;
        if (index[next] === 0 && !isKept(next)) {
          path.push(next);
          descended = true;
          break;
        }
        if (inStack[next] === 1) low[state] = Math.min(low[state]!, low[next]!);
        edgeAt[state]!++;
      }
      if (descended) continue;
      path.pop();
      if (low[state] !== index[state]) continue;
      const set: number[] = [];
      for (let member = stack.pop()!; ; member = stack.pop()!) {
        inStack[member] = 0;
        component[member] = state;
        set.push(member);
        if (member === state) break;
      }
      let missing = 0;
      let taken = 0;
      for (const member of set) {
        missing |= ~enabled(member);
        for (let edge = start[member]!; edge < start[member + 1]!; edge++) {
          if (component[to[edge]!] === state) taken |= classOf[rule[edge]!]!;
        }
      }
      if (((missing | taken) & classes) === classes) return set;
    }
  }
  return null;
}
