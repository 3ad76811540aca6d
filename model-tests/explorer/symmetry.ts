/**
 * Symmetry: rows that can be exchanged, and one state for all that differ by an exchange.
 *
 * Theory of operation: a world declares groups of elements, each of one row in some machines, that it treats alike, and
 * which fields hold such rows. An exchange moves an element's cells and renames it wherever a field names it. Elements
 * are sorted by all that can be told of one: its cells, and the fields elsewhere that name it. Two that are alike in all
 * this are alike altogether, so the sorted state stands for its orbit, whose size is a product of multinomials.
 *
 * That the world does treat them alike is not taken on trust: rules are compared when a search begins, and a test sums
 * the orbits' sizes up, which must give the number of states of the search without exchanges.
 */

import { all, any, choose, equal, type Formula, given, type Reading } from './formula.ts';
import type { Cell, Layout } from './layout.ts';
import { type ElementGroup, exchangeToJavaScript, type NamingField, orbitToJavaScript } from './print-exchange.ts';
import type { Property } from './properties.ts';
import type { WorldDefinition } from './world.ts';

/** Elements that can be exchanged: element e is row `rows[e]` of each of the machines. */
export interface Exchangeable {
  readonly machines: readonly string[];
  readonly rows: readonly number[];
}

/** A field that holds the number of a row of machine `of`, as long as field `count` of its own row is above `above`. */
export interface Reference {
  readonly of: string;
  readonly while?: { readonly count: string; readonly above: number };
}

/** What a world says of its symmetry. */
export interface Symmetry {
  readonly groups: readonly Exchangeable[];
  /** By `machine/field`. */
  readonly references: Readonly<Record<string, Reference>>;
}

/** Images of a formula that are judged at most. */
const IMAGES_MAX = 64;

/** Puts states into the form that stands for all that differ by an exchange. */
export class Canonicalizer {
  /** Puts the state behind `words[at]` into its form. */
  readonly apply: (words: Int32Array, at: number) => void;
  /** Number of states that the one behind `words[at]` stands for. */
  readonly orbit: (words: Int32Array, at: number) => number;

  /** @throws Error when the world does not treat the elements of a group alike, as far as its rules tell */
  constructor(layout: Layout, symmetry: Symmetry) {
    checkRules(layout.world.definition, symmetry);
    const grouped = new Set(
      symmetry.groups.flatMap(({ machines, rows }) =>
        machines.flatMap((machine) => rows.map((row) => `${machine} ${row}`)),
      ),
    );
    const cellsOf = (machine: string, row: number): readonly Cell[] =>
      layout.cells.filter(({ of }) => of === `${machine} ${row}`);
    const groups = symmetry.groups.map(({ machines, rows }): ElementGroup => {
      const cells = rows.map((row) =>
        machines.flatMap((machine) => cellsOf(machine, row)).filter(({ mask }) => mask > 0),
      );
      const kinds = cells.map((mine) => mine.map(({ name, mask }) => `${name} ${mask}`).join());
      if (new Set(kinds).size > 1) throw new Error('exchangeable rows that can be unlike things');
      const references: NamingField[] = [];
      for (const [name, { of, while: live }] of Object.entries(symmetry.references)) {
        if (!machines.includes(of)) continue;
        const [machine, field] = name.split('/') as [string, string];
        for (const [row, { fields }] of layout.rows.get(machine)!.entries()) {
          if (grouped.has(`${machine} ${row}`))
            throw new Error(`'${name}' of an exchangeable row names exchangeable rows`);
          const cell = fields.get(field);
          if (cell === undefined) throw new Error(`machine '${machine}' has no field '${field}'`);
          if (cell.values !== null || cell.low !== 0) throw new Error(`'${name}' does not hold rows from 0 on`);
          // It names none of them, or what it holds does not count.
          if (cell.mask === 0 && (live !== undefined || !rows.includes(cell.base))) continue;
          references.push({
            cell,
            count: live === undefined ? null : fields.get(live.count)!,
            above: live?.above ?? 0,
          });
        }
      }
      if (references.length > 31) throw new Error('more than 31 fields name exchangeable rows');
      return { rows, cells, references };
    });
    const translate = (printed: string): unknown => new Function('w', 'at', `'use strict';\n${printed}`);
    this.apply = translate(exchangeToJavaScript(groups)) as Canonicalizer['apply'];
    this.orbit = translate(orbitToJavaScript(groups)) as Canonicalizer['orbit'];
  }
}

/** Puts the state behind `words[at]` into the form that stands for all that differ by an exchange; null without any. */
export function canonicalizer(layout: Layout): Canonicalizer | null {
  const { symmetry } = layout.world.definition;
  return symmetry === undefined || symmetry.groups.length === 0 ? null : new Canonicalizer(layout, symmetry);
}

/** Exchanges of two neighbours, of which all others are made. */
function* exchanges({ groups }: Symmetry): Generator<{ group: Exchangeable; swap: (row: number) => number }> {
  for (const group of groups) {
    for (let element = 1; element < group.rows.length; element++) {
      const [one, other] = [group.rows[element - 1]!, group.rows[element]!];
      yield { group, swap: (row) => (row === one ? other : row === other ? one : row) };
    }
  }
}

/** @throws Error when an exchange makes a rule into one that the world does not have */
function checkRules({ name, rules }: WorldDefinition, symmetry: Symmetry): void {
  const text = (send: string, row: number, parameters: readonly number[] = []) => `${send} ${row} ${parameters.join()}`;
  const known = new Set(rules.map(({ send, row, with: parameters }) => text(send, row, parameters)));
  for (const { group, swap } of exchanges(symmetry)) {
    for (const rule of rules) {
      const machine = rule.send.split('/')[0]!;
      if (!group.machines.includes(machine) || known.has(text(rule.send, swap(rule.row), rule.with))) continue;
      throw new Error(`world '${name}': no rule is to row ${swap(rule.row)} what '${rule.name}' is to ${rule.row}`);
    }
  }
}

/** `formula` of a state in which two elements are exchanged. */
function exchanged(
  formula: Formula,
  group: Exchangeable,
  swap: (row: number) => number,
  references: Symmetry['references'],
): Formula {
  const of = (part: Formula): Formula => exchanged(part, group, swap, references);
  const refers = (part: Formula): boolean => {
    if (typeof part === 'number' || part.op !== 'field') return false;
    const holds = references[`${part.machine}/${part.name}`]?.of;
    return holds !== undefined && group.machines.includes(holds);
  };
  const moved = (read: Reading): Reading =>
    group.machines.includes(read.machine) ? { ...read, row: swap(read.row) } : read;
  if (typeof formula === 'number') return formula;
  switch (formula.op) {
    case 'field':
    case 'in':
    case 'owner':
    case 'place':
    case 'pins': {
      const read = moved(formula);
      if (!refers(read)) return read;
      return group.rows.reduce<Formula>(
        (rest, row) => (swap(row) === row ? rest : choose(equal(read, row), swap(row), rest)),
        read,
      );
    }
    case 'named':
      return formula;
    case 'not':
      return { op: 'not', of: of(formula.of) };
    case 'if':
      return choose(of(formula.test), of(formula.yes), of(formula.no));
    case '==': {
      const { left, right } = formula;
      const named = typeof left !== 'number' && left.op === 'field' && typeof right === 'number' && refers(left);
      // That it names a row is said of the other in as many words, so that exchanging twice says the same again.
      return named ? equal(moved(left), swap(right)) : equal(of(left), of(right));
    }
    default:
      return { op: formula.op, left: of(formula.left), right: of(formula.right) };
  }
}

/** Text that is the same for formulas that differ in the order of operands alone. */
function textOf(formula: Formula): string {
  if (typeof formula === 'number') return String(formula);
  switch (formula.op) {
    case '&&':
    case '||':
    case '+': {
      const parts: string[] = [];
      const collect = (part: Formula): void => {
        if (typeof part !== 'number' && part.op === formula.op)
          for (const side of [part.left, part.right]) collect(side);
        else parts.push(textOf(part));
      };
      collect(formula);
      return `(${parts.sort().join(` ${formula.op} `)})`;
    }
    case 'not':
      return `not ${textOf(formula.of)}`;
    case 'if':
      return `(${textOf(formula.test)} ? ${textOf(formula.yes)} : ${textOf(formula.no)})`;
    case 'field':
    case 'in':
    case 'owner':
    case 'place':
    case 'pins':
    case 'named':
      return JSON.stringify(formula);
    default:
      return `(${textOf(formula.left)} ${formula.op} ${textOf(formula.right)})`;
  }
}

/** All that exchanges make of some formulas together, each once. @throws Error when they are too many */
function images(formulas: readonly Formula[], symmetry: Symmetry, name: string): (readonly Formula[])[] {
  const found = new Map<string, readonly Formula[]>([[formulas.map(textOf).join(), formulas]]);
  for (const image of found.values()) {
    for (const { group, swap } of exchanges(symmetry)) {
      const next = image.map((formula) => exchanged(formula, group, swap, symmetry.references));
      const text = next.map(textOf).join();
      if (!found.has(text)) found.set(text, next);
      if (found.size > IMAGES_MAX) {
        throw new Error(`'${name}' says different things of rows that can be exchanged; search without symmetry`);
      }
    }
  }
  return [...found.values()];
}

/** `property` of all states that one stands for. @throws Error for leads-to, and for what has too many images */
export function symmetric(property: Property, symmetry: Symmetry): Property {
  const { name } = property;
  const of = (...formulas: readonly Formula[]) => images(formulas, symmetry, name);
  switch (property.kind) {
    case 'always':
    case 'transition':
      return { ...property, holds: all(...of(property.holds).map(([holds]) => holds!)) };
    case 'sometimes':
      return { ...property, holds: any(...of(property.holds).map(([holds]) => holds!)) };
    case 'deadlock':
      return { ...property, terminal: all(...of(property.terminal).map(([terminal]) => terminal!)) };
    case 'implies': {
      const pairs = of(property.left, property.right) as unknown as readonly (readonly [Formula, Formula])[];
      const [only] = pairs;
      if (pairs.length === 1) return { ...property, left: only![0], right: only![1] };
      return {
        ...property,
        left: any(...pairs.map(([left]) => left)),
        right: all(...pairs.map(([left, right]) => given(left, right))),
      };
    }
    case 'leadsTo':
      throw new Error(`'${name}' is judged without symmetry`);
  }
}
