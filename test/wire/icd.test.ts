import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { decodeIcd, encodeIcd, icdHeaderBytes, icdOverhead } from '../../dist/wire/icd.js';

const golden = JSON.parse(readFileSync(new URL('../vectors/icd-golden.json', import.meta.url), 'utf8')) as {
  key: string;
  payloads: {
    piece: number;
    nodeId: number;
    zone: number;
    routingInstance: number;
    packet: string;
    bytes: string;
  }[];
};
const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'));
const key = bytes(golden.key);

describe('ICD payloads', () => {
  it('are the golden bytes, there and back', () => {
    expect(golden.payloads.length).toBeGreaterThan(4);
    for (const { piece, packet, bytes: wire, ...names } of golden.payloads) {
      const header = { piece: piece === 1, ...names };
      expect(encodeIcd(key, header, bytes(packet))).toEqual(bytes(wire));
      expect(decodeIcd(key, header.nodeId, bytes(wire))).toEqual({ header, packet: bytes(packet) });
    }
  });

  it('are refused when any bit is another, by whom they are not from, and cut short', () => {
    const { nodeId, bytes: wire } = golden.payloads[4]!;
    const whole = bytes(wire);
    for (let i = 0; i < whole.length * 8; i++) {
      const changed = Uint8Array.from(whole);
      changed[i >> 3]! ^= 1 << (i & 7);
      expect(typeof decodeIcd(key, nodeId, changed)).toBe('string');
    }
    expect(decodeIcd(key, nodeId + 1, whole)).toBe('icd_header');
    expect(decodeIcd(Uint8Array.from(key).fill(7), nodeId, whole)).toBe('icd_forged');
    for (let length = 0; length < whole.length; length++)
      expect(decodeIcd(key, nodeId, whole.subarray(0, length))).toBe(
        length < icdHeaderBytes ? 'icd_header' : 'icd_forged',
      );
  });

  it('add 40 bytes over IPv4', () => {
    expect(icdOverhead('inet')).toBe(20 + 8 + icdHeaderBytes);
    expect(icdOverhead('inet6')).toBe(40 + 8 + icdHeaderBytes);
  });
});
