/** BFD sessions as a file asks for them, under whatever they guard. */
import type { Address } from '../../model/address.js';
import { Secret } from '../../model/secret.js';
import { parseAddress } from '../address.js';
import type { BfdAuthConfig, BfdPeerConfig } from '../config.js';
import { limits } from '../limits.js';
import type { Path } from '../problem.js';
import type { ConfigDocument } from '../schema.js';
import type { Context } from './context.js';
import type { Reach } from './interfaces.js';

type StaticDocument = NonNullable<NonNullable<ConfigDocument['routing-options']>['static']>;
export type BfdDocument = NonNullable<StaticDocument['route'][string]['bfd-liveness-detection']>;

/** How often and how long: of any bfd-liveness-detection. undefined: it does not say, which is reported. */
export function bfdTiming(
  context: Context,
  at: Path,
  document: Pick<
    BfdDocument,
    'minimum-interval' | 'minimum-receive-interval' | 'transmit-interval' | 'multiplier'
  >,
): Pick<BfdPeerConfig, 'minimumTransmitMs' | 'minimumReceiveMs' | 'multiplier'> | undefined {
  const both = document['minimum-interval'];
  const transmit = document['transmit-interval']?.['minimum-interval'] ?? both;
  const receive = document['minimum-receive-interval'] ?? both;
  if (transmit === undefined || receive === undefined) {
    const lacks = transmit === undefined ? 'how often to send' : 'how often to receive';
    context.report(at, `does not say ${lacks}; write minimum-interval`, 'key');
    return undefined;
  }
  return {
    minimumTransmitMs: transmit,
    minimumReceiveMs: receive,
    multiplier: document.multiplier ?? limits.bfd.multiplier.fallback,
  };
}

/** The session that guards a next hop. undefined: something is wrong, and reported. */
export function nextHopSession(
  context: Context,
  at: Path,
  document: BfdDocument,
  nextHop: Address,
  routingInstance: string,
  reach: Reach,
): BfdPeerConfig | undefined {
  const timing = bfdTiming(context, at, document);
  const auth = authOf(context, at, document);
  const remote = document.neighbor === undefined ? nextHop : parseAddress(document.neighbor)!;
  const given = document['local-address'];
  const ttl = document['minimum-receive-ttl'];
  if (given === undefined) {
    if (ttl !== undefined)
      context.report(
        [...at, 'minimum-receive-ttl'],
        'a single-hop session wants 255 (RFC 5881); write local-address, too, or leave it out',
        'key',
      );
    const local = reach.ownTowards(routingInstance, remote);
    if (local === undefined) {
      if (context.sound('interfaces') && context.sound('routing-instances'))
        context.report(
          at,
          `${remote} is on no link of routing instance ${routingInstance}; write local-address for a multihop session`,
          'key',
        );
      return undefined;
    }
    if (timing === undefined) return undefined;
    return { local, remote, routingInstance, multihop: false, minimumTtl: 255, ...timing, auth };
  }
  const local = parseAddress(given)!;
  if (local.family !== remote.family)
    context.report([...at, 'local-address'], `${local} is ${local.family}, the neighbor ${remote} is not`);
  else if (context.sound('interfaces') && reach.instanceOfOwn(given) !== routingInstance)
    context.report(
      [...at, 'local-address'],
      `${given} is no address of this node in routing instance ${routingInstance}`,
    );
  if (timing === undefined) return undefined;
  const minimumTtl = ttl ?? limits.bfd.ttl.fallback;
  return { local, remote, routingInstance, multihop: true, minimumTtl, ...timing, auth };
}

function authOf(context: Context, at: Path, { authentication }: BfdDocument): BfdAuthConfig | null {
  if (authentication === undefined) return null;
  const { algorithm, 'key-chain': name } = authentication;
  const table: Path = ['security', 'authentication-key-chains', 'key-chain'];
  if (!context.refer([...at, 'authentication', 'key-chain'], 'key chain', name, table)) return null;
  const keys = context.document.security?.['authentication-key-chains']?.['key-chain'][name]?.key ?? {};
  const ids = Object.keys(keys);
  const place = [...table, name, 'key'];
  if (ids.length !== 1) {
    context.report(place, `${ids.length} keys; BFD goes by one: write one`, 'key');
    return null;
  }
  const key = readSecret(context, [...place, ids[0]!, 'secret'], keys[ids[0]!]!.secret);
  if (key === undefined) return null;
  return { isMeticulous: algorithm === 'meticulous-keyed-sha-1', keyId: Number(ids[0]), key };
}

type SecretDocument = { ascii?: string | undefined; file?: string | undefined; env?: string | undefined };

function readSecret(context: Context, at: Path, given: SecretDocument): Secret | undefined {
  const sources = (['ascii', 'file', 'env'] as const).filter((source) => given[source] !== undefined);
  const source = sources[0];
  if (source === undefined || sources.length > 1) {
    const says = source === undefined ? 'says nothing' : `says ${sources.join(' and ')}`;
    context.report(at, `${says}; write one of { ascii: … }, { file: … }, { env: … }`, 'key');
    return undefined;
  }
  const text = context.secretText([...at, source], source, given[source]!);
  if (text === undefined) return undefined;
  const bytes = Uint8Array.from(Buffer.from(text.replace(/\r?\n$/, ''), 'utf8'));
  if (bytes.length >= 1 && bytes.length <= limits.bfd.keyBytes) return new Secret(bytes);
  context.report([...at, source], `${bytes.length} bytes; keyed SHA1 wants 1 to ${limits.bfd.keyBytes}`);
  return undefined;
}
