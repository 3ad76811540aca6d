/** What the system answers, as an adapter's status, and what an administrator can do about it. */

import { readFileSync } from 'node:fs';
import { constants } from 'node:os';

import { AdapterStatus } from '../adapter.ts';

const { errno } = constants;

const statuses = new Map<number, AdapterStatus>([
  [errno.ENOMEM, AdapterStatus.outOfResources],
  [errno.EAGAIN, AdapterStatus.outOfResources],
  [errno.EMFILE, AdapterStatus.outOfResources],
  [errno.ENFILE, AdapterStatus.outOfResources],
  [errno.ENOBUFS, AdapterStatus.outOfResources],
  [errno.ENOSPC, AdapterStatus.outOfResources],
  [errno.EBUSY, AdapterStatus.outOfResources],
  [errno.EADDRNOTAVAIL, AdapterStatus.addressNotAvailable],
  [errno.EADDRINUSE, AdapterStatus.addressNotAvailable],
  [errno.ENETUNREACH, AdapterStatus.networkUnreachable],
  [errno.EHOSTUNREACH, AdapterStatus.networkUnreachable],
  [errno.ENETDOWN, AdapterStatus.networkUnreachable],
  [errno.EFAULT, AdapterStatus.badMemory],
  [errno.ENODEV, AdapterStatus.deviceRemoved],
  [errno.EIO, AdapterStatus.deviceRemoved],
  [errno.ENOENT, AdapterStatus.deviceRemoved],
  [errno.EACCES, AdapterStatus.deviceRemoved],
  [errno.EPERM, AdapterStatus.deviceRemoved],
]);

/**
 * @param result - -errno
 * @param otherwise - what an error means that says nothing of its own here
 */
export const toStatus = (result: number, otherwise: AdapterStatus = AdapterStatus.invalidState): AdapterStatus =>
  statuses.get(-result) ?? otherwise;

/** Bytes that this process may lock in memory; Infinity without limit. */
export function lockedMemoryMax(): number {
  try {
    const [, soft] = /^Max locked memory\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? [];
    return soft === undefined || soft === 'unlimited' ? Infinity : Number(soft);
  } catch {
    return Infinity;
  }
}

/** What to do when memory can't be registered; null when nobody knows. @param result - -errno */
export function memoryHint(result: number): string | null {
  const max = lockedMemoryMax();
  if (-result !== errno.ENOMEM || max === Infinity) return null;
  return (
    `memory can't be registered: this process may lock ${max} bytes. ` +
    'Raise it: ulimit -l unlimited, or memlock in /etc/security/limits.conf, or LimitMEMLOCK= of the service'
  );
}
