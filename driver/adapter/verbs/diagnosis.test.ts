import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterEach, describe, test } from 'vitest';

import { diagnose, type System } from './diagnosis.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/** A system with these files, and an unlimited amount of memory to lock. */
function systemWith(files: Readonly<Record<string, string>>, rest: Partial<System> = {}): System {
  const root = mkdtempSync(path.join(tmpdir(), 'wsdirect-'));
  folders.push(root);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    writeFileSync(path.join(root, name), text);
  }
  return { root, library: () => null, lockedMemoryMax: () => Infinity, ...rest };
}

const port = 'sys/class/infiniband/rxe0/ports/1';
const well = {
  [`${port}/state`]: '4: ACTIVE\n',
  [`${port}/link_layer`]: 'Ethernet\n',
  'dev/infiniband/rdma_cm': '',
  'dev/infiniband/uverbs0': '',
};

describe('diagnosis', () => {
  test('of a system where all is well finds nothing', () => assert.deepEqual(diagnose(systemWith(well)), []));

  test('begins with the library', () => {
    const library = { what: 'librdmacm.so.1 is missing', fix: 'install it', isFatal: true };
    const found = diagnose(systemWith({}, { library: () => library }));
    assert.equal(found[0], library);
  });

  test('says how to get a device', () => {
    const [found] = diagnose(systemWith({}));
    assert.equal(found?.what, 'no RDMA device');
    assert.match(found.fix, /rdma link add rxe0/);
    assert.ok(found.isFatal);
  });

  test('misses the connection manager', () => {
    const { 'dev/infiniband/rdma_cm': _, ...files } = well;
    assert.deepEqual(diagnose(systemWith(files))[0], {
      what: '/dev/infiniband/rdma_cm is missing',
      fix: 'modprobe rdma_ucm',
      isFatal: true,
    });
  });

  test('tells a port that is down', () => {
    const down = { ...well, [`${port}/state`]: '1: DOWN\n' };
    const [found] = diagnose(systemWith(down));
    assert.equal(found?.what, 'rxe0 port 1 is DOWN');
    assert.ok(found.isFatal);
    // With another that is up it is worth a word.
    const other = 'sys/class/infiniband/siw0/ports/1';
    const [mentioned] = diagnose(systemWith({ ...down, [`${other}/state`]: '4: ACTIVE\n' }));
    assert.equal(mentioned?.isFatal, false);
    const fabric = { ...down, [`${port}/link_layer`]: 'InfiniBand\n', [`${port}/state`]: '2: INIT\n' };
    assert.match(diagnose(systemWith(fabric))[0]!.fix, /opensm/);
  });

  test('mentions a low limit on locked memory', () => {
    const [found] = diagnose(systemWith(well, { lockedMemoryMax: () => 65_536 }));
    assert.match(found!.what, /only 65536 bytes/);
    assert.equal(found!.isFatal, false);
  });
});
