// Goal: the package installs and works wherever Node.js does: without a compiler, without headers, without RDMA libraries;
// and with the library of the platform package, without a compiler.
// Method: the packed package beside the dependencies of this checkout, its programs run with a path on which nothing is.
// What takes a device is shown in the guest: model-tests/guest/cli.suite.ts.

import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, test } from 'vitest';

import { platformPackage } from '../../driver/adapter/verbs/library.ts';
import { nativeIsMissing } from './native.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'wsdirect-install-'));
const modules = path.join(folder, 'node_modules');
const installed = path.join(modules, 'wsdirect');
/** Nothing is on it. */
const emptyPath = path.join(folder, 'bin');

function done(command: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout;
}

/** Runs the installed command where there are no programs. */
function wsdirect(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const program = path.join(installed, 'driver/cli/wsdirect.js');
  return spawnSync(process.execPath, [program, ...args], {
    cwd: folder,
    env: { PATH: emptyPath, HOME: folder, NO_COLOR: '1', ...env },
    encoding: 'utf8',
  });
}

/** Why the verbs adapter can't be used, as `wsdirect adapters` says it. */
function verbsReason(env?: Readonly<Record<string, string>>): string | null {
  const { status, stdout, stderr } = wsdirect(['adapters', '--json'], env);
  assert.equal(status, 0, stderr);
  assert.equal(stderr, '');
  const adapters = JSON.parse(stdout) as readonly { readonly name: string; readonly reason: string | null }[];
  return adapters.find(({ name }) => name === 'verbs')!.reason;
}

describe('the installed package', () => {
  beforeAll(() => {
    mkdirSync(emptyPath);
    mkdirSync(installed, { recursive: true });
    const [packed] = JSON.parse(done('npm', ['pack', '--json', '--silent', '--pack-destination', folder])) as [
      { readonly filename: string },
    ];
    done('tar', ['-xzf', path.join(folder, packed.filename), '-C', installed, '--strip-components=1']);
    const { dependencies } = JSON.parse(readFileSync(path.join(installed, 'package.json'), 'utf8')) as {
      readonly dependencies: Readonly<Record<string, string>>;
    };
    for (const name of Object.keys(dependencies)) {
      mkdirSync(path.dirname(path.join(modules, name)), { recursive: true });
      symlinkSync(realpathSync(path.join(root, 'node_modules', name)), path.join(modules, name));
    }
  }, 120_000);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('without a compiler: one line says what to install, and the rest works', { timeout: 60_000 }, () => {
    const reason =
      "the native part can't be built: no C compiler: apt-get install gcc libc6-dev libibverbs-dev librdmacm-dev";
    assert.equal(verbsReason(), reason);
    const refused = wsdirect(['demo', '--adapter', 'verbs']);
    assert.equal(refused.status, 2);
    assert.equal(refused.stderr, `wsdirect: the verbs adapter can't be used here: ${reason}\n`);
    const moved = wsdirect(['demo']);
    assert.equal(moved.status, 0, moved.stderr);
    assert.match(moved.stdout, /^sha256 equal\nreplay: equal$/m);
  });

  test('without the headers: one line says which packages have them', { timeout: 60_000 }, () => {
    const compiler = path.join(folder, 'cc');
    const says = 'internal.h:10:10: fatal error: infiniband/verbs.h: No such file or directory';
    writeFileSync(compiler, `#!/bin/sh\n[ "$1" = --version ] && exit 0\necho '${says}' >&2\nexit 1\n`);
    chmodSync(compiler, 0o755);
    assert.equal(
      verbsReason({ CC: compiler }),
      "the native part can't be built: infiniband/verbs.h is missing: apt-get install libibverbs-dev librdmacm-dev libc6-dev",
    );
  });

  const missing = nativeIsMissing();
  if (missing !== null) console.log(`skipped: the platform package: ${missing}`);
  describe.skipIf(missing !== null)('with the platform package', () => {
    const prebuilt = path.join(modules, platformPackage());

    const pack = (): void => assert.equal(done(process.execPath, ['native/pack.mjs', prebuilt]).trim(), prebuilt);

    test('takes its library from there, without a compiler', { timeout: 60_000 }, () => {
      pack();
      const ask = `
        import { findLibrary } from './node_modules/wsdirect/dist/driver/adapter/verbs/library.js';
        import { loadShim } from './node_modules/wsdirect/dist/driver/adapter/verbs/bindings.js';
        const { file } = findLibrary();
        console.log(JSON.stringify({ file, status: loadShim(file).wsd_load() }));`;
      const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', ask], {
        cwd: folder,
        env: { PATH: emptyPath },
        encoding: 'utf8',
      });
      assert.equal(status, 0, stderr);
      assert.deepEqual(JSON.parse(stdout), { file: path.join(prebuilt, 'libwsdirect.so'), status: 0 });
    });

    test('without the RDMA libraries: one line says which packages have them', { timeout: 60_000 }, () => {
      pack();
      const broken = path.join(folder, 'lib');
      mkdirSync(broken);
      // The loader finds it first, and it is no library.
      writeFileSync(path.join(broken, 'librdmacm.so.1'), '');
      assert.equal(
        verbsReason({ LD_LIBRARY_PATH: broken }),
        'librdmacm.so.1 is missing: apt-get install libibverbs1 ibverbs-providers librdmacm1',
      );
    });

    test('its manifest names this version and platform', () => {
      pack();
      const read = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
      const { name, version, os, cpu, files } = read(path.join(prebuilt, 'package.json'));
      assert.deepEqual(
        { name, version, os, cpu, files },
        {
          name: `wsdirect-native-${process.platform}-${process.arch}`,
          version: read(path.join(root, 'package.json'))['version'],
          os: [process.platform],
          cpu: [process.arch],
          files: ['libwsdirect.so'],
        },
      );
    });
  });
});
