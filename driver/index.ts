/** The driver: the provider, what it stands on, and what reads its journals. */
export * from './adapter/adapter.ts';
export * from './adapter/simulated.ts';
export * from './clock.ts';
export { defaultConfig, type ProviderConfig } from './context.ts';
export { type DiagramOptions, toSequenceDiagram } from './diagram.ts';
export * from './duplication.ts';
export * from './journal/format.ts';
export * from './journal/journal.ts';
export * from './journal/reader.ts';
export { limits } from './limits.ts';
export * from './provider.ts';
export * from './remote-descriptor.ts';
export * from './replay.ts';
export * from './spi.ts';
export type { PeerEnd } from './tables.ts';
