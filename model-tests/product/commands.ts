/**
 * Commands of scripts: what is done on a driver, or around it, when a rule of a world happens.
 *
 * What a rule begins with names the command; rules of several worlds may begin alike. What the network does is a command
 * too, but one that no driver notices.
 */

import { WSA } from '../../machines/index.ts';
import { Request, Who } from '../worlds/handing-over.ts';
import { Letter, Stage } from '../worlds/handing-over-surroundings.ts';
import type { Rule } from '../explorer/index.ts';
import { socketName } from './script.ts';

/** What happens: a rule of a world, or what leads to its initial state. */
export type Action = Pick<Rule, 'send' | 'row' | 'with'>;

const flags = ['notified', 'polled'];

/** What has to be remembered of a run beside the world's state. */
export class Memory {
  /** Call that is waiting for its verdict. */
  accepting = '';
  /** The switch gives a condition function. */
  asking = true;
  /** Kind of each request that was called. */
  readonly requests: (string | undefined)[];
  /** What was said last of each structure. */
  readonly status: string[];
  readonly connected: Set<number>;
  readonly selected: Set<number>;
  readonly withdrawn: Set<number>;
  /** Arrivals whose connector is theirs still. */
  readonly arrivals: Set<number>;

  constructor(from?: Memory) {
    this.accepting = from?.accepting ?? '';
    this.asking = from?.asking ?? true;
    this.requests = [...(from?.requests ?? [])];
    this.status = [...(from?.status ?? [])];
    this.connected = new Set(from?.connected);
    this.selected = new Set(from?.selected);
    this.withdrawn = new Set(from?.withdrawn);
    this.arrivals = new Set(from?.arrivals);
  }
}

/** What a command is made from. */
export interface Happening {
  readonly row: number;
  readonly socket: string;
  readonly parameters: readonly number[];
  readonly memory: Memory;
  field(machine: string, row: number, name: string): number;
  state(machine: string, row: number): string;
  /** Where a channel's messages go, when that isn't the socket of its row. */
  readonly receiver?: string;
  /** Name of a work request. */
  work(row: number): string;
  /** Kind and socket of a request that is called in any order. */
  kind(request: number): readonly ['send' | 'receive', number];
}

/** A command as a script has it. */
export interface Command {
  readonly command: string;
  /** The call whose end it may be. */
  readonly call: string;
}

const calls = { send: 'WSPSend', receive: 'WSPRecv', write: 'WSPRdmaWrite', read: 'WSPRdmaRead' } as const;
/** The call of a request: `send A r0 polled`. */
export function callOf(
  memory: Memory,
  kind: keyof typeof calls,
  socket: number,
  request: number,
  polled: number,
  pieces = 1,
): [string, string] {
  memory.requests[request] = kind;
  const split = pieces > 1 ? ` ${pieces} pieces` : '';
  return [`${kind} ${socketName(socket)} r${request} ${flags[polled]}${split}`, calls[kind]];
}
const transfer =
  (kind: keyof typeof calls) =>
  ({ memory, row, parameters: [, request = 0, polled = 0, pieces = 1] }: Happening): [string, string] =>
    callOf(memory, kind, row, request, polled, pieces);
/** Calls of the data functions, in the order of the switch that probes. */
const probed = ['send', 'receive', 'write', 'read'] as const;
const close = ({ socket }: Happening): [string, string] => [`close ${socket}`, 'WSPCloseSocket'];
const listen = ({ socket, parameters: [backlog] }: Happening): [string, string] => [
  `listen ${socket} ${backlog}`,
  'WSPListen',
];
const select = ({ selected }: Memory, socket: number, some: boolean): void => {
  if (some) selected.add(socket);
  else selected.delete(socket);
};
const verdict =
  (word: string) =>
  ({ memory }: Happening): [string, string] => [`verdict ${word}`, memory.accepting];

/** What becomes of the handle of the listener, or of the accepted socket. */
const made = (accepted: boolean, how: string): [string, string] =>
  accepted ? [`handle B ${how}`, 'WSPAccept'] : [`handle A ${how}`, 'WSPSocket'];

/** Commands by the event that something begins with: rules, and what leads to an initial state. */
const commands: Readonly<Record<string, (happening: Happening) => readonly [command: string, call?: string]>> = {
  'dialler/bind': ({ socket }) => [`bind ${socket}`, 'WSPBind'],
  'dialler/listen': ({ socket }) => [`listen ${socket} 1 without room`, 'WSPListen'],
  'dialler/connect': ({ socket }) => [`connect ${socket}`, 'WSPConnect'],
  'dialler/select': ({ row, socket, memory, parameters: [connect] }) => {
    select(memory, row, connect === 1);
    return [`select ${socket} ${connect === 1 ? 'connect' : 'nothing'}`, 'WSPEventSelect'];
  },
  'dialler/enumerate': ({ socket }) => [`enumerate ${socket}`, 'WSPEnumNetworkEvents'],
  'dialler/close': close,
  // Inside the calls themselves.
  'dialler/returned': () => [''],
  'attempt/obstruct': ({ parameters: [error] }) => [`obstruct ${error}`],
  'attempt/accept': ({ socket }) => [`network: the peer of ${socket} accepts`],
  'attempt/refuse': ({ socket }) => [`network: the peer of ${socket} refuses`],
  'attempt/fail': ({ socket }) => [`network: nobody answers ${socket}`],
  'attempt/remove': ({ socket }) => [`removed ${socket}`],
  'attempt/lose': ({ socket }) => [`network: the peer of ${socket} is gone`],
  'attempt/report': ({ socket, state, field }) => {
    const said = field('attempt', 0, 'said');
    switch (state('attempt', 0)) {
      case 'accepted':
        return [`established ${socket}`];
      case 'ended':
        return [said === 0 ? `unanswered ${socket}` : `refused ${socket} ${said}`];
      default:
        return [`disconnected ${socket}`];
    }
  },
  'provider/spi.startup': () => ['startup', 'WSPStartupEx'],
  'provider/spi.cleanup': () => ['cleanup', 'WSPCleanup'],
  'provider/adapter.removed': () => ['remove'],
  'process/startup': ({ parameters: [refusal] }) => [refusal === 0 ? 'startup' : `startup ${refusal}`, 'WSPStartupEx'],
  'process/cleanup': () => ['cleanup', 'WSPCleanup'],
  'device/obstruct': ({ parameters: [error] }) => [`obstruct open ${error}`],
  'device/remove': () => ['remove'],
  'device/finish': () => ['adapter closed'],
  'descriptor/make': ({ socket }) => [`socket ${socket} asking`, 'WSPSocket'],
  'descriptor/grant': ({ socket }) => [`handle ${socket} ok`, 'WSPSocket'],
  'descriptor/refuse': ({ socket, parameters: [error] }) => [`handle ${socket} ${error}`, 'WSPSocket'],
  'descriptor/bind': ({ socket }) => [`bind ${socket}`, 'WSPBind'],
  'descriptor/listen': ({ socket }) => [`listen ${socket} 1`, 'WSPListen'],
  'descriptor/close': close,
  'starter/start': ({ row, memory, kind }) => callOf(memory, kind(row)[0], kind(row)[1], row, 1),
  'prober/bind': ({ socket }) => [`bind ${socket}`, 'WSPBind'],
  'prober/connect': ({ socket }) => [`connect ${socket}`, 'WSPConnect'],
  'prober/listen': ({ socket }) => [`listen ${socket} 1`, 'WSPListen'],
  'prober/accept': ({ memory, socket }) => {
    memory.asking = false;
    return [`accept ${socket} B`, 'WSPAccept'];
  },
  'prober/select': ({ row, socket, memory }) => {
    select(memory, row, true);
    return [`select ${socket} accept`, 'WSPEventSelect'];
  },
  'prober/transfer': ({ socket, parameters: [call = 0, refusal] }) => {
    const kind = probed[call - 6]!;
    return [`${kind} ${socket} refused ${refusal}`, calls[kind]];
  },
  'prober/register': ({ socket }) => [`register ${socket} b0`, 'WSPRegisterMemory'],
  'prober/deregister': ({ socket, field }) => [
    `deregister ${socket} ${field('prober', 0, 'registered') === 1 ? 'b0' : 'unknown'}`,
    'WSPDeregisterMemory',
  ],
  'prober/setOption': ({ socket }) => [`option ${socket}`, 'WSPSetSockOpt'],
  'prober/duplicate': ({ socket }) => [`duplicate ${socket}`, 'WSPDuplicateSocket'],
  'prober/enumerate': ({ socket }) => [`enumerate ${socket}`, 'WSPEnumNetworkEvents'],
  'prober/close': close,
  'socket/spi.eventSelect': ({ row, socket, memory, parameters: [, connect] }) => {
    select(memory, row, true);
    return [`select ${socket} ${connect === 1 ? 'connect' : 'accept'}`, 'WSPEventSelect'];
  },
  'dialling/connect': ({ socket }) => [`connect ${socket}`, 'WSPConnect'],
  'dialling/enumerate': ({ socket }) => [`enumerate ${socket}`, 'WSPEnumNetworkEvents'],
  'dialling/close': close,
  'accepting/accept': ({ memory }) => {
    memory.accepting = 'WSPAccept';
    return ['accept C B asking', 'WSPAccept'];
  },
  'accepting/decideAccept': verdict('accept'),
  'accepting/decideReject': verdict('reject'),
  'accepting/close': () => ['close C', 'WSPCloseSocket'],
  'line/arrive': ({ memory, field }) => {
    if (field('line', 0, 'listening') === 0) return ['network: nobody listens'];
    memory.arrivals.add(0);
    return ['arrive p0 C'];
  },
  'line/withdraw': ({ memory }) => {
    memory.withdrawn.add(0);
    return ['withdraw p0'];
  },
  'line/answer': ({ state }) => [state('line', 0) === 'taken' ? 'established A' : `refused A ${WSA.WSAECONNREFUSED}`],
  'host/takeOver': () => ['take A listener asking', 'WSPSocket'],
  'host/accept': ({ memory }) => {
    memory.accepting = 'WSPAccept';
    return ['accept A B asking handle', 'WSPAccept'];
  },
  'host/decideAccept': verdict('accept'),
  'host/decideReject': verdict('reject'),
  'host/grant': ({ state }) => made(state('host', 0) === 'asked', 'ok'),
  'host/refuse': ({ state, parameters: [error] }) => made(state('host', 0) === 'asked', String(error)),
  'host/closeListener': () => ['close A', 'WSPCloseSocket'],
  'host/handOver': () => ['duplicate A', 'WSPDuplicateSocket'],
  'host/closeAccepted': () => ['close B', 'WSPCloseSocket'],
  'obstacle/put': () => ['obstruct listen'],
  'overlapped/calling': () => [''],
  'overlapped/returned': () => [''],
  'socket/spi.recv': ({ row, memory, parameters: [request = 0, polled = 0] }) =>
    callOf(memory, 'receive', row, request, polled),
  'giver/duplicate': ({ socket }) => [`duplicate ${socket}`, 'WSPDuplicateSocket'],
  'giver/send': ({ row, memory }) => callOf(memory, 'send', row, Request.p1Send, 1),
  'giver/receive': ({ row, memory }) => callOf(memory, 'receive', row, Request.peerReceive, 0),
  'giver/close': close,
  'taker/redeem': () => ['take C A asking', 'WSPSocket'],
  'taker/grant': () => ['handle C ok', 'WSPSocket'],
  'taker/refuse': () => [`handle C ${WSA.WSAENOBUFS}`, 'WSPSocket'],
  'taker/send': ({ memory }) => callOf(memory, 'send', Who.p2, Request.p2Send, 0),
  'taker/receive': ({ memory }) => callOf(memory, 'receive', Who.p2, Request.p2Receive, 1),
  'taker/close': () => ['close C', 'WSPCloseSocket'],
  'oldConnection/carry': () => ['carry notice B'],
  'oldConnection/completeLetter': ({ field }) => [
    `${field('oldConnection', 0, 'letter') === Letter.arrived ? 'complete' : 'fail'} notice A`,
  ],
  'oldConnection/fail': () => ['network: the connection of A and B fails'],
  'oldConnection/fill': () => ['fill A'],
  'oldConnection/noticeP1': () => ['disconnected A'],
  'oldConnection/noticePeer': () => ['disconnected B'],
  'newConnection/arrive': () => ['reattach B'],
  'newConnection/turnAway': () => ['network: nobody takes C back'],
  'newConnection/answer': ({ field, state }) => [
    field('newConnection', 0, 'stage') === Stage.accepted
      ? 'established C'
      : state('stranger', 0) === ''
        ? `refused C ${WSA.WSAECONNREFUSED}`
        : 'unanswered C',
  ],
  'stranger/meet': () => ['established A stranger'],
  'newConnection/fail': () => ['network: the connection of C and B fails'],
  'newConnection/noticeP2': () => ['disconnected C'],
  'newConnection/noticePeer': () => ['disconnected B'],
  'newConnection/spoil': ({ parameters: [fault = 0] }) => [
    ['', `obstruct ${WSA.WSAENETUNREACH}`, 'obstruct prepare', 'obstruct accept'][fault]!,
  ],
  'socket/adapter.mailboxWritten': ({ socket }) => [`complete notice ${socket}`],
  'socket/spi.socket': ({ socket }) => [`socket ${socket}`, 'WSPSocket'],
  'socket/spi.bind': ({ socket }) => [`bind ${socket}`, 'WSPBind'],
  'socket/spi.connect': ({ socket }) => [`connect ${socket}`, 'WSPConnect'],
  'socket/adapter.established': ({ socket }) => [`established ${socket}`],
  'socket/spi.listen': listen,
  'socket/adapter.connectRequest': ({ socket, memory, parameters: [arrival = 0] }) => {
    memory.arrivals.add(arrival);
    return [`arrive p${arrival} ${socket}`];
  },
  'socket/spi.accept': ({ socket, memory, parameters: [accepted = 0] }) => {
    memory.asking = false;
    return [`accept ${socket} ${socketName(accepted)}`, 'WSPAccept'];
  },
  'socket/spi.registerMemory': ({ socket, parameters: [buffer] }) => [
    `register ${socket} b${buffer}`,
    'WSPRegisterMemory',
  ],
  'socket/spi.closeSocket': close,
  'caller/close': close,
  'caller/send': transfer('send'),
  'caller/receive': transfer('receive'),
  'caller/write': transfer('write'),
  'caller/read': transfer('read'),
  'memory/register': ({ row, socket }) => [`register ${socket} b${row}`, 'WSPRegisterMemory'],
  'memory/deregister': ({ row, socket }) => [`deregister ${socket} b${row}`, 'WSPDeregisterMemory'],
  'memory/release': ({ row, socket }) => [`deregister ${socket} b${row}`, 'WSPDeregisterMemory'],
  'memory/deregisterUnknown': ({ socket }) => [`deregister ${socket} unknown`, 'WSPDeregisterMemory'],
  'memory/obstruct': ({ row }) => [`obstruct b${row}`],
  'link/remove': ({ socket }) => [`removed ${socket}`],
  'link/fill': ({ socket }) => [`fill ${socket}`],
  'work/piece': ({ row, work }) => [`complete ${work(row)}`],
  'work/fail': ({ row, work }) => [`fail ${work(row)}`],
  'work/denied': ({ row, work }) => [`network: ${work(row)} can't be carried out`],
  'channel/answer': ({ socket }) => [`network: ${socket} is read`],
  'channel/deliver': ({ socket, receiver }) => [`network: a message arrives at ${receiver ?? socket}`],
  'link/arrive': ({ socket }) => [`network: ${socket} learns of the loss`],
  'link/fail': ({ socket }) => [`network: the link of ${socket} fails`],
  'link/notice': ({ socket }) => [`disconnected ${socket}`],
  'work/complete': ({ row, work, field, state }) => {
    const message = field('work', row, 'message');
    const long = work(row).startsWith('first ') && state('text', 0) === 'long' ? ' long' : '';
    return [`complete ${work(row)}${message === 0 ? '' : ` message ${message}${long}`}`];
  },
  'text/lengthen': () => ['network: the first message is longer than the first receive'],
  'work/flush': ({ row, work }) => [`flush ${work(row)}`],
  'firstMessage/adapter.firstFlushed': ({ socket }) => [`flush first ${socket}`],
  'notifier/notify': ({ socket }) => [`notify ${socket}`],
  'notifier/return': ({ socket, parameters: [failed] }) => [`return ${socket} ${failed === 1 ? 'failed' : 'ok'}`],
  'timer/expire': ({ socket }) => [`expire ${socket}`],
  'peer/ask': ({ row, memory, state }) => {
    if (state('port', 0) !== 'open') return [`network: p${row} asks in vain`];
    memory.arrivals.add(row);
    return [`arrive p${row} A`];
  },
  'port/lose': () => ['lose A'],
  'peer/withdraw': ({ row, memory }) => {
    memory.withdrawn.add(row);
    return [`withdraw p${row}`];
  },
  'acceptor/accept': ({ memory, parameters: [full] }) => {
    memory.accepting = 'WSPAccept';
    return [`accept A B ${full === 1 ? 'asking without descriptors' : 'asking'}`, 'WSPAccept'];
  },
  'acceptor/decideAccept': verdict('accept'),
  'acceptor/decideReject': verdict('reject'),
  'acceptor/decideDefer': verdict('defer'),
  'acceptor/decideInvalid': verdict('other'),
  'acceptor/select': ({ memory, parameters: [accept] }) => {
    select(memory, 0, accept === 1);
    return [`select A ${accept === 1 ? 'accept' : 'nothing'}`, 'WSPEventSelect'];
  },
  'acceptor/enumerate': () => ['enumerate A', 'WSPEnumNetworkEvents'],
  'acceptor/listen': listen,
  'acceptor/close': close,
};

/** Whether there is a command for what `send` begins. */
export const isCommand = (send: string): boolean => commands[send] !== undefined;

/** The command for something that happens, and the call that it may be the end of; `''` for what no command needs. */
export function commandOf(send: string, happening: Happening): Command {
  const make = commands[send];
  if (make === undefined) throw new Error(`no command does what '${send}' does`);
  const [command, call = ''] = make(happening);
  return { command, call };
}
