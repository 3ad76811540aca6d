/**
 * Lets a provider talk with programs that are no providers.
 *
 * Theory of operation: providers tell each other who they are in the private data of a connection's start, and refuse
 * whoever doesn't. This stands between a provider and its adapter and puts such data where a foreign program has sent
 * something else, or nothing. Nothing more is changed.
 */

import type { Adapter, ConnectionEvent } from '../../../driver/adapter/adapter.ts';
import { CONNECTION_ID_BYTES, decodeHandshake, encodeHandshake } from '../../../driver/handshake.ts';

/** The same adapter, whose peers all seem to be providers. */
export function welcomingForeigners(adapter: Adapter): Adapter {
  const pollConnectionEvent = (): ConnectionEvent | null => {
    const event = adapter.pollConnectionEvent();
    return event?.type === 'connectRequest' ? { ...event, privateData: introduced(event.privateData) } : event;
  };
  return new Proxy(adapter, {
    get(target, name) {
      if (name === 'pollConnectionEvent') return pollConnectionEvent;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

let nextConnection = 1;

function introduced(privateData: Uint8Array): Uint8Array {
  if (decodeHandshake(privateData) !== null) return privateData;
  const connectionId = new Uint8Array(CONNECTION_ID_BYTES);
  new DataView(connectionId.buffer).setUint32(0, nextConnection++);
  // No mailbox and nobody to move to: only moving to another process would use them.
  return encodeHandshake({ reattach: false, reattachPort: 0, mailboxAddress: 0, mailboxKey: 0, connectionId });
}
