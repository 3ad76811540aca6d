import assert from 'node:assert/strict';

import fc from 'fast-check';
import { describe, test } from 'vitest';

import { MemoryAccess, type MemoryRegion } from '../adapter.ts';
import { MemoryTable, refusalIn } from './memory.ts';

interface Registered extends MemoryRegion {
  readonly domain: number;
  readonly access: number;
  readonly bytes: Uint8Array;
  isThere: boolean;
  isInvalidated: boolean;
}

const { localWrite, remoteInvalidate, remoteRead, remoteWrite } = MemoryAccess;
const RIGHTS = [0, localWrite, remoteRead, localWrite | remoteRead | remoteWrite | remoteInvalidate] as const;

/** Why `use` of `region` by a key that was `region`'s is refused; null when it isn't. */
function expected(
  region: Registered,
  isByKey: boolean,
  domain: number,
  offset: number,
  length: number,
  access: number,
) {
  if (!region.isThere || !isByKey) return 'unknownKey';
  if (region.domain !== domain) return 'otherDomain';
  if ((region.access & access) !== access) return 'access';
  return offset < 0 || offset + length > region.bytes.byteLength ? 'bounds' : null;
}

describe('registered memory', () => {
  // Goal: a region is reached by its keys, by nobody but those that may, and not after its end, whatever was registered
  // in its place since.
  // Method: regions come and go at random; each look is at one that was ever registered, with a guess where it is that is
  // as often wrong as right.
  test('is reached by who may, as long as it is registered', () => {
    const command = fc.record({
      what: fc.constantFrom('register', 'deregister', 'invalidate', 'local', 'local', 'remote', 'remote'),
      which: fc.nat(),
      likely: fc.integer({ min: -1, max: 12 }),
      domain: fc.nat(1),
      offset: fc.integer({ min: -1, max: 30 }),
      length: fc.integer({ min: 1, max: 30 }),
      access: fc.constantFrom(...RIGHTS),
    });
    fc.assert(
      fc.property(fc.nat(0xffff_ffff), fc.array(command, { maxLength: 200 }), (firstKey, commands) => {
        const table = new MemoryTable(firstKey);
        const domains = [table.allocateDomain(), table.allocateDomain()];
        const all: Registered[] = [];
        for (const { what, which, likely, domain, offset, length, access } of commands) {
          if (what === 'register') {
            const bytes = new Uint8Array(new ArrayBuffer(64), 8, length);
            const region = table.register(domains[domain]!, bytes, access);
            assert.ok(typeof region !== 'number');
            all.push({ ...region, domain, access, bytes, isThere: true, isInvalidated: false });
            continue;
          }
          const region = all[which % Math.max(1, all.length)];
          if (region === undefined) continue;
          const hasRemoteKey = region.remoteKey !== 0 && !region.isInvalidated;
          switch (what) {
            case 'deregister':
              if (region.isThere) table.deregister(region.id);
              region.isThere = false;
              break;
            case 'invalidate': {
              const refusal = expected(region, hasRemoteKey, domain, 0, 0, remoteInvalidate);
              assert.equal(table.invalidate(domains[domain]!, region.remoteKey), refusal);
              if (refusal === null) region.isInvalidated = true;
              break;
            }
            default: {
              const isLocal = what === 'local';
              const at = region.address + offset;
              const found = isLocal
                ? table.local(domains[domain]!, region.localKey, at, length, access, Math.min(likely, all.length - 1))
                : table.remote(domains[domain]!, region.remoteKey, at, length, access);
              const refusal = expected(region, isLocal || hasRemoteKey, domain, offset, length, access);
              assert.equal(found < 0 ? refusalIn(found) : null, refusal);
              if (refusal !== null) break;
              assert.equal(found, region.id);
              assert.equal(table.memoryOf(found), region.bytes);
              assert.equal(table.addressOf(found), region.address);
            }
          }
          assert.equal(table.regionCount, all.filter(({ isThere }) => isThere).length);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('takes no more rows than there are regions at once', () => {
    const table = new MemoryTable(1);
    const domain = table.allocateDomain();
    const register = (): MemoryRegion => {
      const region = table.register(domain, new Uint8Array(16), localWrite);
      assert.ok(typeof region !== 'number');
      return region;
    };
    const first = Array.from({ length: 300 }, register);
    for (const { id } of first) table.deregister(id);
    const second = Array.from({ length: 300 }, register);
    assert.deepEqual(new Set(second.map(({ id }) => id)), new Set(first.map(({ id }) => id)));
    assert.equal(new Set([...first, ...second].map(({ localKey }) => localKey)).size, 600);
  });
});
