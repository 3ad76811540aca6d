import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { describe, test } from 'vitest';
import {
  add,
  all,
  any,
  atMost,
  type BinaryOperator,
  choose,
  type Expression,
  equal,
  evaluate,
  less,
  named,
  not,
  subtract,
  toCondition,
  toSource,
  toText,
  unequal,
  walk,
} from './index.ts';

const c = (name: string): Expression => ({ op: 'context', name });
const e = (name: string): Expression => ({ op: 'event', name });
const operators: readonly BinaryOperator[] = ['+', '-', '==', '!=', '<', '<=', '&&', '||'];

const { tree } = fc.letrec<{ tree: Expression }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.integer({ min: -3, max: 3 }),
    fc.constantFrom<Expression[]>(c('x'), c('y'), e('p'), e('q'), named('LIMIT', 2)),
    fc.record({ op: fc.constantFrom(...operators), left: tie('tree'), right: tie('tree') }),
    fc.record({ op: fc.constant('not' as const), of: tie('tree') }),
    fc.record({ op: fc.constant('if' as const), test: tie('tree'), yes: tie('tree'), no: tie('tree') }),
  ),
}));
const value = fc.integer({ min: -3, max: 3 });
const values = fc.record({ context: fc.record({ x: value, y: value }), event: fc.record({ p: value, q: value }) });

describe('an expression', () => {
  test('means the same evaluated, as generated number and as generated condition', () => {
    const names = { context: (name: string) => `context.${name}`, event: (name: string) => `event.${name}` };
    fc.assert(
      fc.property(tree, values, (expression, { context, event }) => {
        const expected = evaluate(expression, context, event);
        const run = (source: string) =>
          new Function('context', 'event', `return ${source};`)(context, event) as unknown;
        assert.equal(run(toSource(expression, names)), expected);
        assert.equal(run(toCondition(expression, names)), expected !== 0);
      }),
      { numRuns: 2000 },
    );
  });

  test('that compares or connects is 1 or 0', () => {
    for (const op of operators.slice(2)) {
      for (const left of [0, 1, 2]) {
        for (const right of [0, 1, 2]) assert.ok([0, 1].includes(evaluate({ op, left, right }, {}, {})));
      }
    }
    assert.equal(evaluate(not(2), {}, {}), 0);
    assert.equal(evaluate(not(0), {}, {}), 1);
  });

  test('that reads a name without value is refused', () => {
    assert.throws(() => evaluate(c('x'), {}, {}), /expression reads context 'x', which has no value/);
    assert.throws(() => evaluate(e('p'), {}, {}), /expression reads event 'p', which has no value/);
  });

  test('is walked from the whole to its parts, each once', () => {
    const parts: string[] = [];
    walk(choose(not(c('x')), add(e('p'), 1), named('LIMIT', 2)), (part) => parts.push(toText(part)));
    assert.deepEqual(parts, ['(not x) ? .p + 1 : LIMIT', 'not x', 'x', '.p + 1', '.p', '1', 'LIMIT']);
  });
});

describe('text', () => {
  test.each<[string, Expression]>([
    ['posted < 32', less(c('posted'), 32)],
    ['posted <= queueDepth', atMost(c('posted'), named('queueDepth', 32))],
    ['.refusal != 0', unequal(e('refusal'), 0)],
    ['held == 0 and posted < 32', all(equal(c('held'), 0), less(c('posted'), 32))],
    ['a and b and c', all(c('a'), c('b'), c('c'))],
    ['(a and b) or c', any(all(c('a'), c('b')), c('c'))],
    ['not (a or b)', not(any(c('a'), c('b')))],
    ['recorded ? 0 : unreported', choose(c('recorded'), 0, c('unreported'))],
    ['pending - 1', subtract(c('pending'), 1)],
    ['posted + held < pending', less(add(c('posted'), c('held')), c('pending'))],
    ['a - b + c', add(subtract(c('a'), c('b')), c('c'))],
    ['a - (b - c)', subtract(c('a'), subtract(c('b'), c('c')))],
    ['(a < b) == (c < d)', equal(less(c('a'), c('b')), less(c('c'), c('d')))],
    ['(a < b) + 1', add(less(c('a'), c('b')), 1)],
  ])('%s', (text, expression) => {
    assert.equal(toText(expression), text);
  });
});
