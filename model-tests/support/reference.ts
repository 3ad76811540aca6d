/**
 * XState as the reference that the tables are compared with: one step of one machine, with everything it did.
 *
 * One inert scope is reused for all steps. The pure `transition()` of xstate builds an actor for each call and is three
 * times slower; equality.test.ts compares the two on a sample.
 */

import { type AnyEventObject, type AnyMachineSnapshot, type AnyStateNode, createActor } from 'xstate';
import {
  type CompiledMachine,
  type Domain,
  type EventType,
  type Expression,
  evaluate,
  type MachineDefinition,
  type NamedDomain,
  type Values,
  valueName,
} from '../../machines/index.ts';

/** An effect with its arguments in the order of the contract: `['answer', 997]`. */
export type Effect = readonly [name: string, ...args: number[]];

/** One candidate of a state node's `on` or `always`. */
export interface TransitionLike {
  readonly source: AnyStateNode;
  readonly eventType: string;
}

/** What one event did to a machine. */
export interface ReferenceStep {
  readonly snapshot: AnyMachineSnapshot;
  readonly effects: readonly Effect[];
}

/** Steps one machine with XState. */
export class Reference {
  readonly definition: MachineDefinition;
  #effects: Effect[] = [];
  #fired: TransitionLike[] = [];
  readonly #scope: never;

  constructor(definition: MachineDefinition) {
    this.definition = definition;
    const self = createActor(definition.machine, {
      inspect: (seen) => {
        if (seen.type === '@xstate.microstep') this.#fired.push(...seen._transitions);
      },
    });
    const nothing = () => {};
    this.#scope = {
      self,
      id: '',
      sessionId: '',
      system: self.system,
      defer: nothing,
      logger: nothing,
      stopChild: nothing,
      emit: nothing,
      actionExecutor: (action: ExecutedAction) => this.#effects.push(effectOf(this.definition, action)),
    } as never;
  }

  /** The machine in a new instance. */
  initial(): AnyMachineSnapshot {
    return this.definition.machine.getInitialSnapshot(this.#scope) as unknown as AnyMachineSnapshot;
  }

  /** The machine in a configuration and memory of the caller's choice. */
  at(value: unknown, context: Values): AnyMachineSnapshot {
    return this.definition.machine.resolveState({ value, context } as never) as unknown as AnyMachineSnapshot;
  }

  /** Whether a transition is enabled. A machine that is over accepts nothing, as a real actor would not. */
  accepts(snapshot: AnyMachineSnapshot, event: AnyEventObject): boolean {
    return (
      snapshot.status === 'active' && this.definition.machine.getTransitionData(snapshot as never, event).length > 0
    );
  }

  step(snapshot: AnyMachineSnapshot, event: AnyEventObject): ReferenceStep {
    this.#effects = [];
    this.#fired = [];
    const next = this.definition.machine.transition(
      snapshot as never,
      event,
      this.#scope,
    ) as unknown as AnyMachineSnapshot & {
      error?: unknown;
    };
    if (next.status === 'error') throw next.error;
    return { snapshot: next, effects: this.#effects };
  }

  /** Candidates that the last step took, `always` ones included, in order. */
  get fired(): readonly TransitionLike[] {
    return this.#fired;
  }
}

/** What XState hands to an action's executor: the context is that of the moment, between the updates around it. */
export interface ExecutedAction {
  readonly type: string;
  readonly params?: unknown;
  readonly info: { readonly context: unknown; readonly event: unknown };
}

/** Evaluates the arguments of an effect that XState asked for. */
export function effectOf({ contract }: MachineDefinition, { type, params, info }: ExecutedAction): Effect {
  const args = params as Readonly<Record<string, Expression>>;
  const names = Object.keys(contract.effects[type]!);
  return [type, ...names.map((name) => evaluate(args[name]!, info.context as Values, info.event as Values))];
}

/** Every event of `machine` with every combination of the values that `valuesOf` picks for its parameters. */
export function eventInstances(
  machine: CompiledMachine,
  valuesOf: (domain: Domain, parameter: NamedDomain, event: EventType) => readonly number[],
): readonly EventInstance[] {
  return machine.events.flatMap((type, index) =>
    type.parameters
      .reduce<readonly (readonly number[])[]>(
        (combinations, parameter) =>
          combinations.flatMap((before) =>
            valuesOf(parameter.domain, parameter, type).map((value) => [...before, value]),
          ),
        [[]],
      )
      .map((params) => ({
        index,
        params,
        event: {
          type: type.name,
          ...Object.fromEntries(type.parameters.map(({ name }, position) => [name, params[position]!])),
        },
      })),
  );
}

/** An event with values, as the tables take it and as XState takes it. */
export interface EventInstance {
  readonly index: number;
  readonly params: readonly number[];
  readonly event: { readonly type: string };
}

/** `queue.admit(request=0, polled=1)`. */
export function eventText({ event }: EventInstance): string {
  const { type, ...params } = event;
  const list = Object.entries(params).map(([name, value]) => `${name}=${value}`);
  return list.length === 0 ? type : `${type}(${list.join(', ')})`;
}

/** `open {posted: 1, held: 0}`. */
export function stateText(value: unknown, context: Values): string {
  const list = Object.entries(context).map(([name, field]) => `${name}: ${field}`);
  return list.length === 0 ? valueName(value) : `${valueName(value)} {${list.join(', ')}}`;
}
