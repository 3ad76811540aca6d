import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { describe, test } from 'vitest';
import { Pins, RowLists } from './index.ts';

// Rows on both sides of the first growth, at 16.
const row = fc.oneof(fc.nat({ max: 5 }), fc.integer({ min: 14, max: 40 }));

describe('row lists', () => {
  test('behave as plain arrays', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(row, row), { maxLength: 60 }), (commands) => {
        const lists = new RowLists();
        const model = new Map<number, number[]>();
        const owners = new Map<number, number>();
        for (const [owner, member] of commands) {
          // A member is put into a list when it is in none, and taken out otherwise.
          if (lists.has(member)) {
            const list = model.get(owners.get(member)!)!;
            list.splice(list.indexOf(member), 1);
            lists.remove(member);
          } else {
            if (!model.has(owner)) model.set(owner, []);
            model.get(owner)!.push(member);
            owners.set(member, owner);
            lists.append(owner, member);
          }

          for (const [of, list] of model) {
            assert.deepEqual(lists.members(of), list);
            assert.equal(lists.first(of), list[0] ?? -1);
            assert.equal(lists.last(of), list.at(-1) ?? -1);
            for (const [index, inside] of list.entries()) {
              assert.ok(lists.has(inside));
              assert.equal(lists.next(inside), list[index + 1] ?? -1);
              assert.equal(lists.previous(inside), list[index - 1] ?? -1);
            }
          }
          // Whose a member was is remembered after it left.
          for (const [inside, of] of owners) assert.equal(lists.owner(inside), of);
        }
        const words = [...model]
          .filter(([, list]) => list.length > 0)
          .sort(([one], [other]) => one - other)
          .flatMap(([of, list]) => [of, list.length, ...list]);
        assert.deepEqual([...lists.serialize()], words);
      }),
    );
  });

  test('that nobody has written to are empty', () => {
    const lists = new RowLists();
    assert.equal(lists.first(1000), -1);
    assert.equal(lists.last(1000), -1);
    assert.equal(lists.owner(1000), -1);
    assert.equal(lists.has(1000), false);
    assert.deepEqual(lists.members(1000), []);
    assert.deepEqual([...lists.serialize()], []);
  });
});

describe('pins', () => {
  test('behave as a stack for each request', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(row, fc.option(fc.nat({ max: 99 }))), { maxLength: 80 }), (commands) => {
        const pins = new Pins();
        const model = new Map<number, number[]>();
        for (const [request, buffer] of commands) {
          if (!model.has(request)) model.set(request, []);
          const stack = model.get(request)!;
          if (buffer === null) {
            assert.equal(pins.take(request), stack.pop() ?? -1);
          } else {
            pins.add(request, buffer);
            stack.push(buffer);
          }
          for (const [of, list] of model) assert.deepEqual(pins.of(of), list.toReversed());
        }
        const words = [...model]
          .filter(([, list]) => list.length > 0)
          .sort(([one], [other]) => one - other)
          .flatMap(([of, list]) => [of, list.length, ...list.toReversed()]);
        assert.deepEqual([...pins.serialize()], words);
      }),
    );
  });
});
