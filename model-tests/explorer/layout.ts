/**
 * Layout: a world's state as a few 32-bit words, exactly.
 *
 * Theory of operation: each configuration, field and place in a list is a cell of as many bits as what it can ever be
 * here needs ({@link reachable}), which is none for most of them; cells fill words, none across two: first those of each
 * machine's first rows, then those of its last, so that what belongs to one socket and what belongs to the other are
 * apart, which a {@link StateStore} makes use of. Every value is checked against its range when it is packed, so a value
 * that would spoil its neighbours is found in the step that made it. Packing and unpacking are translated to JavaScript
 * once.
 *
 * What a row was before it became new is forgotten: whose list it was in last counts only while it is in use.
 */

import {
  bounds,
  type CompiledMachine,
  type Domain,
  M,
  type MachineRows,
  type Pins,
  type RowLists,
} from '../../machines/index.ts';
import type { Program, Variable } from './program.ts';
import { programOf } from './program-of.ts';
import { type Reachable, reachable } from './values.ts';
import type { World } from './world.ts';

/** A value lies outside the range that its contract, or the world, gives it. */
export class RangeError32 extends Error {
  override readonly name = 'RangeError32';
}

/** Some bits of one word, and what they mean. */
export interface Cell {
  /** `socket 0`, `requests`: what the cell belongs to. */
  readonly of: string;
  /** Name of the field, `''` for a configuration. */
  readonly name: string;
  readonly word: number;
  readonly shift: number;
  /** 0 where the value is always the same; then nothing is stored. */
  readonly mask: number;
  /** Code of the value that is always the same; otherwise 0. */
  readonly base: number;
  /** Value of each code; absent where value = code + low. */
  readonly values: readonly number[] | null;
  readonly low: number;
  readonly high: number;
  /** Names of values. */
  readonly names: readonly string[] | null;
}

/** A list kind: whose rows are in whose lists. */
interface ListKind {
  readonly name: string;
  readonly list: RowLists;
  readonly owners: number;
  readonly members: number;
  readonly rows: MachineRows;
  readonly cells: readonly { readonly owner: Cell; readonly rank: Cell }[];
}

export class Layout {
  readonly world: World;
  /** The world's, from its initial state on. */
  readonly program: Program;
  readonly reachable: Reachable;
  /** Machine by machine, row by row; not in the order of their words. */
  readonly cells: Cell[] = [];
  /** Words of one state. */
  readonly words: number;
  /** Word with which the second part of a state begins; 0 where a state is one word. */
  readonly split: number;
  readonly bits: number;
  /** Cells of a row: the configuration, then the fields by name. */
  readonly rows: ReadonlyMap<string, readonly { readonly state: Cell; readonly fields: ReadonlyMap<string, Cell> }[]>;
  readonly #variables: ReadonlyMap<string, Variable>;
  readonly #lists: readonly ListKind[];
  readonly #pins: readonly (readonly Cell[])[];
  readonly #packRows: (to: Int32Array, at: number) => void;
  readonly #unpackRows: (from: Int32Array, at: number) => void;

  /** @param world - in its initial state */
  constructor(world: World) {
    this.world = world;
    this.program = programOf(world);
    this.reachable = reachable(this.program, world.definition.symmetry);
    this.#variables = new Map(this.program.variables.map((variable) => [variable.name, variable]));
    const { system, names } = world;
    const rows = new Map<string, { state: Cell; fields: Map<string, Cell> }[]>();
    for (const [machine, tables] of system.machines.entries()) {
      rows.set(
        names[machine]!,
        Array.from({ length: world.rowsOf(machine) }, (_, row) => this.#row(names[machine]!, row, tables)),
      );
    }
    this.rows = rows;
    const kind = (name: string, list: RowLists, owner: number, member: number): ListKind => {
      const [owners, members] = [world.rowsOf(owner), world.rowsOf(member)];
      const cells = Array.from({ length: owners === 0 ? 0 : members }, (_, row) => ({
        owner: this.#cell(`${names[member]} ${row}`, `owner`, { kind: 'range', low: -1, high: owners - 1 }),
        rank: this.#cell(`${names[member]} ${row}`, `place`, { kind: 'range', low: 0, high: members }),
      }));
      return { name, list, owners, members: cells.length, rows: system.rows[member]!, cells };
    };
    this.#lists = [
      kind('requests', system.requests, M.requestQueue, M.overlappedRequest),
      kind('connectionRequests', system.connectionRequests, M.socket, M.connectionRequest),
      kind('buffers', system.buffers, M.socket, M.registeredBuffer),
    ];
    this.#pins = Array.from({ length: world.rowsOf(M.overlappedRequest) }, (_, request) =>
      Array.from({ length: world.rowsOf(M.registeredBuffer) }, (__, buffer) =>
        this.#cell(`overlappedRequest ${request}`, `pins ${buffer}`, { kind: 'range', low: 0, high: 1 }),
      ),
    );
    ({ words: this.words, split: this.split } = this.#place());
    this.bits = this.cells.reduce((sum, { mask }) => sum + 32 - Math.clz32(mask), 0);
    [this.#packRows, this.#unpackRows] = this.#translate();
  }

  /** Writes the system's state behind `at`. @throws {@link RangeError32} */
  pack(to: Int32Array, at: number): void {
    to.fill(0, at, at + this.words);
    this.#packRows(to, at);
    for (const { list, rows, cells, owners } of this.#lists) {
      for (let member = 0; member < cells.length; member++) {
        const owner = list.owner(member);
        if (!list.has(member)) {
          this.#put(cells[member]!.owner, rows.states[member] === 0 ? -1 : owner, to, at);
        } else this.#put(cells[member]!.owner, owner, to, at);
      }
      for (let owner = 0; owner < owners && cells.length > 0; owner++) {
        let rank = 1;
        for (let member = list.first(owner); member >= 0; member = list.next(member)) {
          if (member >= cells.length) throw new RangeError32(`row ${member} is in a list and not in the world`);
          this.#put(cells[member]!.rank, rank++, to, at);
        }
      }
    }
    const { pins } = this.world.system;
    for (let request = 0; request < this.#pins.length; request++) {
      const cells = this.#pins[request]!;
      if (cells.length === 0) continue;
      const counts = new Array<number>(cells.length).fill(0);
      for (const buffer of pins.of(request)) counts[buffer]!++;
      for (let buffer = 0; buffer < cells.length; buffer++) this.#put(cells[buffer]!, counts[buffer]!, to, at);
    }
  }

  /** Puts the system into the state behind `at`. */
  unpack(from: Int32Array, at: number): void {
    this.#unpackRows(from, at);
    for (const { list, cells } of this.#lists) {
      if (cells.length === 0) continue;
      for (let member = 0; member < cells.length; member++) if (list.has(member)) list.remove(member);
      let listed = 0;
      for (let member = 0; member < cells.length; member++) {
        const { owner, rank } = cells[member]!;
        if (read(rank, from, at) > 0) listed++;
        else {
          const last = read(owner, from, at);
          if (last >= 0) {
            list.append(last, member);
            list.remove(member);
          }
        }
      }
      for (let place = 1; listed > 0; place++) {
        for (let member = 0; member < cells.length; member++) {
          if (read(cells[member]!.rank, from, at) !== place) continue;
          list.append(read(cells[member]!.owner, from, at), member);
          listed--;
        }
      }
    }
    const { pins } = this.world.system;
    for (let request = 0; request < this.#pins.length; request++) this.#restorePins(pins, request, from, at);
  }

  #restorePins(pins: Pins, request: number, from: Int32Array, at: number): void {
    const cells = this.#pins[request]!;
    if (cells.length === 0) return;
    while (pins.take(request) >= 0);
    for (let buffer = cells.length - 1; buffer >= 0; buffer--) {
      if (read(cells[buffer]!, from, at) === 1) pins.add(request, buffer);
    }
  }

  /** @throws Error when the world has no such request or registration */
  pinOf(request: number, buffer: number): Cell {
    const cell = this.#pins[request]?.[buffer];
    if (cell === undefined) throw new Error(`the world has no request ${request} with registration ${buffer}`);
    return cell;
  }

  /** A state in words: value by cell, for people. */
  describe(from: Int32Array, at: number): ReadonlyMap<Cell, string> {
    return new Map(
      this.cells.map((cell) => {
        const value = read(cell, from, at);
        return [cell, cell.names?.[value] ?? String(value)];
      }),
    );
  }

  #put(cell: Cell, value: number, to: Int32Array, at: number): void {
    if (value < cell.low || value > cell.high) {
      throw new RangeError32(`${cell.of}: ${cell.name} is ${value}, outside ${cell.low} to ${cell.high}`);
    }
    const code = value - cell.low - cell.base;
    if (code < 0 || code > cell.mask) throw unforeseen(cell);
    to[at + cell.word]! |= code << cell.shift;
  }

  #row(machine: string, row: number, tables: CompiledMachine) {
    const of = `${machine} ${row}`;
    const last = tables.configurations.length - 1;
    const state = this.#cell(of, '', { kind: 'range', low: 0, high: last }, tables.configurations);
    const fields = new Map(
      tables.fields.map(({ name, domain }) => {
        const high = this.world.definition.carried?.[`${machine}/${name}`] ?? 0;
        return [name, this.#cell(of, name, domain.kind === 'carried' ? { kind: 'range', low: 0, high } : domain)];
      }),
    );
    return { state, fields };
  }

  #cell(of: string, name: string, domain: Domain, names: readonly string[] | null = null): Cell {
    const values = domain.kind === 'oneOf' ? [...new Set(domain.values)].sort((a, b) => a - b) : null;
    const { low, high } = bounds(domain);
    const codes = this.#codes(of, name, values, low);
    const last = Math.max(...codes);
    const width = codes.length === 1 ? 0 : 32 - Math.clz32(last);
    if (width > 31) throw new RangeError32(`${of}: ${name} has too many values`);
    const mask = 2 ** width - 1;
    const cell = { of, name, word: 0, shift: 0, mask, base: mask === 0 ? last : 0, values, low, high, names };
    this.cells.push(cell);
    return cell;
  }

  /** Codes of all that a cell can ever be. */
  #codes(of: string, name: string, values: readonly number[] | null, low: number): readonly number[] {
    const [machine, row] = of.split(' ') as [string, string];
    const variable = this.#variables.get(`${machine}/${name}`)!;
    return [...this.reachable.values(variable, Number(row))].map((value) =>
      values === null ? value - low : values.indexOf(value),
    );
  }

  /** Gives each cell its place; row r of n comes at r / n of the way. */
  #place(): { words: number; split: number } {
    const way = ({ of }: Cell): number => {
      const [machine, row] = of.split(' ') as [string, string];
      return (Number(row) + 0.5) / this.world.rowsOf(this.world.names.indexOf(machine));
    };
    const cells = this.cells.map((cell) => ({ cell: cell as { -readonly [K in keyof Cell]: Cell[K] }, at: way(cell) }));
    cells.sort((left, right) => left.at - right.at);
    let word = 0;
    let shift = 0;
    let split = 0;
    for (const { cell, at } of cells) {
      const width = 32 - Math.clz32(cell.mask);
      const half = split === 0 && at >= 0.5 && word + shift > 0;
      if (shift + width > 32 || (half && shift > 0)) {
        word++;
        shift = 0;
      }
      if (half) split = word;
      cell.word = word;
      cell.shift = shift;
      shift += width;
    }
    const words = shift === 0 && word > 0 ? word : word + 1;
    return { words, split: split > 0 && split < words ? split : words >> 1 };
  }

  #translate(): [(to: Int32Array, at: number) => void, (from: Int32Array, at: number) => void] {
    const { system, names } = this.world;
    const fail = (cell: Cell, value: number): never => {
      throw new RangeError32(`${cell.of}: ${cell.name || 'state'} is ${value}, outside its range`);
    };
    const stray = (machine: number): never => {
      throw new RangeError32(`${names[machine]}: row ${system.rows[machine]!.used - 1} is not in the world`);
    };
    const columns: (Int32Array | Uint8Array | Uint16Array | Uint32Array)[] = [];
    const packing: string[] = ['let v = 0;'];
    const unpacking: string[] = [];
    for (const [machine, rows] of system.rows.entries()) {
      const count = this.world.rowsOf(machine);
      // Every system has a provider.
      const allowed = Math.max(count, machine === M.provider ? 1 : 0);
      packing.push(`if (rows[${machine}].used > ${allowed}) stray(${machine});`);
      unpacking.push(`rows[${machine}].used = ${allowed};`);
      for (let row = 0; row < count; row++) {
        const { state, fields } = this.rows.get(names[machine]!)![row]!;
        const all: [Cell, Int32Array | Uint8Array | Uint16Array | Uint32Array][] = [
          [state, rows.states],
          ...[...fields.values()].map((cell, index): [Cell, (typeof rows.columns)[number]] => [
            cell,
            rows.columns[index]!,
          ]),
        ];
        for (const [cell, column] of all) {
          let index = columns.indexOf(column);
          if (index < 0) index = columns.push(column) - 1;
          const number = this.cells.indexOf(cell);
          const read = `((from[at + ${cell.word}] >>> ${cell.shift} & ${cell.mask}) + ${cell.base})`;
          packing.push(`v = c${index}[${row}];`);
          if (cell.values === null) {
            packing.push(`if (v < ${cell.low} || v > ${cell.high}) fail(cells[${number}], v);`);
            packing.push(`v -= ${cell.low + cell.base};`);
            unpacking.push(`c${index}[${row}] = ${read} + ${cell.low};`);
          } else {
            const cases = cell.values.map((value, code) => `case ${value}: v = ${code}; break;`).join(' ');
            packing.push(`switch (v) { ${cases} default: fail(cells[${number}], v); }`);
            packing.push(`v -= ${cell.base};`);
            unpacking.push(`c${index}[${row}] = cells[${number}].values[${read}];`);
          }
          packing.push(`if (v < 0 || v > ${cell.mask}) unforeseen(cells[${number}]);`);
          if (cell.mask > 0) packing.push(`to[at + ${cell.word}] |= v << ${cell.shift};`);
        }
      }
    }
    const named = columns.map((_, index) => `const c${index} = columns[${index}];`).join(' ');
    return new Function(
      'columns',
      'cells',
      'rows',
      'fail',
      'stray',
      'unforeseen',
      `'use strict'; ${named}\nreturn [(to, at) => {${packing.join('\n')}}, (from, at) => {${unpacking.join('\n')}}];`,
    )(columns, this.cells, system.rows, fail, stray, (cell: Cell) => {
      throw unforeseen(cell);
    }) as [(to: Int32Array, at: number) => void, (from: Int32Array, at: number) => void];
  }
}

/** A fault of the checker: what can be was computed wrongly. */
function unforeseen({ of, name }: Cell): Error {
  return new Error(`${of}: ${name || 'state'} is what it never can be`);
}

/** Value of `cell` in the state behind `at`. */
export function read(cell: Cell, from: Int32Array, at: number): number {
  const code = ((from[at + cell.word]! >>> cell.shift) & cell.mask) + cell.base;
  return cell.values === null ? code + cell.low : cell.values[code]!;
}

/** One state to look at. */
export class StateView {
  readonly layout: Layout;
  words: Int32Array;
  at: number;
  readonly #matches = new Map<string, Map<string, Uint8Array>>();

  constructor(layout: Layout, words: Int32Array, at = 0) {
    this.layout = layout;
    this.words = words;
    this.at = at;
  }

  /** Name of the configuration that a row is in. */
  state(machine: string, row: number): string {
    const { state } = this.#row(machine, row);
    return state.names![read(state, this.words, this.at)]!;
  }

  /** Whether a row is in one of the states; `closing` stands for `closing.draining` too. */
  in(machine: string, row: number, ...states: readonly string[]): boolean {
    const { state } = this.#row(machine, row);
    const code = read(state, this.words, this.at);
    for (const name of states) if (this.#match(machine, name, state)[code] === 1) return true;
    return false;
  }

  field(machine: string, row: number, name: string): number {
    const cell = this.#row(machine, row).fields.get(name);
    if (cell === undefined) throw new Error(`machine '${machine}' has no field '${name}'`);
    return read(cell, this.words, this.at);
  }

  /** Whether a request needs a registration. */
  pinned(request: number, buffer: number): boolean {
    return read(this.layout.pinOf(request, buffer), this.words, this.at) === 1;
  }

  #row(machine: string, row: number) {
    const found = this.layout.rows.get(machine)?.[row];
    if (found === undefined) throw new Error(`the world has no row ${row} of '${machine}'`);
    return found;
  }

  #match(machine: string, name: string, state: Cell): Uint8Array {
    let byName = this.#matches.get(machine);
    if (byName === undefined) {
      byName = new Map();
      this.#matches.set(machine, byName);
    }
    let found = byName.get(name);
    if (found === undefined) {
      found = Uint8Array.from(state.names!, (full) => (full === name || full.startsWith(`${name}.`) ? 1 : 0));
      if (!found.includes(1)) throw new Error(`machine '${machine}' has no state '${name}'`);
      byName.set(name, found);
    }
    return found;
  }
}
