/**
 * Leads-to under weak fairness, on the stored graph.
 *
 * Theory of operation: a run that never reaches `to` ends up in a strongly connected set of states without `to`. Such a
 * set is a fair run if every fair class either can't happen in one of its states or happens between two of them; it
 * suffices to look at maximal sets. Every state has a stutter step as well, in which nothing happens, because a run may
 * simply stop where no fair rule can happen; so a single state is such a set, cycle or not.
 */

/** Successors of state s: `to` and `rule` from `start[s]` to `start[s + 1]`. */
export interface Graph {
  readonly states: number;
  readonly start: Int32Array;
  readonly to: Int32Array;
  readonly rule: Uint16Array;
}

/** States from some `from` state on, through none of `to`, to a set in which a fair run can stay. */
export interface Lasso {
  readonly set: readonly number[];
  /** A state with `from`. */
  readonly origin: number;
}

/**
 * @param isFrom - 1 for states in which the promise is made
 * @param isTo - 1 for states in which it is kept
 * @param classOf - bit of each rule's fair class, 0 for rules without
 * @param classes - all bits
 * @returns what breaks the promise, or null
 */
export function findLasso(
  graph: Graph,
  isFrom: Uint8Array,
  isTo: Uint8Array,
  classOf: Int32Array,
  classes: number,
): Lasso | null {
  const { states, start, to, rule } = graph;
  // What can be reached from a promise that isn't kept, and from where.
  const cause = new Int32Array(states).fill(-1);
  const open: number[] = [];
  for (let state = 0; state < states; state++) {
    if (isFrom[state] === 0 || isTo[state] === 1) continue;
    cause[state] = state;
    open.push(state);
  }
  for (let at = 0; at < open.length; at++) {
    const state = open[at]!;
    for (let edge = start[state]!; edge < start[state + 1]!; edge++) {
      const next = to[edge]!;
      if (isTo[next] === 1 || cause[next] !== -1) continue;
      cause[next] = cause[state]!;
      open.push(next);
    }
  }

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
  for (const root of open) {
    if (index[root] !== 0) continue;
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
        if (cause[next] === -1) {
          edgeAt[state]!++;
          continue;
        }
        if (index[next] === 0) {
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
      if (((missing | taken) & classes) === classes) return { set, origin: cause[set[0]!]! };
    }
  }
  return null;
}
