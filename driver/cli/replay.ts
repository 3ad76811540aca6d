/** `wsdirect replay`: proves a journal, and shows what is in it. */

import { readFileSync } from 'node:fs';

import Table from 'cli-table3';
import { Command } from 'commander';

import { machineNames } from '../../machines/index.ts';
import { toSequenceDiagram } from '../diagram.ts';
import { Magic } from '../journal/format.ts';
import { type JournalContents, JournalError, readJournal } from '../journal/reader.ts';
import {
  callText,
  effectText,
  type Replayed,
  type ReplayedRecord,
  ReplayError,
  replayJournal,
  type Verdict,
  verdictText,
} from '../replay.ts';
import { counted, Exit, tableStyle, tableText, type Terminal, UserError, wholeNumber, withFile } from './command.ts';

interface Options {
  readonly until?: number;
  readonly socket?: number;
  readonly last: number;
  readonly diagram?: boolean;
  readonly steps: number;
  readonly json?: boolean;
}

/** 1 when the journal is proved wrong, or can't be proved to its end. */
export const exitCodeOf = ({ type }: Verdict): number =>
  type === 'divergent' || type === 'otherDigest' || type === 'damaged' ? Exit.failed : Exit.ok;

export function replayCommand({ write }: Terminal, finish: (exitCode: number) => void): Command {
  return new Command('replay')
    .description('Step the machines again by a journal, and compare.')
    .argument('<journal>', 'file that a provider wrote')
    .option('--until <sequence>', 'stop before this record, and show the states there', wholeNumber(0, 2 ** 53 - 1))
    .option('--socket <number>', 'show the states and the history of this socket only', wholeNumber(0, 0x7fff_ffff))
    .option('--last <records>', 'records of history that are shown at most', wholeNumber(1, 1_000_000), 20)
    .option('--diagram', 'print the first steps as a Mermaid sequence diagram instead')
    .option('--steps <number>', 'steps in the diagram', wholeNumber(1, 100_000), 60)
    .option('--json', 'print all this as JSON')
    .addHelpText(
      'after',
      '\nThe verdict is the last line. A journal that was not closed has no end to compare with; its steps are compared.' +
        '\nExit codes: 0 as recorded, 1 divergence or damage, or made by other machines, 2 wrong usage or not a journal.',
    )
    .action((file: string, options: Options) => {
      const contents = open(file);
      try {
        finish(run(write, contents, options));
      } catch (error) {
        if (error instanceof ReplayError) throw new UserError(`${file}: ${error.message}`, Exit.failed);
        throw error;
      }
    });
}

function open(file: string): JournalContents {
  const bytes = withFile(`cannot read ${file}`, () => readFileSync(file));
  const isJournal = bytes.subarray(0, Magic.file.length).toString('latin1') === Magic.file;
  if (!isJournal) throw new UserError(`${file} is not a journal`);
  try {
    return readJournal(bytes);
  } catch (error) {
    if (error instanceof JournalError) throw new UserError(`${file}: ${error.message}`, Exit.failed);
    throw error;
  }
}

function run(write: (text: string) => void, contents: JournalContents, options: Options): number {
  const { until, socket, last, diagram, steps, json } = options;
  const history: ReplayedRecord[] = [];
  let shown = 0;
  const replayed = replayJournal(contents, {
    ...(until === undefined ? {} : { until }),
    onRecord: (record) => {
      if (socket !== undefined && record.socket !== socket) return;
      shown++;
      history.push(record);
      if (history.length > 2 * last) history.splice(0, last);
    },
  });
  history.splice(0, Math.max(0, history.length - last));
  const { verdict } = replayed;
  const exitCode = exitCodeOf(verdict);
  if (diagram === true) {
    write(toSequenceDiagram(contents, { steps, ...(socket === undefined ? {} : { socket }) }));
    return exitCode;
  }
  if (socket !== undefined && shown === 0) {
    throw new UserError(
      `there is no step of socket ${socket} among the ${counted(replayed.records, 'record')} replayed`,
    );
  }
  const states = statesOf(replayed, socket);
  if (json === true) {
    const { metadata, records, closed } = contents;
    const { machineSteps } = replayed;
    const journal = { ...metadata, records: records.count, firstSequence: records.firstSequence, closed };
    const replay = { records: replayed.records, steps: replayed.steps, machineSteps };
    write(`${JSON.stringify({ verdict, ...replay, journal, states, history }, null, 2)}\n`);
    return exitCode;
  }
  const { metadata, records } = contents;
  write(
    `journal of ${metadata.host} over the ${metadata.adapter} adapter: ${counted(records.count, 'record')}` +
      `${records.firstSequence > 0 ? ` from ${records.firstSequence} on` : ''}` +
      `${metadata.seed === undefined ? '' : `, seed ${metadata.seed}`}\n` +
      `${counted(replayed.steps, 'event')} replayed; steps since the start: ` +
      `${machineNames.map((name) => `${name} ${replayed.machineSteps[name]}`).join(', ')}\n\n`,
  );
  if (until !== undefined || socket !== undefined || exitCode !== Exit.ok) {
    const stateTable = new Table({ head: ['machine', 'row', 'state', 'memory'], ...tableStyle });
    for (const { machine, row, state, memory } of states) {
      const texts = Object.entries(memory).map(([name, value]) => `${name}=${value}`);
      stateTable.push([machine, row, state, texts.join(' ')]);
    }
    write(states.length === 0 ? 'every machine is in its first state\n\n' : `${tableText(stateTable)}\n`);
    const table = new Table({ head: ['record', 'us', 'machine', 'event', 'state', 'effects'], ...tableStyle });
    for (const record of history) table.push(historyRow(record));
    if (shown > history.length) write(`${counted(shown - history.length, 'earlier record')} not shown (--last)\n`);
    if (history.length > 0) write(`${tableText(table)}\n`);
  }
  write(`replay: ${verdictText(verdict)}\n`);
  return exitCode;
}

const historyRow = ({ sequence, timeUs, machine, row, event, parameters, before, after, effects }: ReplayedRecord) => [
  sequence,
  timeUs,
  `${machine} ${row}`,
  callText(event, parameters),
  before === after ? before : `${before} → ${after}`,
  effects.map(effectText).join('\n'),
];

/** Rows that aren't as new; of one socket, or of all. */
function statesOf({ system }: Replayed, socket: number | undefined) {
  const { requests, buffers, connectionRequests } = system;
  const socketOf = (machine: string, row: number): number => {
    switch (machine) {
      case 'requestQueue':
        return row >> 1;
      case 'overlappedRequest':
        return requests.owner(row) >> 1;
      case 'registeredBuffer':
        return buffers.owner(row);
      case 'connectionRequest':
        return connectionRequests.owner(row);
      default:
        return row;
    }
  };
  return system.rows.flatMap((rows, machine) =>
    Array.from({ length: rows.used }, (_, row) => row)
      .filter((row) => rows.states[row] !== 0)
      .map((row) => ({
        machine: machineNames[machine]!,
        row,
        state: rows.stateName(row),
        memory: rows.context(row),
      }))
      .filter(
        ({ machine: name, row }) => socket === undefined || name === 'provider' || socketOf(name, row) === socket,
      ),
  );
}
