/**
 * Flows from the packets of a capture. Lenient where forwarding is strict: captures are cut short, checksums are left to
 * cards, lengths of segments to offload.
 */

import { ipProtocol } from '../../wire/ip.js';
import type { CapturedPacket } from '../../wire/pcap.js';
import { hasPorts } from './csv.js';
import type { FlowRecord } from './records.js';

const etherTypes = { ipv4: 0x0800, ipv6: 0x86dd } as const;
/** 802.1Q, 802.1ad, and the one used before it was one */
const tags: readonly number[] = [0x8100, 0x88a8, 0x9100];
const mostTags = 4;
const mostExtensionHeaders = 8;

/** The flow a packet belongs to, with the packet's bytes; null: not IP, or cut off before its addresses end. */
export function flowOf({ data, link, originalLength }: CapturedPacket): FlowRecord | null {
  const ip = link === 'ethernet' ? ipOf(data) : data;
  if (ip === null || ip.length === 0) return null;
  const length = originalLength - (data.length - ip.length);
  const version = ip[0]! >> 4;
  if (version === 4) return inet(ip, length);
  return version === 6 ? inet6(ip, length) : null;
}

function ipOf(frame: Uint8Array): Uint8Array | null {
  for (let at = 12, seen = 0; at + 2 <= frame.length && seen <= mostTags; at += 4, seen++) {
    const type = u16(frame, at);
    if (type === etherTypes.ipv4 || type === etherTypes.ipv6) return frame.subarray(at + 2);
    if (!tags.includes(type)) return null;
  }
  return null;
}

const u16 = (bytes: Uint8Array, at: number) => (bytes[at]! << 8) | bytes[at + 1]!;

function inet(ip: Uint8Array, length: number): FlowRecord | null {
  const header = (ip[0]! & 15) * 4;
  if (ip.length < 20 || header < 20) return null;
  const isFragment = (u16(ip, 6) & 0x3fff) !== 0;
  const protocol = ip[9]!;
  return {
    source: ip.subarray(12, 16),
    destination: ip.subarray(16, 20),
    protocol,
    ports: isFragment ? null : portsAt(ip, header, protocol),
    // 0: a segment that a card was to cut
    bytes: u16(ip, 2) || length,
  };
}

function inet6(ip: Uint8Array, length: number): FlowRecord | null {
  if (ip.length < 40) return null;
  const { hopByHop, routing, fragment, destinationOptions } = ipProtocol;
  const extensions: readonly number[] = [hopByHop, routing, fragment, destinationOptions];
  let protocol = ip[6]!;
  let at = 40;
  let isFragment = false;
  for (let i = 0; i < mostExtensionHeaders && extensions.includes(protocol) && at + 8 <= ip.length; i++) {
    isFragment ||= protocol === fragment;
    const bytes = protocol === fragment ? 8 : (ip[at + 1]! + 1) * 8;
    protocol = ip[at]!;
    at += bytes;
  }
  const payload = u16(ip, 4);
  return {
    source: ip.subarray(8, 24),
    destination: ip.subarray(24, 40),
    protocol,
    ports: isFragment ? null : portsAt(ip, at, protocol),
    bytes: payload === 0 ? length : 40 + payload,
  };
}

function portsAt(ip: Uint8Array, at: number, protocol: number): FlowRecord['ports'] {
  if (!hasPorts(protocol) || at + 4 > ip.length) return null;
  return { source: u16(ip, at), destination: u16(ip, at + 2) };
}
