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

import { WSA } from '../../machines/index.ts';
import { read } from '../explorer/index.ts';
import { framesOf, stackAfter } from './frames.ts';
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

/** What a driver keeps of an order: sockets of completion up-calls that are due, and the frames that go on. */
interface Order {
  readonly due: string;
  readonly running: string;
}

const DUE_ORDER = 'completion up-calls are made in the order of completion, whatever their sockets';
const AT_ONCE = 'the last clean-up makes at once what completion up-calls are due';
const ONE_BY_ONE = 'the last clean-up makes no completion up-call inside another';
const LAST_FIRST = 'an up-call that was made inside another ends before it';

/** Steps that are walked over taken edges to reach one that isn't. */
const DETOUR_STATES = 400;

/** How the order of up-calls follows a world's frames; null for a world without. */
function orders({ layout, world }: ProductGraph) {
  const frames = framesOf((machine) => layout.rows.get(machine)?.length ?? 0).map((frame) => {
    const { state, fields } = layout.rows.get(frame.machine)![frame.row]!;
    return {
      ...frame,
      state,
      values: frame.inside.map((name) => state.names!.indexOf(name)),
      count: frame.machine === 'notifier' ? fields.get('count')! : null,
    };
  });
  if (frames.length === 0) return null;
  const goesOn = ({ state, values }: (typeof frames)[number], words: Int32Array, at: number): boolean =>
    values.includes(read(state, words, at));
  const notify = world.rules.map(({ send, row }) => (send === 'notifier/notify' ? String(row) : null));
  const { state: provider } = layout.rows.get('provider')![0]!;
  const cleansUp = world.rules.map(({ send }) => send === 'provider/spi.cleanup' || send === 'process/cleanup');
  const cleaningUp = (words: Int32Array, at: number): boolean =>
    ['cleaningUp', 'closing', 'uninitialised'].includes(provider.names![read(provider, words, at)]!);
  return {
    initial: (words: Int32Array): Order => ({
      due: frames.map(({ count, key }) => (count === null ? '' : key.repeat(read(count, words, 0)))).join(''),
      running: frames.map((frame) => (goesOn(frame, words, 0) ? frame.key : '')).join(''),
    }),
    /** The order after `rule`, or why it can't be. */
    after({ due, running: stack }: Order, rule: number, words: Int32Array, from: number, to: number): Order | string {
      let nowDue = due;
      const taken = notify[rule]!;
      const waiting = [...due].filter((candidate) => !stack.includes(candidate));
      if (cleaningUp(words, from) && waiting.length > 0) {
        const isInUpcall = /\d$/.test(stack);
        if (isInUpcall !== (taken === null)) return isInUpcall ? ONE_BY_ONE : AT_ONCE;
      }
      if (taken !== null) {
        if (waiting[0] !== taken) return DUE_ORDER;
        nowDue = due.replace(taken, '');
      }
      for (const { count, key } of frames) {
        if (count === null) continue;
        const more = read(count, words, to) - read(count, words, from) + (taken === key ? 1 : 0);
        nowDue += key.repeat(Math.max(0, more));
      }
      const changed = frames.filter((frame) => goesOn(frame, words, from) !== goesOn(frame, words, to));
      const running = stackAfter(stack, {
        ended: changed.filter((frame) => goesOn(frame, words, from)).map(({ key }) => key),
        begun: changed.filter((frame) => goesOn(frame, words, to)).map(({ key }) => key),
        due: nowDue,
        cleanedUp: cleansUp[rule]! && cleaningUp(words, to),
      });
      return running === null ? LAST_FIRST : { due: nowDue, running };
    },
  };
}

const POSTED_LATER = 'the driver posts at the end of its turn, and so is refused after the completion that made room';
const NO_TIMERS = 'a driver that was cleaned up looks at no timer';
const NO_HANDLE = 'a buffer is wrong in a way that takes a registration, and there is none';
const NO_SUCH_ERROR = 'no buffer of a send or receive makes WSAEINVAL';

/** Why a driver can't take some edges, by what their states are: each null for a world that it says nothing of. */
type Unable = (rule: number, words: Int32Array, from: number, to: number) => string | null;

/** The place that a completion gives back is taken by a request that the adapter refuses. */
function postsAtOnce({ layout, world }: ProductGraph): Unable | null {
  const full = (layout.rows.get('link') ?? []).flatMap(({ fields }) => fields.get('full') ?? []);
  if (full.length === 0) return null;
  const completes = world.rules.map(({ send }) => send === 'work/complete' || send === 'work/piece');
  return (rule, words, from, to) =>
    completes[rule]! && full.some((cell) => read(cell, words, from) === 1 && read(cell, words, to) === 0)
      ? POSTED_LATER
      : null;
}

/** A timer runs out that nobody looks at any more. */
function forgetsTimers({ layout, world }: ProductGraph): Unable | null {
  const provider = layout.rows.get('provider')?.[0];
  if (provider === undefined) return null;
  const cleanedUp = provider.state.names!.map((name) => ['cleaningUp', 'closing', 'uninitialised'].includes(name));
  const expires = world.rules.map(({ send }) => send === 'timer/expire');
  return (rule, words, from) => (expires[rule]! && cleanedUp[read(provider.state, words, from)]! ? NO_TIMERS : null);
}

/** A refusal that no buffers lead to; where the call is refused for its state, any will do. */
function refusesOtherwise({ layout, world }: ProductGraph): Unable | null {
  const prober = layout.rows.get('prober')?.[0];
  if (prober === undefined) return null;
  const { state } = layout.rows.get('socket')![0]!;
  const connected = state.names!.map((name) => name.startsWith('connected'));
  const registered = prober.fields.get('registered')!;
  const remote = world.rules.map(({ send, with: [call = 0] = [] }) => send === 'prober/transfer' && call >= 8);
  const message = world.rules.map(({ send, with: [call = 0] = [] }) => send === 'prober/transfer' && call < 8);
  const fault = world.rules.map(({ with: [, refusal = 0] = [] }) => refusal === WSA.WSAEFAULT);
  return (rule, words, from) => {
    if (!connected[read(state, words, from)]) return null;
    if (message[rule]! && !fault[rule]!) return NO_SUCH_ERROR;
    return remote[rule]! && fault[rule]! && read(registered, words, from) === 0 ? NO_HANDLE : null;
  };
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
  const unable = [postsAtOnce(graph), forgetsTimers(graph), refusesOtherwise(graph)].filter((each) => each !== null);
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
      const why = unable.map((each) => each(rule[edge]!, words, state * layout.words, next * layout.words));
      const reason = why.find((each) => each !== null);
      if (reason !== undefined) {
        reasons[edge] = reason;
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
