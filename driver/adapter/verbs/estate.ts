/**
 * What an adapter leaves that was closed while the kernel still held some of its ids: those that were given up while they
 * connected. Until their outcome has come there is somebody to hear of it, and then nothing is left.
 */

import { type Shared, type Shim, watch } from './bindings.ts';
import type { Connector, Lifecycle } from './connector.ts';
import type { Device } from './device.ts';

export interface EstateParts {
  readonly shim: Shim;
  /** The shim's adapter. */
  readonly handle: number;
  readonly shared: Shared;
  readonly lifecycle: Lifecycle;
  /** By the shim's id; all of them abandoned. */
  readonly connectors: Map<number, Connector>;
  readonly devices: readonly Device[];
}

export class Estate {
  readonly #parts: EstateParts;
  #watch: { close(): void } | null = null;

  constructor(parts: EstateParts) {
    this.#parts = parts;
    for (const device of parts.devices) device.retire();
  }

  /** Frees everything, at once when the kernel holds nothing back. Keeps no process alive: its end frees all, too. */
  settle(): void {
    const { shim, handle, shared, lifecycle, connectors, devices } = this.#parts;
    while (connectors.size > 0 && shim.wsd_next_event(handle) > 0) {
      const { event } = shared;
      const connector = connectors.get(event.id);
      if (connector !== undefined) lifecycle.happened(connector, event, this.#perform);
    }
    if (connectors.size > 0) {
      this.#watch ??= watch(shim.wsd_adapter_fd(handle), () => this.settle());
      return;
    }
    this.#watch?.close();
    for (const device of devices) device.close();
    shared.detach();
    shim.wsd_adapter_close(handle);
  }

  readonly #perform = (connector: Connector, effect: string): number => {
    if (effect !== 'release') return 0;
    const { shim, handle, connectors } = this.#parts;
    connectors.delete(connector.id);
    connector.release(shim, handle);
    return 0;
  };
}
