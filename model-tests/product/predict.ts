/**
 * From a path through a world to a script: each rule becomes a command, each effect that can be seen a prediction.
 *
 * What a driver does with an effect at once is in the order of the effects. Work requests are gathered and posted at the
 * end of a turn, and a call's result is had last, so within one command these come behind: result, posts, structures.
 */

import { RowPool } from '../../driver/tables.ts';
import { explorationLimits, M, WSA } from '../../machines/index.ts';
import { Request, Who } from '../worlds/handing-over.ts';
import { Layout, World, type WorldDefinition } from '../explorer/index.ts';
import { type Action, callOf, type Command, commandOf, isCommand, Memory } from './commands.ts';
import { type Frame, framesOf, stackAfter } from './frames.ts';
import { eventsLine, type Line, type Script, socketName } from './script.ts';

export { isCommand } from './commands.ts';

const timers = ['connect', 'migration', 'close'];

/** What a request moved: the number of the message, for a receive. */
export const moved = (error: number, kind: string, message: number): string =>
  error !== 0 ? 'nothing' : kind === 'receive' ? `message ${message}` : 'all';

const isOfProcess = (call: string): boolean => call === 'WSPStartupEx' || call === 'WSPCleanup';

/** Why no script can be made of a world; null when it can. */
export function obstacleTo({ start = [], rows }: WorldDefinition): string | null {
  if (rows['provider'] === undefined) return 'no provider is in it, and a script has one';
  const unknown = start.find(({ send }) => !isCommand(send));
  return unknown === undefined ? null : `it begins with ${unknown.send}, which no command does`;
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
  #action: Action = { send: '/', row: 0 };
  /** The command at hand, the call whose end it may be, and what the provider says to every call when it begins. */
  #line = { command: '', call: '', refusal: 0 };
  readonly #frames: readonly Frame[];
  /** Which frames went on when the command at hand began. */
  #began: readonly boolean[] = [];
  /** Frames that go on, outermost first; and results of calls that return when a frame has ended, by its place. */
  #stack = '';
  readonly #unreturned: string[][] = [];
  /** Rows that the driver gives to sockets, where these are made and closed in any order; null where they are not. */
  #pool: RowPool | null = null;
  readonly #driverRows: number[] = [];
  readonly #freed: number[] = [];
  /** All sockets were told of something. */
  #toldAll = false;

  constructor(definition: WorldDefinition) {
    const { start = [], ...rest } = definition;
    this.#definition = definition;
    this.#world = new World(rest);
    this.#world.onEffect = (effect, row, at) => this.#effect(effect, row, at);
    this.#frames = framesOf((machine) => this.#world.rowsOf(this.#world.names.indexOf(machine)));
    for (const action of socketsFirst(start)) this.#start(action);
    this.#opening = this.#lines;
    this.#opened = this.#memory;
    // Of what can follow from here.
    this.#layout = new Layout(this.#world);
    this.#initial = new Int32Array(this.#layout.words);
    this.#layout.pack(this.#initial, 0);
  }

  /** The script of `path`, which is rules of the world from its initial state on. */
  script(path: readonly number[], title: string): Script {
    this.#layout.unpack(this.#initial, 0);
    this.#memory = new Memory(this.#opened);
    this.#lines = [...this.#opening];
    this.#stack = '';
    this.#unreturned.length = 0;
    if (this.#world.names.includes('descriptor') || this.#world.names.includes('host'))
      this.#pool = new RowPool(Number.MAX_SAFE_INTEGER);
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
    const full = [0, 1].filter((row) => this.#isFull(row));
    this.#action = action;
    this.#begin(command, call);
    happen();
    // Nobody is there who could take the connection back.
    if (action.send === 'newConnection/arrive' && this.#field('newConnection', 0, 'deserted') === 1) {
      if (!this.#isCleanedUp()) this.#seen.push('adapter reject B reason 0');
    }
    // Who plays the adapter can't see that the network has taken its obstacle away.
    const cleared = full.filter((row) => !this.#isFull(row)).map((row) => ` (${socketName(row)} has room)`);
    this.#line.command += cleared.join('');
    // Nor that a peer that is a socket of this provider has given up, until it is told.
    if (this.#world.names.includes('line') && this.#state('line', 0) === 'left' && !this.#memory.withdrawn.has(0)) {
      this.#memory.withdrawn.add(0);
      this.#line.command += ' (p0 gives up)';
    }
    this.#end();
  }

  /** Begins the line of a command. */
  #begin(command: string, call: string): void {
    this.#line = { command, call, refusal: this.#world.system.refusal(M.provider, 0) };
    this.#seen = [];
    this.#posts = [];
    this.#result = null;
    this.#toldAll = false;
    this.#began = this.#goingOn();
  }

  /** Ends it: what was seen of it is complete. */
  #end(): void {
    const before = this.#stack;
    const due = this.#frames.filter(({ machine, row }) => machine === 'notifier' && this.#dueOf(row) > 0);
    const after = stackAfter(before, {
      ...this.#framesSince(this.#began),
      due: due.map(({ key }) => key).join(''),
      cleanedUp: this.#line.call === 'WSPCleanup' && this.#isCleanedUp(),
    });
    if (after === null) throw new Error(`'${this.#line.command}' ends what has another call inside it`);
    this.#stack = after;
    let kept = 0;
    while (kept < before.length && before[kept] === after[kept]) kept++;
    // With what has ended, the calls that it was made in return; not while something else is on in them.
    const returned = [...this.#unreturned.splice(kept).reverse().flat(), ...this.#takeResult()];
    const results = after.length > kept ? [] : returned;
    if (after.length > kept) this.#unreturned[after.length - 1] = returned;
    const { command } = this.#line;
    if (command === '') return;
    this.#lines.push({
      command,
      expected: [...this.#inOrderOfRows(), ...results, ...this.#posts, ...this.#structures()],
    });
  }

  /** What was seen, of all sockets in the order of the rows that the driver has given them. */
  #inOrderOfRows(): string[] {
    if (this.#pool === null) return this.#seen;
    for (const row of this.#freed.splice(0).sort((left, right) => left - right)) this.#pool.free(row);
    if (!this.#toldAll) return this.#seen;
    let row = 0;
    const rows = new Map(
      this.#seen.map((line, index) => {
        const socket = / ([A-Z])( |$)/.exec(line)?.[1];
        if (socket !== undefined) row = this.#driverRows[socket.charCodeAt(0) - 65]!;
        return [index, line === 'adapter close' ? Number.MAX_SAFE_INTEGER : row];
      }),
    );
    return [...rows].sort(([, left], [, right]) => left - right).map(([index]) => this.#seen[index]!);
  }

  /** A call that an effect makes: it has a line of its own. */
  #nested(make: () => readonly [string, string]): void {
    this.#end();
    this.#begin(...make());
  }

  /** The result of the call at hand, if it has one. */
  #takeResult(): string[] {
    const { call, command, refusal } = this.#line;
    let result = this.#result;
    if (result === null) return [];
    // A provider that works no more says so to every call, before any machine hears of it; a socket is closed all the same.
    // What it would have heard changes nothing then.
    // A call that has gone on meanwhile works all the same; but an accept that fails says that the provider does.
    const now = this.#world.system.refusal(M.provider, 0);
    if (command.startsWith('handle ') || command.startsWith('verdict ')) {
      if (result !== '0' && call === 'WSPAccept' && now !== 0) result = String(now);
    } else if (!isOfProcess(call) && refusal !== 0) result = String(refusal);
    // The worlds have one refusal for memory that is not registered; RDMA names it by handle, and a handle that is none is
    // WSAEINVAL (7.4).
    if (result === String(WSA.WSAEFAULT) && call.startsWith('WSPRdma') && !command.includes(' refused ')) {
      result = String(WSA.WSAEINVAL);
    }
    return [`${call} = ${result}`];
  }

  #goingOn(): readonly boolean[] {
    return this.#frames.map(({ machine, row, inside }) => inside.includes(this.#state(machine, row)));
  }
  #framesSince(began: readonly boolean[]): { readonly ended: string[]; readonly begun: string[] } {
    const now = this.#goingOn();
    const keys = (wanted: (index: number) => boolean): string[] =>
      this.#frames.flatMap(({ key }, index) => (wanted(index) ? [key] : []));
    return {
      ended: keys((index) => began[index]! && !now[index]!),
      begun: keys((index) => !began[index]! && now[index]!),
    };
  }
  #dueOf(socket: number): number {
    return this.#field('notifier', socket, 'count');
  }
  #isCleanedUp(): boolean {
    return ['cleaningUp', 'closing', 'uninitialised'].includes(this.#state('provider', 0));
  }

  #field(machine: string, row: number, name: string): number {
    return this.#world.system.rows[this.#world.names.indexOf(machine)]!.context(row)[name]!;
  }
  /** Whether the adapter has no room for what is posted next on a socket's connection. */
  #isFull(row: number): boolean {
    const link = this.#world.system.rows[this.#world.names.indexOf('link')];
    return link !== undefined && link.context(row)['full'] === 1;
  }
  /** `''` for a machine that the world does not have. */
  #state(machine: string, row: number): string {
    return this.#world.system.rows[this.#world.names.indexOf(machine)]?.stateName(row) ?? '';
  }

  /** Whether a connection is handed over here. */
  get #handsOver(): boolean {
    return this.#world.names.includes('newConnection');
  }

  /** Name of a work request: of a request, or of a private first receive: that of who took over, that of who was accepted. */
  #work(row: number): string {
    const requests = this.#world.rowsOf(this.#world.names.indexOf('overlappedRequest'));
    if (row < requests) return `r${row}`;
    return this.#handsOver && row === requests ? 'first C' : 'first B';
  }

  #command(action: Action): Command {
    const { performs } = this.#definition;
    return commandOf(action.send, {
      row: action.row,
      socket: socketName(action.row),
      parameters: action.with ?? [],
      memory: this.#memory,
      field: (machine, row, name) => this.#field(machine, row, name),
      state: (machine, row) => this.#state(machine, row),
      ...(this.#handsOver && action.send === 'channel/deliver' ? { receiver: action.row === 0 ? 'C' : 'B' } : {}),
      work: (row) => this.#work(row),
      kind: (request) => {
        for (const { send, to } of performs['starter/call'] ?? []) {
          const socket = typeof to === 'object' ? to.map[request]! : -1;
          if (socket >= 0) return [send === 'socket/spi.send' ? 'send' : 'receive', socket];
        }
        throw new Error(`nobody calls request ${request}`);
      },
    });
  }

  #effect(effect: number, row: number, at: number): void {
    const { system, names } = this.#world;
    let machine = 0;
    while (machine + 1 < system.effectBase.length && system.effectBase[machine + 1]! <= effect) machine++;
    const { name } = system.machines[machine]!.effects[effect - system.effectBase[machine]!]!;
    const a0 = system.effects.buffer[at + 2]!;
    const a1 = system.effects.buffer[at + 3]!;
    const a2 = system.effects.buffer[at + 4]!;
    const a3 = system.effects.buffer[at + 5]!;
    const s = socketName(row);
    const see = (line: string) => this.#seen.push(line);
    if (name === 'answer') {
      this.#result ??= String(a0);
      return;
    }
    switch (`${names[machine]}/${name}`) {
      case 'caller/send':
      case 'caller/receive':
      case 'caller/write':
      case 'caller/read':
        // A script's calls are rules, but those that a switch makes inside an up-call of itself.
        if (this.#action.send.startsWith('caller/')) return;
        return this.#nested(() => callOf(this.#memory, name as 'send', row, a0, a1, a2));
      case 'provider/endAllSockets':
      case 'provider/breakAllSockets':
        this.#toldAll = true;
        return;
      case 'provider/openAdapter':
        return void see('adapter open');
      case 'provider/closeAdapter':
        this.#memory.arrivals.clear();
        return void see('adapter close');
      case 'socket/createSwitchHandle':
        if (this.#pool !== null) this.#driverRows[row] = this.#pool.allocate();
        return void see(`WPUCreateSocketHandle ${s}`);
      case 'socket/closeSwitchHandle':
        return void see(`WPUCloseSocketHandle ${s}`);
      case 'socket/socketClosed':
        return void this.#freed.push(this.#driverRows[row]!);
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
      case 'socket/startReattach':
        this.#memory.connected.add(row);
        this.#posts.push(`post first ${s}`);
        return void see(`adapter connect ${s}`);
      case 'newConnection/prepared':
        return void see('adapter prepare B');
      case 'newConnection/accepted':
      case 'newConnection/notAccepted':
        return void see('adapter accept B');
      case 'newConnection/notPrepared':
        see('adapter prepare B');
        return void see('adapter reject B reason 0');
      case 'socket/rejectReattach':
        return void see(`adapter reject ${s} reason 0`);
      case 'socket/writeMailbox':
        // A peer that is no provider has no place for it.
        if (this.#state('stranger', 0) === '') this.#posts.push(`post notice ${s}`);
        return;
      case 'dialling/connected':
      case 'accepting/connected':
        return this.#nested(() => {
          const of = names[machine] === 'dialling' ? 0 : 1;
          return [`register ${socketName(of)} b${of}`, 'WSPRegisterMemory'];
        });
      case 'giver/resume':
        return this.#nested(() => callOf(this.#memory, 'send', Who.peer, Request.peerSend, 1));
      case 'socket/acceptConnection':
        this.#memory.connected.add(row);
        see(`adapter prepare ${s}`);
        // Neither is whoever has given up taken, nor anybody without an adapter.
        if (this.#memory.withdrawn.has(a0) || system.refusal(M.provider, 0) !== 0) return;
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
        see(eventsLine(a0 === 1 ? a1 : null, a2 === 1 ? a3 : null));
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
function socketsFirst<A extends Action>(start: readonly A[]): A[] {
  const makes = ({ send }: A): number => (send.startsWith('provider/') ? 0 : send === 'socket/spi.socket' ? 1 : 2);
  return [...start].sort((left, right) => makes(left) - makes(right) || (makes(left) === 1 ? left.row - right.row : 0));
}
