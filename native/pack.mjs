/**
 * Makes the package with the prebuilt library for this platform: `node native/pack.mjs [FOLDER]`, FOLDER by default
 * `native/build/package`. Publish it with `npm publish FOLDER`, and list it in the main package's optionalDependencies.
 *
 * The library needs no more than glibc: librdmacm and libibverbs are opened at run time. So it's best built on the oldest
 * system that is to be served.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const folder = process.argv[2] ?? path.join(import.meta.dirname, 'build', 'package');
const built = spawnSync(process.execPath, [path.join(import.meta.dirname, 'build.mjs')], { encoding: 'utf8' });
if (built.status !== 0) {
  console.error(built.stderr.trim());
  process.exit(1);
}
const root = path.join(import.meta.dirname, '..');
const { version, license } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
const { platform, arch } = process;
const name = `wsdirect-native-${platform}-${arch}`;
mkdirSync(folder, { recursive: true });
copyFileSync(built.stdout.trim(), path.join(folder, 'libwsdirect.so'));
copyFileSync(path.join(root, 'LICENSE'), path.join(folder, 'LICENSE'));
const description = `The native part of wsdirect for ${platform} on ${arch}`;
const manifest = {
  name,
  version,
  description,
  license,
  os: [platform],
  cpu: [arch],
  libc: ['glibc'],
  files: ['libwsdirect.so'],
};
writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
console.log(folder);
