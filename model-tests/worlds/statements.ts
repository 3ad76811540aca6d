/**
 * Which statement of the specification's section 21 is checked in which world, and what is not said by machines.
 *
 * Theory of operation: the table is made of the names of the properties. What no formula over machines can say, in whole
 * or in part, is data here, with the reason and the tests that look at the driver instead.
 */

import { type Assumption, type CatalogWorld, statementsOf } from './catalog.ts';

const upTo = (letter: string, last: number): string[] =>
  Array.from({ length: last }, (_, index) => `${letter}-${String(index + 1).padStart(2, '0')}`);

/** All statements of section 21, and all assumptions. */
export const statementIds: readonly string[] = [...upTo('S', 36), ...upTo('L', 13)];
export const assumptionIds = upTo('E', 8) as readonly Assumption[];

/** What worlds do not say. */
export interface Beyond {
  /** All of it, or a part. */
  readonly extent: 'whole' | 'part';
  readonly reason: string;
  /** Requirements (WSD-nnn) whose tests look at it in the driver. */
  readonly tested: readonly string[];
}

/** By statement. */
export const beyond: Readonly<Record<string, Beyond>> = {
  'S-06': {
    extent: 'part',
    reason:
      'that the up-call names the socket by its switch handle: which number that is, is known to the driver alone, and every script of a world compares it',
    tested: ['WSD-021'],
  },
  'S-12': {
    extent: 'part',
    reason:
      "equal contents: a message is a number here, and its bytes are the adapter's to move; every script looks for them where the receive wanted them",
    tested: ['WSD-151'],
  },
  'S-17': {
    extent: 'part',
    reason:
      'whether a registration is for reading or writing: no machine decides by it, and the driver hands it on to the adapter, which keeps the peer to it; worlds say when there is a registration, and that the peer reaches nothing else',
    tested: ['WSD-185', 'WSD-193'],
  },
  'S-18': {
    extent: 'whole',
    reason:
      "a protection domain for each socket is made by the driver's performers, and no machine knows of domains; the adapter of every script takes no two connectors in one domain, and no work with memory of another",
    tested: ['WSD-186'],
  },
  'S-29': {
    extent: 'part',
    reason:
      'that a closed descriptor gives WSAENOTSOCK: descriptors are looked up in the driver before a machine is asked, and every script makes every call with each that it has closed',
    tested: ['WSD-210'],
  },
  'S-31': {
    extent: 'part',
    reason:
      'that a token works once, in the named process: tokens are in a store that processes share, outside of machines; every script tries each in another process first, and once more when it has been redeemed',
    tested: ['WSD-231'],
  },
  'S-34': {
    extent: 'part',
    reason: 'arguments that are wrong are refused by the driver, of which no source names one of these errors',
    tested: ['WSD-012', 'WSD-037', 'WSD-214'],
  },
};

/** Why an assumption is in no world broken. */
export const kept: Readonly<Partial<Record<Assumption, string>>> = {
  'E-01':
    'a structure that is in use is refused by the driver, from what the structure itself says (D-05); to a machine two requests never have one',
};

/** Names of the worlds in which each statement is checked. */
export function checkedIn(worlds: readonly CatalogWorld[]): ReadonlyMap<string, readonly string[]> {
  return new Map(
    statementIds.map((id) => [
      id,
      worlds
        .filter(({ properties }) => properties.some((property) => statementsOf(property).includes(id)))
        .map(({ name }) => name),
    ]),
  );
}

/** Names of the worlds in which each assumption is made, and of those in which it is broken. */
export function assumedIn(
  worlds: readonly CatalogWorld[],
): ReadonlyMap<Assumption, { readonly made: readonly string[]; readonly lifted: readonly string[] }> {
  return new Map(
    assumptionIds.map((id) => [
      id,
      {
        made: worlds.filter(({ assumes }) => assumes.includes(id)).map(({ name }) => name),
        lifted: worlds.filter(({ lifts = [] }) => lifts.includes(id)).map(({ name }) => name),
      },
    ]),
  );
}
