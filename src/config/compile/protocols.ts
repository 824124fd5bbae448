import { suggestion } from '../problem.js';

/** Names of IP protocols as filters and applications write them; numbers by IANA. */
const numbers: Readonly<Record<string, number>> = {
  icmp: 1,
  igmp: 2,
  ipip: 4,
  tcp: 6,
  egp: 8,
  udp: 17,
  ipv6: 41,
  rsvp: 46,
  gre: 47,
  esp: 50,
  ah: 51,
  icmp6: 58,
  ospf: 89,
  pim: 103,
  vrrp: 112,
  sctp: 132,
};

/** The number of a protocol given by name or number, or what is wrong with it. */
export function protocolNumber(given: string | number): number | { wrong: string } {
  if (typeof given === 'number') return given;
  const known = Object.hasOwn(numbers, given) ? numbers[given] : undefined;
  if (known !== undefined) return known;
  return { wrong: `no protocol ${given}${suggestion(given, Object.keys(numbers)) || '; write its number'}` };
}
