/**
 * The transport of the interchassis link: one connection between two nodes, over datagrams that may be lost, come twice,
 * late or in another order. What is handed to it arrives once and in order, and its sender hears when it was taken.
 *
 *   1. Hellos find the peer. Each end of a connection has a tag that it uses for no other connection; who hears from a
 *      tag that it does not know answers with a fresh tag of its own, and is connected once somebody sends that tag back.
 *      So nothing of an earlier connection, however late, is taken for one of this.
 *   2. Objects wait in queues, one for each class; a newer value takes the place of one that waits. Sources (sessions) are
 *      asked for blocks only when there is room, so a full link slows who makes updates and nobody else.
 *   3. Datagrams are numbered, sent within the peer's window and a congestion window, acknowledged, sent again.
 *   4. The receiver hands objects on in order; one that its user refuses for now waits, and the window closes.
 *
 * Like all of this room it reads no clock and does no I/O: datagrams to send are what tick() returns. It changes in place,
 * for a copy of a million objects' state at each step would be what the step does.
 */
import type { Bytes } from '../wire/bytes.js';
import {
  areIclObjects,
  decodeIcl,
  encodeIclAck,
  encodeIclHello,
  type IclClass,
  type IclDatagram,
  type IclHeader,
  type IclObject,
  type IclOperation,
  type IclReason,
  iclClasses,
  iclDataBytes,
  iclGapBits,
  iclKeyBytes,
  iclObjectLength,
  readIclObject,
  setU48,
  writeIclHeader,
  writeIclObject,
} from '../wire/icl.js';

export interface IclOptions {
  readonly nodeId: number;
  /** null: any but its own */
  readonly peerNodeId: number | null;
  /** 32 random bits, new at each start: tags begin with them, and the peer tells a reboot by them */
  readonly session: number;
  readonly helloMs: number;
  /** without any datagram of the peer the connection is given up */
  readonly deadMs: number;
  /** of a datagram's payload */
  readonly maxBytes: number;
  /** datagrams under way, at most */
  readonly window: number;
  /** objects that wait, of each class */
  readonly mostQueued: number;
}

export const iclDefaults = { maxBytes: 1_360, window: 1_024, mostQueued: 65_536 } as const;

export interface IclUser {
  /** isSameProcess: it knows what it knew when the connection before was lost */
  connected(peer: { readonly nodeId: number; readonly isSameProcess: boolean }): void;
  lost(): void;
  /** What hellos carry. */
  hello(): Bytes;
  heard(payload: Bytes): void;
  /** In order. Values are views that are not valid afterwards. False: not now, and the same object comes again. */
  deliver(object: IclObject): boolean;
  /** The peer has taken it. */
  acknowledged(token: unknown): void;
}

/** Gives a value of at most so many bytes, or null when there is nothing to say. */
export type IclSource = (mostBytes: number) => Bytes | null;

/** A value that is made when it is sent, e.g. the digest of all that was sent before it. */
export type IclValue = Bytes | (() => Bytes);

export type IclDrop =
  | IclReason
  | 'own node-id'
  | 'other node-id'
  | 'other connection'
  | 'twice'
  | 'ahead'
  | 'malformed';

export interface IclCounters {
  sent: number;
  sentBytes: number;
  received: number;
  receivedBytes: number;
  again: number;
  objectsSent: number;
  objectsTaken: number;
  /** values that a newer one replaced before they were sent */
  coalesced: number;
  /** times that a queue had no room */
  queueFull: number;
  connections: number;
  dropped: Partial<Record<IclDrop, number>>;
}

interface Waiting {
  readonly class: IclClass;
  readonly operation: IclOperation;
  readonly key: string;
  value: IclValue;
  token: unknown;
}

interface UnderWay {
  readonly number: number;
  readonly bytes: Bytes;
  readonly tokens: unknown[];
  sentMs: number;
  resends: number;
  arrived: boolean;
}

interface Connection {
  readonly own: number;
  readonly peer: number;
  readonly nodeId: number;
  heardMs: number;
  helloNumber: number;
  // sending
  nextNumber: number;
  readonly underWay: Map<number, UnderWay>;
  peerWindow: number;
  takenByPeer: number;
  congestion: number;
  recoverAt: number;
  roundTripMs: number;
  // receiving
  taken: number;
  received: number;
  readonly arrived: Map<number, Bytes>;
  /** in the first datagram that is not taken */
  takenUpTo: number;
  owesAck: boolean;
}

const firstRoundTripMs = 50;
const shortestTimeoutMs = 4;
const longestTimeoutMs = 1_000;
const leastCongestion = 4;
/** datagrams that overtook one before it counts as lost (RFC 5681 §3.2) */
const overtaken = 3;
const noBytes = new Uint8Array(0);
const tagsPerSession = 0x1_0000;

export class Icl {
  readonly counters: IclCounters = {
    sent: 0,
    sentBytes: 0,
    received: 0,
    receivedBytes: 0,
    again: 0,
    objectsSent: 0,
    objectsTaken: 0,
    coalesced: 0,
    queueFull: 0,
    connections: 0,
    dropped: {},
  };
  readonly #options: IclOptions;
  readonly #user: IclUser;
  readonly #queues = new Map<IclClass, Map<string, Waiting>>(iclClasses.map((name) => [name, new Map()]));
  readonly #sources = new Map<IclClass, IclSource>();
  #connection: Connection | null = null;
  /** of the connection to come */
  #fresh: number;
  #attempts = 0;
  /** heard of last, and not known */
  #stranger = 0;
  #answerStranger = false;
  #lastPeerSession: number | null = null;
  #helloDueMs = 0;
  #helloNumber = 0;

  constructor(options: IclOptions, user: IclUser) {
    this.#options = options;
    this.#user = user;
    this.#fresh = this.#freshTag();
  }

  get isConnected(): boolean {
    return this.#connection !== null;
  }

  get peerNodeId(): number | null {
    return this.#connection?.nodeId ?? null;
  }

  /** since when nothing was heard; null: not connected */
  get heardMs(): number | null {
    return this.#connection?.heardMs ?? null;
  }

  get roundTripMs(): number | null {
    return this.#connection?.roundTripMs ?? null;
  }

  /** Objects that wait, of a class or of all. */
  queued(of?: IclClass): number {
    if (of !== undefined) return this.#queues.get(of)!.size;
    return [...this.#queues.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** Datagrams that the peer has not taken yet. */
  get underWay(): number {
    return this.#connection?.underWay.size ?? 0;
  }

  /** All that was handed over was taken, sources apart. */
  get isIdle(): boolean {
    return this.underWay === 0 && this.queued() === 0;
  }

  /** Blocks of a class that are made only when they can be sent, behind the objects of the class that wait. */
  setSource(of: IclClass, source: IclSource): void {
    this.#sources.set(of, source);
  }

  /**
   * False: not connected, or no room in the queue (counted); nothing was taken over then. A value for the same class and
   * key that still waits is replaced, and nobody hears of its token. Values are zeroised once they were sent.
   */
  send(
    of: IclClass,
    operation: IclOperation,
    key: string,
    value: IclValue = noBytes,
    token?: unknown,
  ): boolean {
    if (this.#connection === null) return false;
    const queue = this.#queues.get(of)!;
    const isObject = operation === 'put' || operation === 'remove';
    const name = isObject ? key : `${operation}\0`;
    const before = queue.get(name);
    if (before === undefined && queue.size >= this.#options.mostQueued) {
      this.counters.queueFull++;
      return false;
    }
    if (before !== undefined) {
      this.counters.coalesced++;
      forget(before.value);
      // marks move to the end; an object keeps its place
      if (!isObject) queue.delete(name);
    }
    queue.set(name, { class: of, operation, key, value, token });
    return true;
  }

  /** What waits of a class is forgotten, but for what is asked of the peer. */
  clear(of: IclClass): void {
    const queue = this.#queues.get(of)!;
    for (const [slot, { operation, value }] of queue) {
      if (operation === 'resync' && this.#connection !== null) continue;
      forget(value);
      queue.delete(slot);
    }
  }

  /** The next tick says hello, for what hellos carry has changed. */
  helloNow(): void {
    this.#helloDueMs = Number.NEGATIVE_INFINITY;
  }

  /** The link is down, as BFD says. */
  lose(): void {
    if (this.#connection === null) return;
    const { peer, underWay } = this.#connection;
    this.#lastPeerSession = sessionOf(peer);
    for (const { bytes } of underWay.values()) bytes.fill(0);
    this.#connection = null;
    this.#fresh = this.#freshTag();
    for (const name of iclClasses) this.clear(name);
    this.#user.lost();
  }

  /** A datagram came. Why it was dropped, or null. */
  receive(bytes: Bytes, nowMs: number): IclDrop | null {
    this.counters.received++;
    this.counters.receivedBytes += bytes.length;
    const reason = this.#receive(bytes, nowMs);
    if (reason !== null) this.counters.dropped[reason] = (this.counters.dropped[reason] ?? 0) + 1;
    return reason;
  }

  #receive(bytes: Bytes, nowMs: number): IclDrop | null {
    const decoded = decodeIcl(bytes);
    if (!decoded.ok) return decoded.reason;
    const { value: datagram } = decoded;
    if (datagram.nodeId === this.#options.nodeId) return 'own node-id';
    const { peerNodeId } = this.#options;
    if (peerNodeId !== null && datagram.nodeId !== peerNodeId) return 'other node-id';
    let connection = this.#connection;
    if (connection === null || datagram.from !== connection.peer || datagram.to !== connection.own) {
      // only hellos connect: what else comes first comes again
      if (datagram.kind !== 'hello') return 'other connection';
      if (datagram.to !== this.#fresh) {
        if (connection !== null && isOutdated(datagram, connection)) return 'other connection';
        this.#stranger = datagram.from;
        this.#answerStranger = true;
        return 'other connection';
      }
      connection = this.#connect(datagram, nowMs);
    }
    if (datagram.nodeId !== connection.nodeId) return 'other node-id';
    connection.heardMs = nowMs;
    this.#acknowledged(connection, datagram, nowMs);
    if (datagram.kind === 'hello') {
      if (datagram.number <= connection.helloNumber) return null;
      connection.helloNumber = datagram.number;
      this.#user.heard(datagram.payload);
      return null;
    }
    return datagram.kind === 'data' ? this.#arrived(connection, datagram.number, datagram.objects) : null;
  }

  #connect({ from, nodeId, window }: IclDatagram, nowMs: number): Connection {
    const own = this.#fresh;
    this.lose();
    const connection: Connection = {
      own,
      peer: from,
      nodeId,
      heardMs: nowMs,
      helloNumber: -1,
      nextNumber: 1,
      underWay: new Map(),
      peerWindow: window,
      takenByPeer: 0,
      congestion: 32,
      recoverAt: 0,
      roundTripMs: firstRoundTripMs,
      taken: 0,
      received: 0,
      arrived: new Map(),
      takenUpTo: 0,
      owesAck: false,
    };
    this.#connection = connection;
    this.#fresh = this.#freshTag();
    this.#answerStranger = false;
    this.#helloDueMs = nowMs;
    this.counters.connections++;
    this.#user.connected({ nodeId, isSameProcess: sessionOf(from) === this.#lastPeerSession });
    return connection;
  }

  #freshTag(): number {
    this.#attempts = (this.#attempts + 1) % tagsPerSession;
    return this.#options.session * tagsPerSession + this.#attempts;
  }

  /** What the header says of our own datagrams. */
  #acknowledged(connection: Connection, header: IclHeader, nowMs: number): void {
    // late ones say what was true before
    if (header.taken < connection.takenByPeer || header.received >= connection.nextNumber) return;
    connection.peerWindow = header.window;
    for (let number = connection.takenByPeer + 1; number <= header.taken; number++) {
      const datagram = connection.underWay.get(number)!;
      if (!datagram.arrived) this.#delivered(connection, datagram, nowMs);
      connection.underWay.delete(number);
      datagram.bytes.fill(0);
      connection.takenByPeer = number;
      for (const token of datagram.tokens) this.#user.acknowledged(token);
      // the user may have been told that the connection is lost
      if (this.#connection !== connection) return;
    }
    let highest = header.received;
    const arrived = (number: number) => {
      const datagram = connection.underWay.get(number);
      if (datagram === undefined) return;
      highest = Math.max(highest, number);
      if (!datagram.arrived) this.#delivered(connection, datagram, nowMs);
    };
    for (let number = header.taken + 1; number <= header.received; number++) arrived(number);
    for (let bit = 0; bit < iclGapBits; bit++) {
      if (((header.gaps[bit >> 5]! >>> (bit & 31)) & 1) === 1) arrived(header.received + 2 + bit);
    }
    for (let number = header.received + 1; number <= highest - overtaken; number++) {
      const datagram = connection.underWay.get(number);
      if (datagram === undefined || datagram.arrived || datagram.resends > 0) continue;
      datagram.resends = 1;
      datagram.sentMs = -Infinity;
      this.#congested(connection);
    }
  }

  #delivered(connection: Connection, datagram: UnderWay, nowMs: number): void {
    datagram.arrived = true;
    connection.congestion = Math.min(this.#options.window, connection.congestion + 1);
    // of one that was sent twice nobody knows which came (RFC 6298 §3)
    if (datagram.resends > 0) return;
    const sample = nowMs - datagram.sentMs;
    connection.roundTripMs += (sample - connection.roundTripMs) / 8;
  }

  /** Once for all that was under way when it happened. */
  #congested(connection: Connection): void {
    if (connection.takenByPeer < connection.recoverAt) return;
    connection.congestion = Math.max(leastCongestion, Math.floor(connection.congestion / 2));
    connection.recoverAt = connection.nextNumber;
  }

  #arrived(connection: Connection, number: number, objects: Bytes): IclDrop | null {
    connection.owesAck = true;
    if (number <= connection.received || connection.arrived.has(number)) return 'twice';
    if (number > connection.taken + this.#options.window) return 'ahead';
    if (!areIclObjects(objects)) return 'malformed';
    connection.arrived.set(number, Uint8Array.from(objects));
    while (connection.arrived.has(connection.received + 1)) connection.received++;
    this.take();
    return null;
  }

  /** Hands on what has come and was refused before. */
  take(): void {
    const connection = this.#connection;
    if (connection === null) return;
    while (connection.taken < connection.received) {
      const bytes = connection.arrived.get(connection.taken + 1)!;
      while (connection.takenUpTo < bytes.length) {
        const { object, next } = readIclObject(bytes, connection.takenUpTo)!;
        if (!this.#user.deliver(object)) return;
        if (this.#connection !== connection) return;
        this.counters.objectsTaken++;
        connection.takenUpTo = next;
      }
      connection.takenUpTo = 0;
      connection.taken++;
      connection.arrived.delete(connection.taken);
      bytes.fill(0);
      connection.owesAck = true;
    }
  }

  /** What is to be sent now; to be called every few milliseconds, and after datagrams came. */
  tick(nowMs: number): Bytes[] {
    const out: Bytes[] = [];
    if (this.#connection !== null && nowMs - this.#connection.heardMs >= this.#options.deadMs) this.lose();
    this.take();
    this.#sayHello(out, nowMs);
    const connection = this.#connection;
    if (connection !== null) {
      this.#sendAgain(connection, out, nowMs);
      this.#sendNew(connection, out, nowMs);
      if (connection.owesAck) out.push(encodeIclAck(this.#header(connection)));
      connection.owesAck = false;
    }
    for (const bytes of out) this.counters.sentBytes += bytes.length;
    this.counters.sent += out.length;
    return out;
  }

  /** When tick() has something to do by itself. */
  nextDeadlineMs(): number {
    const connection = this.#connection;
    if (connection === null) return this.#answerStranger ? 0 : this.#helloDueMs;
    let due = Math.min(this.#helloDueMs, connection.heardMs + this.#options.deadMs);
    for (const datagram of connection.underWay.values()) {
      if (!datagram.arrived) due = Math.min(due, datagram.sentMs + this.#timeoutMs(connection, datagram));
    }
    return due;
  }

  #sayHello(out: Bytes[], nowMs: number): void {
    const connection = this.#connection;
    const hello = (header: IclHeader) =>
      out.push(encodeIclHello(header, this.#helloNumber++, this.#user.hello()));
    if (nowMs >= this.#helloDueMs) {
      this.#helloDueMs = nowMs + this.#options.helloMs;
      if (connection !== null) {
        hello(this.#header(connection));
        connection.owesAck = false;
      } else {
        hello(this.#strangersHeader());
        this.#answerStranger = false;
      }
    }
    if (!this.#answerStranger) return;
    this.#answerStranger = false;
    hello(this.#strangersHeader());
  }

  #strangersHeader(): IclHeader {
    const { nodeId, window } = this.#options;
    return { nodeId, from: this.#fresh, to: this.#stranger, taken: 0, received: 0, window, gaps: [0, 0] };
  }

  #header({ own, peer, taken, received, arrived }: Connection): IclHeader {
    const { nodeId, window } = this.#options;
    const gaps: [number, number] = [0, 0];
    if (arrived.size > received - taken) {
      for (let bit = 0; bit < iclGapBits; bit++) {
        if (arrived.has(received + 2 + bit)) gaps[bit >> 5] = (gaps[bit >> 5]! | (1 << (bit & 31))) >>> 0;
      }
    }
    return { nodeId, from: own, to: peer, taken, received, window, gaps };
  }

  #timeoutMs({ roundTripMs }: Connection, { resends }: UnderWay): number {
    const timeout = Math.max(shortestTimeoutMs, 3 * roundTripMs);
    return Math.min(longestTimeoutMs, timeout * 2 ** Math.min(resends, 8));
  }

  #sendAgain(connection: Connection, out: Bytes[], nowMs: number): void {
    let left = Math.max(leastCongestion, connection.congestion);
    for (const datagram of connection.underWay.values()) {
      if (datagram.arrived) continue;
      if (datagram.sentMs !== -Infinity) {
        if (nowMs - datagram.sentMs < this.#timeoutMs(connection, datagram)) continue;
        this.#congested(connection);
        datagram.resends++;
      }
      if (left-- <= 0) return;
      datagram.sentMs = nowMs;
      this.counters.again++;
      // what it says of the peer's datagrams is news, too
      writeIclHeader(datagram.bytes, 'data', this.#header(connection));
      connection.owesAck = false;
      out.push(datagram.bytes.slice());
    }
  }

  #sendNew(connection: Connection, out: Bytes[], nowMs: number): void {
    let inFlight = 0;
    for (const { arrived } of connection.underWay.values()) if (!arrived) inFlight++;
    const last = connection.takenByPeer + Math.min(connection.peerWindow, this.#options.window);
    while (inFlight < connection.congestion && connection.nextNumber <= last) {
      const bytes = new Uint8Array(this.#options.maxBytes);
      const tokens: unknown[] = [];
      const end = this.#fill(bytes, tokens);
      if (end === iclDataBytes) return;
      const number = connection.nextNumber++;
      const datagram = bytes.subarray(0, end);
      writeIclHeader(datagram, 'data', this.#header(connection));
      setU48(datagram, iclDataBytes - 6, number);
      connection.owesAck = false;
      connection.underWay.set(number, {
        number,
        bytes: datagram,
        tokens,
        sentMs: nowMs,
        resends: 0,
        arrived: false,
      });
      out.push(datagram.slice());
      inFlight++;
    }
  }

  /** As many objects as fit. Returns where they end. */
  #fill(bytes: Bytes, tokens: unknown[]): number {
    let end = iclDataBytes;
    for (const [name, queue] of this.#queues) {
      for (const [slot, waiting] of queue) {
        const value = typeof waiting.value === 'function' ? waiting.value() : waiting.value;
        const key = iclKeyBytes(waiting.key);
        const length = iclObjectLength(key, value);
        if (iclDataBytes + length > bytes.length)
          throw new RangeError(`${name} ${waiting.key}: ${length} bytes do not fit in a datagram`);
        if (end + length > bytes.length) return end;
        end = writeIclObject(bytes, end, waiting, key, value);
        value.fill(0);
        queue.delete(slot);
        this.counters.objectsSent++;
        if (waiting.token !== undefined) tokens.push(waiting.token);
      }
      const room = bytes.length - end - 5;
      const block = room < 128 ? null : (this.#sources.get(name)?.(room) ?? null);
      if (block === null) continue;
      end = writeIclObject(bytes, end, { class: name, operation: 'put' }, noBytes, block);
      this.counters.objectsSent++;
    }
    return end;
  }
}

/**
 * Of the process that this is connected with, and older than the connection, or meant for a process before this one. To
 * answer it would end the connection, and what was said on it meanwhile would be answered again.
 */
function isOutdated({ from, to }: IclHeader, { own, peer }: Connection): boolean {
  if (sessionOf(from) !== sessionOf(peer)) return false;
  const ahead = (from - peer + tagsPerSession) % tagsPerSession;
  return ahead === 0 || ahead > tagsPerSession / 2 || (to !== 0 && sessionOf(to) !== sessionOf(own));
}

const sessionOf = (tag: number) => Math.floor(tag / tagsPerSession);

function forget(value: IclValue): void {
  if (typeof value !== 'function') value.fill(0);
}
