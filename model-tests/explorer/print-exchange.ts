/**
 * Prints the exchange of a group's elements as JavaScript that works on packed states.
 *
 * Theory of operation: all that can be told of an element is put into a few numbers, its key, the first cell in the
 * highest bits; so keys compare as cells do, one by one. Keys are sorted in local variables, by a network of exchanges of
 * neighbours, and written back when anything has moved. What names an element is a bit of the key's last number: behind
 * the sorting, the element at a place is the one that those fields are to name.
 */

import type { Cell } from './layout.ts';

/** A field outside of a group that names one of its elements, while `count` is above `above`. */
export interface NamingField {
  readonly cell: Cell;
  readonly count: Cell | null;
  readonly above: number;
}

/** Elements, each of one row, that can be exchanged. */
export interface ElementGroup {
  /** Row that fields name, by element. */
  readonly rows: readonly number[];
  /** Cells of each element, in one order; none without bits. */
  readonly cells: readonly (readonly Cell[])[];
  /** At most 31. */
  readonly references: readonly NamingField[];
}

/** Bits of one number of a key: none is below 0. */
const KEY_BITS = 31;

/** @returns body of a function of `(w, at)`: sorts the elements of each group of the state behind `w[at]` */
export function exchangeToJavaScript(groups: readonly ElementGroup[]): string {
  return groups.map((group) => `{\n${sorting(group)}\n${writing(group)}\n}`).join('\n');
}

/** @returns body of a function of `(w, at)`: how many states differ from the one behind `w[at]` by an exchange alone, itself included */
export function orbitToJavaScript(groups: readonly ElementGroup[]): string {
  const sizes = groups.map((group) => `{\n${sorting(group)}\n${counting(group)}\n}`);
  return ['let size = 1;', ...sizes, 'return Math.round(size);'].join('\n');
}

/** Name of the number `number` of the key of what is at place `place`. */
const key = (place: number, number: number): string => `k${place}_${number}`;
/** Numbers of a key: of its cells, and last of what names the element. */
const numbersOf = ({ cells }: ElementGroup): readonly number[] => [
  ...partsOf(cells[0]!).keys(),
  partsOf(cells[0]!).length,
];

const codeOf = ({ word, shift, mask }: Cell): string => `(w[at + ${word}] >>> ${shift} & ${mask})`;
const widthOf = ({ mask }: Cell): number => 32 - Math.clz32(mask);

/** Makes the keys and sorts them; then `moved` says whether any was not in its place. */
function sorting(group: ElementGroup): string {
  const { rows, cells, references } = group;
  const parts = partsOf(cells[0]!);
  const numbers = numbersOf(group);
  const lines: string[] = [];
  for (const [element, mine] of cells.entries()) {
    for (const [number, part] of parts.entries()) {
      const code = part.map(({ index, at }) => `${codeOf(mine[index]!)} << ${at}`).join(' | ');
      lines.push(`let ${key(element, number)} = ${code};`);
    }
    lines.push(`let ${key(element, parts.length)} = 0;`);
  }
  for (const [bit, { cell, count, above }] of references.entries()) {
    const cases = rows.map(
      (row, element) => `case ${row - cell.base}: ${key(element, parts.length)} |= ${1 << bit}; break;`,
    );
    const look = `switch (${codeOf(cell)}) { ${cases.join(' ')} }`;
    lines.push(count === null ? look : `if (${codeOf(count)} > ${above - count.low - count.base}) ${look}`);
  }
  lines.push('let moved = false, t = 0;');
  const isAfter = (left: number, right: number): string =>
    numbers.reduceRight((rest, number) => {
      const [one, other] = [key(left, number), key(right, number)];
      return rest === '' ? `${one} > ${other}` : `(${one} > ${other} || ${one} === ${other} && ${rest})`;
    }, '');
  for (let last = rows.length - 1; last > 0; last--) {
    for (let left = 0; left < last; left++) {
      const swaps = numbers.map((number) => {
        const [one, other] = [key(left, number), key(left + 1, number)];
        return `t = ${one}; ${one} = ${other}; ${other} = t;`;
      });
      lines.push(`if (${isAfter(left, left + 1)}) { moved = true; ${swaps.join(' ')} }`);
    }
  }
  return lines.join('\n');
}

/** Writes what is sorted back. */
function writing({ rows, cells, references }: ElementGroup): string {
  const parts = partsOf(cells[0]!);
  const lines = ['if (moved) {'];
  for (const [element, mine] of cells.entries()) {
    const writes = new Map<number, { mask: number; code: string[] }>();
    for (const [number, part] of parts.entries()) {
      for (const { index, at } of part) {
        const { word, shift, mask } = mine[index]!;
        const write = writes.get(word) ?? { mask: 0, code: [] };
        write.mask |= mask << shift;
        write.code.push(`(${key(element, number)} >>> ${at} & ${mask}) << ${shift}`);
        writes.set(word, write);
      }
    }
    for (const [word, { mask, code }] of writes) {
      lines.push(`w[at + ${word}] = w[at + ${word}] & ${~mask} | ${code.join(' | ')};`);
    }
  }
  for (const [bit, { cell }] of references.entries()) {
    const put = (row: number): string =>
      `w[at + ${cell.word}] = w[at + ${cell.word}] & ${~(cell.mask << cell.shift)} | ${(row - cell.base) << cell.shift};`;
    const names = rows.map((row, element) => `if ((${key(element, parts.length)} & ${1 << bit}) !== 0) ${put(row)}`);
    lines.push(names.join(' else '));
  }
  lines.push('}');
  return lines.join('\n');
}

/** Multiplies `size` by the number of orders that can be told apart: alike are keys side by side. */
function counting(group: ElementGroup): string {
  const lines = ['let alike = 1;'];
  for (let place = 1; place < group.rows.length; place++) {
    const same = numbersOf(group).map((number) => `${key(place - 1, number)} === ${key(place, number)}`);
    lines.push(`alike = ${same.join(' && ')} ? alike + 1 : 1;`, `size *= ${place + 1} / alike;`);
  }
  return lines.join('\n');
}

/** A cell's place in one number of a key. */
interface Place {
  readonly index: number;
  readonly at: number;
}

/** Cells of an element by number of its key: as many to each as it has bits, the first in the highest. */
function partsOf(cells: readonly Cell[]): Place[][] {
  const parts: number[][] = [];
  let bits = KEY_BITS + 1;
  for (const [index, cell] of cells.entries()) {
    bits += widthOf(cell);
    if (bits > KEY_BITS) {
      parts.push([]);
      bits = widthOf(cell);
    }
    parts.at(-1)!.push(index);
  }
  return parts.map((part) => {
    let at = part.reduce((sum, index) => sum + widthOf(cells[index]!), 0);
    return part.map((index) => {
      at -= widthOf(cells[index]!);
      return { index, at };
    });
  });
}
