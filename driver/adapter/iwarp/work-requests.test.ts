import assert from 'node:assert/strict';

import fc from 'fast-check';
import { describe, test } from 'vitest';

import { WORK_REQUEST_WORDS, WorkRequestField } from '../adapter.ts';
import { DescriptorMemory, WorkRequests } from './work-requests.ts';

const DEPTH = 5;

/** A descriptor of `elements` elements whose other words are made of its context. */
function descriptor(context: number, elements: number): Uint32Array {
  const words = Uint32Array.from({ length: WORK_REQUEST_WORDS }, (_, index) => context * 100 + index);
  words[WorkRequestField.context] = context;
  words[WorkRequestField.elementCount] = elements;
  return words;
}

/** A queue with what it has to hold. */
class Queue {
  readonly requests: WorkRequests;
  readonly #held: Uint32Array[] = [];

  constructor(memory: DescriptorMemory) {
    this.requests = new WorkRequests(memory, DEPTH);
  }

  push(words: Uint32Array): void {
    assert.equal(this.requests.push(words, 0), this.#held.length < DEPTH);
    if (this.#held.length < DEPTH) this.#held.push(words);
  }

  report(): void {
    if (this.#held.shift() === undefined) return;
    this.requests.completed++;
    this.requests.reported++;
  }

  check(): void {
    assert.equal(this.requests.posted - this.requests.reported, this.#held.length);
    for (const [index, words] of this.#held.entries()) {
      const request = this.requests.reported + index;
      const elements = words[WorkRequestField.elementCount]!;
      for (let field = 0; field < WorkRequestField.elements + 4 * elements; field++) {
        assert.equal(this.requests.field(request, field), words[field]);
      }
      let bytes = 0;
      for (let element = 0; element < elements; element++) bytes += words[WorkRequestField.elements + 4 * element + 1]!;
      assert.equal(this.requests.byteCount(request), bytes);
    }
    assert.ok(this.requests.memoryBytes <= 2 * DEPTH * 4 * WORK_REQUEST_WORDS);
  }
}

describe('work requests', () => {
  // Goal: each queue keeps its own descriptors, in order, whatever the others of the same memory do.
  // Method: queues come and go, post and report at random; a queue is compared with an array after each step.
  test('are what was posted until they are reported', () => {
    const command = fc.tuple(
      fc.nat(3),
      fc.constantFrom('push', 'push', 'report', 'replace'),
      fc.integer({ min: 0, max: 4 }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 120 }), (commands) => {
        const memory = new DescriptorMemory();
        const queues = Array.from({ length: 4 }, () => new Queue(memory));
        let context = 0;
        for (const [which, action, elements] of commands) {
          if (action === 'push') queues[which]!.push(descriptor(++context, elements));
          else if (action === 'report') queues[which]!.report();
          else {
            queues[which]!.requests.release();
            queues[which] = new Queue(memory);
          }
          for (const queue of queues) queue.check();
        }
      }),
      { numRuns: 100 },
    );
  });

  test('of queues that come and go take no more memory', () => {
    const memory = new DescriptorMemory();
    const once = (): void => {
      const queues = Array.from({ length: 100 }, () => new WorkRequests(memory, DEPTH));
      for (const queue of queues) for (let index = 0; index < DEPTH; index++) queue.push(descriptor(index, 1), 0);
      for (const queue of queues) queue.release();
    };
    once();
    const { length } = memory.words;
    for (let round = 0; round < 5; round++) once();
    assert.equal(memory.words.length, length);
  });
});
