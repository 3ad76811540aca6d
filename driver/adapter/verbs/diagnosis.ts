/**
 * What keeps the verbs adapter from working here, or will trouble it, and how to put it right.
 *
 * Theory of operation: what the kernel shows in /sys/class/infiniband and /dev/infiniband is looked at in the order in which
 * a connection needs it, so the first finding is the one to begin with. Nothing is changed.
 */

import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { loadShim } from './bindings.ts';
import { lockedMemoryMax } from './errors.ts';
import { findLibrary } from './library.ts';

export interface Finding {
  /** What is wrong. */
  readonly what: string;
  /** How to put it right: a command where there is one. */
  readonly fix: string;
  /** Nothing works until it is put right. */
  readonly isFatal: boolean;
}

/** What is looked at; the host itself unless a test says otherwise. */
export interface System {
  /** Folder that stands for `/`. */
  readonly root: string;
  /** Why the shim's library can't be used, and how to put it right; null when it can. */
  library(): Finding | null;
  /** Bytes that the process may lock; Infinity without limit. */
  lockedMemoryMax(): number;
}

/** Less than this is used up by a few connections' buffers. */
const LOCKED_MEMORY_ENOUGH = 64 * 1024 * 1024;

const host: System = {
  root: '/',
  library() {
    const found = findLibrary();
    if ('reason' in found) {
      const [what, fix] = split(found.reason);
      return { what, fix, isFatal: true };
    }
    try {
      const shim = loadShim(found.file);
      if (shim.wsd_load() === 0) return null;
      const fix = 'apt-get install libibverbs1 ibverbs-providers librdmacm1';
      return { what: `${shim.wsd_missing()} is missing`, fix, isFatal: true };
    } catch (error) {
      const [what, fix] = split(error instanceof Error ? error.message : String(error));
      return { what, fix, isFatal: true };
    }
  },
  lockedMemoryMax,
};

/** `what: how` in two. */
function split(text: string): [string, string] {
  const at = text.lastIndexOf(': ');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 2)];
}

const listed = (folder: string): readonly string[] => (existsSync(folder) ? readdirSync(folder).sort() : []);

function isAccessible(file: string): boolean {
  try {
    accessSync(file, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Everything that is found, in the order in which to put it right; nothing when all is well. */
export function diagnose(system: System = host): readonly Finding[] {
  const findings: Finding[] = [];
  const fatal = (what: string, fix: string): number => findings.push({ what, fix, isFatal: true });
  const library = system.library();
  if (library !== null) findings.push(library);

  const devicesFolder = path.join(system.root, 'sys/class/infiniband');
  const devices = listed(devicesFolder);
  if (devices.length === 0) {
    fatal(
      'no RDMA device',
      "load the card's driver, or make one in software: modprobe rdma_rxe && rdma link add rxe0 type rxe netdev eth0",
    );
    return findings;
  }

  const nodes = path.join(system.root, 'dev/infiniband');
  const manager = path.join(nodes, 'rdma_cm');
  if (!existsSync(manager)) fatal('/dev/infiniband/rdma_cm is missing', 'modprobe rdma_ucm');
  const closed = ['rdma_cm', ...listed(nodes).filter((name) => name.startsWith('uverbs'))].filter(
    (name) => existsSync(path.join(nodes, name)) && !isAccessible(path.join(nodes, name)),
  );
  if (closed.length > 0) {
    fatal(
      `no permission for ${closed.map((name) => `/dev/infiniband/${name}`).join(', ')}`,
      'usermod -aG rdma USER and log in again, or a udev rule with MODE="0666"; in a container: --device /dev/infiniband',
    );
  }

  const ports = devices.flatMap((device) =>
    listed(path.join(devicesFolder, device, 'ports')).map((port) => {
      const folder = path.join(devicesFolder, device, 'ports', port);
      const read = (name: string): string => {
        const file = path.join(folder, name);
        return existsSync(file) ? readFileSync(file, 'latin1').trim() : '';
      };
      return { name: `${device} port ${port}`, state: read('state'), link: read('link_layer') };
    }),
  );
  const isActive = ({ state }: { state: string }): boolean => state.startsWith('4');
  for (const port of ports.filter((each) => !isActive(each))) {
    findings.push({
      what: `${port.name} is ${port.state.replace(/^\d+: /, '') || 'in no known state'}`,
      fix:
        port.link === 'InfiniBand'
          ? 'connect the cable, and run a subnet manager (opensm) in the fabric'
          : 'connect the cable, and: ip link set DEVICE up',
      isFatal: !ports.some(isActive),
    });
  }

  const max = system.lockedMemoryMax();
  if (max < LOCKED_MEMORY_ENOUGH) {
    findings.push({
      what: `this process may lock only ${max} bytes of memory, and registered memory is locked`,
      fix: 'ulimit -l unlimited, or memlock in /etc/security/limits.conf, or LimitMEMLOCK= of the service',
      isFatal: false,
    });
  }
  return findings;
}

/** A finding in a line. */
export const findingText = ({ what, fix }: Finding): string => (fix === '' ? what : `${what}: ${fix}`);
