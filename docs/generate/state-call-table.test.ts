import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'vitest';
import { compileMachines, M, productionLimits } from '../../machines/index.ts';
import { calls, columns, situations, stateCallCells, withinACall } from './state-call-table.ts';

/** Where the machines say something else than the specification's table, and why that is right. */
const explained: readonly { call: string; column: string; specified: string; machines: string; why: string }[] = [
  {
    call: 'WSPConnect',
    column: 'Bound',
    specified: 'Connecting (WSAEWOULDBLOCK) / Connected / = + error',
    machines: 'Connecting (WSAEWOULDBLOCK) / = + error',
    why: 'No adapter of ours decides a connection within the call, so an attempt always goes on in the background.',
  },
  ...['WSPDeregisterMemory', 'WSPDeregisterRdmaMemory'].map((call) => ({
    call,
    column: 'Dormant',
    specified: '=',
    machines: '= / WSAEINVAL (unlistening)',
    why: 'A socket that listened never had a registration, and an unknown one gives WSAEINVAL everywhere (WSD-183).',
  })),
  {
    call: 'WSPListen',
    column: 'Listening',
    specified: '= (new backlog)',
    machines: '= (new backlog) / WSAENETDOWN (lost)',
    why: 'What it listens on is gone (D-28).',
  },
  {
    call: 'WSPAccept',
    column: 'Listening',
    specified: '= (+ new Connected socket)',
    machines: '= (+ new Connected socket) / WSAENETDOWN (lost)',
    why: 'What it listens on is gone (D-28).',
  },
  {
    call: 'WSPDuplicateSocket',
    column: 'Connected',
    specified: 'Dormant',
    machines: 'Dormant / WSAEINVAL (suspended, attaching)',
    why: 'While the connection moves there is none to hand over; the switches take turns, so neither asks (15.2).',
  },
];

interface SpecifiedCell {
  readonly call: string;
  readonly column: string;
  readonly text: string;
}

/** The table of section 10.2, with a row for each call. */
function specifiedCells(): SpecifiedCell[] {
  const specification = readFileSync(new URL('../spec/wsd.md', import.meta.url), 'utf8');
  const section = specification.split('### 10.2')[1]!.split('\n### ')[0]!;
  const [head, , ...rows] = section
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  assert.deepEqual(head!.slice(1), columns);
  return rows.flatMap(([names, ...cells]) =>
    callsOf(names!).flatMap((call) =>
      cells.map((cell, index) => ({ call, column: head![index + 1]!, text: cellFor(call, cell) })),
    ),
  );
}

/** `WSPSend, WSPRdma*` -> the calls of ours that it means. */
function callsOf(names: string): string[] {
  return names.split(', ').flatMap((name) => {
    const pattern = new RegExp(`^${name.replaceAll(/[()]/g, '\\$&').replaceAll('*', '\\w*')}$`);
    const found = calls.filter((call) => pattern.test(call.name)).map((call) => call.name);
    assert.notEqual(found.length, 0, `the specification's '${name}' is no call of ours`);
    return found;
  });
}

/** `get/ioctl =; set WSAEINVAL` says different things of the calls that share the row. */
function cellFor(call: string, cell: string): string {
  if (!cell.includes(';')) return cell;
  for (const part of cell.split('; ')) {
    const [names, ...text] = part.split(' ');
    if (names!.split('/').some((name) => call.toLowerCase().includes(name))) return text.join(' ');
  }
  throw new Error(`cell '${cell}' says nothing of ${call}`);
}

describe('state x call table', () => {
  test('the machines answer as the specification says, apart from what is explained', () => {
    const ours = new Map(
      stateCallCells().map(({ call, column, outcomes }) => [`${call}, ${column}`, outcomes.join(' / ')]),
    );
    const differences: string[] = [];
    const used = new Set<object>();
    const specified = specifiedCells();
    for (const { call, column, text } of specified) {
      const machines = ours.get(`${call}, ${column}`)!;
      if (machines === text) continue;
      const found = explained.find(
        (entry) =>
          entry.call === call && entry.column === column && entry.specified === text && entry.machines === machines,
      );
      if (found === undefined) differences.push(`${call} in ${column}: specified '${text}', machines '${machines}'`);
      else used.add(found);
    }
    assert.deepEqual(differences, []);
    assert.deepEqual(
      explained.filter((entry) => !used.has(entry)),
      [],
      'explanations of differences that are no more',
    );
    assert.deepEqual(
      calls.filter(({ name }) => !specified.some(({ call }) => call === name)),
      [],
      'calls that the specification has no row for',
    );
  });

  test('every configuration that a call can meet is asked', () => {
    const { configurations } = compileMachines(productionLimits)[M.socket]!;
    const outermost = columns.map((column) => column.toLowerCase());
    assert.deepEqual(
      configurations.filter((name) => outermost.includes(name.split('.')[0]!)).sort(),
      [...new Set([...situations.map(({ configuration }) => configuration), ...withinACall])].sort(),
    );
  });
});
