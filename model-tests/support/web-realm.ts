/**
 * Runs modules of the project as a browser would: in a realm that has what the web platform has, and nothing of Node.js.
 *
 *     node --experimental-vm-modules model-tests/support/web-realm.ts MODULE    # calls its `main(bytes)` with standard input
 *
 * What `main` returns is printed as JSON. A package is taken as its build for browsers, or, where it is in CommonJS, as a
 * bundler would take it; what either asks of Node.js is an error.
 */

import { readFileSync } from 'node:fs';
import { createRequire, isBuiltin, stripTypeScriptTypes } from 'node:module';
import path from 'node:path';
import vm from 'node:vm';

/** What the realm has beside ECMAScript itself. */
const web = {
  TextDecoder,
  TextEncoder,
  console,
  crypto,
  performance,
  queueMicrotask,
  structuredClone,
  setTimeout,
  clearTimeout,
};

const realm = vm.createContext({ ...web });
const modules = new Map<string, vm.Module>();

const { resolve } = createRequire(import.meta.url);

/** File that `specifier` names in the module `from`. @throws Error when a browser would not find it */
function fileOf(specifier: string, from: string): string {
  if (specifier.startsWith('.')) return path.resolve(path.dirname(from), specifier);
  if (isBuiltin(specifier))
    throw new Error(`${path.relative('.', from)} imports '${specifier}', which a browser hasn't`);
  if (specifier !== 'xstate') return resolve(specifier);
  return resolve(specifier).replace(/cjs\.js$/, 'esm.js');
}

/** A CommonJS file that needs no other. */
function commonJs(file: string): vm.Module {
  const module = { exports: {} as Record<string, unknown> };
  const call = vm.runInContext(`(function (module, exports) {${readFileSync(file, 'utf8')}\n})`, realm, {
    filename: file,
  });
  call(module, module.exports);
  const { exports } = module;
  return new vm.SyntheticModule(
    ['default', ...Object.keys(exports)],
    function () {
      this.setExport('default', exports);
      for (const [name, value] of Object.entries(exports)) this.setExport(name, value);
    },
    { context: realm, identifier: file },
  );
}

function load(file: string): vm.Module {
  const known = modules.get(file);
  if (known !== undefined) return known;
  const text = readFileSync(file, 'utf8');
  const isModule = /^(import|export)\b/m.test(text);
  const made = isModule
    ? new vm.SourceTextModule(file.endsWith('.ts') ? stripTypeScriptTypes(text) : text, {
        context: realm,
        identifier: file,
      })
    : commonJs(file);
  modules.set(file, made);
  return made;
}

const entry = load(path.resolve(process.argv[2]!));
await entry.link((specifier, { identifier }) => load(fileOf(specifier, identifier)));
await entry.evaluate();
const bytes = new (vm.runInContext('Uint8Array', realm) as Uint8ArrayConstructor)(readFileSync(0));
const { main } = entry.namespace as { readonly main: (bytes: Uint8Array) => unknown };
process.stdout.write(JSON.stringify(main(bytes)));
