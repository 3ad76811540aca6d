/**
 * `npm run bench -- hostile`: what peers that mean no good cost a provider over iWARP. Memory is the growth of the process
 * that is attacked; silent attackers are another process. Output held is what TCP doesn't take: two outputs a connection.
 */

import Table from 'cli-table3';

import { Siege } from '../iwarp/siege.ts';

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

function rss(): number {
  globalThis.gc?.();
  return process.memoryUsage().rss;
}

/** Milliseconds of an echo over the good connection: the middle one of 21. */
async function echoMs(siege: Siege): Promise<string> {
  const times: number[] = [];
  for (let turn = 0; turn < 21; turn++) {
    const begun = performance.now();
    await siege.echo();
    times.push(performance.now() - begun);
  }
  return `${times.sort((left, right) => left - right)[10]!.toFixed(2)} ms`;
}

/** Runs the attacks and prints the table. */
export async function hostileBench(): Promise<void> {
  const table = new Table({ head: ['attack', 'taken', 'ended', 'output held', 'memory', 'echo beside it'] });
  const quiet = await Siege.begin();
  for (let turn = 0; turn < 500; turn++) await quiet.echo();
  table.push(['none', '', '', mebibytes(quiet.adapter.inventory().outputBytes), '', await echoMs(quiet)]);
  await quiet.end();

  for (const [startupsMax, count] of [
    [256, 1000],
    [256, 10_000],
    [10_000, 10_000],
  ] as const) {
    const siege = await Siege.begin({ startupsMax });
    const before = rss();
    const { opened, failed, end } = await siege.attackByMany(count);
    const taken = siege.adapter.inventory().connectors - 1;
    const growth = rss() - before;
    const echo = await echoMs(siege);
    await siege.until(() => {
      siege.pass(5000);
      return siege.adapter.inventory().connectors === 1;
    }, 'their end');
    table.push([
      `${count} silent connections (${opened} came about, ${failed} did not)`,
      `${taken} of at most ${startupsMax}`,
      'after 5 s',
      mebibytes(siege.adapter.inventory().outputBytes),
      mebibytes(growth),
      echo,
    ]);
    await end();
    await siege.end();
  }

  const siege = await Siege.begin();
  const readers = 8;
  const pairs = await Promise.all(Array.from({ length: readers }, () => siege.befriend()));
  const length = 64 << 20;
  for (const [own, theirs] of pairs) {
    await siege.until(() => own.step() + theirs.step() >= 0 && own.canSendLarge, 'credit');
    own.sendLarge(new Uint8Array(length));
  }
  const sink = new Uint8Array(length);
  const took = new Set<number>();
  await siege.until(() => {
    for (const [index, [own, theirs]] of pairs.entries()) {
      own.step();
      theirs.step();
      const incoming = theirs.take();
      if (incoming?.type !== 'large') continue;
      theirs.receiveLarge(incoming, sink);
      took.add(index);
    }
    if (took.size === readers) for (const { socket } of siege.friendAdapter.sockets) socket!.pause();
    return took.size === readers;
  }, 'their reads');
  let outputBytes = 0;
  let turnsSince = 0;
  await siege.until(() => {
    for (const [own, theirs] of pairs) own.step() + theirs.step();
    const held = siege.adapter.inventory().outputBytes;
    turnsSince = held > 0 && held === outputBytes ? turnsSince + 1 : 0;
    outputBytes = held;
    return turnsSince > 100;
  }, 'what they do not read');
  siege.pass(30_000);
  await siege.until(() => siege.adapter.inventory().outputBytes === 0, 'their end');
  for (const { socket } of siege.friendAdapter.sockets) socket!.resume();
  const echo = await echoMs(siege);
  table.push([
    `${readers} peers that ask for 64 MiB each and do not read`,
    String(readers),
    'after 30 s',
    mebibytes(outputBytes),
    '',
    echo,
  ]);
  console.log(table.toString());
  process.exit();
}
