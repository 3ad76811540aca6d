/**
 * Dead variables: what nobody will read again before it is written.
 *
 * Theory of operation: a field is live in a configuration when some event's program reads it there before writing it, or
 * leaves it alone and goes on to a configuration in which it is live; a fixed point over the compiled tables, which is
 * all that a machine does. A configuration in which the machine is over makes the row new, and so needs none. Everything
 * else that reads fields has to be named: the formulas of what is asked. Routes and performances read effects' arguments
 * and configurations alone; the driver reads `socket/backlog`, which matters to no world.
 *
 * A state in which dead fields are 0 behaves as the one in which they are not, so one of them stands for both: step by
 * step, rule by rule, whatever the fairness.
 */

import { type CompiledMachine, type Expression, Op, walk } from '../../machines/index.ts';
import { type Formula, readings } from './formula.ts';
import type { Cell, Layout } from './layout.ts';
import type { Property } from './properties.ts';

/** For each configuration of `machine`, 1 for each field that is live there. */
export function liveFields(machine: CompiledMachine): readonly Uint8Array[] {
  const { configurations, fields, events, dispatch } = machine;
  const live = configurations.map(() => new Uint8Array(fields.length));
  for (let changed = true; changed; ) {
    changed = false;
    for (const [configuration, mine] of live.entries()) {
      for (let event = 0; event < events.length; event++) {
        needs(machine, dispatch[configuration * events.length + event]!, live, (field) => {
          if (mine[field] === 1) return;
          mine[field] = 1;
          changed = true;
        });
      }
    }
  }
  return live;
}

/** Calls `need` for each field that the program at `start` needs the value of. */
function needs(
  machine: CompiledMachine,
  start: number,
  live: readonly Uint8Array[],
  need: (field: number) => void,
): void {
  const { code, guards, updates, calls, fields, final } = machine;
  const visit = (from: number, writtenBefore: ReadonlySet<number>): void => {
    const written = new Set(writtenBefore);
    const read = (expression: Expression): void =>
      walk(expression, (part) => {
        if (typeof part === 'number' || part.op !== 'context') return;
        const field = fields.findIndex(({ name }) => name === part.name);
        if (!written.has(field)) need(field);
      });
    for (let at = from; ; ) {
      switch (code[at]) {
        case Op.guard:
          read(guards[code[at + 1]!]!);
          visit(at + 3, written);
          at = code[at + 2]!;
          break;
        case Op.update: {
          const update = updates[code[at + 1]!]!;
          for (const { value } of update) read(value);
          for (const { field } of update) written.add(field);
          at += 2;
          break;
        }
        case Op.effect:
          for (const argument of calls[code[at + 1]!]!.args) read(argument);
          at += 2;
          break;
        case Op.goto: {
          const next = code[at + 1]!;
          if (final[next] === 1) return;
          for (let field = 0; field < fields.length; field++) {
            if (live[next]![field] === 1 && !written.has(field)) need(field);
          }
          return;
        }
        default:
          return;
      }
    }
  };
  visit(start, new Set());
}

/** Makes the dead fields of the state behind `words[at]` 0; null where none is ever dead. */
export type Forget = (words: Int32Array, at: number) => void;

/** @param asked - what reads fields from outside; those stay as they are in every configuration */
export function forgetDead(layout: Layout, asked: readonly Property[]): Forget | null {
  const { world } = layout;
  const kept = new Set<string>();
  for (const property of asked) {
    for (const formula of formulasOf(property)) {
      readings(formula, (reading) => {
        if (reading.op === 'field') kept.add(`${reading.machine}/${reading.name}`);
      });
    }
  }
  const tables: Int32Array[] = [];
  const lines: string[] = [];
  for (const [number, machine] of world.system.machines.entries()) {
    const name = world.names[number]!;
    const live = liveFields(machine);
    for (const { state, fields } of layout.rows.get(name)!) {
      const cells = machine.fields.map((field) => fields.get(field.name)!);
      const deadIn = (configuration: number): Cell[] =>
        cells.filter(
          (cell, field) => cell.mask > 0 && live[configuration]![field] === 0 && !kept.has(`${name}/${cell.name}`),
        );
      const words = [...new Set(machine.configurations.flatMap((_, at) => deadIn(at).map(({ word }) => word)))];
      if (words.length === 0) continue;
      lines.push(`s = w[a + ${state.word}] >>> ${state.shift} & ${state.mask};`);
      for (const word of words) {
        const masks = Int32Array.from(machine.configurations, (_, at) =>
          deadIn(at)
            .filter((cell) => cell.word === word)
            .reduce((mask, cell) => mask & ~(cell.mask << cell.shift), -1),
        );
        lines.push(`w[a + ${word}] &= t[${tables.push(masks) - 1}][s];`);
      }
    }
  }
  if (lines.length === 0) return null;
  const made = new Function('t', `'use strict'; return (w, a) => { let s = 0; ${lines.join('\n')} };`);
  return made(tables) as Forget;
}

/** All formulas of a property. */
export function formulasOf(property: Property): readonly Formula[] {
  switch (property.kind) {
    case 'implies':
      return [property.left, property.right];
    case 'deadlock':
      return [property.terminal];
    case 'leadsTo':
      return [property.from, property.to];
    default:
      return [property.holds];
  }
}
