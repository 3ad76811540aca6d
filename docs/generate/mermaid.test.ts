// Mermaid itself needs a browser and weighs more than this project; this checks the part of its grammar that is used.

import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { defineMachines, machineNames, productionLimits, toMermaid } from '../../machines/index.ts';

/** Text that ends at the line's end: no `:`, `;`, `<` or `>` but in line breaks and character references. */
const TEXT = /^(?:[^:;<>#]|<br\/>|#\d+;)+$/;

/** @throws Error naming the first line that is not of the grammar */
function checkMermaid(text: string): void {
  const [head, ...lines] = text.trimEnd().split('\n');
  assert.equal(head, 'stateDiagram-v2');
  const declared = new Set<string>(['[*]']);
  let depth = 0;
  let inNote = false;
  const check = (line: string, condition: boolean, what: string) => assert.ok(condition, `${what}: ${line}`);
  const ends: [string, string][] = [];
  for (const line of lines) {
    const trimmed = line.trim();
    if (inNote) {
      if (trimmed === 'end note') inNote = false;
      else check(line, TEXT.test(trimmed), 'note');
      continue;
    }
    const state = /^state "(\w+)" as (\w+)( \{)?$/.exec(trimmed);
    const transition = /^(\w+|\[\*\]) --> (\w+|\[\*\])(?: : (.+))?$/.exec(trimmed);
    const description = /^(\w+) : (.+)$/.exec(trimmed);
    const note = /^note right of (\w+)$/.exec(trimmed);
    if (state !== null) {
      check(line, !declared.has(state[2]!), 'a state declared twice');
      declared.add(state[2]!);
      if (state[3] !== undefined) depth++;
    } else if (transition !== null) {
      ends.push([line, transition[1]!], [line, transition[2]!]);
      if (transition[3] !== undefined) check(line, TEXT.test(transition[3]), 'label');
    } else if (description !== null) {
      check(line, declared.has(description[1]!) && TEXT.test(description[2]!), 'description');
    } else if (note !== null) {
      check(line, declared.has(note[1]!), 'note on an unknown state');
      inNote = true;
    } else {
      check(line, trimmed === '}', 'not Mermaid');
      depth--;
      check(line, depth >= 0, 'a brace too many');
    }
  }
  assert.equal(depth, 0, 'an open brace');
  assert.ok(!inNote, 'an open note');
  for (const [line, end] of ends) check(line, declared.has(end), 'an undeclared state');
}

describe('Mermaid text', () => {
  const definitions = defineMachines(productionLimits);
  test.each(machineNames)('%s is well formed', (name) => checkMermaid(toMermaid(definitions[name])));

  test('what is not well formed is found', () => {
    assert.throws(() => checkMermaid('stateDiagram-v2\n    a --> b\n'), /an undeclared state/);
    assert.throws(() => checkMermaid('stateDiagram-v2\n    state "a" as a\n    a --> a : x: y\n'), /label/);
    assert.throws(() => checkMermaid('stateDiagram-v2\n    state "a" as a {\n'), /an open brace/);
  });
});
