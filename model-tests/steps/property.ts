/**
 * Properties of a step: what the specification says of one event at one machine, whatever came before.
 *
 * Theory of operation: a chart is written by states: what each event does there. These are written the other way around, by
 * what is at stake: when a timer is started and stopped, who may change a field, what a call answers, what comes before
 * what. A step is one event with its parameters in one configuration and memory, with what followed; it is judged alone.
 * So a property costs nothing to ask: a machine is asked everything that it can be asked alone (`alone.ts`), and everything
 * that it was asked in a world.
 */

import { bounds, type CompiledMachine, type MachineName, type Values } from '../../machines/index.ts';

/** An effect that a step asked for, with its arguments. */
export interface StepEffect {
  readonly name: string;
  readonly args: Values;
}

/** One event at one row. */
export interface Step {
  /** Configurations: `connected.active`. */
  readonly from: string;
  readonly to: string;
  readonly event: string;
  /** The event's parameters. */
  readonly given: Values;
  readonly before: Values;
  readonly after: Values;
  readonly effects: readonly StepEffect[];
  /** The machine did not accept the event; then nothing else is true of the step. */
  readonly refused: boolean;
}

/** What holds of every step of a machine. */
export interface StepProperty {
  readonly machine: MachineName;
  /** Begins with where the specification says so. */
  readonly name: string;
  /** Whether it holds; null where it says nothing. */
  readonly holds: (step: Step) => boolean | null;
  /** Names that it speaks of: a name that the machine does not have would make it say nothing. */
  readonly speaksOf: readonly string[];
}

type Condition = (step: Step) => boolean;
type Amount = (step: Step) => number;

/** Whether `state` is one of `names`; `closing` stands for `closing.draining` too. */
export const among = (state: string, names: readonly string[]): boolean =>
  names.some((name) => state === name || state.startsWith(`${name}.`));
export const from = ({ from: state }: Step, ...names: readonly string[]): boolean => among(state, names);
export const to = ({ to: state }: Step, ...names: readonly string[]): boolean => among(state, names);
export const on = ({ event }: Step, ...names: readonly string[]): boolean => names.includes(event);
/** The step leads into one of these states from outside of them. */
export const enters = (step: Step, ...names: readonly string[]): boolean => !from(step, ...names) && to(step, ...names);
export const leaves = (step: Step, ...names: readonly string[]): boolean => from(step, ...names) && !to(step, ...names);
/** How often an effect is asked for. */
export const times = ({ effects }: Step, name: string): number =>
  effects.filter((effect) => effect.name === name).length;
/** Value of a field, a parameter or an argument. */
export const value = (values: Values, name: string): number => values[name]!;

/** A cell of a table: what follows an event in some states. */
export interface Cell {
  readonly on: readonly string[];
  readonly in: readonly string[];
  /** Absent: always. */
  readonly when?: Condition;
  /** States that it leads to; absent: it stays. */
  readonly to?: readonly string[];
}

/** Makes the properties of one machine. */
export function propertiesOf(machine: MachineName) {
  const accepted =
    (holds: (step: Step) => boolean | null) =>
    (step: Step): boolean | null =>
      step.refused ? null : holds(step);
  const property = (
    name: string,
    holds: (step: Step) => boolean | null,
    ...speaksOf: readonly string[]
  ): StepProperty => ({ machine, name, holds: accepted(holds), speaksOf });
  return {
    /** Whatever else holds of steps that are accepted. */
    holds: property,
    /** The effect is asked for once where `when` is true, and nowhere else. */
    exactly: (name: string, effect: string, when: Condition): StepProperty =>
      property(name, (step) => times(step, effect) === (when(step) ? 1 : 0), effect),
    /** The effect is asked for at most once, and only where `when` is true. */
    only: (name: string, effect: string, when: Condition): StepProperty =>
      property(name, (step) => times(step, effect) <= (when(step) ? 1 : 0), effect),
    /** Where the effect is asked for, the argument is this. */
    argument: (name: string, effect: string, argument: string, is: Amount): StepProperty =>
      property(
        `${name} (${effect}.${argument})`,
        (step) => {
          const found = step.effects.filter((candidate) => candidate.name === effect);
          return found.length === 0 ? null : found.every(({ args }) => args[argument] === is(step));
        },
        effect,
        argument,
      ),
    /** None of `first` is asked for behind one of `later`. */
    order: (
      name: string,
      first: readonly string[],
      later: readonly string[],
      when: Condition = () => true,
    ): StepProperty =>
      property(
        name,
        (step) => {
          if (!when(step)) return null;
          const { effects } = step;
          const last = effects.findLastIndex((effect) => first.includes(effect.name));
          const next = effects.findIndex((effect) => later.includes(effect.name));
          return last < 0 || next < 0 ? null : last < next;
        },
        ...first,
        ...later,
      ),
    /** The field is as it was, but where `when` is true. */
    kept: (name: string, field: string, when: Condition): StepProperty =>
      property(name, (step) => (when(step) ? null : step.before[field] === step.after[field]), field),
    /** Where `when` is true the field becomes this, and elsewhere it is as it was. */
    becomes: (name: string, field: string, when: Condition, is: Amount): StepProperty =>
      property(name, (step) => step.after[field] === (when(step) ? is(step) : step.before[field]), field),
    /** Where the cells say that an event leads; what no cell names stays where it is. */
    leads: (name: string, cells: readonly Cell[]): StepProperty =>
      property(
        name,
        (step) => {
          const cell = cells.find(
            (candidate) => on(step, ...candidate.on) && from(step, ...candidate.in) && (candidate.when?.(step) ?? true),
          );
          return cell?.to === undefined ? step.to === step.from : to(step, ...cell.to);
        },
        ...cells.flatMap((cell) => [...cell.on, ...cell.in, ...(cell.to ?? [])]),
      ),
    /** These events are expected in these states. */
    expects: (
      name: string,
      states: readonly string[],
      events: readonly string[],
      when: Condition = () => true,
    ): StepProperty => ({
      machine,
      name,
      holds: (step) => (from(step, ...states) && on(step, ...events) && when(step) ? !step.refused : null),
      speaksOf: [...states, ...events],
    }),
  };
}

/** What holds of the steps of every machine: a value lies in its range, a final state is the end. */
export function inRange(machine: CompiledMachine, step: Step): boolean {
  return machine.fields.every(({ name, domain }) => {
    const { low, high } = bounds(domain);
    const now = value(step.after, name);
    return domain.kind === 'oneOf' ? domain.values.includes(now) : low <= now && now <= high;
  });
}

/** @throws Error when `property` names what `machine` does not have */
export function checkNames(machine: CompiledMachine, { name, speaksOf }: StepProperty): void {
  const known = new Set([
    ...machine.configurations.flatMap((full) =>
      full.split('.').map((_, at, parts) => parts.slice(0, at + 1).join('.')),
    ),
    ...machine.events.map((event) => event.name),
    ...machine.effects.flatMap((effect) => [effect.name, ...effect.parameters.map((parameter) => parameter.name)]),
    ...machine.fields.map((field) => field.name),
  ]);
  for (const word of speaksOf) {
    if (!known.has(word)) throw new Error(`'${name}': ${machine.name} has no '${word}'`);
  }
}
