/**
 * Two hosts in one process: calls that are made in another network namespace.
 *
 * Theory of operation: a thread is in one namespace at a time and may change it between two calls. So an adapter whose
 * every call is made in a host's namespace is on that host, though the process is not: what it opens there stays there.
 */

import { openSync } from 'node:fs';
import koffi from 'koffi';

import type { Adapter } from '../../driver/adapter/adapter.ts';

const CLONE_NEWNET = 0x4000_0000;
const setns = koffi.load('libc.so.6').func('int setns(int, int)') as (descriptor: number, kind: number) => number;
const own = openSync('/proc/self/ns/net', 'r');

function enter(namespace: number): void {
  if (setns(namespace, CLONE_NEWNET) !== 0) throw new Error(`setns: errno ${koffi.errno()}`);
}

/** `adapter`, on that host: all its methods run in the host's namespace. */
export function onHost<A extends Adapter>(host: 'h1' | 'h2', adapter: A): A {
  const theirs = openSync(`/run/netns/${host}`, 'r');
  return new Proxy(adapter, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...args: readonly unknown[]) => {
        enter(theirs);
        try {
          return value.apply(target, args) as unknown;
        } finally {
          enter(own);
        }
      };
    },
  });
}
