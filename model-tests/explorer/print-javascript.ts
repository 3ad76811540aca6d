/**
 * Prints a program as JavaScript that works on packed states.
 *
 * Theory of operation: the state is a few words of a scratch array, whose bits the {@link SpecialisedPrinter} addresses by
 * constants; what fails throws. Many small functions rather than few large ones: V8 does not optimise large ones.
 */

import type { Cell, Layout } from './layout.ts';
import { type Dialect, SpecialisedPrinter } from './print-specialised.ts';
import type { Variable } from './program.ts';

/** The parts of a state, as bits: the words before {@link Layout.split}, and the others. */
export const Part = { first: 1, second: 2, both: 3 } as const;

/**
 * Prints the program of `layout`, whose states are packed as it says.
 *
 * @returns body of a function of `given`: `w` (Int32Array, the words of the next state), `q` (Int32Array, the queue) and `failed` (throws); it
 *   returns `{ enabled(from, at, into), apply(rule, from, at) }`, of which `apply` leaves in `w` what follows, and returns the
 *   parts that were read or written, as bits of {@link Part}
 */
export function toJavaScript(layout: Layout): string {
  const { program, reachable } = layout;
  const cells = new Map(layout.cells.map((cell) => [`${cell.of}/${cell.name}`, cell]));
  const cellOf = ({ name, machine, field }: Variable, row: number): Cell => {
    const cell = cells.get(`${machine} ${row}/${field}`);
    if (cell === undefined) throw new Error(`the layout has no ${name} of row ${row}`);
    return cell;
  };
  /** Which parts of the state some code reads or writes, as bits of {@link Part}. */
  const partsIn = (code: string): number =>
    [...code.matchAll(/\bw\[(\d+)\]/g)].reduce(
      (parts, [, word]) => parts | (Number(word) < layout.split ? Part.first : Part.second),
      0,
    );
  const touch = (code: string): string => {
    const parts = partsIn(code);
    return parts === 0 ? code : `touched |= ${parts};\n${code}`;
  };
  const dialect = (word: (index: number) => string): Dialect => ({
    define: (name, parameters, body) => `const ${name} = (${parameters.join(', ')}) => {\n${touch(body)}\n};`,
    declare: (name, value, changes) => `${changes ? 'let' : 'const'} ${name} = ${value};`,
    read: (variable, row) => {
      const { word: index, shift, mask, base } = cellOf(variable, row);
      if (mask === 0) return String(base);
      return shift === 0 ? `(${word(index)} & ${mask})` : `(${word(index)} >>> ${shift} & ${mask})`;
    },
    write: (variable, row, code) => {
      const { word: index, shift, mask } = cellOf(variable, row);
      // It is what it always is.
      if (mask === 0) return '';
      const others = ~(mask << shift);
      if (code === 0) return `w[${index}] &= ${others};`;
      const bits = typeof code === 'number' ? String((code << shift) | 0) : `(${code}) << ${shift}`;
      return `w[${index}] = w[${index}] & ${others} | ${bits};`;
    },
    fail: (reason) => `failed(${JSON.stringify(reason)})`,
    equals: '===',
    unequals: '!==',
  });
  const words = Array.from({ length: layout.words }, (_, word) => word);
  const guards = new SpecialisedPrinter(
    program,
    dialect((index) => `w${index}`),
    reachable,
  );
  const tests = program.rules.map(({ guard }, rule) => `if (${guards.condition(guard)}) into[n++] = ${rule};`);
  const printer = new SpecialisedPrinter(
    program,
    dialect((index) => `w[${index}]`),
    reachable,
  );
  const rules = program.rules.map((_, rule) => {
    const [act, ...settle] = printer.rule(rule);
    const settled = settle.map((code) => {
      const parts = partsIn(code);
      return parts === 0 ? '' : `if ((touched & ${parts}) !== 0) ${code}`;
    });
    return `const rule${rule} = () => {\n${touch(act!)}\n${settled.join('\n')}\n};`;
  });
  return [
    `'use strict';`,
    // Constants: V8 then knows where they are.
    `const { w, q, failed } = given;`,
    `let top = 0, touched = 0;`,
    ...guards.functions,
    ...printer.functions,
    ...rules,
    `const enabled = (from, at, into) => {`,
    `let n = 0;`,
    ...words.map((word) => `const w${word} = from[at + ${word}];`),
    ...tests,
    `return n;`,
    `};`,
    `const apply = (rule, from, at) => {`,
    `top = touched = 0;`,
    ...words.map((word) => `w[${word}] = from[at + ${word}];`),
    `switch (rule) {`,
    ...program.rules.map((_, rule) => `case ${rule}: rule${rule}(); break;`),
    `}`,
    `return touched;`,
    `};`,
    `return { enabled, apply };`,
  ].join('\n');
}
