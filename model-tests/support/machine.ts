/** Machines that stand around the provider's own: statecharts in the same language, made in one call. */

import { type AnyStateMachine, createMachine } from 'xstate';
import { type Contract, implementations, initialContext, type MachineDefinition } from '../../machines/index.ts';

/**
 * A statechart but for its memory, which is its contract's. Guards, updates and effects have been checked by
 * {@link language}, states and events are by the compiler.
 */
export type Chart = Pick<AnyStateMachine['config'], 'id' | 'initial' | 'states'>;

/** The machine that `chart` is, with the memory, events and effects of `contract`. */
export function machineOver(contract: Contract, chart: Chart): MachineDefinition {
  const { guards, actions } = implementations(contract);
  const machine = createMachine({ ...chart, context: initialContext(contract) }, { guards, actions } as never);
  return { contract, machine };
}
