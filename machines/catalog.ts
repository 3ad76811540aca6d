/** All machines, in the order that numbers them in tables, journals and pictures. */

import type { AnyStateMachine } from 'xstate';
import { createConnectionRequestMachine } from './connection-request.ts';
import type { Contract } from './contract.ts';
import { type CompiledMachine, compile } from './compile.ts';
import { createFirstMessageMachine } from './first-message.ts';
import type { Limits } from './limits.ts';
import { createNetworkEventsMachine } from './network-events.ts';
import { createOverlappedRequestMachine } from './overlapped-request.ts';
import { createProviderMachine } from './provider.ts';
import { createRegisteredBufferMachine } from './registered-buffer.ts';
import { createRequestQueueMachine } from './request-queue.ts';
import { createSocketMachine } from './socket.ts';

export const machineNames = [
  'provider',
  'socket',
  'networkEvents',
  'connectionRequest',
  'requestQueue',
  'firstMessage',
  'overlappedRequest',
  'registeredBuffer',
] as const;
export type MachineName = (typeof machineNames)[number];

/** A statechart with what it may remember, accept and ask for. */
export interface MachineDefinition {
  readonly contract: Contract;
  readonly machine: AnyStateMachine;
}

/** Every machine as XState knows it, made for `limits`. */
export function defineMachines(limits: Limits): Readonly<Record<MachineName, MachineDefinition>> {
  return {
    provider: createProviderMachine(limits),
    socket: createSocketMachine(limits),
    networkEvents: createNetworkEventsMachine(),
    connectionRequest: createConnectionRequestMachine(),
    requestQueue: createRequestQueueMachine(limits),
    firstMessage: createFirstMessageMachine(),
    overlappedRequest: createOverlappedRequestMachine(limits),
    registeredBuffer: createRegisteredBufferMachine(limits),
  };
}

const compiled = new Map<string, readonly CompiledMachine[]>();

/**
 * Every machine as tables, made for `limits`; in the order of {@link machineNames}. Made once for each limits and then
 * given to all who ask, who don't change them.
 */
export function compileMachines(limits: Limits): readonly CompiledMachine[] {
  const key = JSON.stringify(Object.entries(limits).sort(([left], [right]) => (left < right ? -1 : 1)));
  let machines = compiled.get(key);
  if (machines === undefined) {
    const definitions = defineMachines(limits);
    machines = machineNames.map((name) => compile(definitions[name].machine, definitions[name].contract));
    compiled.set(key, machines);
  }
  return machines;
}
