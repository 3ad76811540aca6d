/** Two hosts with one connection over the simulated network: what tests of this folder stand on. */

import assert from 'node:assert/strict';

import type { AdapterCapabilities } from '../adapter/adapter.ts';
import { type FaultPlan, SimulatedNetwork, type SimulatedNetworkOptions } from '../adapter/simulated.ts';
import type { Socket } from '../spi.ts';
import { Endpoint, type EndpointOptions } from './endpoint.ts';
import { Host } from './host.ts';

export interface PairOptions {
  readonly network?: Partial<SimulatedNetworkOptions>;
  readonly near?: Partial<AdapterCapabilities>;
  readonly far?: Partial<AdapterCapabilities>;
  readonly nearFaults?: Partial<FaultPlan>;
  readonly endpoint?: Omit<EndpointOptions, 'role'>;
}

export const address = (host: number, port: number) => ({ family: 'IPv4', address: `10.0.0.${host}`, port }) as const;

/** Two hosts with one connection and an endpoint at each end. */
export class Pair {
  readonly network: SimulatedNetwork;
  readonly near: Host;
  readonly far: Host;
  readonly giver: Endpoint;
  readonly taker: Endpoint;

  constructor({ network = {}, near = {}, far = {}, nearFaults = {}, endpoint = {} }: PairOptions = {}) {
    this.network = new SimulatedNetwork({ seed: 1, ...network });
    const host = (number: number, capabilities: Partial<AdapterCapabilities>, faults: Partial<FaultPlan>) => {
      const adapter = this.network.host({ addresses: [`10.0.0.${number}`], capabilities, faults });
      const made = new Host({ adapter, clock: adapter.clock });
      made.start();
      return made;
    };
    this.near = host(1, near, nearFaults);
    this.far = host(2, far, {});
    const listener = this.far.listen(address(2, 7000));
    const socket = this.near.connect(address(1, 4000), address(2, 7000));
    let accepted: Socket | null = null;
    this.until(
      () => {
        accepted ??= this.far.accept(listener)?.socket ?? null;
        return this.near.isConnected(socket) && accepted !== null;
      },
      () => this.near.poll() + this.far.poll(),
    );
    this.giver = new Endpoint(this.near, socket, { role: 'connecting', ...endpoint });
    this.taker = new Endpoint(this.far, accepted!, { role: 'accepting', ...endpoint });
  }

  /** Turns until `condition`; time moves when there is nothing else to do. */
  until(condition: () => boolean, turn: () => number = () => this.giver.step() + this.taker.step()): void {
    let idle = false;
    for (let turns = 0; !condition(); turns++) {
      assert.ok(turns < 200_000, 'it takes for ever');
      if (turn() > 0) idle = false;
      // Polling moves time as well, so what it brought may wait at a host that was polled before.
      else if (!this.network.advance()) {
        assert.ok(!idle, 'nothing more happens');
        idle = true;
      }
    }
  }

  /** Closes both ends and shows that nothing is left. */
  close(): void {
    this.giver.close();
    this.taker.close();
    this.near.stop();
    this.far.stop();
    for (const host of [this.near, this.far]) {
      assert.deepEqual(host.provider.inventory(), {
        sockets: 0,
        requests: 0,
        connectionRequests: 0,
        buffers: 0,
        dueUpcalls: 0,
      });
      assert.equal(host.handleCount, 0);
    }
  }
}
