/**
 * From a path through a world to a script: each rule becomes a command, each effect that can be seen a prediction.
 *
 * What a driver does with an effect at once is in the order of the effects. Work requests are gathered and posted at the
 * end of a turn, and a call's result is had last, so within one command these come behind: result, posts, structures.
 */

import { explorationLimits, M, WSA } from '../../machines/index.ts';
import { Layout, type Rule, World, type WorldDefinition } from '../explorer/index.ts';
import { type Line, type Script, socketName } from './script.ts';

type Action = Pick<Rule, 'send' | 'row' | 'with'>;

const flags = ['notified', 'polled'];
const timers = ['connect', 'migration', 'close'];

/** What a request moved: the number of the message, for a receive. */
export const moved = (error: number, kind: string, message: number): string =>
  error !== 0 ? 'nothing' : kind === 'receive' ? `message ${message}` : 'all';

const isOfProcess = (call: string): boolean => call === 'WSPStartupEx' || call === 'WSPCleanup';

/** What has to be remembered of a run beside the world's state. */
class Memory {
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
interface Happening {
  readonly row: number;
  readonly socket: string;
  readonly parameters: readonly number[];
  readonly memory: Memory;
  field(machine: string, row: number, name: string): number;
  state(machine: string, row: number): string;
  /** Name of a work request. */
  work(row: number): string;
}

interface Command {
  readonly command: string;
  /** The call whose end it may be. */
  readonly call: string;
}

const transfer =
  (kind: 'send' | 'receive' | 'write' | 'read', call: string) =>
  ({ memory, socket, parameters: [, request = 0, polled = 0, pieces = 1] }: Happening): [string, string] => {
    memory.requests[request] = kind;
    return [`${kind} ${socket} r${request} ${flags[polled]}${pieces > 1 ? ` ${pieces} pieces` : ''}`, call];
  };
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
  'provider/adapter.removed': () => ['remove'],
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
  'caller/send': transfer('send', 'WSPSend'),
  'caller/receive': transfer('receive', 'WSPRecv'),
  'caller/write': transfer('write', 'WSPRdmaWrite'),
  'caller/read': transfer('read', 'WSPRdmaRead'),
  'memory/register': ({ row, socket }) => [`register ${socket} b${row}`, 'WSPRegisterMemory'],
  'memory/deregister': ({ row, socket }) => [`deregister ${socket} b${row}`, 'WSPDeregisterMemory'],
  'memory/release': ({ row, socket }) => [`deregister ${socket} b${row}`, 'WSPDeregisterMemory'],
  'memory/deregisterUnknown': ({ socket }) => [`deregister ${socket} unknown`, 'WSPDeregisterMemory'],
  'memory/obstruct': ({ row }) => [`obstruct b${row}`],
  'link/fill': ({ socket }) => [`fill ${socket}`],
  'work/piece': ({ row, work }) => [`complete ${work(row)}`],
  'work/fail': ({ row, work }) => [`fail ${work(row)}`],
  'work/denied': ({ row, work }) => [`network: ${work(row)} can't be carried out`],
  'channel/answer': ({ socket }) => [`network: ${socket} is read`],
  'channel/deliver': ({ socket }) => [`network: a message arrives at ${socket}`],
  'link/arrive': ({ socket }) => [`network: ${socket} learns of the loss`],
  'link/fail': ({ socket }) => [`network: the link of ${socket} fails`],
  'link/notice': ({ socket }) => [`disconnected ${socket}`],
  'work/complete': ({ row, work, field }) => {
    const message = field('work', row, 'message');
    return [`complete ${work(row)}${message === 0 ? '' : ` message ${message}`}`];
  },
  'work/flush': ({ row, work }) => [`flush ${work(row)}`],
  'firstMessage/adapter.firstFlushed': ({ socket }) => [`flush first ${socket}`],
  'notifier/notify': ({ socket }) => [`notify ${socket}`],
  'notifier/return': ({ socket, parameters: [failed] }) => [`return ${socket} ${failed === 1 ? 'failed' : 'ok'}`],
  'timer/expire': ({ socket }) => [`expire ${socket}`],
  'peer/ask': ({ row, memory, state }) => {
    if (state('port', 0) === 'closed') return [`network: p${row} asks in vain`];
    memory.arrivals.add(row);
    return [`arrive p${row} A`];
  },
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

/** Why no script can be made of a world; null when it can. */
export function obstacleTo({ start = [], performs }: WorldDefinition): string | null {
  const unknown = start.find(({ send }) => !isCommand(send));
  if (unknown !== undefined) return `it begins with ${unknown.send}, which no command does`;
  // A script's calls are rules: one that an effect makes would be one that nobody has written down.
  const called = performs['overlapped/told']?.find(({ send }) => send.startsWith('caller/'));
  return called === undefined ? null : 'its calls are made inside up-calls, of themselves';
}

/** Writes scripts of one world. */
export class Scribe {
  readonly #definition: WorldDefinition;
  readonly #world: World;
  readonly #layout: Layout;
  /** The initial state, what led there, and what is remembered of it. */
  readonly #initial: Int32Array;
  readonly #opening: readonly Line[];
  readonly #opened: Memory;
  #memory = new Memory();
  #lines: Line[] = [];
  #seen: string[] = [];
  #posts: string[] = [];
  #result: string | null = null;

  constructor(definition: WorldDefinition) {
    const { start = [], ...rest } = definition;
    this.#definition = definition;
    this.#world = new World(rest);
    this.#layout = new Layout(this.#world);
    this.#world.onEffect = (effect, row, at) => this.#effect(effect, row, at);
    for (const action of inOrderOfRows(start)) this.#start(action);
    this.#opening = this.#lines;
    this.#opened = this.#memory;
    this.#initial = new Int32Array(this.#layout.words);
    this.#layout.pack(this.#initial, 0);
  }

  /** The script of `path`, which is rules of the world from its initial state on. */
  script(path: readonly number[], title: string): Script {
    this.#layout.unpack(this.#initial, 0);
    this.#memory = new Memory(this.#opened);
    this.#lines = [...this.#opening];
    for (const index of path) this.#record(this.#world.rules[index]!, () => this.#world.fire(index));
    return { title, limits: this.#definition.limits ?? explorationLimits, lines: this.#lines };
  }

  #start(action: Action): void {
    this.#record(action, () => {
      const { system } = this.#world;
      const [machine, event] = action.send.split('/') as [string, string];
      const [p0, p1, p2, p3, p4] = action.with ?? [];
      this.#world.apply(system.eventId(machine, event), action.row, p0, p1, p2, p3, p4);
    });
  }

  #record(action: Action, happen: () => void): void {
    const { command, call } = this.#command(action);
    const { system } = this.#world;
    // A provider that works no more says so to every call, before any machine hears of it; a socket is closed all the same.
    // What it would have heard changes nothing then.
    const refusal = system.refusal(M.provider, 0);
    this.#seen = [];
    this.#posts = [];
    this.#result = null;
    const full = [0, 1].filter((row) => this.#isFull(row));
    happen();
    if (this.#result !== null && !isOfProcess(call) && refusal !== 0) this.#result = String(refusal);
    // The worlds have one refusal for memory that is not registered; RDMA names it by handle, and a handle that is none is
    // WSAEINVAL (7.4).
    if (this.#result === String(WSA.WSAEFAULT) && call.startsWith('WSPRdma')) this.#result = String(WSA.WSAEINVAL);
    const result = this.#result === null ? [] : [`${call} = ${this.#result}`];
    if (command === '') return;
    // Who plays the adapter can't see that the network has taken its obstacle away.
    const cleared = full.filter((row) => !this.#isFull(row)).map((row) => ` (${socketName(row)} has room)`);
    this.#lines.push({
      command: command + cleared.join(''),
      expected: [...this.#seen, ...result, ...this.#posts, ...this.#structures()],
    });
  }

  #field(machine: string, row: number, name: string): number {
    return this.#world.system.rows[this.#world.names.indexOf(machine)]!.context(row)[name]!;
  }
  /** Whether the adapter has no room for what is posted next on a socket's connection. */
  #isFull(row: number): boolean {
    const link = this.#world.system.rows[this.#world.names.indexOf('link')];
    return link !== undefined && link.context(row)['full'] === 1;
  }
  #state(machine: string, row: number): string {
    return this.#world.system.rows[this.#world.names.indexOf(machine)]!.stateName(row);
  }

  /** Name of a work request: of a request, or of the private first receive of the socket that was accepted. */
  #work(row: number): string {
    return row < this.#world.rowsOf(this.#world.names.indexOf('overlappedRequest')) ? `r${row}` : 'first B';
  }

  /** The command for something that happens, and the call that it may be the end of. */
  #command(action: Action): Command {
    const make = commands[action.send];
    if (make === undefined) throw new Error(`no command does what '${action.send}' does`);
    const [command, call = ''] = make({
      row: action.row,
      socket: socketName(action.row),
      parameters: action.with ?? [],
      memory: this.#memory,
      field: (machine, row, name) => this.#field(machine, row, name),
      state: (machine, row) => this.#state(machine, row),
      work: (row) => this.#work(row),
    });
    return { command, call };
  }

  #effect(effect: number, row: number, at: number): void {
    const { system, names } = this.#world;
    let machine = 0;
    while (machine + 1 < system.effectBase.length && system.effectBase[machine + 1]! <= effect) machine++;
    const { name } = system.machines[machine]!.effects[effect - system.effectBase[machine]!]!;
    const a0 = system.effects.buffer[at + 2]!;
    const a1 = system.effects.buffer[at + 3]!;
    const a2 = system.effects.buffer[at + 4]!;
    const s = socketName(row);
    const see = (line: string) => this.#seen.push(line);
    if (name === 'answer') {
      this.#result ??= String(a0);
      return;
    }
    switch (`${names[machine]}/${name}`) {
      case 'provider/openAdapter':
        return void see('adapter open');
      case 'provider/closeAdapter':
        return void see('adapter close');
      case 'socket/createSwitchHandle':
        return void see(`WPUCreateSocketHandle ${s}`);
      case 'socket/closeSwitchHandle':
        return void see(`WPUCloseSocketHandle ${s}`);
      case 'socket/freeBuffers':
        if (this.#memory.connected.delete(row)) see(`adapter free ${s}`);
        return;
      case 'socket/startListening':
        return void see(`adapter listen ${s}`);
      case 'socket/stopListening':
        return void see(`adapter stopListening ${s}`);
      case 'socket/startConnect':
        this.#memory.connected.add(row);
        return void see(`adapter connect ${s}`);
      case 'socket/acceptConnection':
        this.#memory.connected.add(row);
        see(`adapter prepare ${s}`);
        if (this.#memory.withdrawn.has(a0)) return;
        this.#memory.arrivals.delete(a0);
        this.#posts.push(`post first ${s}`);
        return void see(`adapter accept ${s}`);
      case 'socket/disconnect':
        return void see(`adapter disconnect ${s}`);
      case 'socket/destroyConnector':
        return void see(`adapter destroy ${s}`);
      case 'socket/startTimer':
        return void see(`timer ${s} ${timers[a0]}`);
      case 'socket/stopTimer':
        return void see(`timer ${s} stopped`);
      case 'registeredBuffer/registerRegion':
        return void see(`adapter register b${row}`);
      case 'registeredBuffer/deregisterRegion':
        return void see(`adapter deregister b${row}`);
      case 'networkEvents/setEvent':
        return void see(`WPUSetEvent ${s}`);
      case 'networkEvents/resetEvent':
        if (this.#memory.selected.has(row)) see(`WPUResetEvent ${s}`);
        return;
      case 'networkEvents/reportNetworkEvents':
        see(`WPUResetEvent ${s}`);
        see(`events ${a0 === 1 ? 'accept' : ''}${a1 === 1 ? `connect ${a2}` : ''}`.trim());
        return;
      case 'connectionRequest/callConditionFunction':
        if (this.#memory.asking) see(`condition p${row}`);
        return;
      case 'connectionRequest/rejectConnection':
        this.#memory.arrivals.delete(row);
        return void see(`adapter reject p${row} reason ${a0}`);
      case 'connectionRequest/forget':
        if (this.#memory.arrivals.delete(row)) see(`adapter destroy p${row}`);
        return;
      case 'link/noRoom': {
        // The first work request of several is refused, and the others are not tried.
        const first = this.#posts.findLastIndex((line) => !line.startsWith(`post r${a0}`)) + 1;
        this.#posts.length = Math.min(this.#posts.length, first + 1);
        return;
      }
      case 'overlappedRequest/postWork':
        for (let piece = 0; piece < a1; piece++) this.#posts.push(`post r${row}${a0 === 1 ? ' fenced' : ''}`);
        return;
      case 'overlappedRequest/completeOverlappedRequest':
        return void see(`WPUCompleteOverlappedRequest r${row} ${a0} ${moved(a0, this.#memory.requests[row]!, a1)}`);
    }
  }

  /** What each structure that has changed says now. */
  #structures(): string[] {
    const changed: string[] = [];
    for (const [request, kind] of this.#memory.requests.entries()) {
      if (kind === undefined) continue;
      const now = this.#structure(request, kind);
      if (now === this.#memory.status[request]) continue;
      this.#memory.status[request] = now;
      changed.push(`r${request}: ${now}`);
    }
    return changed;
  }

  #structure(request: number, kind: string): string {
    const state = this.#state('overlapped', request);
    if (state === 'pending') return 'in progress';
    if (state === 'refused') return 'not started';
    if (state !== 'done') return state;
    // Inside the up-call that tells of it: the switch has still to say so in the structure.
    const told = this.#field('overlapped', request, 'publications') === 0;
    if (told && this.#state('overlappedRequest', request) === 'notifying') return 'in progress';
    const error = this.#field('overlapped', request, 'error');
    return `done ${error} ${moved(error, kind, this.#field('overlapped', request, 'message'))}`;
  }
}

/** `start` with sockets made before anything else, since a provider gives rows out in the order of the calls. */
function inOrderOfRows<A extends Action>(start: readonly A[]): A[] {
  const makes = ({ send }: A): number => (send.startsWith('provider/') ? 0 : send === 'socket/spi.socket' ? 1 : 2);
  return [...start].sort((left, right) => makes(left) - makes(right) || (makes(left) === 1 ? left.row - right.row : 0));
}
