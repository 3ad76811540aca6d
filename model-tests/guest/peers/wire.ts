/** A wire between other people's programs on host h1 and wsdirect on host h2, by the adapter and the devices at its ends. */

import assert from 'node:assert/strict';

import type { Adapter, SocketAddress } from '../../../driver/adapter/adapter.ts';
import { IwarpAdapter } from '../../../driver/adapter/iwarp.ts';
import { VerbsAdapter } from '../../../driver/adapter/verbs.ts';
import { Application } from './application.ts';
import { Raw } from './raw.ts';

export type Family = SocketAddress['family'];

export class Wire {
  readonly name: string;
  /** The device on h1. */
  readonly device: string;
  /** The network interface on both hosts. */
  readonly link: string;
  readonly theirs: Readonly<Record<Family, string>>;
  readonly ours: Readonly<Record<Family, string>>;
  readonly #open: () => Adapter & { inventory(): object };

  constructor(name: string, device: 'rxe' | 'siw', open: () => Adapter & { inventory(): object }) {
    const subnet = device === 'rxe' ? 77 : 78;
    this.name = name;
    this.device = `${device}1`;
    this.link = device === 'rxe' ? 'eth0' : 'eth1';
    this.theirs = { IPv4: `10.${subnet}.0.1`, IPv6: `fd${subnet}::1` };
    this.ours = { IPv4: `10.${subnet}.0.2`, IPv6: `fd${subnet}::2` };
    this.#open = open;
  }

  theirsAt(port: number, family: Family = 'IPv4'): SocketAddress {
    return { family, address: this.theirs[family], port };
  }

  oursAt(port: number, family: Family = 'IPv4'): SocketAddress {
    return { family, address: this.ours[family], port };
  }

  /** Gives `use` an application over a new adapter, and sees that nothing is left of either. */
  async withApplication(use: (application: Application) => Promise<void>): Promise<void> {
    const adapter = this.#open();
    const application = new Application(adapter);
    try {
      await use(application);
    } finally {
      await application.stop();
    }
    await isEmpty(adapter);
  }

  /** Gives `use` a new adapter itself. */
  async withRaw(use: (raw: Raw) => Promise<void>): Promise<void> {
    const adapter = this.#open();
    const raw = new Raw(adapter, this.ours.IPv4);
    try {
      await use(raw);
    } finally {
      raw.close();
    }
    await isEmpty(adapter);
  }
}

/** The end of TCP connections may take a moment. */
async function isEmpty(adapter: { inventory(): object }): Promise<void> {
  const isOver = (): boolean => Object.values(adapter.inventory()).every((count) => count === 0);
  for (let left = 1000; left > 0 && !isOver(); left--) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(isOver(), `left: ${JSON.stringify(adapter.inventory())}`);
}

export const wires = {
  /** TCP at our end, the kernel's siw at theirs. */
  iwarp: new Wire('iWARP over TCP', 'siw', () => new IwarpAdapter()),
  siw: new Wire('verbs over siw', 'siw', () => new VerbsAdapter()),
  rxe: new Wire('verbs over rxe', 'rxe', () => new VerbsAdapter()),
} as const;
