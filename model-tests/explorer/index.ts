/** Exhaustive search of small worlds. */
export * from './explore.ts';
export * from './formula.ts';
export * from './layout.ts';
export * from './properties.ts';
export type { Program } from './program.ts';
export * from './program-formula.ts';
export * from './program-of.ts';
export * from './report.ts';
export * from './successors.ts';
export * from './world.ts';
export * from './search.ts';
export * from './expander.ts';
export * from './store.ts';
export * from './symmetry.ts';
export * from './dead.ts';
export * from './hashed.ts';
