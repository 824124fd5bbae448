/**
 * A load balancer to embed: members, a consistent-hash table over those that may take flows, and picks. It forwards
 * nothing and reads no clock; whoever embeds it says who is up (or has health checks say so: control/watch-health.ts).
 */
import { EventEmitter } from 'node:events';
import { parseAddress } from '../config/address.js';
import { type NativePickTable, native } from '../pipeline/native.js';
import { addressHashHigh } from './address-hash.js';
import { type ChashTable, maxWeight, type PreviousTable, sortedMembers, type TableMember } from './chash.js';
import {
  type FlowFields,
  FlowHasher,
  flowKey,
  type HashFunction,
  type HashKey,
  type Seed,
  slotOf,
} from './keys.js';
import { movement } from './movement.js';

export interface LoadBalancerOptions {
  /** At most 1,024 with different names; a weight is 1 (the default) to 65,535. */
  readonly members: Iterable<TableMember>;
  /** What of a flow is hashed; default source-ip. */
  readonly key?: HashKey;
  /** Default xxh64; siphash-1-3 where clients may choose their addresses. */
  readonly hash?: HashFunction;
  /** Of hash and table, below 2^64; default 0. Two balancers with the same members and seed agree without talking. */
  readonly seed?: Seed;
  /** The hash function's own key: 16 bytes for siphash-1-3, 40 for toeplitz. */
  readonly hashKey?: Uint8Array;
  /** Slots, 1 to 2^20; default the next power of two ≥ 256 × members, at most 65,536. Fixed from then on. */
  readonly size?: number;
  /** How far a member may stand above its exact share: a fraction, e.g. 0.01; fewer flows move when members change. */
  readonly slack?: number;
  /**
   * Sticky mode: a member that joins N takes 1/(N + 1) of the slots, equally from each, and nothing else moves. The table
   * is then a function of the one before; give the one that was saved to go on from there.
   */
  readonly sticky?: boolean | PreviousTable;
  /** What a pick gives when nobody is up: nobody (the default), or whoever it would be if all were. */
  readonly allDead?: 'fail-closed' | 'fail-open';
}

/** A flow as text, e.g. { source: '10.0.0.1', destination: '203.0.113.1', protocol: 6, sourcePort: 1025, destinationPort: 443 }. */
export interface TextFlow {
  readonly source: string;
  /** not needed for source-ip */
  readonly destination?: string;
  readonly protocol?: number;
  /** Both or neither. */
  readonly sourcePort?: number;
  readonly destinationPort?: number;
}

export interface MemberState {
  readonly name: string;
  readonly weight: number;
  readonly up: boolean;
  /** takes no new flows, because somebody said so */
  readonly drained: boolean;
  /** of all slots, now */
  readonly share: number;
}

/** What a change did to the table, in slots; excess: more than any table had to move. */
export interface TableChange {
  readonly slots: number;
  readonly moved: number;
  readonly unavoidable: number;
  readonly excess: number;
  /** 16 hexadecimal digits: equal in two balancers that send every flow the same way */
  readonly digest: string;
}

export interface LoadBalancerEvents {
  up: [name: string];
  down: [name: string, why: string];
  change: [change: TableChange];
}

interface Entry {
  readonly name: string;
  readonly weight: number;
  readonly up: boolean;
  readonly drained: boolean;
}

type Entries = ReadonlyMap<string, Entry>;

type Table = Pick<ChashTable, 'members' | 'home' | 'slots'> & {
  readonly dead: ReadonlySet<string>;
  readonly digest: string;
};

const hashKeys: readonly HashKey[] = [
  'source-ip',
  'destination-ip',
  'symmetric',
  '5-tuple',
  'symmetric-5-tuple',
];

export class LoadBalancer extends EventEmitter<LoadBalancerEvents> {
  readonly key: HashKey;
  readonly #hasher: FlowHasher;
  readonly #options: LoadBalancerOptions;
  readonly #size: number;
  readonly #isPlainAddress: boolean;
  #entries: Entries;
  #table: Table;
  #names: (string | undefined)[] = [];
  #bulk: NativePickTable | null = null;

  /** Throws RangeError that names the member and the rule. */
  constructor(options: LoadBalancerOptions) {
    super();
    this.key = options.key ?? 'source-ip';
    if (!hashKeys.includes(this.key))
      throw new RangeError(`key: ${this.key} is none of ${hashKeys.join(', ')}`);
    if (options.size === 0) throw new RangeError('size: 1 to 1,048,576 slots');
    this.#options = options;
    this.#hasher = new FlowHasher(options.hash ?? 'xxh64', options.seed ?? 0, options.hashKey);
    this.#isPlainAddress = this.#hasher.function === 'xxh64' && /^(source|destination)-ip$/.test(this.key);
    this.#entries = this.#entriesOf(options.members);
    const { sticky } = options;
    const previous = typeof sticky === 'object' ? sticky : undefined;
    this.#size = options.size ?? previous?.home.length ?? 0;
    this.#table = this.#build(this.#entries, previous);
    this.#size = this.#table.slots.length;
    this.#adopt(this.#table);
  }

  /** In the order that the numbers of pickAddresses and pickKeys mean. */
  get members(): MemberState[] {
    const counts = new Map<string, number>();
    for (const slot of this.#table.slots) {
      const name = this.#names[slot];
      if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return this.#table.members.map(({ name }) => {
      const { weight, up, drained } = this.#entry(name);
      return { name, weight, up, drained, share: (counts.get(name) ?? 0) / this.#size };
    });
  }

  /** Slots of the table. */
  get size(): number {
    return this.#size;
  }

  get digest(): string {
    return this.#table.digest;
  }

  /** What sticky mode goes on from: names in the order that home's numbers mean. */
  get saved(): PreviousTable {
    return { members: this.#table.members, home: this.#table.home.slice() };
  }

  /**
   * The member for a flow, or undefined when nobody is up. An address alone will do for the keys source-ip and
   * destination-ip. Throws RangeError for what is not an address, or lacks what the key wants.
   */
  pick(flow: string | TextFlow): string | undefined {
    const address =
      typeof flow === 'string' ? flow : this.key === 'source-ip' ? flow.source : flow.destination;
    if (this.#isPlainAddress && address !== undefined) {
      const number = ipv4Number(address);
      if (number >= 0) {
        const high = addressHashHigh(number, this.#hasher.seed);
        return this.#names[this.#table.slots[Math.floor((high * this.#size) / 4294967296)] as number];
      }
    }
    return this.pickKey(flowKey(this.key, fieldsOf(flow, this.key)));
  }

  /** The member for key bytes, as flowKey() makes them or of any kind of your own. */
  pickKey(key: Uint8Array): string | undefined {
    return this.#names[this.#table.slots[slotOf(this.#hasher.hash(key), this.#size)] as number];
  }

  /**
   * Members for many IPv4 addresses (0x0a000001 is 10.0.0.1), for the keys source-ip and destination-ip: numbers in the
   * order of `members`, 65535 when nobody is up. One call of the native core. `out` may be given, and is returned.
   */
  pickAddresses(addresses: Uint32Array, out = new Uint16Array(addresses.length)): Uint16Array {
    return this.#inBulk().pickAddresses(addresses, out);
  }

  /** The same for keys of keyBytes each, one behind the other. */
  pickKeys(
    keys: Uint8Array,
    keyBytes: number,
    out = new Uint16Array(Math.floor(keys.length / keyBytes)),
  ): Uint16Array {
    return this.#inBulk().pickKeys(keys, keyBytes, out);
  }

  /** Other members, or other weights. Those that stay keep being up, down or drained. Nothing changes when it throws. */
  update(members: Iterable<TableMember>): TableChange {
    return this.#change(this.#entriesOf(members));
  }

  /** Null: it was up already. */
  setUp(name: string): TableChange | null {
    const entry = this.#entry(name);
    if (entry.up) return null;
    return this.#change(this.#with({ ...entry, up: true }), () => this.emit('up', name));
  }

  /** Null: it was down already. */
  setDown(name: string, why = ''): TableChange | null {
    const entry = this.#entry(name);
    if (!entry.up) return null;
    return this.#change(this.#with({ ...entry, up: false }), () => this.emit('down', name, why));
  }

  /** Takes a member out of the table although it is up, or lets it in again. Null: it is so already. */
  setDrained(name: string, drained: boolean): TableChange | null {
    const entry = this.#entry(name);
    if (entry.drained === drained) return null;
    return this.#change(this.#with({ ...entry, drained }));
  }

  #entry(name: string): Entry {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw new RangeError(`${name}: no member has this name`);
    return entry;
  }

  #with(entry: Entry): Entries {
    return new Map(this.#entries).set(entry.name, entry);
  }

  #entriesOf(members: Iterable<TableMember>): Entries {
    const entries = new Map<string, Entry>();
    for (const { name, weight = 1 } of members) {
      if (entries.has(name)) throw new RangeError(`${name}: duplicate member`);
      if (!Number.isInteger(weight) || weight < 1 || weight > maxWeight)
        throw new RangeError(`${name}: weight: ${weight} is not from 1 to 65,535`);
      const { up = true, drained = false } = this.#entries?.get(name) ?? {};
      entries.set(name, { name, weight, up, drained });
    }
    return entries;
  }

  /** All is changed before anybody is told: a listener may throw, or ask for more. */
  #change(entries: Entries, tell: () => void = () => {}): TableChange {
    const before = this.#table;
    const table = this.#build(entries, this.#options.sticky ? before : undefined);
    this.#entries = entries;
    this.#adopt(table);
    const { total, moved, unavoidable, excess } = movement(before, table);
    const change = { slots: total, moved, unavoidable, excess, digest: table.digest };
    tell();
    this.emit('change', change);
    return change;
  }

  #build(of: Entries, previous: PreviousTable | undefined): Table {
    const entries = [...of.values()];
    const out = entries.filter(({ up, drained }) => !up || drained);
    const isOpen = this.#options.allDead === 'fail-open' && out.length === entries.length;
    const dead = isOpen ? [] : out.map(({ name }) => name);
    const { hashKey } = this.#options;
    const members = sortedMembers(entries); // slots number them as given
    const built = native().chashBuild({
      members,
      dead,
      hash: this.#hasher.function,
      seed: BigInt(this.#options.seed ?? 0),
      ...(hashKey ? { hashKey } : {}),
      size: this.#size,
      slack: Math.round((this.#options.slack ?? 0) * 10_000),
      ...(previous
        ? { previous: { members: previous.members.map(({ name }) => name), home: previous.home } }
        : {}),
    });
    return {
      members,
      home: built.home,
      slots: built.slots,
      dead: new Set(dead),
      digest: built.digest.toString(16).padStart(16, '0'),
    };
  }

  #adopt(table: Table): void {
    this.#table = table;
    this.#names = table.members.map(({ name }) => name);
    this.#bulk = null;
  }

  #inBulk(): NativePickTable {
    const { hashKey } = this.#options;
    this.#bulk ??= new (native().PickTable)({
      hash: this.#hasher.function,
      seed: BigInt(this.#options.seed ?? 0),
      ...(hashKey ? { hashKey } : {}),
      slots: this.#table.slots,
    });
    return this.#bulk;
  }
}

/** An IPv4 address as a number, or −1 for anything else: read by hand, since single picks come by the million. */
function ipv4Number(text: string): number {
  let value = 0;
  let part = 0;
  let digits = 0;
  let parts = 1;
  for (let at = 0; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit >= 0 && digit <= 9) {
      if (digits > 0 && part === 0) return -1; // 010 may mean eight
      part = part * 10 + digit;
      if (++digits > 3 || part > 255) return -1;
    } else if (digit === -2 && digits > 0) {
      value = value * 256 + part;
      part = 0;
      digits = 0;
      parts++;
    } else {
      return -1;
    }
  }
  return parts === 4 && digits > 0 ? value * 256 + part : -1;
}

function bytesOf(text: string | undefined, what: string): Uint8Array {
  const number = text === undefined ? -1 : ipv4Number(text);
  if (number >= 0) return Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number);
  const address = text === undefined ? undefined : parseAddress(text);
  if (address === undefined)
    throw new RangeError(`${what}: ${text ?? 'missing'}; write an IPv4 or IPv6 address`);
  return address.bytes;
}

function fieldsOf(flow: string | TextFlow, key: HashKey): FlowFields {
  if (typeof flow === 'string') {
    if (key !== 'source-ip' && key !== 'destination-ip')
      throw new RangeError(
        `${flow}: an address alone is no flow for the key ${key}; give { source, destination, … }`,
      );
    const address = bytesOf(flow, 'address');
    return { source: address, destination: address, protocol: 0 };
  }
  const needsBoth = key !== 'source-ip' && key !== 'destination-ip';
  const source = needsBoth || key === 'source-ip' ? bytesOf(flow.source, 'source') : new Uint8Array(4);
  const destination = key === 'source-ip' ? source : bytesOf(flow.destination, 'destination');
  if (needsBoth && source.length !== destination.length)
    throw new RangeError(`${flow.source}, ${flow.destination}: not of one family`);
  const { sourcePort, destinationPort, protocol = 0 } = flow;
  if (sourcePort === undefined || destinationPort === undefined) return { source, destination, protocol };
  return { source, destination, protocol, ports: { source: sourcePort, destination: destinationPort } };
}
