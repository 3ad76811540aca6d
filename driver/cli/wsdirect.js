#!/usr/bin/env node
// The `wsdirect` command. Plain JavaScript, because Node.js does not strip types from files inside node_modules:
// an installed package runs its compiled form, a checkout its TypeScript.
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 24 || (major === 24 && minor < 19)) {
  console.error(`wsdirect: needs Node.js 24.19 or newer, not ${process.versions.node}`);
  process.exit(1);
}
const installed = fileURLToPath(import.meta.url)
  .split(path.sep)
  .includes('node_modules');
// main.ts does its work on being loaded, and so cannot ask whether it is the program's main module.
await import(installed ? '../../dist/driver/cli/main.js' : './main.ts');
