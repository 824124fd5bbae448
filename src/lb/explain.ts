/** Why a flow goes where it goes: the part that hashing decides. */
import { parseAddress } from '../config/address.js';
import { protocolNumber } from '../config/compile/protocols.js';
import { showValue } from '../config/problem.js';
import type { Address } from '../model/address.js';
import { FlowHasher, flowKey, type HashFunction, type HashKey, isIpsecPeer, slotOf, toHex } from './keys.js';
import { hasPorts } from './plan/csv.js';
import { PlanError } from './plan/events.js';

/** One flow, as somebody writes it down. */
export interface GivenFlow {
  readonly source: Address;
  readonly destination: Address;
  readonly protocol: number;
  /** null: the protocol has none */
  readonly ports: { readonly source: number; readonly destination: number } | null;
  /** of ESP and AH; it decides nothing here, since a peer is never split */
  readonly spi: number | null;
}

const wanted =
  'write source,destination,protocol,source port,destination port, e.g. 10.20.0.17,10.0.0.1,udp,500,500';
const withSpi: readonly number[] = [50, 51];

/** `src,dst,proto[,sport,dport]`, `src,dst,icmp[,type,code]`, `src,dst,esp[,spi]`. Throws PlanError. */
export function parseFlow(text: string): GivenFlow {
  const refuse = (why: string) => new PlanError(`--flow ${text}: ${why}`);
  const fields = text.split(',').map((field) => field.trim());
  const [from = '', to = '', protocolText = '', ...rest] = fields;
  if (fields.length < 3) throw refuse(wanted);
  const address = (given: string) => {
    const parsed = parseAddress(given);
    if (parsed === undefined) throw refuse(`${showValue(given)} is not an IP address`);
    return parsed;
  };
  const source = address(from);
  const destination = address(to);
  if (source.family !== destination.family) throw refuse('its addresses are of two families');
  const protocol = protocolOf(protocolText, refuse);
  const number = (given: string, most: number, what: string) => {
    const value = /^(\d{1,10}|0x[0-9a-f]{1,8})$/i.test(given) ? Number(given) : Number.NaN;
    if (value <= most) return value;
    throw refuse(`${showValue(given)} is no ${what}`);
  };
  const flow = { source, destination, protocol, ports: null, spi: null };
  if (hasPorts(protocol)) {
    if (rest.length !== 2) throw refuse(`${protocolText} has two ports; ${wanted}`);
    const [sport = '', dport = ''] = rest;
    return {
      ...flow,
      ports: { source: number(sport, 0xffff, 'port'), destination: number(dport, 0xffff, 'port') },
    };
  }
  if (withSpi.includes(protocol)) {
    if (rest.length > 1) throw refuse(`${protocolText} has an SPI and no ports`);
    return { ...flow, spi: rest[0] === undefined ? null : number(rest[0], 0xffff_ffff, 'SPI') };
  }
  if (rest.length > 2) throw refuse(`more than ${protocolText} has`);
  for (const each of rest) number(each, 255, 'type or code');
  return flow;
}

function protocolOf(text: string, refuse: (why: string) => PlanError): number {
  if (/^\d{1,3}$/.test(text) && Number(text) <= 255) return Number(text);
  const number = protocolNumber(text.toLowerCase());
  if (typeof number === 'number') return number;
  throw refuse(number.wrong);
}

/** As the router does: native/core/node/transmit.cc. */
const readsPorts = (protocol: number) => protocol === 6 || protocol === 17;

export interface HashedFlow {
  /** hexadecimal */
  readonly key: string;
  /** what of the flow the key is, in words */
  readonly keyIs: string;
  /** 16 hexadecimal digits */
  readonly hashValue: string;
  readonly slot: number;
}

/** The way from a flow to its slot. */
export function hashFlow(
  flow: GivenFlow,
  { hashKey, hash, seed, slots }: { hashKey: HashKey; hash: HashFunction; seed: bigint; slots: number },
): HashedFlow {
  const isRead = flow.ports !== null && readsPorts(flow.protocol);
  const fields = {
    source: flow.source.bytes,
    destination: flow.destination.bytes,
    protocol: flow.protocol,
    ports: isRead ? flow.ports! : undefined,
  };
  const key = flowKey(hashKey, fields);
  const value = new FlowHasher(hash, seed).hash(key);
  const withPorts = hashKey === '5-tuple' || hashKey === 'symmetric-5-tuple';
  const keyIs = !withPorts
    ? hashKey
    : isIpsecPeer(fields)
      ? `${hashKey}: both addresses, since an IPsec peer is kept together`
      : flow.ports === null
        ? `${hashKey}: both addresses, since there are no ports`
        : isRead
          ? hashKey
          : `${hashKey}: both addresses, since only ports of TCP and UDP are read`;
  return {
    key: Buffer.from(key).toString('hex'),
    keyIs,
    hashValue: toHex(value),
    slot: slotOf(value, slots),
  };
}
