/** The flows of a plan, counted by the cells of its groups: generated on all cores, or read from a capture or list. */
import { createReadStream, type ReadStream, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { flowOf } from '../lb/plan/capture.js';
import { addCounts, type Cells, emptyCounts } from '../lb/plan/cells.js';
import { CsvReader, type RubbishLine } from '../lb/plan/csv.js';
import type { FlowSpec } from '../lb/plan/flow-spec.js';
import type { PlannedGroup } from '../lb/plan/groups.js';
import { type FlowRecord, RecordBatch } from '../lb/plan/records.js';
import { Address } from '../model/address.js';
import { ControlPool } from '../pipeline/control-pool.js';
import {
  type CountFlowsOptions,
  type CountOptions,
  type FlowCounts,
  type NativeFlowTally,
  native,
} from '../pipeline/native.js';
import { CaptureReader } from '../wire/pcap.js';
import { Exit } from './exit-codes.js';
import type { Progress } from './progress.js';

/** What is counted for one group. */
export interface CountWanted {
  readonly group: PlannedGroup;
  readonly cells: Cells;
}

export interface HeaviestFlow {
  /** e.g. 10.20.7.7, or both addresses */
  readonly name: string;
  readonly bytes: number;
}

export interface CountedFlows {
  readonly counts: FlowCounts;
  /** flows to addresses that the group does not serve, left out; null: none is to one it serves, so all count */
  readonly elsewhere: number | null;
  /** what no table can divide; null: the flows have no bytes */
  readonly heaviest: HeaviestFlow | null;
}

export interface FlowsRead {
  /** e.g. `busy-hour.pcap` */
  readonly name: string;
  /** packets or lines that are flows */
  readonly records: number;
  readonly rubbish: number;
  readonly firstRubbish: readonly RubbishLine[];
  /** of a capture: packets that are not IP */
  readonly otherPackets: number;
  /** a capture that is cut off or damaged: what, and where */
  readonly fault: string | null;
  /** by group */
  readonly counted: readonly CountedFlows[];
}

/** Flows a task counts: some 0.2 s. */
const flowsPerTask = 1 << 24;
const flowsOfOneThread = 1 << 21;
/** Told apart in a file, 24 bytes each while the table of them grows. */
const mostFlowsInFile = 1 << 24;

const countOptions = ({ group, cells }: CountWanted): CountOptions => ({
  key: group.hashKey,
  hash: group.hash,
  seed: group.seed,
  sizes: cells.sizes,
});

/** Rejects with Exit. */
export async function countFlows(
  spec: FlowSpec,
  wanted: readonly CountWanted[],
  { progress, seed, signal }: { progress: Progress; seed: bigint; signal: AbortSignal },
): Promise<FlowsRead> {
  if (spec.kind === 'file') return countFile(spec.path, wanted, progress, signal);
  const counted: CountedFlows[] = [];
  // threads cost more than they bring where there is little to do
  const threads = spec.flows > flowsOfOneThread ? availableParallelism() : 0;
  const pool = threads > 0 ? new ControlPool({ threads }) : null;
  try {
    for (const [i, each] of wanted.entries()) {
      const count = async (options: CountFlowsOptions) =>
        pool === null ? native().countFlows(options) : pool.countFlows(options);
      const done = (part: number) => {
        if (signal.aborted) throw new Exit('interrupted');
        progress.at(i + part, wanted.length);
      };
      counted.push(await countGenerated(spec, each, { count, threads: Math.max(1, threads), seed, done }));
    }
  } finally {
    await pool?.close();
  }
  const name = generatedName(spec);
  return { name, records: spec.flows, rubbish: 0, firstRubbish: [], otherPackets: 0, fault: null, counted };
}

type Generated = Exclude<FlowSpec, { kind: 'file' }>;

function generatedName(spec: Generated): string {
  if (spec.kind === 'subnet') return `${spec.prefix}`;
  return spec.kind === 'zipf' ? `zipf(${spec.exponent})` : 'uniform';
}

interface Counting {
  readonly count: (options: CountFlowsOptions) => Promise<FlowCounts>;
  readonly threads: number;
  readonly seed: bigint;
  /** told after each part; what it throws ends the counting */
  readonly done: (part: number) => void;
}

async function countGenerated(
  spec: Generated,
  wanted: CountWanted,
  { count, threads, seed, done }: Counting,
): Promise<CountedFlows> {
  const served = wanted.group.virtualServices[0]?.address;
  const family = spec.kind === 'subnet' ? spec.prefix.family : (served?.family ?? 'inet');
  const options: Omit<CountFlowsOptions, 'first' | 'end'> = {
    ...countOptions(wanted),
    source: {
      kind: spec.kind,
      flows: spec.flows,
      prefix:
        spec.kind === 'subnet'
          ? { address: spec.prefix.address.bytes, length: spec.prefix.length }
          : { address: new Uint8Array(family === 'inet' ? 4 : 16), length: 0 },
      ...(spec.kind === 'zipf' ? { exponent: spec.exponent } : {}),
      ...(served?.family === family ? { destination: served.bytes } : {}),
      seed,
    },
  };
  const counts = emptyCounts(wanted.cells);
  // enough tasks for every thread, and no more flows in one than a moment takes
  const perTask = Math.max(1, Math.min(flowsPerTask, Math.ceil(spec.flows / threads)));
  let next = 0;
  let finished = 0;
  const work = async (): Promise<void> => {
    while (next < spec.flows) {
      const first = next;
      const end = Math.min(spec.flows, first + perTask);
      next = end;
      addCounts(counts, await count({ ...options, first, end }));
      finished += end - first;
      done(finished / spec.flows);
    }
  };
  // whole numbers are summed, so the order in which tasks end does not show
  await Promise.all(Array.from({ length: threads }, work));
  // Zipf's first flow is its largest
  const first = spec.kind === 'zipf' ? await count({ ...options, first: 0, end: 1 }) : null;
  const heaviest = first && { name: 'one flow', bytes: first.bytes.reduce((sum, bytes) => sum + bytes, 0) };
  return { counts, elsewhere: 0, heaviest };
}

async function countFile(
  path: string,
  wanted: readonly CountWanted[],
  progress: Progress,
  signal: AbortSignal,
): Promise<FlowsRead> {
  const tallies = wanted.map((each) => new GroupTally(each, path));
  const reader = new FlowFile((record) => {
    for (const tally of tallies) tally.take(record);
  });
  const size = sizeOf(path);
  let read = 0;
  try {
    for await (const chunk of open(path)) {
      if (signal.aborted) throw new Exit('interrupted');
      reader.push(chunk);
      read += chunk.length;
      if (size > 0) progress.at(read, size);
    }
  } catch (error) {
    if (error instanceof Exit) throw error;
    throw new Exit('failure', `${path}: cannot be read: ${reasonOf(error)}`);
  }
  const { csv, packets, records, fault } = reader.end();
  const firstRubbish = csv?.firstRubbish ?? [];
  if (records === 0) {
    const lines = firstRubbish.map(({ line, why }) => `\n  line ${line}: ${why}`).join('');
    const what =
      csv !== null
        ? csv.rubbish > 0
          ? `none of its ${csv.rubbish} lines is a flow; write src,dst,proto,sport,dport[,bytes]${lines}`
          : 'there is no flow in it'
        : (fault ?? (packets > 0 ? `none of its ${packets} packets is IP` : 'there is no packet in it'));
    throw new Exit('failure', `${path}: ${what}`);
  }
  return {
    name: path.slice(path.lastIndexOf('/') + 1),
    records,
    rubbish: csv?.rubbish ?? 0,
    firstRubbish,
    otherPackets: packets - (csv === null ? records : 0),
    fault,
    counted: tallies.map((tally) => tally.end()),
  };
}

function open(path: string): ReadStream | typeof process.stdin {
  return path === '-' ? process.stdin : createReadStream(path, { highWaterMark: 1 << 20 });
}

function sizeOf(path: string): number {
  return path === '-' ? 0 : (statSync(path, { throwIfNoEntry: false })?.size ?? 0);
}

function reasonOf(error: unknown): string {
  const reasons: Record<string, string> = {
    ENOENT: 'there is no such file',
    EACCES: 'permission denied',
    EISDIR: 'it is a directory',
  };
  return reasons[String((error as { code?: unknown }).code)] ?? (error as Error).message;
}

/** A capture or a list: its first bytes say which. */
class FlowFile {
  readonly #take: (record: FlowRecord) => void;
  #start: Buffer = Buffer.alloc(0);
  #capture: CaptureReader | null = null;
  #csv: CsvReader | null = null;
  #packets = 0;
  #records = 0;

  constructor(take: (record: FlowRecord) => void) {
    this.#take = (record) => {
      this.#records++;
      take(record);
    };
  }

  push(chunk: Buffer): void {
    if (this.#capture === null && this.#csv === null) {
      this.#start = Buffer.concat([this.#start, chunk]);
      if (this.#start.length < 4) return;
      this.#begin();
      return;
    }
    this.#read(chunk);
  }

  end() {
    if (this.#capture === null && this.#csv === null) this.#begin();
    this.#csv?.end();
    this.#capture?.end();
    return {
      csv: this.#csv,
      packets: this.#packets,
      records: this.#records,
      fault: this.#capture?.error?.message ?? null,
    };
  }

  #begin(): void {
    const magic = this.#start.length < 4 ? 0 : this.#start.readUInt32BE(0);
    if (captureMagics.has(magic)) this.#capture = new CaptureReader();
    else this.#csv = new CsvReader(this.#take);
    this.#read(this.#start);
  }

  #read(chunk: Buffer): void {
    this.#csv?.push(chunk);
    for (const packet of this.#capture?.push(chunk) ?? []) {
      this.#packets++;
      const flow = flowOf(packet);
      if (flow !== null) this.#take(flow);
    }
  }
}

/** pcap in microseconds or nanoseconds, of either byte order; pcapng */
const captureMagics = new Set([0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1, 0x0a0d0d0a]);

/** Cheap to make and to find, for each of many packets. */
function addressKey(bytes: Uint8Array): string | number {
  if (bytes.length !== 4) return bytes.join();
  return (bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!;
}

/** A group's flows, and apart from them those that go to addresses it does not serve. */
class GroupTally {
  readonly #served: ReadonlySet<string | number>;
  readonly #tallies: { readonly to: NativeFlowTally; readonly elsewhere: NativeFlowTally };
  readonly #batches: { readonly to: RecordBatch; readonly elsewhere: RecordBatch };
  readonly #wanted: CountWanted;

  constructor(wanted: CountWanted, path: string) {
    this.#wanted = wanted;
    this.#served = new Set(wanted.group.virtualServices.map(({ address }) => addressKey(address.bytes)));
    const tally = () => new (native().FlowTally)({ ...countOptions(wanted), mostFlows: mostFlowsInFile });
    const batch = (to: NativeFlowTally) =>
      new RecordBatch((records) => {
        if (to.add(records)) return;
        throw new Exit('failure', `${path}: more than ${mostFlowsInFile} flows; divide the file`);
      });
    this.#tallies = { to: tally(), elsewhere: tally() };
    this.#batches = { to: batch(this.#tallies.to), elsewhere: batch(this.#tallies.elsewhere) };
  }

  take(record: FlowRecord): void {
    const isServed = this.#served.has(addressKey(record.destination));
    (isServed ? this.#batches.to : this.#batches.elsewhere).push(record);
  }

  end(): CountedFlows {
    const { to, elsewhere } = this.#batches;
    to.end();
    elsewhere.end();
    const others = this.#tallies.elsewhere.result();
    const left = others.flows.reduce((sum, flows) => sum + flows, 0);
    const result = to.total > 0 ? this.#tallies.to.result() : others;
    return {
      counts: { flows: result.flows, bytes: result.bytes },
      elsewhere: to.total > 0 ? left : null,
      heaviest: result.heaviest && {
        name: this.#nameOf(result.heaviest),
        bytes: result.heaviest.bytes,
      },
    };
  }

  #nameOf({ source, destination }: { source: Uint8Array; destination: Uint8Array }): string {
    switch (this.#wanted.group.hashKey) {
      case 'source-ip':
        return String(new Address(source));
      case 'destination-ip':
        return String(new Address(destination));
      default:
        return `${new Address(source)} to ${new Address(destination)}`;
    }
  }
}
