/**
 * Trace validation: whether a journal, wherever it was recorded, is a behaviour of the machines, and breaks no statement.
 *
 * Theory of operation: a journal is folded over a new system, so every step is accepted, with the effects that follow from
 * it, or the journal is rejected; beside it, {@link Statements} watches what switch and adapter were told. With the
 * journals of both ends, connections are put together by their addresses, and what one end received is compared with what
 * the other sent. The time is linear in the length of the journals.
 */

import { brokenInvariants } from '../../machines/index.ts';
import type { SocketAddress } from '../adapter/adapter.ts';
import type { JournalContents } from '../journal/reader.ts';
import { replayJournal, type Verdict } from '../replay.ts';
import { type Broken, judgedAlone, lifeKey, notJudged, Statements } from './statements.ts';

/** How one statement came out. */
export interface Judgement {
  readonly statement: string;
  /** `vacuous`: nothing in the journal could have broken it. */
  readonly outcome: 'holds' | 'vacuous' | 'broken' | 'not judged';
  /** Why not; or at how many places it was judged. */
  readonly because: string;
}

/** One end of a connection, as a journal tells of it. */
interface End {
  readonly socket: number;
  readonly life: number;
  local: SocketAddress | null;
  remote: SocketAddress | null;
}

/** What came of one journal. */
export interface Trace {
  /** Whether it is a behaviour of the machines. */
  readonly verdict: Verdict;
  readonly isBehaviour: boolean;
  readonly records: number;
  readonly broken: readonly Broken[];
  readonly judgements: readonly Judgement[];
  readonly ends: readonly End[];
  readonly statements: Statements;
  readonly isWhole: boolean;
}

/**
 * Checks one side's journal.
 *
 * @throws ReplayError when other machines made it, or its limits or its snapshot make no system
 */
export function checkTrace(contents: JournalContents): Trace {
  const statements = new Statements();
  const ends: End[] = [];
  const current = new Map<number, End>();
  const { verdict, records, system } = replayJournal(contents, {
    onRecord: (record, state) => statements.observe(record, state),
    onDetail: ({ kind, socket, address }) => {
      const life = statements.lifeOf(socket);
      let end = current.get(socket);
      if (end === undefined || end.life !== life) {
        end = { socket, life, local: null, remote: null };
        current.set(socket, end);
        ends.push(end);
      }
      if (kind === 'localAddress') end.local = address;
      if (kind === 'remoteAddress') end.remote = address;
    },
  });
  const isBehaviour = verdict.type === 'equal' || verdict.type === 'notClosed';
  // Of a journal that begins in the middle, what was before is unknown.
  const isWhole = contents.snapshot === undefined;
  if (isBehaviour) statements.end(system, isWhole);
  const sequence = contents.records.firstSequence + Math.max(0, records - 1);
  const disagreements = isBehaviour ? brokenInvariants(system) : [];
  const broken = isWhole
    ? [...statements.broken, ...disagreements.map((what) => ({ statement: 'the machines agree', sequence, what }))]
    : disagreements.map((what) => ({ statement: 'the machines agree', sequence, what }));
  return {
    verdict,
    isBehaviour,
    records,
    broken,
    judgements: isWhole ? judge(statements) : judgedAlone.map(unjudged('the journal begins in the middle of a run')),
    ends,
    statements,
    isWhole,
  };
}

const unjudged =
  (because: string) =>
  (statement: string): Judgement => ({ statement, outcome: 'not judged', because });

function judge({ broken, occasions }: Statements): Judgement[] {
  const alone = judgedAlone.map((statement): Judgement => {
    const found = broken.find((each) => each.statement === statement);
    const count = occasions.get(statement) ?? 0;
    if (found !== undefined)
      return { statement, outcome: 'broken', because: `record ${found.sequence}: ${found.what}` };
    if (count === 0) return { statement, outcome: 'vacuous', because: 'nothing could have broken it' };
    return { statement, outcome: 'holds', because: count === 1 ? 'at one place' : `at ${count} places` };
  });
  const others = Object.entries(notJudged).map(([statement, because]) => unjudged(because)(statement));
  return [...alone, ...others].sort((left, right) => (left.statement < right.statement ? -1 : 1));
}

/** What the journals of both ends say together. */
export interface PairTrace {
  /** Whether they can be two ends of one run: not where messages came, and no connection is in both. */
  readonly isOneRun: boolean;
  /** Connections found in both. */
  readonly connections: number;
  /** Connections that are in both and can't be told apart by their addresses: they aren't compared. */
  readonly ambiguous: number;
  readonly broken: readonly { readonly statement: string; readonly what: string }[];
  readonly judgements: readonly Judgement[];
}

const text = ({ address, port }: SocketAddress): string => `${address} ${port}`;

interface Pair {
  readonly name: string;
  readonly end: End;
  readonly peer: End;
}

/**
 * Puts ends together: by both addresses; or, where the connecting end goes by another port than it was bound to (as over
 * TCP), by the accepting end's address, if only one connection is left that it can be.
 */
function pairEnds(one: readonly End[], other: readonly End[]): { pairs: Pair[]; ambiguous: number } {
  const pairs: Pair[] = [];
  const match = (
    from: readonly End[],
    to: readonly End[],
    nameOf: (end: End, isPeer: boolean) => string | null,
    alone: boolean,
  ) => {
    const group = (ends: readonly End[], isPeer: boolean): Map<string, End[]> => {
      const found = new Map<string, End[]>();
      for (const end of ends) {
        const name = nameOf(end, isPeer);
        if (name !== null) found.set(name, [...(found.get(name) ?? []), end]);
      }
      return found;
    };
    const theirs = group(to, true);
    let left = 0;
    for (const [name, ends] of group(from, false)) {
      const peers = theirs.get(name) ?? [];
      if (alone && (ends.length > 1 || peers.length > 1)) left += peers.length === 0 ? 0 : ends.length;
      else for (const [at, end] of ends.slice(0, peers.length).entries()) pairs.push({ name, end, peer: peers[at]! });
    }
    return left;
  };
  const rest = (ends: readonly End[]): End[] => {
    const paired = new Set(pairs.flatMap(({ end, peer }) => [end, peer]));
    return ends.filter((end) => !paired.has(end) && end.local !== null && end.remote !== null);
  };
  match(
    one,
    other,
    ({ local, remote }, isPeer) => {
      if (local === null || remote === null) return null;
      return isPeer ? `${text(remote)} > ${text(local)}` : `${text(local)} > ${text(remote)}`;
    },
    false,
  );
  let ambiguous = 0;
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    const { length } = pairs;
    ambiguous += match(
      rest(from),
      rest(to),
      ({ local, remote }, isPeer) => `to ${text((isPeer ? local : remote)!)}`,
      true,
    );
    // An end of the first journal comes first.
    if (from === other)
      for (const pair of pairs.splice(length)) pairs.push({ ...pair, end: pair.peer, peer: pair.end });
  }
  return { pairs, ambiguous };
}

/** Compares what two ends say of their connections; both journals are behaviours. */
export function checkPair(one: Trace, other: Trace): PairTrace {
  const broken: { statement: string; what: string }[] = [];
  const { pairs, ambiguous } = pairEnds(one.ends, other.ends);
  let messages = 0;
  for (const { name, end, peer } of pairs) {
    for (const [from, to, sender, receiver] of [
      [one, other, end, peer],
      [other, one, peer, end],
    ] as const) {
      const sent = from.statements.sent.get(lifeKey(sender.socket, sender.life)) ?? [];
      const received = to.statements.received.get(lifeKey(receiver.socket, receiver.life)) ?? [];
      const started = from.statements.startedSends.get(lifeKey(sender.socket, sender.life)) ?? 0;
      messages += received.length;
      const where = `connection ${name}, from socket ${sender.socket} to socket ${receiver.socket}`;
      if (received.length > started) {
        broken.push({ statement: 'S-12', what: `${where}: ${received.length} messages received of ${started} sent` });
      }
      const wrong = received.findIndex((message, at) => at < sent.length && message.bytes !== sent[at]!.bytes);
      if (wrong >= 0) {
        broken.push({
          statement: 'S-12',
          what: `${where}: message ${wrong + 1} is ${received[wrong]!.bytes} bytes (record ${received[wrong]!.sequence}), and ${sent[wrong]!.bytes} were sent`,
        });
      }
    }
  }
  const outcome = (statement: string, count: number, unit: string): Judgement => {
    const found = broken.find((each) => each.statement === statement);
    if (found !== undefined) return { statement, outcome: 'broken', because: found.what };
    return { statement, outcome: count === 0 ? 'vacuous' : 'holds', because: `${count} ${unit}` };
  };
  const connections = pairs.length;
  const haveReceived = [one, other].some(({ statements }) => statements.received.size > 0);
  return {
    isOneRun: connections + ambiguous > 0 || !haveReceived,
    connections,
    ambiguous,
    broken,
    judgements: [
      outcome(
        'S-12',
        messages,
        `messages over ${pairs.length === 1 ? 'one connection' : `${pairs.length} connections`}, by number, order and length`,
      ),
      // The first message is one of them, whichever came first, it or its receive.
      { ...outcome('S-12', messages, 'messages, the first ones included'), statement: 'S-33' },
    ],
  };
}
