/**
 * Captures: pcap and pcapng read, pcapng written. Every length in a file is checked before it is believed; a file
 * that is cut short gives the whole packets that it has, then an error that names the offset.
 */
import type { Bytes } from './bytes.js';

/** Ethernet frames, or packets that start with their IP header. */
export type LinkType = 'ethernet' | 'raw-ip';

/** tcpdump.org link types; 228 and 229 are IPv4 and IPv6 alone */
const linkTypes = new Map<number, LinkType>([
  [1, 'ethernet'],
  [101, 'raw-ip'],
  [228, 'raw-ip'],
  [229, 'raw-ip'],
]);

export interface CapturedPacket {
  data: Bytes;
  /** since 1970; 0n when the file has none */
  timeNs: bigint;
  /** on the wire; more than data.length when the capture was limited */
  originalLength: number;
  link: LinkType;
  /** of its record in the file */
  offset: number;
}

export interface CaptureFault {
  /** of the record that is wrong */
  offset: number;
  /** names the offset too */
  message: string;
}

const pcapMagic = { microseconds: 0xa1b2c3d4, nanoseconds: 0xa1b23c4d } as const;
const pcapHeaderBytes = 24;
const pcapRecordBytes = 16;
const blockType = { section: 0x0a0d0d0a, interface: 1, obsolete: 2, simple: 3, enhanced: 6 } as const;
const byteOrderMagic = 0x1a2b3c4d;
const optionCode = {
  end: 0,
  comment: 1,
  interfaceName: 2,
  packetFlags: 2,
  packetId: 5,
  queue: 6,
  application: 4,
  resolution: 9,
  offset: 14,
} as const;
/** libpcap's own limit for a packet is 256 KiB; a block has one packet and options */
const largestPacket = 256 * 1024;
const largestBlock = 16 * 1024 * 1024;
const mostInterfaces = 65536;
const second = 1_000_000_000n;

interface Interface {
  link: number;
  /** 0: no limit */
  snapshot: number;
  toNanoseconds: (units: bigint) => bigint;
}

/** Stops the reading of a file; never leaves this module. */
class Stop extends Error {
  constructor(
    readonly offset: number,
    readonly what: string,
  ) {
    super(what);
  }
}

function timeOf(resolution: number, offsetSeconds: bigint): (units: bigint) => bigint {
  const power = BigInt(resolution & 0x7f);
  const unitsPerSecond = (resolution & 0x80) !== 0 ? 2n ** power : 10n ** power;
  return (units) => (units * second) / unitsPerSecond + offsetSeconds * second;
}

/**
 * Reads a capture piece by piece: push() takes the next bytes of the file and gives the packets that are now whole,
 * end() says that there are no more. After an error both give nothing; `error` says what and where.
 */
export class CaptureReader {
  error: CaptureFault | null = null;
  #buffer: Bytes = new Uint8Array(0);
  /** of the buffer in the file */
  #offset = 0;
  #format: 'unknown' | 'pcap' | 'pcapng' = 'unknown';
  #little = true;
  #unitsToNs = 1n;
  #link: LinkType = 'ethernet';
  #interfaces: Interface[] = [];

  push(chunk: Bytes): CapturedPacket[] {
    if (this.error !== null) return [];
    const joined = new Uint8Array(this.#buffer.length + chunk.length);
    joined.set(this.#buffer, 0);
    joined.set(chunk, this.#buffer.length);
    this.#buffer = joined;
    const packets: CapturedPacket[] = [];
    try {
      while (this.#step(packets));
    } catch (stop) {
      if (!(stop instanceof Stop)) throw stop;
      this.#fail(stop.offset, stop.what);
    }
    return packets;
  }

  end(): void {
    if (this.error !== null) return;
    if (this.#format === 'unknown') this.#fail(0, "shorter than a capture's header");
    else if (this.#buffer.length > 0) this.#fail(this.#offset, 'the capture ends inside a record');
  }

  #fail(offset: number, what: string): void {
    this.error = { offset, message: `offset ${offset}: ${what}` };
    this.#buffer = new Uint8Array(0);
  }

  #view(): DataView {
    return new DataView(this.#buffer.buffer, this.#buffer.byteOffset, this.#buffer.byteLength);
  }

  #consume(length: number): Bytes {
    const record = this.#buffer.subarray(0, length);
    this.#buffer = this.#buffer.subarray(length);
    this.#offset += length;
    return record;
  }

  /** Takes one record; false when more bytes are wanted. */
  #step(packets: CapturedPacket[]): boolean {
    if (this.#format === 'unknown') return this.#start();
    return this.#format === 'pcap' ? this.#pcapRecord(packets) : this.#block(packets);
  }

  #start(): boolean {
    if (this.#buffer.length < 4) return false;
    const view = this.#view();
    if (view.getUint32(0) === blockType.section) {
      this.#format = 'pcapng';
      return true;
    }
    for (const little of [true, false]) {
      const magic = view.getUint32(0, little);
      if (magic === pcapMagic.microseconds || magic === pcapMagic.nanoseconds) {
        return this.#startPcap(view, little, magic === pcapMagic.nanoseconds);
      }
    }
    throw new Stop(0, 'not a pcap or pcapng capture');
  }

  #startPcap(view: DataView, little: boolean, nanoseconds: boolean): boolean {
    if (this.#buffer.length < pcapHeaderBytes) return false;
    this.#little = little;
    this.#unitsToNs = nanoseconds ? 1n : 1000n;
    const version = view.getUint16(4, little);
    if (version !== 2) throw new Stop(4, `pcap version ${version} is not supported, 2 is`);
    // the upper half may say how long the frame check sequence is, which IP lengths leave out anyway
    this.#link = this.#linkType(view.getUint32(20, little) & 0xffff, 20);
    this.#format = 'pcap';
    this.#consume(pcapHeaderBytes);
    return true;
  }

  #linkType(number: number, offset: number): LinkType {
    const link = linkTypes.get(number);
    if (link !== undefined) return link;
    throw new Stop(
      offset,
      `link type ${number} is not supported: Ethernet (1) and raw IP (101, 228, 229) are`,
    );
  }

  #pcapRecord(packets: CapturedPacket[]): boolean {
    if (this.#buffer.length < pcapRecordBytes) return false;
    const view = this.#view();
    const captured = view.getUint32(8, this.#little);
    if (captured > largestPacket) {
      throw new Stop(this.#offset, `a packet of ${captured} bytes: more than any capture holds`);
    }
    if (this.#buffer.length < pcapRecordBytes + captured) return false;
    const offset = this.#offset;
    const timeNs =
      BigInt(view.getUint32(0, this.#little)) * second +
      BigInt(view.getUint32(4, this.#little)) * this.#unitsToNs;
    const originalLength = view.getUint32(12, this.#little);
    const data = this.#consume(pcapRecordBytes + captured).subarray(pcapRecordBytes);
    packets.push({ data, timeNs, originalLength, link: this.#link, offset });
    return true;
  }

  #block(packets: CapturedPacket[]): boolean {
    if (this.#buffer.length < 12) return false;
    const offset = this.#offset;
    const view = this.#view();
    const type = view.getUint32(0, this.#little);
    const isSection = view.getUint32(0) === blockType.section;
    if (isSection) this.#readByteOrder(view);
    const total = view.getUint32(4, this.#little);
    if (total < (isSection ? 28 : 12) || total % 4 !== 0 || total > largestBlock) {
      throw new Stop(offset, `a block of ${total} bytes`);
    }
    if (this.#buffer.length < total) return false;
    if (view.getUint32(total - 4, this.#little) !== total) {
      throw new Stop(offset, 'the lengths before and after a block differ');
    }
    const block = this.#consume(total);
    const body = block.subarray(8, total - 4);
    if (isSection) this.#section(body, offset);
    else if (type === blockType.interface) this.#interface(body, offset);
    else if (type === blockType.enhanced || type === blockType.obsolete) {
      packets.push(this.#packet(body, offset, type === blockType.obsolete));
    } else if (type === blockType.simple) packets.push(this.#simplePacket(body, offset));
    return true;
  }

  #readByteOrder(view: DataView): void {
    const magic = view.getUint32(8, true);
    this.#little = magic === byteOrderMagic;
    if (!this.#little && view.getUint32(8) !== byteOrderMagic) {
      throw new Stop(this.#offset, 'the section header has no byte-order magic');
    }
  }

  #section(body: Bytes, offset: number): void {
    const version = new DataView(body.buffer, body.byteOffset).getUint16(4, this.#little);
    if (version !== 1) throw new Stop(offset, `pcapng version ${version} is not supported, 1 is`);
    this.#interfaces = [];
  }

  #interface(body: Bytes, offset: number): void {
    if (body.length < 8) throw new Stop(offset, 'an interface description without its fields');
    if (this.#interfaces.length === mostInterfaces) throw new Stop(offset, 'too many interfaces');
    const view = new DataView(body.buffer, body.byteOffset, body.length);
    let resolution = 6;
    let offsetSeconds = 0n;
    for (let at = 8; body.length - at >= 4; ) {
      const code = view.getUint16(at, this.#little);
      const length = view.getUint16(at + 2, this.#little);
      const padded = (length + 3) & ~3;
      if (code === optionCode.end) break;
      if (padded > body.length - at - 4) throw new Stop(offset, `an interface option of ${length} bytes`);
      if (code === optionCode.resolution && length === 1) resolution = body[at + 4]!;
      if (code === optionCode.offset && length === 8) offsetSeconds = view.getBigInt64(at + 4, this.#little);
      at += 4 + padded;
    }
    this.#interfaces.push({
      link: view.getUint16(0, this.#little),
      snapshot: view.getUint32(4, this.#little),
      toNanoseconds: timeOf(resolution, offsetSeconds),
    });
  }

  #packet(body: Bytes, offset: number, isObsolete: boolean): CapturedPacket {
    if (body.length < 20) throw new Stop(offset, 'a packet block without its fields');
    const view = new DataView(body.buffer, body.byteOffset, body.length);
    const number = isObsolete ? view.getUint16(0, this.#little) : view.getUint32(0, this.#little);
    const from = this.#interfaces[number];
    if (from === undefined) {
      throw new Stop(offset, `a packet of interface ${number}, which was not described`);
    }
    const units = (BigInt(view.getUint32(4, this.#little)) << 32n) | BigInt(view.getUint32(8, this.#little));
    const length = view.getUint32(12, this.#little);
    return {
      data: this.#dataOf(body.subarray(20), length, offset),
      timeNs: from.toNanoseconds(units),
      originalLength: view.getUint32(16, this.#little),
      link: this.#linkType(from.link, offset),
      offset,
    };
  }

  /** Without interface and time: of the first interface, as long as its snapshot length and the block allow. */
  #simplePacket(body: Bytes, offset: number): CapturedPacket {
    if (body.length < 4) throw new Stop(offset, 'a packet block without its fields');
    const from = this.#interfaces[0];
    if (from === undefined) throw new Stop(offset, 'a packet before any interface was described');
    const originalLength = new DataView(body.buffer, body.byteOffset).getUint32(0, this.#little);
    const length = from.snapshot === 0 ? originalLength : Math.min(originalLength, from.snapshot);
    const data = this.#dataOf(body.subarray(4), length, offset);
    return { data, timeNs: 0n, originalLength, link: this.#linkType(from.link, offset), offset };
  }

  #dataOf(space: Bytes, length: number, offset: number): Bytes {
    if (length > space.length) {
      throw new Stop(offset, `a packet of ${length} bytes in a block that holds ${space.length}`);
    }
    return space.subarray(0, length);
  }
}

/** A whole capture at once: its packets, and what was wrong with it after them. */
export function readCapture(bytes: Bytes): { packets: CapturedPacket[]; error: CaptureFault | null } {
  const reader = new CaptureReader();
  const packets = reader.push(bytes);
  reader.end();
  return { packets, error: reader.error };
}

interface Option {
  code: number;
  value: Bytes;
}

/** A block in little-endian order: type, length, body padded, options, length. */
function encodeBlock(type: number, fields: number[], data: Bytes, options: Option[]): Bytes {
  const padded = (length: number) => (length + 3) & ~3;
  const optionBytes = options.reduce((sum, { value }) => sum + 4 + padded(value.length), 0);
  const total = 12 + fields.length * 4 + padded(data.length) + (options.length > 0 ? optionBytes + 4 : 0);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const word of [type, total, ...fields]) {
    view.setUint32(at, word, true);
    at += 4;
  }
  bytes.set(data, at);
  at += padded(data.length);
  for (const { code, value } of options) {
    view.setUint16(at, code, true);
    view.setUint16(at + 2, value.length, true);
    bytes.set(value, at + 4);
    at += 4 + padded(value.length);
  }
  view.setUint32(total - 4, total, true);
  return bytes;
}

const text = (value: string): Bytes => new TextEncoder().encode(value);

/** What a pcapng file begins with: section header, and each interface with nanosecond time stamps. */
export function captureHeader(link: LinkType, ...interfaceNames: string[]): Bytes {
  const none = new Uint8Array(0);
  const section = encodeBlock(blockType.section, [byteOrderMagic, 1, 0xffffffff, 0xffffffff], none, [
    { code: optionCode.application, value: text('penstock') },
  ]);
  const linkNumber = link === 'ethernet' ? 1 : 101;
  const descriptions = interfaceNames.map((name) =>
    encodeBlock(blockType.interface, [linkNumber, 0], none, [
      { code: optionCode.interfaceName, value: text(name) },
      { code: optionCode.resolution, value: Uint8Array.of(9) },
    ]),
  );
  const bytes = new Uint8Array(descriptions.reduce((sum, { length }) => sum + length, section.length));
  let at = 0;
  for (const block of [section, ...descriptions]) {
    bytes.set(block, at);
    at += block.length;
  }
  return bytes;
}

export interface PacketToWrite {
  data: Bytes;
  timeNs: bigint;
  /** at most 65,535 bytes */
  comment?: string;
  /** of those that captureHeader() describes; the first when left out */
  interface?: number;
  /** more than data.length when it was cut */
  originalLength?: number;
  direction?: 'in' | 'out';
  /** of the interface */
  queue?: number;
  /** the same for one packet seen at several places */
  packetId?: bigint;
}

/** A packet of an interface that captureHeader() describes. */
export function capturePacket(packet: PacketToWrite): Bytes {
  const high = Number(BigInt.asUintN(32, packet.timeNs >> 32n));
  const low = Number(BigInt.asUintN(32, packet.timeNs));
  const { length } = packet.data;
  const options: Option[] = [];
  const word = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);
  if (packet.comment !== undefined)
    options.push({ code: optionCode.comment, value: text(packet.comment).subarray(0, 0xffff) });
  if (packet.direction !== undefined)
    options.push({ code: optionCode.packetFlags, value: word(packet.direction === 'in' ? 1 : 2) });
  if (packet.packetId !== undefined)
    options.push({
      code: optionCode.packetId,
      value: new Uint8Array(BigUint64Array.of(packet.packetId).buffer),
    });
  if (packet.queue !== undefined) options.push({ code: optionCode.queue, value: word(packet.queue) });
  const fields = [packet.interface ?? 0, high, low, length, packet.originalLength ?? length];
  return encodeBlock(blockType.enhanced, fields, packet.data, options);
}

/** The blocks of pcapng bytes that captureHeader() and capturePacket() made. */
export function* blocksOf(bytes: Bytes): Generator<Bytes> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at + 4, true);
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

export const isPacket = (block: Bytes): boolean => block[0] === blockType.enhanced;
