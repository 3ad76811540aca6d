/** What the machines keep between them, as formulas over the rows of a world; which facts, `machines/agreement.ts` says. */

import { agreements, type Words } from '../../machines/index.ts';
import {
  all,
  always,
  any,
  atMost,
  choose,
  count,
  each,
  equal,
  type Formula,
  given,
  less,
  not,
  type Property,
  row,
  some,
  sum,
  type WorldDefinition,
} from '../explorer/index.ts';

/** What holds between the machines of `definition`. */
export function agreement({ rows }: WorldDefinition): Property[] {
  const numbers = (machine: string): number[] => Array.from({ length: rows[machine] ?? 0 }, (_, number) => number);
  const owns = (machine: string, member: number, owner: number): Formula => equal(row(machine, member).owner, owner);
  const words: Words<Formula> = {
    ...{ all, any, not, equal, less, atMost, sum, choose, given },
    field: (machine, number, name) => row(machine, number).field(name),
    is: (machine, number, ...states) => row(machine, number).in(...states),
    place: (machine, number) => row(machine, number).place,
    count: (machine, holds) => count(numbers(machine), holds),
    countOwned: (machine, owner, holds) =>
      count(numbers(machine), (member) => holds(member, owns(machine, member, owner))),
    ofOwner: (machine, member, owner, is, holds) =>
      each(numbers(owner), (number) => given(all(is, owns(machine, member, number)), holds(number))),
    ofRow: (machine, number, holds) => some(numbers(machine), (member) => all(equal(number, member), holds(member))),
    hasPins: (request) => some(numbers('registeredBuffer'), (buffer) => row('overlappedRequest', request).pins(buffer)),
    pinsOf: (buffer) =>
      count(numbers('overlappedRequest'), (request) => row('overlappedRequest', request).pins(buffer)),
  };
  return agreements(words)
    .filter(({ needs }) => needs.every((machine) => numbers(machine).length > 0))
    .map(({ says, machine, holds }) => always(says, each(numbers(machine), holds)));
}
