/** `wsdirect adapters`: which adapters can be used here, and why not the others. */

import Table from 'cli-table3';
import { Command } from 'commander';

import { tableStyle, tableText, type Terminal } from './command.ts';

interface AdapterRow {
  readonly name: string;
  readonly usable: boolean;
  readonly what: string;
  /** Why it can't be used; null when it can. */
  readonly reason: string | null;
}

const notYet = 'not in this version';
const notHere = 'for programs that import driver/adapter/iwarp.ts; no command uses it yet';

const adapters: readonly AdapterRow[] = [
  {
    name: 'simulated',
    usable: true,
    what: 'two or more hosts in one process, on virtual time; faults from a seed',
    reason: null,
  },
  { name: 'iwarp', usable: false, what: 'RDMA in software over TCP', reason: notHere },
  { name: 'verbs', usable: false, what: 'RDMA hardware through libibverbs and librdmacm', reason: notYet },
];

export function adaptersCommand({ write }: Terminal): Command {
  return new Command('adapters')
    .description('Say which adapters can be used here, and why not the others.')
    .option('--json', 'print them as JSON')
    .addHelpText('after', '\nExit code: 0.')
    .action(({ json }: { json?: boolean }) => {
      if (json === true) {
        write(`${JSON.stringify(adapters, null, 2)}\n`);
        return;
      }
      const table = new Table({ head: ['adapter', 'usable', 'what it is'], ...tableStyle });
      for (const { name, usable, what, reason } of adapters) {
        table.push([name, usable ? 'yes' : 'no', reason === null ? what : `${what} (${reason})`]);
      }
      write(tableText(table));
    });
}
