/**
 * Successors: what a world can do next, on packed states.
 *
 * Theory of operation: the one interface between a search and the machines. A search owns states (words in arrays of its
 * own) and never sees a machine; a kernel owns no state between two calls. Two kernels do the same: `production` unpacks a
 * state into the system's rows, lets the rule happen as in production and packs what came of it; `generated` is the
 * world's program, printed as JavaScript that works on the packed words. A test has both in every state of small worlds.
 */

import { InvariantError, type Watcher } from '../../machines/index.ts';
import { type Layout, RangeError32 } from './layout.ts';
import { Part, toJavaScript } from './print-javascript.ts';
import { UnexpectedEffect, type World } from './world.ts';

/** How states follow from each other; made by {@link makeSuccessors}. Not to be shared between threads: make one in each. */
export interface Successors {
  /** 32-bit words of one state. */
  readonly words: number;
  /** Rules of the world; a rule's number is its place there. */
  readonly rules: number;
  /** Writes the initial state behind `to[at]`. */
  initial(to: Int32Array, at: number): void;
  /**
   * Which rules can happen in the state behind `from[at]`.
   *
   * @param into - gets their numbers, ascending; has room for all rules
   * @returns how many they are
   */
  enabled(from: Int32Array, at: number, into: Uint16Array): number;
  /** The state that {@link Successors.apply} has made; its caller's until the next call to any of the same world. */
  readonly next: Int32Array;
  /**
   * Lets a rule happen that {@link Successors.enabled} has named for the state behind `from[at]`, which is not of `next`.
   *
   * @returns the parts of the state that were read or written, as bits of {@link Part}
   * @throws an error, for which {@link Successors.fire} throws one that is for people
   */
  apply(rule: number, from: Int32Array, at: number): number;
  /**
   * The same for those who have time.
   *
   * @param to - gets the state that follows, behind `to[toAt]`, unless this throws; may be `from`, without overlap
   * @throws an error for which {@link isBroken} is true, when a machine does not expect an event, a value lies outside
   *   its range, or an effect is asked for that never is
   */
  fire(rule: number, from: Int32Array, at: number, to: Int32Array, toAt: number): void;
}

/** Whether `error` says that the world is broken; any other is a fault of the checker. */
export function isBroken(error: unknown): error is Error {
  return error instanceof InvariantError || error instanceof RangeError32 || error instanceof UnexpectedEffect;
}

/** Successors as production makes them: slow, and right by construction. They move `world.system`. */
export function productionSuccessors(world: World, layout: Layout): Successors {
  const { words } = layout;
  const start = new Int32Array(words);
  layout.pack(start, 0);
  world.system.watch(rangeKeeper(world, layout));
  const rules = world.rules.length;
  const next = new Int32Array(words);
  const fire: Successors['fire'] = (rule, from, at, to, toAt) => {
    layout.unpack(from, at);
    world.fire(rule);
    layout.pack(to, toAt);
  };
  return {
    words,
    rules,
    next,
    apply: (rule, from, at) => {
      fire(rule, from, at, next, 0);
      return Part.both;
    },
    fire,
    initial: (to, at) => to.set(start, at),
    enabled: (from, at, into) => {
      layout.unpack(from, at);
      let count = 0;
      for (let rule = 0; rule < rules; rule++) if (world.enabled(rule)) into[count++] = rule;
      return count;
    },
  };
}

/**
 * Refuses a value outside its field's range when it is stored, though it may be back by the end of the step.
 *
 * A column is as wide as the range, so production would have another value by then: what comes between, a guard, an
 * effect's argument, would not be XState's any more.
 */
function rangeKeeper({ names, system }: World, layout: Layout): Watcher {
  const cells = system.machines.map(({ fields }, machine) =>
    fields.map(({ name }) => (layout.rows.get(names[machine]!) ?? []).map((row) => row.fields.get(name))),
  );
  return {
    before: () => {},
    after: () => {},
    store: (machine, row, field, value) => {
      const cell = cells[machine]![field]![row];
      const fits =
        cell === undefined ||
        (cell.values === null ? value >= cell.low && value <= cell.high : cell.values.includes(value));
      if (!fits) throw new RangeError32(`${cell.of}: ${cell.name} is ${value}, outside its range`);
    },
  };
}

/** What the printed program stops with; never seen outside of {@link generatedSuccessors}. */
class ProgramFailure extends Error {
  override readonly name = 'ProgramFailure';
}

/** Numbers in the queue of performances; a rule that needs more is a fault of the world. */
const QUEUE_SIZE = 1 << 14;

type Kernel = Pick<Successors, 'enabled' | 'apply' | 'next'>;

/** Worlds that stay translated, and what is known of running them. */
const KERNELS_MAX = 4;
const kernels = new Map<string, Kernel>();

/** Compiles `source`, which {@link toJavaScript} has printed for states of `words` words; once, if it is asked for again. */
function compiled(source: string, words: number): Kernel {
  let kernel = kernels.get(source);
  kernels.delete(source);
  if (kernel === undefined) {
    // Views of buffers of their own stay where they are.
    const next = new Int32Array(new ArrayBuffer(4 * words));
    const made = new Function('given', source)({
      w: next,
      q: new Int32Array(new ArrayBuffer(4 * QUEUE_SIZE)),
      failed: (reason: string): never => {
        throw new ProgramFailure(reason);
      },
    }) as Pick<Successors, 'enabled' | 'apply'>;
    kernel = { ...made, next };
  }
  kernels.set(source, kernel);
  const [oldest] = kernels.keys();
  if (kernels.size > KERNELS_MAX) kernels.delete(oldest!);
  return kernel;
}

/** Successors by the world's program, translated to JavaScript. They leave `world.system` alone, but for failures. */
export function generatedSuccessors(world: World, layout: Layout): Successors {
  const { words } = layout;
  const production = productionSuccessors(world, layout);
  const { enabled, apply, next } = compiled(toJavaScript(layout), words);
  /** What production says to it, which is for people. */
  const explain = (error: unknown, rule: number, from: Int32Array, at: number): never => {
    if (!(error instanceof ProgramFailure)) throw error;
    production.fire(rule, from, at, new Int32Array(words), 0);
    const { name } = world.rules[rule]!;
    throw new Error(`rule '${name}' fails in the program (${error.message}) and not in the machines`);
  };
  return {
    words,
    rules: production.rules,
    initial: production.initial,
    enabled,
    next,
    apply,
    fire: (rule, from, at, to, toAt) => {
      try {
        apply(rule, from, at);
      } catch (error) {
        explain(error, rule, from, at);
      }
      to.set(next, toAt);
    },
  };
}

/**
 * The successors of `world`, as fast as they can be had.
 *
 * @param layout - of that world, which is in its initial state
 */
export function makeSuccessors(world: World, layout: Layout): Successors {
  return generatedSuccessors(world, layout);
}
