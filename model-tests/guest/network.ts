/** Faults of the network between the two hosts. */

import { run } from './programs.ts';

type Host = 'h1' | 'h2';
const HOSTS: readonly Host[] = ['h1', 'h2'];

/**
 * Disturbs what both hosts send over an interface while `use` runs.
 *
 * @param netem - as tc-netem(8) has it: `['loss', '1%']`
 */
export async function disturbed(link: string, netem: readonly string[], use: () => Promise<void>): Promise<void> {
  for (const within of HOSTS) await run(['tc', 'qdisc', 'add', 'dev', link, 'root', 'netem', ...netem], { within });
  try {
    await use();
  } finally {
    for (const within of HOSTS) await run(['tc', 'qdisc', 'del', 'dev', link, 'root'], { within });
  }
}

/** Takes an interface of a host down, or up again. A link that goes down loses its IPv6 addresses. */
export async function setLink(within: Host, link: string, state: 'up' | 'down'): Promise<void> {
  await run(['ip', 'link', 'set', link, state], { within });
}
