import { describe, expect, it } from 'vitest';
import { mustDecode } from '../../dist/wire/bytes.js';
import { checksum, pseudoHeader, updated, verifies } from '../../dist/wire/checksum.js';
import { decodeEsp, decodeInUdp, encodeEsp, encodeIkeInUdp } from '../../dist/wire/esp.js';
import { decodeEthernet, encodeArp, encodeEthernet } from '../../dist/wire/ethernet.js';
import {
  decodeIcmp,
  decodeNeighbour,
  encodeIcmp,
  encodeNeighbour,
  icmpVerifies,
  solicitedNode,
} from '../../dist/wire/icmp.js';
import { encodeIp, pseudoHeaderOf } from '../../dist/wire/ip.js';
import { type ParsedFrame, parseFrame, parseIp } from '../../dist/wire/packet.js';
import { decodeTcp, encodeTcp } from '../../dist/wire/tcp.js';
import { decodeUdp, encodeUdp } from '../../dist/wire/udp.js';
import { type Golden, golden, readGolden } from './golden.js';

const packets = readGolden();
const good = packets.filter((packet) => packet.drop === 'none');
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const reasonOf = (bytes: Uint8Array): string => {
  const parsed = parseFrame(bytes);
  return parsed.ok ? 'none' : parsed.reason;
};

/** What was read, under the names of the vectors. */
function fieldsOf(parsed: ParsedFrame): Record<string, string | number> {
  const { link, arp, ip } = parsed;
  const l3 = link.payloadOffset;
  const fields: Record<string, string | number> = {
    l3,
    vlan: link.vlan,
    destination_mac: text(link.destination),
    source_mac: text(link.source),
  };
  if (arp !== null) {
    return {
      ...fields,
      version: 0,
      l4: 0,
      arp_operation: arp.operation,
      sender_mac: text(arp.senderMac),
      sender_ip: text(arp.senderIp),
      target_mac: text(arp.targetMac),
      target_ip: text(arp.targetIp),
    };
  }
  const { ip: header, transport, sourcePort, destinationPort } = ip!;
  Object.assign(fields, {
    version: header.version,
    protocol: header.protocol,
    source: text(header.source),
    destination: text(header.destination),
    ttl: header.ttl,
    tos: header.tos,
    identification: header.identification,
    flow_label: header.flowLabel,
    fragment_offset: header.fragmentOffset,
    length: l3 + header.totalLength,
    l4: transport === null ? 0 : l3 + header.payloadOffset,
    source_port: sourcePort,
    destination_port: destinationPort,
  });
  return transport === null ? fields : { ...fields, ...transportFields(parsed, transport) };
}

function transportFields(parsed: ParsedFrame, transport: Uint8Array): Record<string, string | number> {
  const { ip } = parsed.ip!;
  const start = ip.version === 4 && ip.protocol === 1 ? 0 : pseudoHeaderOf(ip, ip.protocol, transport.length);
  const fields: Record<string, string | number> = {
    l4_checksum_verifies: Number(verifies(transport, start)),
  };
  const udp = decodeUdp(transport);
  if (ip.protocol === 17 && udp.ok) {
    Object.assign(fields, { udp_length: udp.value.length, in_udp: decodeInUdp(udp.value.payload).kind });
  }
  const tcp = decodeTcp(transport);
  if (ip.protocol === 6 && tcp.ok) {
    Object.assign(fields, {
      tcp_sequence: tcp.value.sequence,
      tcp_acknowledgment: tcp.value.acknowledgment,
      tcp_flags: tcp.value.flags,
      tcp_window: tcp.value.window,
      tcp_header: tcp.value.headerLength,
    });
  }
  const esp = decodeEsp(transport);
  if (ip.protocol === 50 && esp.ok) {
    Object.assign(fields, { esp_spi: esp.value.spi, esp_sequence: esp.value.sequence });
  }
  if (ip.protocol === (ip.version === 4 ? 1 : 58)) Object.assign(fields, icmpFields(parsed, transport));
  return fields;
}

function icmpFields(parsed: ParsedFrame, transport: Uint8Array): Record<string, string | number> {
  const { ip } = parsed.ip!;
  const icmp = mustDecode(decodeIcmp(transport, ip.version));
  const fields: Record<string, string | number> = {
    icmp_type: icmp.type,
    icmp_code: icmp.code,
    icmp_identifier: icmp.identifier,
    icmp_sequence: icmp.sequence,
    [ip.version === 4 ? 'icmp_mtu' : 'icmp6_mtu']: icmp.mtu,
  };
  const neighbour = decodeNeighbour(ip, transport);
  if (!neighbour.ok) return fields;
  const { target, linkLayer, flags } = neighbour.value;
  return {
    ...fields,
    nd_target: text(target),
    nd_flags: flags,
    ...(linkLayer === null ? {} : { nd_link_layer: text(linkLayer) }),
  };
}

function flagsOf(packet: Golden, parsed: ParsedFrame): string {
  const names: string[] = [];
  if (parsed.ip?.ip.dontFragment) names.push('dont-fragment');
  if (parsed.link.vlan !== 0) names.push('tagged');
  if (parsed.ip && parsed.ip.ip.fragment !== 'none') names.push(`${parsed.ip.ip.fragment}-fragment`);
  return packet.has('flags') ? names.join(',') : '';
}

describe('golden packets', () => {
  it.each(packets.map((packet) => [packet.name, packet] as const))('%s', (_, packet) => {
    expect(reasonOf(packet.bytes)).toBe(packet.drop);
    if (packet.drop !== 'none') return;
    const parsed = mustDecode(parseFrame(packet.bytes));
    const fields = fieldsOf(parsed);
    for (const [key, value] of packet.fields) {
      if (['drop', 'flags', 'padding'].includes(key)) continue;
      // an ARP frame's length is the frame's
      if (key === 'length' && parsed.arp !== null) continue;
      expect(`${key} ${fields[key]}`).toBe(`${key} ${value}`);
    }
    expect(flagsOf(packet, parsed)).toBe(packet.text('flags'));
    expect('nd_link_layer' in fields).toBe(packet.has('nd_link_layer'));
  });

  it('are whole or nothing: cut at every byte', () => {
    for (const packet of packets) {
      const padding = packet.has('padding') ? packet.number('padding') : 0;
      for (let length = 0; length < packet.bytes.length; length++) {
        const whole = packet.drop === 'none' && length + padding >= packet.bytes.length;
        const reason = reasonOf(packet.bytes.slice(0, length));
        expect(`${packet.name} ${length} ${reason === 'none'}`).toBe(`${packet.name} ${length} ${whole}`);
      }
    }
  });

  it('never throw, whatever a byte says', () => {
    for (const packet of packets) {
      const bytes = Uint8Array.from(packet.bytes);
      for (let at = 0; at < bytes.length; at++) {
        for (const value of [0, 1, 4, 7, 0x40, 0x45, 0x4f, 0x60, 0x7f, 0x80, 0xff]) {
          bytes[at] = value;
          const parsed = parseFrame(bytes);
          if (parsed.ok) fieldsOf(parsed.value);
        }
        bytes[at] = packet.bytes[at]!;
      }
    }
  });

  it('are read without their link header too', () => {
    for (const packet of good.filter((each) => each.number('version') !== 0)) {
      const l3 = packet.number('l3');
      const parsed = mustDecode(parseIp(packet.bytes.subarray(l3)));
      expect(parsed.ip.totalLength + l3).toBe(packet.number('length'));
    }
    const five = Uint8Array.from({ length: 40 }, () => 0x50);
    expect(parseIp(five)).toEqual({ ok: false, reason: 'bad_next_header' });
    expect(parseIp(new Uint8Array(0))).toEqual({ ok: false, reason: 'runt' });
  });
});

describe('encoders make the golden packets', () => {
  const parts = (name: string) => {
    const { bytes } = golden(name);
    const parsed = mustDecode(parseFrame(bytes));
    const link = mustDecode(decodeEthernet(bytes));
    return { bytes, link, parsed, ip: parsed.ip?.ip, transport: parsed.ip?.transport ?? new Uint8Array(0) };
  };
  const rebuilt = (name: string, transport: (of: ReturnType<typeof parts>) => Uint8Array) => {
    const of = parts(name);
    const ip = of.ip!;
    const packet = encodeIp(ip, transport(of));
    expect(text(encodeEthernet(of.link, packet))).toBe(text(of.bytes));
  };

  it.each(['ipv4-udp', 'ipv4-udp-odd', 'ipv6-udp', 'ipv6-udp-vlan'])('%s', (name) => {
    rebuilt(name, ({ ip, transport }) => {
      const udp = mustDecode(decodeUdp(transport));
      const pseudo = pseudoHeaderOf(ip!, 17, transport.length);
      return encodeUdp(udp.sourcePort, udp.destinationPort, udp.payload, pseudo);
    });
  });

  it.each(['ipv4-tcp', 'ipv6-tcp'])('%s', (name) => {
    rebuilt(name, ({ ip, transport }) =>
      encodeTcp(mustDecode(decodeTcp(transport)), pseudoHeaderOf(ip!, 6, transport.length)),
    );
  });

  it.each(['ipv4-icmp-echo', 'ipv6-icmp-echo', 'ipv4-icmp-too-big', 'ipv6-too-big'])('%s', (name) => {
    rebuilt(name, ({ ip, transport }) =>
      encodeIcmp(ip!, transport[0]!, transport[1]!, transport.subarray(4, 8), transport.subarray(8)),
    );
  });

  it.each(['nd-solicitation', 'nd-duplicate-address', 'nd-advertisement', 'nd-unsolicited'])('%s', (name) => {
    rebuilt(name, ({ ip, transport }) => encodeNeighbour(ip!, mustDecode(decodeNeighbour(ip!, transport))));
  });

  it.each(['ipv4-esp', 'ipv6-esp'])('%s', (name) => {
    rebuilt(name, ({ transport }) => {
      const { spi, sequence, rest } = mustDecode(decodeEsp(transport));
      return encodeEsp(spi, sequence, rest);
    });
  });

  it.each(['arp-request', 'arp-request-vlan', 'arp-reply'])('%s', (name) => {
    const { bytes, link, parsed } = parts(name);
    expect(text(encodeEthernet(link, encodeArp(parsed.arp!)))).toBe(text(bytes));
  });

  it('IKE for port 4500', () => {
    const message = Uint8Array.of(1, 2, 3, 4, 5);
    expect(decodeInUdp(encodeIkeInUdp(message))).toEqual({ kind: 'ike', payload: message });
  });

  it('refuse what cannot be', () => {
    const four = Uint8Array.of(10, 0, 0, 1);
    const header = { source: four, destination: new Uint8Array(16), protocol: 17 };
    expect(() => encodeIp(header, new Uint8Array(0))).toThrow(/addresses of 4 bytes, or two of 16/);
    expect(() => encodeIp({ ...header, destination: four }, new Uint8Array(65516))).toThrow(/does not fit/);
    expect(encodeIp({ ...header, destination: four }, new Uint8Array(65515))).toHaveLength(65535);
  });
});

describe('neighbour discovery', () => {
  const { bytes } = golden('nd-solicitation');
  const message = () => bytes.slice(54);
  const { ip } = mustDecode(parseFrame(bytes)).ip!;
  const reads = (packet: typeof ip, of: Uint8Array, mend = true): boolean => {
    if (mend) {
      of.set([0, 0], 2);
      const sum = checksum(of, pseudoHeaderOf(packet, 58, of.length));
      of.set([sum >> 8, sum & 0xff], 2);
    }
    return decodeNeighbour(packet, of).ok;
  };
  const changed = (at: number, value: number): Uint8Array => {
    const of = message();
    of[at] = value;
    return of;
  };

  it('is read when all is right', () => expect(reads(ip, message())).toBe(true));

  it('is ignored when it fails a check of RFC 4861 §7.1', () => {
    expect(reads({ ...ip, ttl: 254 }, message())).toBe(false);
    expect(reads(ip, changed(1, 1))).toBe(false);
    expect(reads(ip, changed(10, 0x55), false)).toBe(false);
    expect(reads(ip, changed(8, 0xff))).toBe(false);
    expect(reads(ip, changed(25, 0))).toBe(false);
    expect(reads(ip, changed(25, 2))).toBe(false);
    expect(reads(ip, changed(26, 1))).toBe(false);
    expect(reads(ip, message().slice(0, 23))).toBe(false);
    expect(reads({ ...ip, source: new Uint8Array(16) }, message())).toBe(false);
    expect(icmpVerifies(message(), ip)).toBe(true);
  });

  it('knows the group of an address', () => {
    const address = Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0x56, 0x78);
    expect(text(solicitedNode(address))).toBe('ff0200000000000000000001ff345678');
  });
});

describe('checksums', () => {
  it('are those of RFC 1071 §3', () => {
    const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
    expect(checksum(bytes)).toBe(~0xddf2 & 0xffff);
    expect(checksum(Uint8Array.of(0xab))).toBe(~0xab00 & 0xffff);
  });

  it('stay right when a word changes (RFC 1624 §4)', () => {
    expect(updated(0xdd2f, 0x5555, 0x3285)).toBe(0);
    const packet = golden('ipv4-udp').bytes.slice(14, 34);
    for (let word = 0; word < 0x10000; word += 251) {
      const before = (packet[2]! << 8) | packet[3]!;
      packet.set([word >> 8, word & 0xff], 2);
      const sum = updated((packet[10]! << 8) | packet[11]!, before, word);
      packet.set([sum >> 8, sum & 0xff], 10);
      expect(verifies(packet)).toBe(true);
    }
  });

  it('take a pseudo header of either family', () => {
    expect(pseudoHeader(Uint8Array.of(1, 2, 3, 4), Uint8Array.of(5, 6, 7, 8), 17, 8)).toBe(0x1014 + 17 + 8);
  });
});
