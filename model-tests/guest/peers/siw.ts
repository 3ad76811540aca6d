/** The wire between the kernel's siw on host h1 and wsdirect's iWARP adapter on host h2. */

import assert from 'node:assert/strict';

import type { SocketAddress } from '../../../driver/adapter/adapter.ts';
import { IwarpAdapter, type IwarpOptions } from '../../../driver/adapter/iwarp.ts';
import { Application } from './application.ts';
import { Raw } from './raw.ts';

export type Family = SocketAddress['family'];
/** Addresses of siw's host and ours. */
export const siw = { IPv4: '10.78.0.1', IPv6: 'fd78::1' } as const;
export const ours = { IPv4: '10.78.0.2', IPv6: 'fd78::2' } as const;

export const siwAt = (port: number, family: Family = 'IPv4'): SocketAddress => ({ family, address: siw[family], port });
export const oursAt = (port: number, family: Family = 'IPv4'): SocketAddress => ({
  family,
  address: ours[family],
  port,
});

/** Gives `use` an application over a new adapter, and sees that nothing is left of either. */
export async function withApplication(
  use: (application: Application) => Promise<void>,
  options?: IwarpOptions,
): Promise<void> {
  const adapter = new IwarpAdapter(options);
  const application = new Application(adapter);
  try {
    await use(application);
  } finally {
    await application.stop();
  }
  await assertEmpty(adapter);
}

/** Gives `use` a new adapter itself. */
export async function withRaw(use: (raw: Raw) => Promise<void>, options?: IwarpOptions): Promise<void> {
  const adapter = new IwarpAdapter(options);
  const raw = new Raw(adapter, ours.IPv4);
  try {
    await use(raw);
  } finally {
    raw.close();
  }
  await assertEmpty(adapter);
}

/** TCP connections may wait for the peer's end of them. */
async function assertEmpty(adapter: IwarpAdapter): Promise<void> {
  while (adapter.inventory().sockets > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(adapter.inventory(), { regions: 0, connectors: 0, listeners: 0, sockets: 0, outputBytes: 0 });
}
