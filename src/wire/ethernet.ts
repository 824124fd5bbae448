/** Ethernet II with at most one IEEE 802.1Q tag, and ARP for IPv4 (RFC 826). */
import { type Bytes, type Decoded, decoded, setU16, u16, undecodable } from './bytes.js';

export const etherType = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd } as const;

export const ethernetHeaderBytes = 14;
export const vlanTagBytes = 4;

export interface EthernetHeader {
  destination: Bytes;
  source: Bytes;
  /** of the payload, behind the tag */
  type: number;
  /** 0: untagged, or a priority tag */
  vlan: number;
}

export interface EthernetFrame extends EthernetHeader {
  /** 14 or 18 */
  payloadOffset: number;
}

/** runt: shorter than its link header. Addresses are views. */
export function decodeEthernet(frame: Bytes): Decoded<EthernetFrame> {
  if (frame.length < ethernetHeaderBytes) return undecodable('runt');
  const destination = frame.subarray(0, 6);
  const source = frame.subarray(6, 12);
  const type = u16(frame, 12);
  if (type !== etherType.vlan) {
    return decoded({ destination, source, type, vlan: 0, payloadOffset: ethernetHeaderBytes });
  }
  const payloadOffset = ethernetHeaderBytes + vlanTagBytes;
  if (frame.length < payloadOffset) return undecodable('runt');
  return decoded({ destination, source, type: u16(frame, 16), vlan: u16(frame, 14) & 0xfff, payloadOffset });
}

/** A frame of header and payload; vlan 0: untagged. */
export function encodeEthernet(header: EthernetHeader, payload: Bytes): Bytes {
  const offset = ethernetHeaderBytes + (header.vlan === 0 ? 0 : vlanTagBytes);
  const frame = new Uint8Array(offset + payload.length);
  frame.set(header.destination, 0);
  frame.set(header.source, 6);
  if (header.vlan !== 0) {
    setU16(frame, 12, etherType.vlan);
    setU16(frame, 14, header.vlan);
  }
  setU16(frame, offset - 2, header.type);
  frame.set(payload, offset);
  return frame;
}

/** Broadcast and multicast. */
export const isGroupMac = (mac: Bytes): boolean => (mac[0]! & 1) === 1;
const isStationMac = (mac: Bytes): boolean => !isGroupMac(mac) && mac.some((byte) => byte !== 0);

export const arpOperation = { request: 1, reply: 2 } as const;
const arpBytes = 28;
/** hardware type Ethernet, protocol type IPv4, and the lengths of their addresses */
const arpFixed = [0x00, 0x01, 0x08, 0x00, 0x06, 0x04];

export interface Arp {
  operation: number;
  senderMac: Bytes;
  senderIp: Bytes;
  targetMac: Bytes;
  targetIp: Bytes;
}

/** bad_arp: not Ethernet and IPv4, cut short, neither request nor reply, or sent from a group address. */
export function decodeArp(bytes: Bytes): Decoded<Arp> {
  if (bytes.length < arpBytes || arpFixed.some((byte, at) => bytes[at] !== byte))
    return undecodable('bad_arp');
  const operation = u16(bytes, 6);
  const senderMac = bytes.subarray(8, 14);
  if (operation !== arpOperation.request && operation !== arpOperation.reply) return undecodable('bad_arp');
  if (!isStationMac(senderMac)) return undecodable('bad_arp');
  return decoded({
    operation,
    senderMac,
    senderIp: bytes.subarray(14, 18),
    targetMac: bytes.subarray(18, 24),
    targetIp: bytes.subarray(24, 28),
  });
}

export function encodeArp(arp: Arp): Bytes {
  const bytes = new Uint8Array(arpBytes);
  bytes.set(arpFixed, 0);
  setU16(bytes, 6, arp.operation);
  bytes.set(arp.senderMac, 8);
  bytes.set(arp.senderIp, 14);
  bytes.set(arp.targetMac, 18);
  bytes.set(arp.targetIp, 24);
  return bytes;
}
