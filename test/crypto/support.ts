import { readFileSync } from 'node:fs';
import { gcm } from '@noble/ciphers/aes.js';
import { parseAddress, parsePrefix } from '../../dist/config/address.js';
import type { Address } from '../../dist/model/address.js';
import type { InboundSa, OutboundSa, SaSelector } from '../../dist/model/sa.js';
import { Secret } from '../../dist/model/secret.js';
import { encodeIp, ipProtocol } from '../../dist/wire/ip.js';
import { encodeUdp } from '../../dist/wire/udp.js';

export type Bytes = Uint8Array;

export const vectors = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../vectors/${name}`, import.meta.url), 'utf8')) as T;

export const fromHex = (hex: string): Bytes => Uint8Array.from(Buffer.from(hex, 'hex'));
export const toHex = (bytes: Bytes): string => Buffer.from(bytes).toString('hex');
export const ip = (text: string): Address => parseAddress(text)!;
export const selector = (source: string, destination: string): SaSelector => ({
  source: parsePrefix(source)!,
  destination: parsePrefix(destination)!,
});

export const keyAndSalt = (aesBytes = 16, first = 1): Bytes =>
  Uint8Array.from({ length: aesBytes + 4 }, (_, i) => first + 11 * i);

export const inbound = (changes: Partial<InboundSa> = {}): InboundSa => ({
  spi: 0x1001,
  algorithm: 'aes-gcm',
  authenticationKey: null,
  key: new Secret(keyAndSalt()),
  extendedSequenceNumber: false,
  selectors: [],
  antiReplayWindowSize: 64,
  highestSequence: 0n,
  copyOuterDscp: false,
  ...changes,
});

export const outbound = (changes: Partial<OutboundSa> = {}): OutboundSa => ({
  spi: 0x1001,
  algorithm: 'aes-gcm',
  authenticationKey: null,
  key: new Secret(keyAndSalt()),
  extendedSequenceNumber: false,
  selectors: [],
  source: ip('192.0.2.1'),
  destination: ip('198.51.100.2'),
  udp: null,
  nextSequence: 1n,
  nextIv: { nodeId: 1, epoch: 0, counter: 0n },
  dfBit: 'copy',
  outerDscp: null,
  mtu: 1600,
  ...changes,
});

export interface InnerFields {
  tos?: number;
  dontFragment?: boolean;
  source?: string;
  destination?: string;
}

export function innerPacket(version: 4 | 6, payloadBytes: number, fields: InnerFields = {}): Bytes {
  const ends =
    version === 4
      ? {
          source: ip(fields.source ?? '10.1.0.1').bytes,
          destination: ip(fields.destination ?? '10.2.0.1').bytes,
        }
      : {
          source: ip(fields.source ?? '2001:db8:a::1').bytes,
          destination: ip(fields.destination ?? '2001:db8:b::1').bytes,
        };
  const payload = Uint8Array.from({ length: payloadBytes }, (_, i) => i * 7 + payloadBytes);
  return encodeIp(
    {
      ...ends,
      protocol: ipProtocol.udp,
      ttl: 63,
      tos: fields.tos ?? 0,
      dontFragment: fields.dontFragment ?? false,
    },
    encodeUdp(40000, 53, payload, null),
  );
}

/** Text of a packet: padding, its length, the next header; `extra` bytes of traffic flow confidentiality before. */
export function textOf(inner: Bytes, nextHeader: number, extra = 0): Bytes {
  const pad = -(inner.length + extra + 2) & 3;
  return Uint8Array.from([
    ...inner,
    ...new Array<number>(extra).fill(0xee),
    ...[1, 2, 3].slice(0, pad),
    pad,
    nextHeader,
  ]);
}

/** An ESP packet with this text, made without src/crypto. */
export function craft(key: Bytes, spi: number, sequence: bigint, isExtended: boolean, text: Bytes): Bytes {
  const header = new DataView(new ArrayBuffer(16));
  header.setUint32(0, spi);
  header.setUint32(4, Number(BigInt.asUintN(32, sequence)));
  header.setBigUint64(8, 0x1000_0000_0000_0001n);
  const aad = new DataView(new ArrayBuffer(isExtended ? 12 : 8));
  aad.setUint32(0, spi);
  if (isExtended) aad.setBigUint64(4, sequence);
  else aad.setUint32(4, Number(BigInt.asUintN(32, sequence)));
  const bytes = new Uint8Array(header.buffer);
  const nonce = Uint8Array.from([...key.subarray(-4), ...bytes.subarray(8)]);
  const sealed = gcm(key.subarray(0, -4), nonce, new Uint8Array(aad.buffer)).encrypt(text);
  return Uint8Array.from([...bytes, ...sealed]);
}
