import assert from 'node:assert/strict';

import fc from 'fast-check';
import { describe, test } from 'vitest';

import { WORK_REQUEST_WORDS, WorkRequestField } from '../adapter.ts';
import { PLACE_WORDS, QUEUE_WORDS, QueueField, WorkRequests } from './work-requests.ts';

const DEPTH = 5;

/** A descriptor of `elements` elements whose other words are made of its context. */
function descriptor(context: number, elements: number): Uint32Array {
  const words = Uint32Array.from({ length: WORK_REQUEST_WORDS }, (_, index) => context * 100 + index);
  words[WorkRequestField.context] = context;
  words[WorkRequestField.elementCount] = elements;
  return words;
}

const QUEUES = 4;

/** Rows of one queue each. */
const queuesOf = (count: number): WorkRequests => new WorkRequests({ words: new Int32Array(count * QUEUE_WORDS) });

/** A queue with what it has to hold. */
class Queue {
  readonly #rows: { readonly words: Int32Array };
  readonly #requests: WorkRequests;
  readonly #queue: number;
  readonly #held: Uint32Array[] = [];

  /** @param first - number of its first request, as if so many had been posted before */
  constructor(requests: WorkRequests, rows: { readonly words: Int32Array }, queue: number, first: number) {
    this.#rows = rows;
    this.#requests = requests;
    this.#queue = queue;
    requests.create(queue, DEPTH);
    for (const field of [QueueField.posted, QueueField.completed, QueueField.reported]) {
      rows.words[queue + field] = first;
    }
  }

  push(words: Uint32Array): void {
    assert.equal(this.#requests.push(this.#queue, words, 0), this.#held.length < DEPTH);
    if (this.#held.length < DEPTH) this.#held.push(words);
  }

  report(): void {
    if (this.#held.shift() === undefined) return;
    this.#rows.words[this.#queue + QueueField.completed]!++;
    this.#rows.words[this.#queue + QueueField.reported]!++;
  }

  release(): void {
    this.#requests.release(this.#queue);
  }

  check(): void {
    const [requests, queue] = [this.#requests, this.#queue];
    const field = (offset: number): number => this.#rows.words[queue + offset]!;
    assert.equal((field(QueueField.posted) - field(QueueField.reported)) | 0, this.#held.length);
    for (const [index, words] of this.#held.entries()) {
      const request = (field(QueueField.reported) + index) | 0;
      const elements = words[WorkRequestField.elementCount]!;
      for (let word = 0; word < WorkRequestField.elements + 4 * elements; word++) {
        assert.equal(requests.field(queue, request, word), words[word]);
      }
      let bytes = 0;
      for (let element = 0; element < elements; element++) bytes += words[WorkRequestField.elements + 4 * element + 1]!;
      assert.equal(requests.byteCount(queue, request), bytes);
    }
    assert.ok(requests.memoryBytes(queue) <= 2 * DEPTH * 4 * PLACE_WORDS);
  }
}

describe('work requests', () => {
  // Goal: each queue keeps its own descriptors, in order, whatever the others of the same memory do.
  // Method: queues come and go, post and report at random, with numbers that go beyond what a word holds as well; a queue
  // is compared with an array after each step.
  test('are what was posted until they are reported', () => {
    const command = fc.tuple(
      fc.nat(QUEUES - 1),
      fc.constantFrom('push', 'push', 'report', 'replace'),
      fc.integer({ min: 0, max: 4 }),
    );
    const first = fc.constantFrom(0, 2 ** 31 - 3, -3);
    fc.assert(
      fc.property(first, fc.array(command, { maxLength: 120 }), (number, commands) => {
        const rows = { words: new Int32Array(QUEUES * QUEUE_WORDS) };
        const requests = new WorkRequests(rows);
        const make = (index: number): Queue => new Queue(requests, rows, index * QUEUE_WORDS, number);
        const queues = Array.from({ length: QUEUES }, (_, index) => make(index));
        let context = 0;
        for (const [which, action, elements] of commands) {
          if (action === 'push') queues[which]!.push(descriptor(++context, elements));
          else if (action === 'report') queues[which]!.report();
          else {
            queues[which]!.release();
            queues[which] = make(which);
          }
          for (const queue of queues) queue.check();
        }
      }),
      { numRuns: 100 },
    );
  });

  test.each([1, 2, 5, 8])(
    'are refused beyond a depth of %i, until one is reported; memory comes as it is needed',
    (depth) => {
      const rows = { words: new Int32Array(QUEUE_WORDS) };
      const requests = new WorkRequests(rows);
      requests.create(0, depth);
      assert.equal(requests.memoryBytes(0), 4 * PLACE_WORDS);
      for (let context = 0; context < depth; context++) {
        assert.ok(requests.push(0, descriptor(context, 1), 0));
        assert.equal(requests.memoryBytes(0), 4 * PLACE_WORDS * 2 ** Math.ceil(Math.log2(context + 1)));
      }
      assert.ok(!requests.push(0, descriptor(99, 1), 0));
      rows.words[QueueField.reported]!++;
      assert.ok(requests.push(0, descriptor(depth, 1), 0));
      assert.ok(!requests.push(0, descriptor(99, 1), 0));
      const contexts = Array.from({ length: depth }, (_, at) => requests.field(0, 1 + at, WorkRequestField.context));
      assert.deepEqual(
        contexts,
        Array.from({ length: depth }, (_, at) => 1 + at),
      );
    },
  );

  test('of many queues are kept while the memory for them grows', () => {
    const [count, depth] = [100, 4];
    const rows = { words: new Int32Array(count * QUEUE_WORDS) };
    const requests = new WorkRequests(rows);
    const { length } = requests.words;
    for (let queue = 0; queue < count; queue++) {
      requests.create(queue * QUEUE_WORDS, depth);
      assert.equal(rows.words[queue * QUEUE_WORDS + QueueField.region], -1);
    }
    for (let number = 0; number < depth; number++)
      for (let queue = 0; queue < count; queue++) {
        assert.ok(requests.push(queue * QUEUE_WORDS, descriptor(100 * queue + number, 2), 0));
      }
    assert.ok(requests.words.length > length);
    for (let queue = 0; queue < count; queue++)
      for (let number = 0; number < depth; number++) {
        const expected = descriptor(100 * queue + number, 2);
        for (let word = 0; word < WorkRequestField.elements + 8; word++) {
          assert.equal(requests.field(queue * QUEUE_WORDS, number, word), expected[word]);
        }
      }
  });

  test('of queues that come and go take no more memory', () => {
    const requests = queuesOf(100);
    const queues = Array.from({ length: 100 }, (_, index) => index * QUEUE_WORDS);
    const once = (): void => {
      for (const queue of queues) requests.create(queue, DEPTH);
      for (const queue of queues)
        for (let index = 0; index < DEPTH; index++) requests.push(queue, descriptor(index, 1), 0);
      for (const queue of queues) requests.release(queue);
    };
    once();
    const { length } = requests.words;
    for (let round = 0; round < 5; round++) once();
    assert.equal(requests.words.length, length);
  });
});
