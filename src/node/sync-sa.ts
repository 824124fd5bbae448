/** A tunnel with its keys as it crosses the interchassis link: what is no secret as JSON, then the keys in bytes. */
import { parseAddress } from '../config/address.js';
import type { Address } from '../model/address.js';
import { Prefix } from '../model/prefix.js';
import { authenticationOf, espAlgorithms } from '../model/sa.js';
import { Secret } from '../model/secret.js';
import { type Bytes, setU16, setU32, u16, u32 } from '../wire/bytes.js';
import type { SaKey, Tunnel } from './tunnel.js';

export interface SyncedTunnel {
  readonly tunnel: Tunnel;
  readonly inbound: readonly SaKey[];
  readonly outbound: SaKey;
  /** generations from which nodes count the epochs of the outbound key, by node-id */
  readonly bases: ReadonlyMap<number, number>;
}

const mostKeyBytes = 36;
const mostAuthenticationKeyBytes = 64;
/** SPI, algorithm, lengths of the two keys, which follow */
const saHeadBytes = 7;

/** The bytes hold keys: whoever gets them zeroises them. */
export function encodeTunnel({ tunnel, inbound, outbound, bases }: SyncedTunnel): Bytes {
  const text = new TextEncoder().encode(JSON.stringify({ tunnel, bases: [...bases] }));
  const sas = [outbound, ...inbound];
  const length = sas.reduce(
    (sum, { key, authenticationKey }) => sum + saHeadBytes + key.length + (authenticationKey?.length ?? 0),
    3 + text.length,
  );
  const bytes = new Uint8Array(length);
  setU16(bytes, 0, text.length);
  bytes.set(text, 2);
  let at = 2 + text.length;
  bytes[at++] = inbound.length;
  for (const { spi, algorithm = 'aes-gcm', key, authenticationKey = null } of sas) {
    setU32(bytes, at, spi);
    bytes[at + 4] = espAlgorithms.indexOf(algorithm);
    bytes[at + 5] = key.length;
    bytes[at + 6] = authenticationKey?.length ?? 0;
    bytes.set(key.reveal(), at + saHeadBytes);
    at += saHeadBytes + key.length;
    if (authenticationKey === null) continue;
    bytes.set(authenticationKey.reveal(), at);
    at += authenticationKey.length;
  }
  return bytes;
}

export function wipeSas(sas: readonly SaKey[]): void {
  for (const { key, authenticationKey } of sas) {
    key.wipe();
    authenticationKey?.wipe();
  }
}

/** null: malformed. Keys are copies. */
export function decodeTunnel(bytes: Bytes): SyncedTunnel | null {
  if (bytes.length < 3) return null;
  const textEnd = 2 + u16(bytes, 0);
  if (textEnd >= bytes.length) return null;
  const sas: SaKey[] = [];
  const count = bytes[textEnd]! + 1;
  let at = textEnd + 1;
  for (let i = 0; i < count; i++) {
    if (at + saHeadBytes > bytes.length) return null;
    const [algorithm, keyBytes, macBytes] = [espAlgorithms[bytes[at + 4]!], bytes[at + 5]!, bytes[at + 6]!];
    const keyEnd = at + saHeadBytes + keyBytes;
    const end = keyEnd + macBytes;
    if (end > bytes.length || keyBytes > mostKeyBytes || macBytes > mostAuthenticationKeyBytes) return null;
    if (algorithm === undefined || macBytes !== (authenticationOf(algorithm)?.keyBytes ?? 0)) return null;
    sas.push({
      spi: u32(bytes, at),
      algorithm,
      key: new Secret(bytes.slice(at + saHeadBytes, keyEnd)),
      authenticationKey: macBytes === 0 ? null : new Secret(bytes.slice(keyEnd, end)),
    });
    at = end;
  }
  try {
    const parsed = JSON.parse(new TextDecoder().decode(bytes.subarray(2, textEnd))) as Parsed;
    return { ...tunnelOf(parsed), inbound: sas.slice(1), outbound: sas[0]! };
  } catch {
    wipeSas(sas);
    return null;
  }
}

interface Parsed {
  readonly tunnel: Record<keyof Tunnel, unknown>;
  readonly bases: unknown;
}

/** Throws when something is not what it should be. */
function tunnelOf({ tunnel, bases }: Parsed): Pick<SyncedTunnel, 'tunnel' | 'bases'> {
  const text = (value: unknown): string => {
    if (typeof value !== 'string' || value.length > 255) throw new TypeError('text');
    return value;
  };
  const number = (value: unknown, most: number): number => {
    if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > most)
      throw new TypeError('number');
    return value as number;
  };
  const flag = (value: unknown): boolean => {
    if (typeof value !== 'boolean') throw new TypeError('flag');
    return value;
  };
  const or = <T>(value: unknown, read: (value: unknown) => T): T | null =>
    value === null ? null : read(value);
  const word = <T extends string>(value: unknown, words: readonly T[]): T => {
    const found = words.find((each) => each === value);
    if (found === undefined) throw new TypeError('word');
    return found;
  };
  const list = (value: unknown): unknown[] => {
    if (!Array.isArray(value) || value.length > 256) throw new TypeError('list');
    return value;
  };
  return {
    tunnel: {
      name: text(tunnel.name),
      id: number(tunnel.id, 0x3fff_ffff),
      gateway: addressOf(text(tunnel.gateway)),
      localAddress: addressOf(text(tunnel.localAddress)),
      anchoring:
        typeof tunnel.anchoring === 'number'
          ? number(tunnel.anchoring, 65_535)
          : (text(tunnel.anchoring) as Tunnel['anchoring']),
      routingInstance: text(tunnel.routingInstance),
      bindInterface: text(tunnel.bindInterface),
      selectors: list(tunnel.selectors).map((each) => {
        const { local, remote } = each as Record<'local' | 'remote', unknown>;
        return { local: prefixOf(text(local)), remote: prefixOf(text(remote)) };
      }),
      antiReplayWindowSize: or(tunnel.antiReplayWindowSize, (value) => number(value, 8192)),
      extendedSequenceNumber: flag(tunnel.extendedSequenceNumber),
      dfBit: word(tunnel.dfBit, ['clear', 'set', 'copy']),
      copyOuterDscp: flag(tunnel.copyOuterDscp),
      outerDscp: or(tunnel.outerDscp, (value) => number(value, 63)),
      bySource: or(tunnel.bySource, text),
      announced: word(tunnel.announced, ['when-keyed', 'when-proven']),
    },
    bases: new Map(
      list(bases).map((each) => {
        const [node, generation] = list(each);
        return [number(node, 15), number(generation, 2 ** 48)];
      }),
    ),
  };
}

function addressOf(text: string): Address {
  const found = parseAddress(text);
  if (found === undefined) throw new TypeError('address');
  return found;
}

function prefixOf(text: string): Prefix {
  const [address = '', length = ''] = text.split('/');
  return new Prefix(addressOf(address), Number(length));
}
