/**
 * A machine's contract: what it remembers, what can happen to it, what it can ask for; each with its range.
 *
 * Theory of operation: XState's own types say that a context field is a number. The contract says which numbers, in a
 * form that the compiler, the explorer and the pictures can read. From it come the TypeScript types of the machine,
 * the builders of guards, updates and effects that its chart is written with, and the implementations that XState runs.
 */

import { assign } from 'xstate';
import { type Expression, evaluate, type Values } from './expression.ts';

/** The integers that a field or parameter may hold. */
export type Domain =
  /** Every integer from `low` to `high`. */
  | { readonly kind: 'range'; readonly low: number; readonly high: number }
  /** Exactly these. */
  | { readonly kind: 'oneOf'; readonly values: readonly number[] }
  /**
   * Any integer from `low` to `high` that is carried and never computed with or decided on (the compiler checks it).
   * So a machine behaves alike for all of them, and two of them stand for all when it is explored.
   */
  | { readonly kind: 'carried'; readonly low: number; readonly high: number };

export const range = (low: number, high: number): Domain => ({ kind: 'range', low, high });
export const flag: Domain = range(0, 1);
export const oneOf = (...values: readonly number[]): Domain => ({ kind: 'oneOf', values });
export const carried = (low: number, high: number): Domain => ({ kind: 'carried', low, high });

/** Whether `value` lies in `domain`. */
export function contains(domain: Domain, value: number): boolean {
  if (!Number.isInteger(value)) return false;
  return domain.kind === 'oneOf' ? domain.values.includes(value) : value >= domain.low && value <= domain.high;
}

/** The values of `domain` that an exhaustive exploration must try. */
export function representatives(domain: Domain): readonly number[] {
  switch (domain.kind) {
    case 'oneOf':
      return domain.values;
    case 'carried':
      return domain.low === domain.high ? [domain.low] : [domain.low, domain.high];
    case 'range':
      return Array.from({ length: domain.high - domain.low + 1 }, (_, index) => domain.low + index);
  }
}

/** Lowest and highest value of `domain`. */
export function bounds(domain: Domain): { low: number; high: number } {
  return domain.kind === 'oneOf'
    ? { low: Math.min(...domain.values), high: Math.max(...domain.values) }
    : { low: domain.low, high: domain.high };
}

type Domains = Readonly<Record<string, Domain>>;
/** Names in a fixed order: the order of arguments in a step and in the journal. */
export type Signature = Readonly<Record<string, Domains>>;

/** Field with its range and its value in a new machine. */
export interface Field {
  readonly domain: Domain;
  readonly initial: number;
}
export const field = (domain: Domain, initial = 0): Field => ({ domain, initial });

/** What a machine remembers, accepts and asks for. */
export interface Contract<
  C extends Readonly<Record<string, Field>> = Readonly<Record<string, Field>>,
  E extends Signature = Signature,
  F extends Signature = Signature,
> {
  readonly context: C;
  readonly events: E;
  readonly effects: F;
}

export type ContextOf<K extends Contract> = { [N in keyof K['context']]: number };
export type EventOf<K extends Contract> = {
  [T in keyof K['events'] & string]: { readonly type: T } & { readonly [P in keyof K['events'][T]]: number };
}[keyof K['events'] & string];

type Arguments<D> = { readonly [P in keyof D]: Expression };
type EffectAction<F extends Signature> = {
  [T in keyof F & string]: { readonly type: T; readonly params: Arguments<F[T]> };
};
/** Builders of what a chart is written with; see {@link language}. */
export interface Language<K extends Contract> {
  /** The machine's memory, to read in expressions. */
  readonly context: { readonly [N in keyof K['context']]: Expression };
  /** A parameter of the event at hand, to read in expressions. */
  event(name: { [T in keyof K['events']]: keyof K['events'][T] & string }[keyof K['events']]): Expression;
  /** A guard. */
  when(test: Expression): { type: 'when'; params: Expression };
  /** A change of memory; all fields are computed first and then stored. */
  update(changes: { readonly [N in keyof K['context']]?: Expression }): {
    type: 'update';
    params: Readonly<Record<string, Expression>>;
  };
  /** An effect with its arguments. */
  effect<T extends keyof K['effects'] & string>(
    type: T,
    params: Arguments<K['effects'][T]>,
  ): EffectAction<K['effects']>[T];
}

/** The words that a chart over `contract` is written in. */
export function language<K extends Contract>(contract: K): Language<K> {
  const context = Object.fromEntries(
    Object.keys(contract.context).map((name) => [name, { op: 'context', name } as const]),
  ) as { [N in keyof K['context']]: Expression };
  return {
    context,
    event: (name) => ({ op: 'event', name }),
    when: (test) => ({ type: 'when', params: test }),
    update: (changes) => ({ type: 'update', params: changes as Readonly<Record<string, Expression>> }),
    effect: (type, params) => ({ type, params }) as never,
  };
}

/** The initial memory of a machine over `contract`. */
export function initialContext<K extends Contract>(contract: K): ContextOf<K> {
  return Object.fromEntries(
    Object.entries(contract.context).map(([name, { initial }]) => [name, initial]),
  ) as ContextOf<K>;
}

/**
 * What XState runs for the words of {@link language}: it evaluates the trees. Effects do nothing here; who steps the
 * machine collects them.
 */
export function implementations<K extends Contract>(contract: K) {
  type Changes = Readonly<Record<string, Expression>>;
  type Scope = { context: Values; event: object };
  const computeAll = ({ context, event }: Scope, changes: Changes) =>
    Object.fromEntries(
      Object.entries(changes).map(([name, value]) => [name, evaluate(value, context, event as Values)]),
    ) as Partial<ContextOf<K>>;
  const effects = Object.fromEntries(Object.keys(contract.effects).map((type) => [type, () => {}])) as unknown as {
    [T in keyof K['effects'] & string]: (scope: unknown, params: Arguments<K['effects'][T]>) => void;
  };
  return {
    types: { context: {} as ContextOf<K>, events: {} as EventOf<K> },
    guards: {
      when: ({ context, event }: Scope, test: Expression) => evaluate(test, context, event as Values) !== 0,
    },
    actions: {
      ...effects,
      // What assign() returns is typed for one machine; its parameters are what the charts are checked against.
      update: assign(computeAll as never) as unknown as (scope: unknown, changes: Changes) => void,
    },
  };
}
