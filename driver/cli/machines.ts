/** `wsdirect machines`: the machines and the size of their tables; one of them as a Mermaid state diagram. */

import Table from 'cli-table3';
import { Command } from 'commander';

import {
  type CompiledMachine,
  compileMachines,
  defineMachines,
  digestOf,
  type MachineName,
  machineNames,
  Op,
  productionLimits,
  toMermaid,
} from '../../machines/index.ts';
import { tableStyle, tableText, type Terminal, UserError } from './command.ts';

/** What one machine comes to. */
function sizesOf({ name, configurations, events, effects, fields, dispatch, code }: CompiledMachine) {
  return {
    name,
    states: configurations.length,
    events: events.length,
    /** Pairs of state and event that have a program. */
    transitions: dispatch.reduce((count, start) => count + (code[start] === Op.reject ? 0 : 1), 0),
    effects: effects.length,
    fields: fields.length,
    tableBytes: dispatch.byteLength + code.byteLength,
  };
}

export function machinesCommand({ write }: Terminal): Command {
  return new Command('machines')
    .description('List the machines with their sizes, or print one as a Mermaid state diagram.')
    .argument('[name]', `one of ${machineNames.join(', ')}`)
    .option('--json', 'print the sizes, or the machine with its states, events and effects, as JSON')
    .addHelpText(
      'after',
      '\nTransitions are counted as pairs of a state and an event that it accepts.' +
        '\nExit codes: 0 success, 2 wrong usage or no such machine.',
    )
    .action((name: string | undefined, { json }: { json?: boolean }) => {
      const machines = compileMachines(productionLimits);
      if (name === undefined) {
        const sizes = machines.map(sizesOf);
        if (json === true) {
          write(`${JSON.stringify({ digest: digestOf(machines), machines: sizes }, null, 2)}\n`);
          return;
        }
        const table = new Table({
          head: ['machine', 'states', 'events', 'transitions', 'effects', 'fields', 'table bytes'],
          colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'right'],
          ...tableStyle,
        });
        for (const size of sizes) table.push(Object.values(size));
        write(`${tableText(table)}\ndigest ${digestOf(machines)}\n`);
        return;
      }
      const index = machineNames.indexOf(name as MachineName);
      if (index < 0) throw new UserError(`no machine '${name}': one of ${machineNames.join(', ')}`);
      if (json !== true) {
        write(toMermaid(defineMachines(productionLimits)[name as MachineName]));
        return;
      }
      const machine = machines[index]!;
      const named = ({ name: of, parameters }: CompiledMachine['events'][number]) => ({
        name: of,
        parameters: parameters.map((parameter) => parameter.name),
      });
      const detail = {
        ...sizesOf(machine),
        states: machine.configurations,
        events: machine.events.map(named),
        effects: machine.effects.map(named),
        fields: machine.fields.map((field) => field.name),
      };
      write(`${JSON.stringify(detail, null, 2)}\n`);
    });
}
