/** The error of a broken invariant, and what of all that should hold does not hold of a system. */

import { agreements, type ListedMachine, type Words } from './agreement.ts';
import { type MachineName, machineNames } from './catalog.ts';
import { contains } from './contract.ts';
import type { RowLists } from './lists.ts';
import type { MachineRows } from './step.ts';
import type { System } from './system.ts';

/** A machine met an event that its state does not accept. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
  readonly machine: string;
  readonly row: number;
  readonly event: string;
  readonly state: string;
  /** Position in the journal: number of events applied before. */
  readonly step: number;

  constructor(machine: string, row: number, event: string, state: string, step: number) {
    super(`${machine} ${row}: ${event} in state '${state}' (journal step ${step})`);
    this.machine = machine;
    this.row = row;
    this.event = event;
    this.state = state;
    this.step = step;
  }
}

/**
 * Says which predicates a system breaks; of a reachable one, none. For tests and replay: it looks at every row.
 *
 * @param system - between two events
 * @returns one sentence for each broken predicate
 */
export function brokenInvariants(system: System): string[] {
  const broken: string[] = [];
  const rowsOf = (machine: MachineName): MachineRows => system.rows[machineNames.indexOf(machine)]!;
  for (const [number, rows] of system.rows.entries()) {
    for (const [index, { name, domain }] of rows.machine.fields.entries()) {
      for (let row = 0; row < rows.used; row++) {
        const value = rows.columns[index]![row]!;
        if (contains(domain, value)) continue;
        broken.push(`${machineNames[number]} ${row} (${rows.stateName(row)}): ${name} is ${value}, outside its range`);
      }
    }
  }
  for (const { machine, says, holds } of agreements(wordsOf(system))) {
    const rows = rowsOf(machine);
    for (let row = 0; row < rows.used; row++) {
      if (holds(row) !== 0) continue;
      const memory = rows.machine.fields.map(({ name }, index) => `${name} ${rows.columns[index]![row]}`);
      broken.push(`${machine} ${row} (${[rows.stateName(row), ...memory].join(', ')}): it is not so that ${says}`);
    }
  }
  return broken;
}

/** Numbers of a system as it is; a row that nobody has used yet is new. */
function wordsOf(system: System): Words<number> {
  const rowsOf = (machine: MachineName): MachineRows => system.rows[machineNames.indexOf(machine)]!;
  const lists: Readonly<Record<ListedMachine, RowLists>> = {
    overlappedRequest: system.requests,
    connectionRequest: system.connectionRequests,
    registeredBuffer: system.buffers,
  };
  const count = <M>(members: Iterable<M>, holds: (member: M) => number): number => {
    let number = 0;
    for (const member of members) number += holds(member);
    return number;
  };
  const every = (machine: MachineName): Iterable<number> => Array(rowsOf(machine).used).keys();
  const owned = new Map<ListedMachine, Map<number, number[]>>();
  const ownedBy = (machine: ListedMachine, owner: number): readonly number[] => {
    let byOwner = owned.get(machine);
    if (byOwner === undefined) {
      byOwner = Map.groupBy(every(machine), (row) => lists[machine].owner(row));
      owned.set(machine, byOwner);
    }
    return byOwner.get(owner) ?? [];
  };
  let pins: Map<number, number> | null = null;
  const truth = (holds: boolean): number => (holds ? 1 : 0);
  return {
    all: (...operands) => truth(operands.every((operand) => operand !== 0)),
    any: (...operands) => truth(operands.some((operand) => operand !== 0)),
    not: (of) => truth(of === 0),
    equal: (left, right) => truth(left === right),
    less: (left, right) => truth(left < right),
    atMost: (left, right) => truth(left <= right),
    sum: (...operands) => operands.reduce((left, right) => left + right, 0),
    choose: (test, yes, no) => (test === 0 ? no : yes),
    given: (left, right) => truth(left === 0 || right !== 0),
    field: (machine, row, name) => {
      const { used, columns, machine: tables } = rowsOf(machine);
      const index = tables.fields.findIndex((field) => field.name === name);
      return row < used ? columns[index]![row]! : tables.fields[index]!.initial;
    },
    is: (machine, row, ...states) => {
      const rows = rowsOf(machine);
      const name = row < rows.used ? rows.stateName(row) : rows.machine.configurations[0]!;
      return truth(states.some((state) => name === state || name.startsWith(`${state}.`)));
    },
    place: (machine, row) => {
      const list = lists[machine];
      return list.has(row) ? (list.first(list.owner(row)) === row ? 1 : 2) : 0;
    },
    count: (machine, holds) => count(every(machine), holds),
    countOwned: (machine, owner, holds) => count(ownedBy(machine, owner), (row) => holds(row, 1)),
    ofOwner: (machine, row, _owner, is, holds) => (is === 0 ? 1 : holds(lists[machine].owner(row))),
    ofRow: (_machine, number, holds) => holds(number),
    hasPins: (request) => truth(system.pins.of(request).length > 0),
    pinsOf: (buffer) => {
      if (pins === null) {
        pins = new Map();
        for (const request of every('overlappedRequest')) {
          for (const of of system.pins.of(request)) pins.set(of, (pins.get(of) ?? 0) + 1);
        }
      }
      return pins.get(buffer) ?? 0;
    },
  };
}
