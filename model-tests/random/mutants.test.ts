// Goal: the random runs have teeth: what a driver can do wrong, they find.
// Method: mutants, made from outside: an adapter that loses a completion now and then, one that reports one twice, one that
// lets a send overtake an RDMA read, and a provider with a wrong error number. Each must be found within 1,000 runs of
// a fixed seed; but for the fence, which TCP keeps, over the iWARP adapter too.

import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { test } from 'vitest';
import {
  type Adapter,
  COMPLETION_WORDS,
  type Out,
  type Provider,
  WORK_REQUEST_WORDS,
  WorkRequestField,
} from '../../driver/index.ts';
import { SOCKET_ERROR, WSA } from '../../machines/index.ts';
import { nothingIsFound, nothingIsFoundOver, type Tally } from './arbitrary.ts';
import { loopback } from './live.ts';
import type { WorldOptions } from './world.ts';

const RUNS_MAX = 1000;
const EVERY = 5;

/** `adapter` with another `poll`. */
function withPoll<A extends Adapter>(adapter: A, poll: (count: number, completions: Uint32Array) => number): A {
  return new Proxy(adapter, {
    get(target, name) {
      if (name === 'poll') return () => poll(target.poll(), target.completions);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const mutants: Readonly<Record<string, () => WorldOptions>> = {
  'a lost completion': () => {
    let seen = 0;
    return {
      adapter: (adapter) =>
        withPoll(adapter, (count, completions) => {
          if (count === 0 || ++seen % EVERY !== 0) return count;
          completions.copyWithin(0, COMPLETION_WORDS, count * COMPLETION_WORDS);
          return count - 1;
        }),
    };
  },
  'a double completion': () => {
    let seen = 0;
    return {
      adapter: (adapter) =>
        withPoll(adapter, (count, completions) => {
          if (count === 0 || (count + 1) * COMPLETION_WORDS > completions.length || ++seen % EVERY !== 0) return count;
          completions.copyWithin(count * COMPLETION_WORDS, 0, COMPLETION_WORDS);
          return count + 1;
        }),
    };
  },
  'a fence that is not kept': () => ({
    adapter: (adapter) =>
      new Proxy(adapter, {
        get(target, name) {
          if (name === 'post') {
            return (count: number) => {
              for (let index = 0; index < count; index++) {
                target.workRequests[index * WORK_REQUEST_WORDS + WorkRequestField.flags] = 0;
              }
              return target.post(count);
            };
          }
          const value: unknown = Reflect.get(target, name, target);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      }),
  }),
  'a wrong error number': () => ({
    party: ({ provider }) => {
      const right = provider.WSPSend.bind(provider);
      const wrong: Provider['WSPSend'] = (...args) => {
        const result = right(...args);
        const lpErrno: Out<number> = args[8];
        if (result === SOCKET_ERROR && lpErrno.value === WSA.WSAENOTCONN) lpErrno.value = WSA.WSAECONNABORTED;
        return result;
      };
      provider.WSPSend = wrong;
    },
  }),
};

for (const [name, make] of Object.entries(mutants)) {
  test(`${name} is found`, { timeout: 600_000 }, () => {
    const tally: Tally = { runs: 0, counts: new Map() };
    const options = make();
    const found = fc.check(nothingIsFound(options, tally), { numRuns: RUNS_MAX, seed: 1, endOnFailure: true });
    isFound(name, found);
  });
}

for (const name of ['a lost completion', 'a double completion', 'a wrong error number']) {
  test(`${name} is found over iWARP`, { timeout: 120_000 }, async () => {
    const tally: Tally = { runs: 0, counts: new Map() };
    const property = nothingIsFoundOver({ ...loopback, patienceMs: 1000 }, mutants[name]!(), tally);
    isFound(name, await fc.check(property, { numRuns: RUNS_MAX, seed: 1, endOnFailure: true }));
  });
}

function isFound(
  name: string,
  { failed, numRuns, errorInstance }: { failed: boolean; numRuns: number; errorInstance: unknown },
): void {
  assert.ok(failed, `not found in ${RUNS_MAX} runs`);
  const said = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
  console.log(`${name}: found after ${numRuns} runs: ${said.split('\n')[0]}`);
}
