/** Connections over the adapter that completes at once. */

import type { Socket } from '../../driver/index.ts';
import type { Host, HostOptions } from '../support/two-hosts.ts';
import { immediateHost } from '../support/two-hosts.ts';
import type { ImmediateAdapter } from '../../driver/adapter/immediate.ts';

const PEER = '10.0.0.2';

/** Connects one more socket of `host`. */
export function connectImmediately(host: Host<ImmediateAdapter>, port: number): Socket {
  const { value: near } = host.socket();
  host.bind(near, port);
  host.connect(near, PEER, 5000);
  host.provider.poll();
  return near;
}

/** A host with one connected socket. */
export function immediateConnection(options: HostOptions = {}): { host: Host<ImmediateAdapter>; near: Socket } {
  const host = immediateHost(options);
  return { host, near: connectImmediately(host, 4000) };
}
