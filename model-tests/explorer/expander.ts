/**
 * Expander: what one thread of a search does with a block of states, that is, find their successors and judge them.
 *
 * Theory of operation: an expander reads the store and writes a {@link Block}; it never adds a state. So any number of
 * them can be at work, and whoever adds the blocks' finds to the store, in the order of the states, numbers them as a
 * search in one thread would. An expander that looks a state up may miss what was added meanwhile: then it is proposed
 * once more, and found when it is to be added.
 */

import { forgetDead } from './dead.ts';
import { Layout, StateView } from './layout.ts';
import { LocalSteps } from './local-steps.ts';
import { Part } from './print-javascript.ts';
import { type Property, type Question, questionOf } from './properties.ts';
import type { StateStore } from './store.ts';
import { isBroken, makeSuccessors, productionSuccessors, type Successors } from './successors.ts';
import { type Canonicalizer, canonicalizer } from './symmetry.ts';
import { World, type WorldDefinition } from './world.ts';

/** States of one block at most. */
export const BLOCK_STATES = 256;

/** States that an expander remembers to have proposed; a power of 2, for the cache next to the processor. */
const RECENT_BITS = 13;
const RECENT = 2 ** RECENT_BITS;
const RECENT_WORDS = 4;

/** What decides which states are taken for one. */
export interface Reductions {
  /** Dead variables are 0. */
  readonly dead: boolean;
  /** Rows that can be exchanged are in one order. */
  readonly symmetry: boolean;
}

/** What one thread needs of a world; data that can be sent to another thread. */
export interface SearchTask {
  readonly definition: WorldDefinition;
  readonly asked: readonly Property[];
  readonly reductions: Reductions;
  /** Whether every transition is noted. */
  readonly edges: boolean;
}

/** Head of a block, in words. */
export const Head = {
  /** {@link BlockStatus}. */
  status: 0,
  /** First state, and the one behind the last that was to be expanded. */
  start: 1,
  end: 2,
  transitions: 3,
  /** How many of each there are behind the head. */
  finds: 4,
  hits: 5,
  /** Words of parts of states that the store did not have. */
  fresh: 6,
  /** The state and rule that broke the world, or -1. */
  errorState: 7,
  errorRule: 8,
  length: 9,
} as const;
export const BlockStatus = { free: 0, claimed: 1, done: 2 } as const;

/** What broke, or showed, a property first in a block. */
export const HIT_WORDS = 4;
export const HitKind = { broken: 0, shown: 1 } as const;
/** A successor that may be new: its two parts and the state it follows. A part below 0 is at -1 - it in the fresh words. */
export const FIND_WORDS = 3;

/** What came of a block; shared memory. */
export class Block {
  readonly head: Int32Array;
  readonly finds: Int32Array;
  readonly hits: Int32Array;
  readonly fresh: Int32Array;
  /** For each transition its rule; its state, or -1 - number of its find. Only where edges are noted. */
  readonly edgeTo: Int32Array;
  readonly edgeRule: Uint16Array;
  /** Number of the transitions of each state. */
  readonly edgeCount: Uint16Array;

  constructor(memory: SharedArrayBuffer, words: number, rules: number, properties: number, edges: boolean) {
    const most = BLOCK_STATES * rules;
    let at = 0;
    const take = (length: number): Int32Array => {
      const taken = new Int32Array(memory, at, length);
      at += 4 * length;
      return taken;
    };
    this.head = take(Head.length);
    this.hits = take(2 * properties * HIT_WORDS);
    this.finds = take(most * FIND_WORDS);
    this.fresh = take(most * words);
    this.edgeTo = take(edges ? most : 0);
    this.edgeRule = new Uint16Array(memory, at, edges ? most : 0);
    this.edgeCount = new Uint16Array(memory, at + 2 * this.edgeRule.length, edges ? BLOCK_STATES : 0);
  }

  /** Memory for one block; what isn't used of it costs nothing. */
  static memory(words: number, rules: number, properties: number, edges: boolean): SharedArrayBuffer {
    const most = BLOCK_STATES * rules;
    const ints = Head.length + 2 * properties * HIT_WORDS + most * (FIND_WORDS + words + (edges ? 1 : 0));
    return new SharedArrayBuffer(4 * ints + (edges ? 2 * (most + BLOCK_STATES) : 0));
  }
}

/** One thread's part of a search. */
export class Expander {
  readonly world: World;
  readonly layout: Layout;
  readonly successors: Successors;
  readonly asked: readonly Property[];
  readonly questions: readonly Question[];
  readonly store: StateStore;
  /** How often each rule has happened. */
  readonly fired: Float64Array;
  readonly #edges: boolean;
  readonly #forget: ((words: Int32Array, at: number) => void) | null;
  /** What exchanges rows; null without symmetry. */
  readonly canonicalizer: Canonicalizer | null;
  /** Shared: 1 where it is known that property p is broken (2p) or shown (2p + 1). */
  readonly #known: Int32Array;
  readonly #state: Int32Array;
  readonly #next: Int32Array;
  readonly #view: StateView;
  readonly #before: StateView;
  readonly #enabled: Uint16Array;
  /** Of each successor of a block's states, in their order: numbers of its parts, as in a find, and of itself. */
  readonly #firsts: Int32Array;
  readonly #seconds: Int32Array;
  readonly #found: Int32Array;
  /** Null where states are changed as wholes after a rule. */
  readonly #steps: { readonly first: LocalSteps; readonly second: LocalSteps } | null;
  /** How many of these are of each state of a block. */
  readonly #counts = new Int32Array(BLOCK_STATES);
  /** States that were looked for lately, where their hash says: the parts, the first plus 1, and the number of the look. */
  readonly #recent = new Int32Array(RECENT_WORDS * RECENT);
  /** Looks before this block. */
  #looked = 0;
  readonly #hit: Uint8Array;
  readonly #onState: readonly ((at: number) => void)[];
  readonly #onEdge: readonly ((state: number, rule: number) => void)[];
  readonly #onEnd: readonly ((state: number) => void)[];
  #block: Block;

  /** @param prepare - gets the world before anything happens in it; then it is stepped as in production */
  constructor(
    task: SearchTask,
    store: (layout: Layout) => StateStore,
    known: Int32Array,
    prepare?: (world: World) => void,
  ) {
    const { definition, asked, reductions, edges } = task;
    this.world = new World(definition);
    prepare?.(this.world);
    this.layout = new Layout(this.world);
    this.successors = (prepare === undefined ? makeSuccessors : productionSuccessors)(this.world, this.layout);
    this.asked = asked;
    this.questions = asked.map((property) => questionOf(property, this.layout));
    this.store = store(this.layout);
    this.fired = new Float64Array(this.successors.rules);
    this.#edges = edges;
    this.#known = known;
    this.#forget = reductions.dead ? forgetDead(this.layout, asked) : null;
    this.canonicalizer = reductions.symmetry ? canonicalizer(this.layout) : null;
    const { words } = this.layout;
    this.#state = new Int32Array(words);
    this.#next = this.successors.next;
    this.#view = new StateView(this.layout, this.#next);
    this.#before = new StateView(this.layout, this.#state);
    const { rules } = this.successors;
    this.#steps =
      this.#forget === null && this.canonicalizer === null
        ? { first: new LocalSteps(rules), second: new LocalSteps(rules) }
        : null;
    this.#enabled = new Uint16Array(rules);
    [this.#firsts, this.#seconds, this.#found] = [0, 1, 2].map(() => new Int32Array(BLOCK_STATES * rules)) as never as [
      Int32Array,
      Int32Array,
      Int32Array,
    ];
    this.#hit = new Uint8Array(2 * asked.length);
    this.#block = null as never;
    const judges = this.#judges();
    this.#onState = judges.flatMap(({ state }) => state ?? []);
    this.#onEdge = judges.flatMap(({ edge }) => edge ?? []);
    this.#onEnd = judges.flatMap(({ end }) => end ?? []);
  }

  /** The initial state, as it is stored. */
  initial(): Int32Array {
    const state = new Int32Array(this.layout.words);
    this.successors.initial(state, 0);
    this.normalize(state);
    return state;
  }

  /** What stands for the state in `words`. */
  normalize(words: Int32Array): void {
    this.#forget?.(words, 0);
    this.canonicalizer?.apply(words, 0);
  }

  /** The rule that leads from `from` to a state for which `to` stands; `from` becomes that state. @throws Error for none */
  follow(from: Int32Array, to: Int32Array): number {
    const count = this.successors.enabled(from, 0, this.#enabled);
    for (let index = 0; index < count; index++) {
      const rule = this.#enabled[index]!;
      const next = new Int32Array(from.length);
      this.successors.fire(rule, from, 0, next, 0);
      this.#forget?.(next, 0);
      const actual = next.slice();
      this.canonicalizer?.apply(next, 0);
      if (!next.every((word, at) => word === to[at])) continue;
      from.set(actual);
      return rule;
    }
    throw new Error('no way there: the search, or what it takes for one state, is wrong');
  }

  /**
   * The rule that is to the state `actual` what `rule` is to the state `number` of the store, which stands for it: the
   * first that breaks the world, or property `property`, too. @throws Error for none
   */
  counterpart(actual: Int32Array, number: number, rule: number, property: number | null): number {
    if (this.canonicalizer === null) return rule;
    const question = property === null ? null : this.questions[property]!;
    const view = new StateView(this.layout, new Int32Array(actual.length));
    const before = new StateView(this.layout, actual);
    const count = this.successors.enabled(actual, 0, this.#enabled);
    for (let index = 0; index < count; index++) {
      const candidate = this.#enabled[index]!;
      try {
        this.successors.fire(candidate, actual, 0, view.words, 0);
      } catch (error) {
        if (question === null && isBroken(error)) return candidate;
        throw error;
      }
      this.#forget?.(view.words, 0);
      if (question?.kind === 'transition' && !question.holds(view, before)) return candidate;
    }
    throw new Error(`state ${number} breaks by rule ${rule}, and the one that it stands for does not`);
  }

  /** Expands the states of `block`, from its start to its end. */
  expand(block: Block): void {
    this.#block = block;
    this.#hit.fill(0);
    block.head[Head.hits] = 0;
    const count = this.#succeed(block);
    this.#looked += count;
    this.store.findAll(this.#firsts, this.#seconds, count, this.#found);
    this.#propose(block);
  }

  /**
   * Makes the successors of a block's states and judges them.
   *
   * @returns how many of them are to be looked for; the others this expander has looked for before: anywhere, or in this
   *   block where edges are noted, which get the number of the look for now
   */
  #succeed({ head, fresh, edgeTo, edgeRule, edgeCount }: Block): number {
    const { store, successors, layout, canonicalizer: canonical } = this;
    const { words, split } = layout;
    const [state, next, enabled, firsts, seconds] = [
      this.#state,
      this.#next,
      this.#enabled,
      this.#firsts,
      this.#seconds,
    ];
    const [forget, onState, onEdge, onEnd] = [this.#forget, this.#onState, this.#onEdge, this.#onEnd];
    const steps = this.#steps;
    const recent = this.#recent;
    const edges = this.#edges;
    const looked = this.#looked;
    const start = head[Head.start]!;
    const end = head[Head.end]!;
    const { pairs } = store.memory;
    head[Head.errorState] = -1;
    this.#counts.fill(0);
    let transitions = 0;
    let looks = 0;
    let freshAt = 0;
    for (let number = start; number < end; number++) {
      store.load(number, state, 0);
      const first = pairs[2 * number]!;
      const second = pairs[2 * number + 1]!;
      const count = successors.enabled(state, 0, enabled);
      for (let judge = 0; judge < onState.length; judge++) onState[judge]!(number);
      let moves = false;
      const before = looks;
      const transitionsBefore = transitions;
      for (let index = 0; index < count; index++) {
        const rule = enabled[index]!;
        // What a rule makes of one part, it makes of it beside every other.
        const madeFirst = steps === null ? -1 : steps.first.get(first, rule);
        const madeSecond = steps === null || madeFirst >= 0 ? -1 : steps.second.get(second, rule);
        let one = madeFirst >= 0 ? madeFirst : first;
        let other = madeSecond >= 0 ? madeSecond : second;
        const isKnown = madeFirst >= 0 || madeSecond >= 0;
        let touched: number = Part.both;
        if (!isKnown) {
          try {
            touched = successors.apply(rule, state, 0);
          } catch {
            this.#fail(head, number, rule);
            break;
          }
          if (forget !== null) forget(next, 0);
        } else if (onEdge.length > 0) store.loadParts(one, other, next, 0);
        this.fired[rule]!++;
        for (let judge = 0; judge < onEdge.length; judge++) onEdge[judge]!(number, rule);
        if (!isKnown) {
          if (canonical !== null) {
            moves ||= next.some((word, at) => word !== state[at]);
            canonical.apply(next, 0);
          }
          one = store.first.findUnlike(next, 0, state, first);
          other = store.second.findUnlike(next, split, state, second);
          if (one < 0) {
            one = -1 - freshAt;
            for (let word = 0; word < split; word++) fresh[freshAt++] = next[word]!;
          } else if (touched === Part.first) steps?.first.set(first, rule, one);
          if (other < 0) {
            other = -1 - freshAt;
            for (let word = split; word < words; word++) fresh[freshAt++] = next[word]!;
          } else if (touched === Part.second) steps?.second.set(second, rule, other);
        }
        if (canonical === null && (one !== first || other !== second)) moves = true;
        if (edges) {
          edgeRule[transitions] = rule;
          edgeTo[transitions] = looks;
        }
        transitions++;
        if (one >= 0 && other >= 0) {
          const hash = (Math.imul(one, 0x9e37_79b1) ^ Math.imul(other, 0x85eb_ca77)) >>> (32 - RECENT_BITS);
          const at = RECENT_WORDS * hash;
          if (recent[at] === one + 1 && recent[at + 1] === other) {
            if (!edges) continue;
            const look = recent[at + 2]! - looked;
            if (look >= 0) {
              edgeTo[transitions - 1] = look;
              continue;
            }
          }
          recent[at] = one + 1;
          recent[at + 1] = other;
          recent[at + 2] = looked + looks;
        }
        firsts[looks] = one;
        seconds[looks++] = other;
      }
      this.#counts[number - start] = looks - before;
      if (edges) edgeCount[number - start] = transitions - transitionsBefore;
      if (head[Head.errorState]! >= 0) break;
      if (!moves) for (let judge = 0; judge < onEnd.length; judge++) onEnd[judge]!(number);
    }
    head[Head.fresh] = freshAt;
    head[Head.transitions] = transitions;
    return looks;
  }

  /** Writes down which successors the store does not have, and where edges lead. */
  #propose({ head, finds, edgeTo }: Block): void {
    const [firsts, seconds, founds] = [this.#firsts, this.#seconds, this.#found];
    const start = head[Head.start]!;
    const states = head[Head.end]! - start;
    let proposed = 0;
    let at = 0;
    for (let state = 0; state < states; state++) {
      for (const end = at + this.#counts[state]!; at < end; at++) {
        if (founds[at]! >= 0) continue;
        const into = proposed++ * FIND_WORDS;
        finds[into] = firsts[at]!;
        finds[into + 1] = seconds[at]!;
        finds[into + 2] = start + state;
        founds[at] = -proposed;
      }
    }
    head[Head.finds] = proposed;
    if (!this.#edges) return;
    for (let edge = 0; edge < head[Head.transitions]!; edge++) edgeTo[edge] = founds[edgeTo[edge]!]!;
  }

  /** Notes a rule that breaks the world. @throws Error when it does not */
  #fail(head: Int32Array, number: number, rule: number): void {
    try {
      this.successors.fire(rule, this.#state, 0, this.#next, 0);
    } catch (error) {
      if (!isBroken(error)) throw error;
      head[Head.errorState] = number;
      head[Head.errorRule] = rule;
      return;
    }
    throw new Error(`rule ${rule} fails in state ${number}, and then it does not`);
  }
  #record(property: number, kind: number, state: number, rule: number): void {
    if (this.#hit[2 * property + kind] === 1) return;
    this.#hit[2 * property + kind] = 1;
    const { head, hits } = this.#block;
    hits.set([property, kind, state, rule], head[Head.hits]!++ * HIT_WORDS);
  }

  /** Functions that look at what is in `#state` and `#next`. */
  #judges() {
    type Judge = {
      state?: (state: number) => void;
      edge?: (state: number, rule: number) => void;
      end?: (state: number) => void;
    };
    const [view, before, known] = [this.#view, this.#before, this.#known];
    return this.questions.map((question, index): Judge => {
      const isKnown = (kind: number): boolean => known[2 * index + kind] === 1;
      const broken = (state: number, rule = -1): void => this.#record(index, HitKind.broken, state, rule);
      const shown = (state: number): void => this.#record(index, HitKind.shown, state, -1);
      switch (question.kind) {
        case 'always':
          return { state: (state) => void (question.holds(before, before) || isKnown(0) || broken(state)) };
        case 'sometimes':
          return { state: (state) => void (isKnown(1) || (question.holds(before, before) && shown(state))) };
        case 'implies':
          return {
            state: (state) => {
              if (!question.left(before, before)) return;
              if (!isKnown(1)) shown(state);
              if (!question.right(before, before) && !isKnown(0)) broken(state);
            },
          };
        case 'transition':
          return { edge: (state, rule) => void (question.holds(view, before) || isKnown(0) || broken(state, rule)) };
        case 'deadlock':
          return {
            end: (state) => {
              shown(state);
              if (!question.terminal(before, before)) broken(state);
            },
          };
        default:
          return {};
      }
    });
  }
}
