/** Flows as the native core counts them: records of fixed length, native/core/chash/flow_count.h. */
import { flowRecordBytes } from '../../pipeline/native.js';

const batchRecords = 4096;

/** A record to fill in before it is pushed. Its addresses are 4 or 16 bytes. */
export interface FlowRecord {
  source: Uint8Array;
  destination: Uint8Array;
  protocol: number;
  /** null: it has none, or they cannot be had */
  ports: { source: number; destination: number } | null;
  bytes: number;
}

/** Gathers records and hands them on in batches. */
export class RecordBatch {
  readonly #bytes = new Uint8Array(batchRecords * flowRecordBytes);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #flush: (records: Uint8Array) => void;
  #count = 0;
  total = 0;

  /** flush: the bytes are used again afterwards. */
  constructor(flush: (records: Uint8Array) => void) {
    this.#flush = flush;
  }

  push({ source, destination, protocol, ports, bytes }: FlowRecord): void {
    const at = this.#count * flowRecordBytes;
    this.#bytes.fill(0, at, at + flowRecordBytes);
    this.#bytes.set(source, at);
    this.#bytes.set(destination, at + 16);
    this.#bytes[at + 32] = source.length;
    this.#bytes[at + 33] = protocol;
    if (ports !== null) {
      this.#bytes[at + 34] = 1;
      this.#view.setUint16(at + 36, ports.source, true);
      this.#view.setUint16(at + 38, ports.destination, true);
    }
    this.#view.setUint32(at + 40, bytes >>> 0, true);
    this.#view.setUint32(at + 44, Math.floor(bytes / 4294967296), true);
    this.total++;
    if (++this.#count === batchRecords) this.end();
  }

  /** Hands on what is left. */
  end(): void {
    if (this.#count > 0) this.#flush(this.#bytes.subarray(0, this.#count * flowRecordBytes));
    this.#count = 0;
  }
}
