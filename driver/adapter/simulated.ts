/**
 * Simulated adapter: two or more hosts in one process, one seed, one virtual clock.
 *
 * Theory of operation: see `simulated/network.ts` for time, `simulated/queue-pair.ts` for data,
 * `simulated/connector.ts` for connections, `simulated/faults.ts` for what can go wrong.
 */

export type { Inventory, SimulatedAdapter } from './simulated/adapter.ts';
export { REJECT_BY_CONSUMER, REJECT_NO_SUCH_SERVICE } from './simulated/connector.ts';
export type { FaultPlan, Occurrence, RefusableCall } from './simulated/faults.ts';
export { NO_FAULTS, REFUSABLE_CALLS } from './simulated/faults.ts';
export type { NetworkSettings } from './simulated/host.ts';
export { AdapterMisuseError } from './simulated/misuse.ts';
export type { SimulatedHostOptions, SimulatedNetworkOptions } from './simulated/network.ts';
export { DEFAULT_CAPABILITIES, DEFAULT_SETTINGS, SimulatedNetwork } from './simulated/network.ts';
export type { VirtualClock } from './simulated/virtual-clock.ts';
