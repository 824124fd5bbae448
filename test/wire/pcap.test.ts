import { describe, expect, it } from 'vitest';
import { CaptureReader, captureHeader, capturePacket, readCapture } from '../../dist/wire/pcap.js';

const packets = [60, 61, 300].map((length, at) => new Uint8Array(length).fill(at + 1));

/** Writes words of either byte order. */
class Writer {
  readonly #parts: number[] = [];

  constructor(readonly little: boolean) {}

  get bytes(): Uint8Array {
    return Uint8Array.from(this.#parts);
  }

  word(bytes: 2 | 4, ...values: number[]): this {
    for (const value of values) {
      const octets = Array.from({ length: bytes }, (_, i) => (value >>> (8 * i)) & 0xff);
      this.#parts.push(...(this.little ? octets : octets.reverse()));
    }
    return this;
  }

  put(bytes: ArrayLike<number>): this {
    this.#parts.push(...Array.from(bytes));
    return this;
  }

  block(type: number, body: Writer): this {
    const padding = new Uint8Array(-body.bytes.length & 3);
    const total = body.bytes.length + padding.length + 12;
    return this.word(4, type, total).put(body.bytes).put(padding).word(4, total);
  }

  section(): this {
    const body = new Writer(this.little).word(4, 0x1a2b3c4d).word(2, 1, 0).word(4, 0xffffffff, 0xffffffff);
    return this.block(0x0a0d0d0a, body);
  }

  interface(link: number, resolution?: number, offsetSeconds?: number): this {
    const body = new Writer(this.little).word(2, link, 0).word(4, 100);
    if (resolution !== undefined) body.word(2, 9, 1).put([resolution, 0, 0, 0]);
    if (offsetSeconds !== undefined) {
      body.word(2, 14, 8).word(4, ...(this.little ? [offsetSeconds, 0] : [0, offsetSeconds]));
    }
    if (resolution !== undefined) body.word(4, 0);
    return this.block(1, body);
  }

  packet(from: number, time: bigint, data: Uint8Array): this {
    const body = new Writer(this.little)
      .word(4, from, Number(time >> 32n), Number(time & 0xffffffffn), data.length, data.length + 1)
      .put(data);
    return this.block(6, body);
  }
}

function pcap(little: boolean, nanoseconds: boolean, link = 1): Uint8Array {
  const file = new Writer(little).word(4, nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4).word(2, 2, 4);
  file.word(4, 0, 0, 65535, link);
  packets.forEach((data, at) => {
    file.word(4, at + 1, 500, data.length, data.length + 1).put(data);
  });
  return file.bytes;
}

/** Every kind of block, and two sections of different byte order. */
function pcapng(little: boolean): Uint8Array {
  const file = new Writer(little)
    .section()
    .interface(1)
    .interface(101, 9)
    .interface(1, 0x80 | 20, 10);
  file.packet(0, 1_000_000n, packets[0]!);
  file.packet(1, 2_000_000_000n, packets[1]!);
  file.block(5, new Writer(little).put(new Uint8Array(12)));
  file.packet(2, (3n << 20n) + (1n << 19n), packets[2]!);
  file.block(3, new Writer(little).word(4, 61).put(packets[1]!));
  const second = new Writer(!little).section().interface(1, 6).packet(0, 4_000_000n, packets[0]!);
  return file.put(second.bytes).bytes;
}

const orders = [true, false];

describe('reading', () => {
  it.each(orders.flatMap((little) => orders.map((nanoseconds) => ({ little, nanoseconds }))))(
    'pcap %o',
    ({ little, nanoseconds }) => {
      const { packets: read, error } = readCapture(pcap(little, nanoseconds));
      expect(error).toBeNull();
      expect(read.map(({ data }) => Buffer.from(data))).toEqual(packets.map((data) => Buffer.from(data)));
      expect(read.map(({ timeNs }) => timeNs)).toEqual(
        [1n, 2n, 3n].map((second) => second * 1_000_000_000n + (nanoseconds ? 500n : 500_000n)),
      );
      expect(read[0]).toMatchObject({ link: 'ethernet', originalLength: 61, offset: 24 });
    },
  );

  it.each(orders)('pcapng, little-endian: %s', (little) => {
    const { packets: read, error } = readCapture(pcapng(little));
    expect(error).toBeNull();
    expect(read.map(({ data }) => data.length)).toEqual([60, 61, 300, 61, 60]);
    expect(read.map(({ timeNs }) => timeNs)).toEqual([
      1_000_000_000n,
      2_000_000_000n,
      13_500_000_000n,
      0n,
      4_000_000_000n,
    ]);
    expect(read.map(({ link }) => link)).toEqual(['ethernet', 'raw-ip', 'ethernet', 'ethernet', 'ethernet']);
  });

  it('raw IP', () => {
    for (const link of [101, 228, 229]) {
      expect(readCapture(pcap(true, true, link)).packets[0]!.link).toBe('raw-ip');
    }
  });

  it('piece by piece gives what the whole gives', () => {
    for (const file of [pcap(false, false), pcapng(true)]) {
      const whole = readCapture(file).packets;
      for (const size of [1, 7, 100]) {
        const reader = new CaptureReader();
        const read = [];
        for (let at = 0; at < file.length; at += size)
          read.push(...reader.push(file.subarray(at, at + size)));
        reader.end();
        expect(reader.error).toBeNull();
        expect(read).toEqual(whole);
      }
    }
  });

  it('a file cut at any byte: its whole packets, then where it ends', () => {
    for (const file of [pcap(true, false), pcap(false, true), pcapng(true), pcapng(false)]) {
      const whole = readCapture(file).packets;
      const ends: number[] = [];
      for (let length = 0; length < file.length; length++) {
        const { packets: read, error } = readCapture(file.subarray(0, length));
        expect(read).toEqual(whole.slice(0, read.length));
        const isWhole = (packet: { offset: number }, at: number) =>
          (whole[at + 1]?.offset ?? file.length) <= length && packet.offset < length;
        expect(read.length).toBeGreaterThanOrEqual(whole.filter(isWhole).length);
        if (error === null) ends.push(length);
        else expect(error.message).toMatch(/^offset \d+: /);
      }
      // only where a record ends is a cut not seen
      expect(ends.length).toBeGreaterThan(2);
      expect(ends.length).toBeLessThan(14);
    }
  });

  it('a file that lies gives packets and errors, and nothing else', () => {
    for (const file of [pcap(true, false), pcapng(true), pcapng(false)]) {
      const bytes = Uint8Array.from(file);
      for (let at = 0; at < 500; at++) {
        for (const value of [0, 1, 0x0c, 0x7f, 0xff]) {
          bytes[at] = value;
          expect(readCapture(bytes).packets.length).toBeLessThan(7);
        }
        bytes[at] = file[at]!;
      }
    }
  });
});

describe('errors say what and where', () => {
  const changed = (file: Uint8Array, at: number, value: number): Uint8Array => {
    const bytes = Uint8Array.from(file);
    bytes[at < 0 ? bytes.length + at : at] = value;
    return bytes;
  };
  it.each([
    [new Uint8Array(0), "offset 0: shorter than a capture's header"],
    [new TextEncoder().encode('#!/bin/sh'), 'offset 0: not a pcap or pcapng capture'],
    [
      pcap(true, true, 113),
      'offset 20: link type 113 is not supported: Ethernet (1) and raw IP (101, 228, 229) are',
    ],
    [changed(pcap(true, true), 4, 3), 'offset 4: pcap version 3 is not supported, 2 is'],
    [
      changed(pcap(true, true), 34, 0xff),
      'offset 24: a packet of 16711740 bytes: more than any capture holds',
    ],
    [pcap(true, true).subarray(0, -1), 'offset 177: the capture ends inside a record'],
    [changed(pcapng(true), -4, 4), 'offset 808: the lengths before and after a block differ'],
    [changed(pcapng(true), 8, 0), 'offset 0: the section header has no byte-order magic'],
    [changed(pcapng(true), 4, 29), 'offset 0: a block of 29 bytes'],
    [
      new Writer(true).section().packet(0, 0n, packets[0]!).bytes,
      'offset 28: a packet of interface 0, which was not described',
    ],
    [
      new Writer(true).section().interface(1).section().packet(0, 0n, packets[0]!).bytes,
      'offset 76: a packet of interface 0, which was not described',
    ],
    [
      new Writer(true).section().interface(113).packet(0, 0n, packets[0]!).bytes,
      'offset 48: link type 113 is not supported: Ethernet (1) and raw IP (101, 228, 229) are',
    ],
  ])('%#', (file, message) => {
    const { error } = readCapture(file);
    expect(error?.message).toBe(message);
    expect(message.startsWith(`offset ${error?.offset}:`)).toBe(true);
  });
});

describe('writing', () => {
  it('is read again', () => {
    const timeNs = 1_700_000_000_123_456_789n;
    const parts = [captureHeader('raw-ip', 'ge-0/0/0')];
    for (let length = 0; length < 70; length++) {
      const data = new Uint8Array(length).fill(length);
      const comment = length % 3 === 0 ? {} : { comment: 'é'.repeat(length) };
      parts.push(capturePacket({ data, timeNs: timeNs + BigInt(length), ...comment }));
    }
    const { packets: read, error } = readCapture(Buffer.concat(parts));
    expect(error).toBeNull();
    expect(read).toHaveLength(70);
    read.forEach((packet, length) => {
      expect(packet).toMatchObject({
        timeNs: timeNs + BigInt(length),
        link: 'raw-ip',
        originalLength: length,
      });
      expect(packet.data).toEqual(new Uint8Array(length).fill(length));
    });
  });
});
