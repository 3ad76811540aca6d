/**
 * Tours: paths from the initial state that take every edge of a product graph that a driver can take, with few steps.
 *
 * Theory of operation: a model lets completion up-calls of two sockets be made, run and end in any order, as threads
 * would. One driver makes them in the order in which they became due, and one made inside another ends first. That order
 * is no part of a model's state, so paths are looked for in pairs of state and order: an edge is out of reach only when no
 * way there leads to an order that allows it. A tour follows edges that no tour has taken; where there is none, it goes
 * the shortest way to one, if that is short; otherwise it ends and the next begins. The choice is always the first, so
 * tours are the same each time.
 */

import { type Cell, read } from '../explorer/index.ts';
import { edgeCount, type ProductGraph } from './graph.ts';

export interface Tours {
  /** Rules of each path, from the initial state on. */
  readonly paths: readonly (readonly number[])[];
  /** Rules of all paths. */
  readonly steps: number;
  /** Edges of the graph, those that paths take, and why others are not taken: how many for which reason. */
  readonly edges: number;
  readonly covered: number;
  readonly refused: ReadonlyMap<string, number>;
}

/** What a driver keeps of the order of completion up-calls: sockets of those that are due, and of those that run. */
interface Order {
  readonly due: string;
  readonly running: string;
}

const DUE_ORDER = 'completion up-calls are made in the order of completion, whatever their sockets';
const LAST_FIRST = 'an up-call that was made inside another ends before it';

/** Steps that are walked over taken edges to reach one that isn't. */
const DETOUR_STATES = 400;

/** How the order of up-calls follows a world's notifiers; null for a world without. */
function orders({ layout, world }: ProductGraph) {
  const notifiers = layout.rows.get('notifier') ?? [];
  if (notifiers.length === 0) return null;
  const cells = notifiers.map(({ state, fields }) => ({ state, count: fields.get('count')! }));
  const running = (cell: Cell): number => cell.names!.indexOf('running');
  /** Sockets by rule that makes, or ends, an up-call of theirs. */
  const socketOf = (send: string) => world.rules.map((rule) => (rule.send === send ? rule.row : -1));
  const notify = socketOf('notifier/notify');
  const ends = socketOf('notifier/return');
  return {
    initial: (words: Int32Array): Order => ({
      due: cells.map(({ count }, socket) => String(socket).repeat(read(count, words, 0))).join(''),
      running: cells
        .map(({ state }, socket) => (read(state, words, 0) === running(state) ? String(socket) : ''))
        .join(''),
    }),
    /** The order after `rule`, or why it can't be. */
    after({ due, running: stack }: Order, rule: number, words: Int32Array, from: number, to: number): Order | string {
      let nowDue = due;
      let nowRunning = stack;
      if (notify[rule]! >= 0) {
        const socket = String(notify[rule]);
        const first = [...due].find((candidate) => !stack.includes(candidate));
        if (first !== socket) return DUE_ORDER;
        nowDue = due.replace(socket, '');
        nowRunning += socket;
      } else if (ends[rule]! >= 0) {
        if (stack.at(-1) !== String(ends[rule])) return LAST_FIRST;
        nowRunning = stack.slice(0, -1);
      }
      const taken = notify[rule]!;
      for (const [socket, { count }] of cells.entries()) {
        const more = read(count, words, to) - read(count, words, from) + (taken === socket ? 1 : 0);
        nowDue += String(socket).repeat(Math.max(0, more));
      }
      return { due: nowDue, running: nowRunning };
    },
  };
}

const POSTED_LATER = 'the driver posts at the end of its turn, and so is refused after the completion that made room';

/** Why a driver can't take some edges of worlds whose adapter can be full; null for other worlds. */
function postsAtOnce({ layout, world }: ProductGraph) {
  const full = (layout.rows.get('link') ?? []).flatMap(({ fields }) => fields.get('full') ?? []);
  if (full.length === 0) return null;
  const completes = world.rules.map(({ send }) => send === 'work/complete' || send === 'work/piece');
  /** The place that a completion gives back is taken by a request that the adapter refuses. */
  return (rule: number, words: Int32Array, from: number, to: number): boolean =>
    completes[rule]! && full.some((cell) => read(cell, words, from) === 1 && read(cell, words, to) === 0);
}

/** Pairs of state and order, and the edges between them; `edge` numbers those of the product graph. */
interface Extended {
  readonly count: number;
  readonly start: readonly number[];
  readonly to: readonly number[];
  readonly edge: readonly number[];
  readonly parentEdge: readonly number[];
  readonly parent: readonly number[];
}

function extend(graph: ProductGraph, whyNot: (send: string) => string | null, reasons: (string | null)[]): Extended {
  const { layout, words, start, to, rule } = graph;
  const order = orders(graph);
  const undriven = graph.world.rules.map(({ send }) => whyNot(send));
  const refusedLater = postsAtOnce(graph);
  const list: Order[] = [order?.initial(words) ?? { due: '', running: '' }];
  const orderIds = new Map<string, number>([[`${list[0]!.due}|${list[0]!.running}`, 0]]);
  const nodes = new Map<number, number>([[0, 0]]);
  const states = [0];
  const orderOf = [0];
  const parent = [-1];
  const parentEdge = [-1];
  const outStart = [0];
  const outTo: number[] = [];
  const outEdge: number[] = [];
  for (let node = 0; node < states.length; node++) {
    const state = states[node]!;
    for (let edge = start[state]!; edge < start[state + 1]!; edge++) {
      const next = to[edge]!;
      if (undriven[rule[edge]!] !== null) {
        reasons[edge] = undriven[rule[edge]!]!;
        continue;
      }
      if (refusedLater?.(rule[edge]!, words, state * layout.words, next * layout.words) === true) {
        reasons[edge] = POSTED_LATER;
        continue;
      }
      let orderId = orderOf[node]!;
      if (order !== null) {
        const after = order.after(list[orderId]!, rule[edge]!, words, state * layout.words, next * layout.words);
        if (typeof after === 'string') {
          reasons[edge] ??= after;
          continue;
        }
        const key = `${after.due}|${after.running}`;
        const known = orderIds.get(key);
        if (known === undefined) orderIds.set(key, list.push(after) - 1);
        orderId = orderIds.get(key)!;
      }
      const key = next * 0x10000 + orderId;
      let target = nodes.get(key);
      if (target === undefined) {
        target = states.length;
        nodes.set(key, target);
        states.push(next);
        orderOf.push(orderId);
        parent.push(node);
        parentEdge.push(edge);
      }
      outTo.push(target);
      outEdge.push(edge);
    }
    outStart.push(outTo.length);
  }
  return { count: states.length, start: outStart, to: outTo, edge: outEdge, parent, parentEdge };
}

/**
 * @param whyNot - why a driver can't be made to do what begins with an event; null when it can
 * @param edgesMax - most edges that paths have to take: the first ones, which are those near the initial state
 */
export function toursOf(
  graph: ProductGraph,
  whyNot: (send: string) => string | null,
  edgesMax = Number.POSITIVE_INFINITY,
): Tours {
  const { rule, start, states } = graph;
  const edges = edgeCount(graph);
  const reasons = new Array<string | null>(edges).fill(null);
  const extended = extend(graph, whyNot, reasons);
  const taken = new Uint8Array(edges);
  let covered = 0;
  const paths: number[][] = [];
  let steps = 0;
  const take = (path: number[], at: number): number => {
    const edge = extended.edge[at]!;
    if (taken[edge] === 0) covered++;
    taken[edge] = 1;
    path.push(rule[edge]!);
    return extended.to[at]!;
  };
  const fresh = (node: number): number => {
    for (let at = extended.start[node]!; at < extended.start[node + 1]!; at++) {
      if (taken[extended.edge[at]!] === 0) return at;
    }
    return -1;
  };
  /** Shortest way from `node` to one with an edge that isn't taken, over few nodes. */
  const detour = (node: number): number[] | null => {
    const cameBy = new Map<number, { readonly from: number; readonly at: number }>([[node, { from: -1, at: -1 }]]);
    const open = [node];
    for (let index = 0; index < open.length && open.length < DETOUR_STATES; index++) {
      const here = open[index]!;
      if (here !== node && fresh(here) >= 0) {
        const way: number[] = [];
        for (let step = cameBy.get(here)!; step.at >= 0; step = cameBy.get(step.from)!) way.push(step.at);
        return way.reverse();
      }
      for (let at = extended.start[here]!; at < extended.start[here + 1]!; at++) {
        const next = extended.to[at]!;
        if (cameBy.has(next)) continue;
        cameBy.set(next, { from: here, at });
        open.push(next);
      }
    }
    return null;
  };
  for (let node = 0; node < extended.count && covered < edgesMax; node++) {
    while (fresh(node) >= 0 && covered < edgesMax) {
      const path: number[] = [];
      const approach: number[] = [];
      for (let back = node; extended.parent[back]! >= 0; back = extended.parent[back]!) {
        approach.push(extended.parentEdge[back]!);
      }
      for (const edge of approach.reverse()) {
        if (taken[edge] === 0) covered++;
        taken[edge] = 1;
        path.push(rule[edge]!);
      }
      let here = node;
      for (;;) {
        const next = fresh(here);
        if (next >= 0) {
          here = take(path, next);
          continue;
        }
        const way = detour(here);
        if (way === null) break;
        for (const at of way) here = take(path, at);
      }
      paths.push(path);
      steps += path.length;
    }
  }
  const refused = new Map<string, number>();
  const drivable = new Uint8Array(edges);
  for (const edge of extended.edge) drivable[edge] = 1;
  for (let edge = 0; edge < start[states]!; edge++) {
    if (drivable[edge] === 1) continue;
    const reason = reasons[edge] ?? 'it leaves a state that no driver comes to';
    refused.set(reason, (refused.get(reason) ?? 0) + 1);
  }
  return { paths, steps, edges, covered, refused };
}
