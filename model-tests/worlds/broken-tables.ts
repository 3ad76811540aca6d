/** Breaks tables on purpose: a check that finds nothing must be able to. */

import {
  type CompiledMachine,
  compileMachines,
  type Limits,
  type MachineName,
  machineNames,
} from '../../machines/index.ts';

/** A row of a table does what another does. */
export interface Fault {
  readonly machine: MachineName;
  readonly state: string;
  readonly event: string;
  /** Does instead what this state would do with the same event. */
  readonly as?: string;
  /** Does instead what this state would do with another event, of as many parameters. */
  readonly like?: { readonly state: string; readonly event: string };
}

/** The machines of `limits` with `faults` in them. */
export function brokenMachines(limits: Limits, faults: readonly Fault[]): readonly CompiledMachine[] {
  const machines = [...compileMachines(limits)];
  for (const { machine, state, event, as = state, like = { state: as, event } } of faults) {
    const number = machineNames.indexOf(machine);
    const tables = machines[number]!;
    const cell = (name: string, type: string): number => {
      const row = tables.configurations.indexOf(name);
      const column = tables.events.findIndex((candidate) => candidate.name === type);
      if (row < 0 || column < 0) throw new Error(`machine '${machine}' has no '${type}' in '${name}'`);
      return row * tables.events.length + column;
    };
    const dispatch = tables.dispatch.slice();
    dispatch[cell(state, event)] = tables.dispatch[cell(like.state, like.event)]!;
    machines[number] = { ...tables, dispatch };
  }
  return machines;
}
