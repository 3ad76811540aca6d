/** `wsdirect adapters`: which adapters can be used here, and why not the others; and the option that chooses one. */

import Table from 'cli-table3';
import { Command } from 'commander';

import { adapterEntry, adapterRegistry, type AdapterEntry, type NetworkAdapterEntry } from '../adapter/registry.ts';
import { tableStyle, tableText, type Terminal, UserError } from './command.ts';

/** What `--adapter` means by default. */
export const DEFAULT_ADAPTER = adapterRegistry.find(({ reach }) => reach === 'network')!.name;

const names = (entries: readonly AdapterEntry[]): string => entries.map(({ name }) => name).join(', ');

/** The adapter that a user names. @throws {@link UserError} when there is none of that name, or it can't be used here */
export function chosenAdapter(name: string): AdapterEntry {
  const entry = adapterEntry(name);
  if (entry === undefined) throw new UserError(`no adapter '${name}': one of ${names(adapterRegistry)}`);
  const reason = entry.unavailable();
  if (reason !== null) throw new UserError(`the ${name} adapter can't be used here: ${reason}`);
  return entry;
}

/** As {@link chosenAdapter}, for a command that talks to another process. */
export function chosenNetworkAdapter(name: string): NetworkAdapterEntry {
  const entry = chosenAdapter(name);
  if (entry.reach === 'network') return entry;
  const others = names(adapterRegistry.filter(({ reach }) => reach === 'network'));
  throw new UserError(
    `the ${name} adapter joins hosts of one process only, and this command talks to another: use ${others},` +
      ` or see it in 'wsdirect demo --adapter ${name}'`,
  );
}

export function adaptersCommand({ write }: Terminal): Command {
  return new Command('adapters')
    .description('Say which adapters can be used here, and why not the others.')
    .option('--json', 'print them as JSON')
    .addHelpText('after', '\nExit code: 0.')
    .action(({ json }: { json?: boolean }) => {
      const rows = adapterRegistry.map((entry) => {
        const { name, what, reach } = entry;
        const reason = entry.unavailable();
        const notes = entry.notes?.() ?? [];
        const parts = reason === null ? (entry.parts?.() ?? []) : [];
        return { name, usable: reason === null, reach, what, reason, notes, parts, default: name === DEFAULT_ADAPTER };
      });
      if (json === true) {
        write(`${JSON.stringify(rows, null, 2)}\n`);
        return;
      }
      const table = new Table({ head: ['adapter', 'usable', 'what it is'], ...tableStyle });
      for (const { name, usable, what, reason } of rows) {
        table.push([name, usable ? 'yes' : 'no', reason === null ? what : `${what} (${reason})`]);
      }
      write(tableText(table));
      for (const { name, parts, notes } of rows) for (const line of [...parts, ...notes]) write(`${name}: ${line}\n`);
    });
}
