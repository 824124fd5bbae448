import { createHash } from 'node:crypto';
import type { Address } from '../../model/address.js';
import { Prefix } from '../../model/prefix.js';
import { type AuthenticationAlgorithm, authentications } from '../../model/sa.js';
import { Secret } from '../../model/secret.js';
import { notAHost, parseAddress, parsePrefix } from '../address.js';
import type {
  EncryptionAlgorithm,
  IkeGatewayConfig,
  IkeVpnConfig,
  LinkEncryptionConfig,
  ManualKeysConfig,
  ManualSaConfig,
  TrafficSelectorConfig,
  VpnConfig,
} from '../config.js';
import { limits } from '../limits.js';
import type { Path } from '../problem.js';
import { pathText } from '../problem.js';
import type { ConfigDocument } from '../schema.js';
import type { Context } from './context.js';
import { type Algorithms, algorithmsOf } from './esp-algorithms.js';
import { compileIpsecPolicy } from './ike.js';
import type { Reach } from './interfaces.js';

type Ipsec = NonNullable<NonNullable<ConfigDocument['security']>['ipsec']>;
type VpnDocument = Ipsec['vpn'][string];
type ManualDocument = NonNullable<VpnDocument['manual']>;
type SaDocument = ManualDocument['outbound'];

/** In bytes; with AES-GCM the 4-byte salt is behind the key (RFC 4106 §8.1). */
const keyBytes: Readonly<Record<EncryptionAlgorithm, number>> = {
  'aes-128-gcm': 20,
  'aes-256-gcm': 36,
  'aes-128-cbc': 16,
  'aes-192-cbc': 24,
  'aes-256-cbc': 32,
};

/** What may be there once in a file, by a text that stands for it, with the place that has it. */
interface Taken {
  readonly keys: Map<string, Path>;
  readonly inboundSpis: Map<string, Path>;
  readonly outboundSpis: Map<string, Path>;
  readonly ariRoutes: Map<string, Path>;
}

/** Ends of the ICL, as the file has them. */
interface LinkEnds {
  readonly localIp: string;
  readonly peerIp: string;
  readonly profile: string | undefined;
}

export function compileVpns(
  context: Context,
  instanceOf: ReadonlyMap<string, string>,
  reach: Reach,
  gateways: readonly IkeGatewayConfig[],
): { vpns: VpnConfig[]; ikeVpns: IkeVpnConfig[]; linkEncryption: LinkEncryptionConfig | null } {
  const ipsec = context.document.security?.ipsec;
  const entries = Object.entries(ipsec?.vpn ?? {});
  const path = ['security', 'ipsec', 'vpn'];
  if (entries.length > limits.ipsec.vpns) context.report(path, `more than ${limits.ipsec.vpns} VPNs`, 'key');
  if (entries.length > 0) checkSealing(context, entries);
  const taken = { keys: new Map(), inboundSpis: new Map(), outboundSpis: new Map(), ariRoutes: new Map() };
  const ends = linkEnds(context);
  const vpns: VpnConfig[] = [];
  const ikeVpns: IkeVpnConfig[] = [];
  let linkEncryption: LinkEncryptionConfig | null = null;
  for (const [name, vpn] of entries) {
    const at = [...path, name];
    const manual = checkKind(context, at, vpn);
    if (vpn.ike !== undefined) {
      const compiled = compileIkeVpn(context, at, name, vpn, instanceOf, taken, gateways);
      if (compiled !== undefined) ikeVpns.push(compiled);
    } else if (manual === undefined) {
      // said
    } else if (vpn['ha-link-encryption'] === undefined) {
      const bindInterface = tunnelOf(context, at, vpn);
      vpns.push({
        ...commonOf(context, at, name, vpn),
        bindInterface,
        manual: compileManual(context, [...at, 'manual'], manual, taken, reach),
        trafficSelectors: compileSelectors(
          context,
          at,
          vpn,
          instanceOf.get(bindInterface) ?? 'default',
          taken,
        ),
      });
    } else {
      linkEncryption =
        compileLink(context, at, name, { ...vpn, manual }, ends, taken, reach) ?? linkEncryption;
    }
  }
  return { vpns, ikeVpns, linkEncryption };
}

/** Keys come of this file, or of an exchange. */
function checkKind(context: Context, at: Path, vpn: VpnDocument): ManualDocument | undefined {
  const { manual, ike } = vpn;
  if (manual === undefined && ike === undefined)
    context.report(
      at,
      'has no keys; write ike with gateway and ipsec-policy, or manual with keys of this file',
      'key',
    );
  if (ike === undefined) {
    for (const key of ['establish-tunnels', 'idle-time'] as const)
      if (vpn[key] !== undefined && manual !== undefined)
        context.report([...at, key], 'manual keys are up from the start, always; leave it out', 'key');
    return manual;
  }
  if (manual !== undefined) context.report([...at, 'manual'], 'there is ike, too; write one of them', 'key');
  if (vpn['ha-link-encryption'] !== undefined)
    context.report([...at, 'ike'], 'the VPN of the ICL has manual keys', 'key');
  return undefined;
}

function compileIkeVpn(
  context: Context,
  at: Path,
  name: string,
  vpn: VpnDocument,
  instanceOf: ReadonlyMap<string, string>,
  taken: Taken,
  gateways: readonly IkeGatewayConfig[],
): IkeVpnConfig | undefined {
  const { gateway: gatewayName, 'ipsec-policy': policyName } = vpn.ike!;
  const bindInterface = tunnelOf(context, at, vpn);
  const policy = compileIpsecPolicy(context, [...at, 'ike', 'ipsec-policy'], policyName);
  const table = ['security', 'ike', 'gateway'];
  if (!context.refer([...at, 'ike', 'gateway'], 'gateway', gatewayName, table)) return undefined;
  const gateway = gateways.find((each) => each.name === gatewayName);
  if (gateway === undefined || policy === undefined) return undefined;
  const establish = vpn['establish-tunnels'] ?? 'responder-only';
  if (establish === 'immediately' && gateway.address === null)
    context.report(
      [...at, 'establish-tunnels'],
      `gateway ${gatewayName} is dynamic: its peers come by themselves; write responder-only`,
    );
  const instance = instanceOf.get(bindInterface) ?? 'default';
  // many peers share the selectors of a dynamic gateway: each gets the routes of what it negotiates
  const routes = gateway.address === null ? { ...taken, ariRoutes: new Map() } : taken;
  return {
    ...commonOf(context, at, name, vpn),
    bindInterface,
    gateway: gatewayName,
    ...policy,
    trafficSelectors: compileSelectors(context, at, vpn, instance, routes),
    establishTunnels: establish === 'immediately' ? 'immediately' : 'responder-only',
    rekeys: establish !== 'responder-only-no-rekey',
    idleTimeMs: vpn['idle-time'] === undefined ? null : vpn['idle-time'] * 1000,
  };
}

/** What both kinds of VPNs have. */
function commonOf(
  context: Context,
  at: Path,
  name: string,
  vpn: VpnDocument,
): Omit<VpnConfig, 'bindInterface' | 'manual' | 'trafficSelectors'> {
  const inherited = context.document.security?.ipsec?.['anti-replay-window-size'];
  if (vpn['anti-replay-window-size'] !== undefined && vpn['no-anti-replay'] !== undefined) {
    context.report(
      [...at, 'no-anti-replay'],
      'there is an anti-replay-window-size too; write one of them',
      'key',
    );
  }
  const size = vpn['anti-replay-window-size'] ?? inherited;
  return {
    name,
    antiReplayWindowSize:
      vpn['no-anti-replay'] !== undefined ? null : (size ?? limits.ipsec.antiReplayWindow.fallback),
    extendedSequenceNumber: vpn['extended-sequence-number'] !== undefined,
    dfBit: vpn['df-bit'] ?? 'clear',
    copyOuterDscp: vpn['copy-outer-dscp'] !== undefined,
    outerDscp: vpn['outer-dscp'] ?? null,
  };
}

function tunnelOf(context: Context, at: Path, vpn: VpnDocument): string {
  const given = vpn['bind-interface'];
  const path = [...at, 'bind-interface'];
  if (given === undefined) {
    context.report(path, 'missing; write an st0 unit, e.g. st0.1', 'key');
    return '';
  }
  const tunnel = context.referInterface(path, given);
  if (tunnel !== undefined && !tunnel.startsWith('st0.')) {
    context.report(path, `${tunnel} is no tunnel; write an st0 unit, e.g. st0.1`);
  }
  return tunnel ?? given;
}

/** Of the one peer that a pair has. */
function linkEnds(context: Context): LinkEnds | undefined {
  const pair = context.document.chassis?.['high-availability'];
  const peer = Object.values(pair?.['peer-id'] ?? {})[0];
  if (pair === undefined || peer === undefined) return undefined;
  return {
    localIp: pair['local-id']['local-ip'],
    peerIp: peer['peer-ip'],
    profile: peer['vpn-profile'],
  };
}

/** The VPN of the ICL: both ends are known, and nothing but the ICL is in it. */
function compileLink(
  context: Context,
  at: Path,
  name: string,
  vpn: VpnDocument & { manual: ManualDocument },
  ends: LinkEnds | undefined,
  taken: Taken,
  reach: Reach,
): LinkEncryptionConfig | undefined {
  for (const key of ['bind-interface', 'traffic-selector'] as const) {
    if (vpn[key] !== undefined)
      context.report([...at, key], 'a VPN with ha-link-encryption has none; remove it', 'key');
  }
  for (const key of ['gateway', 'local-address'] as const) {
    if (vpn.manual[key] !== undefined)
      context.report([...at, 'manual', key], 'local-ip and peer-ip say it; remove it', 'key');
  }
  if (ends?.profile !== name) {
    if (context.sound('chassis'))
      context.report([...at, 'ha-link-encryption'], 'no vpn-profile of a peer-id names this VPN', 'key');
    return undefined;
  }
  const manual = { ...vpn.manual, gateway: ends.peerIp, 'local-address': ends.localIp };
  return {
    ...commonOf(context, at, name, vpn),
    manual: compileManual(context, [...at, 'manual'], manual, taken, reach, false),
    trafficSelectors: [
      {
        name: 'icl',
        localIp: Prefix.host(parseAddress(ends.localIp)!),
        remoteIp: Prefix.host(parseAddress(ends.peerIp)!),
      },
    ],
  };
}

/** A node of a pair is numbered by local-id, too. */
export function nodeId(document: ConfigDocument): number | undefined {
  return document.system['node-id'] ?? document.chassis?.['high-availability']?.['local-id'].id;
}

/** Keys from a file outlive the process, so what has been used of their IVs must, too. */
function checkSealing(context: Context, vpns: readonly [string, VpnDocument][]): void {
  const { system } = context.document;
  const hasManual = vpns.some(([, { manual }]) => manual !== undefined);
  if (nodeId(context.document) === undefined && context.sound('chassis')) {
    const { least, most } = limits.nodeId;
    context.report(
      ['system', 'node-id'],
      `missing; VPNs ${hasManual ? 'with manual keys ' : ''}want one from ${least} to ${most}, another on each node that has the same keys`,
      'key',
    );
  }
  if (hasManual && system['state-directory'] === undefined) {
    context.report(
      ['system', 'state-directory'],
      'missing; without it nothing is sealed with manual keys, since no IV may come twice after a restart',
      'key',
    );
  }
}

/** isChecked: the two addresses stand in this section, and nothing else checks them. */
function compileManual(
  context: Context,
  path: Path,
  manual: ManualDocument,
  taken: Taken,
  reach: Reach,
  isChecked = true,
): ManualKeysConfig {
  const algorithms = algorithmsOf(context, path, manual);
  const {
    gateway = missing(context, path, 'gateway'),
    'local-address': local = missing(context, path, 'local-address'),
  } = manual;
  const [peer, own] = [parseAddress(gateway)!, parseAddress(local)!];
  const instance = reach.instanceOfOwn(local);
  if (isChecked && manual.gateway !== undefined && manual['local-address'] !== undefined)
    checkEnds(context, path, peer, own, reach);
  manual.inbound.forEach(({ spi }, i) => {
    take(context, taken.inboundSpis, `${own} ${spi}`, [...path, 'inbound', i, 'spi'], `${spiText(spi)} is`);
  });
  const { spi } = manual.outbound;
  take(context, taken.outboundSpis, `${peer} ${spi}`, [...path, 'outbound', 'spi'], `${spiText(spi)} is`);
  return {
    gateway: peer,
    localAddress: own,
    routingInstance: instance ?? 'default',
    encryptionAlgorithm: algorithms.encryption,
    authenticationAlgorithm: algorithms.authentication,
    inbound: manual.inbound.map((sa, i) =>
      compileSa(context, [...path, 'inbound', i], sa, algorithms, taken),
    ),
    outbound: compileSa(context, [...path, 'outbound'], manual.outbound, algorithms, taken),
  };
}

function missing(context: Context, path: Path, key: 'gateway' | 'local-address'): string {
  context.report([...path, key], 'missing; write an IP address, e.g. 10.0.0.1 or 2001:db8::1', 'key');
  return '0.0.0.0';
}

function checkEnds(
  context: Context,
  path: Path,
  gateway: Address,
  localAddress: Address,
  reach: Reach,
): void {
  const localPath = [...path, 'local-address'];
  const instance = reach.instanceOfOwn(String(localAddress));
  const reason = notAHost(gateway);
  if (reason !== undefined)
    context.report([...path, 'gateway'], `${gateway} is ${reason}; write the peer's address`);
  else if (gateway.family !== localAddress.family) {
    context.report(
      [...path, 'gateway'],
      `${gateway} is ${gateway.family}, local-address ${localAddress} is not`,
    );
  } else if (context.sound('interfaces')) {
    if (instance === undefined) {
      context.report(
        localPath,
        `${localAddress} is no address of this node; add it to an interface, e.g. lo0`,
      );
    } else if (reach.instanceOfOwn(String(gateway)) !== undefined) {
      context.report([...path, 'gateway'], `${gateway} is an address of this node; write the peer's address`);
    } else if (context.sound('routing-instances') && context.sound('routing-options')) {
      if (!reach.reaches(instance, String(gateway))) {
        context.report([...path, 'gateway'], `no route to ${gateway} in routing instance ${instance}`);
      }
    }
  }
}

function spiText(spi: number): string {
  return `SPI 0x${spi.toString(16).padStart(8, '0')}`;
}

/** Reports when something that may be there once has been taken. */
function take(context: Context, taken: Map<string, Path>, what: string, path: Path, sentence: string): void {
  const other = taken.get(what);
  if (other !== undefined)
    context.report(path, `${sentence} that of ${pathText(other)} too; each needs its own`);
  else taken.set(what, path);
}

function compileSa(
  context: Context,
  path: Path,
  sa: SaDocument,
  { encryption, authentication }: Algorithms,
  taken: Taken,
): ManualSaConfig {
  const bytes = keyBytes[encryption];
  const salt = authentication === null ? `: ${bytes - 4} bytes of key, then 4 of salt` : '';
  const key = readKey(context, [...path, 'key'], sa.key, bytes, `${encryption} wants`, salt);
  // one key on two SAs of a node would let one nonce come twice
  if (key !== undefined) {
    const digest = createHash('sha256').update(key.reveal()).digest('hex');
    take(context, taken.keys, digest, [...path, 'key'], 'the key is');
  }
  return {
    spi: sa.spi,
    algorithm: authentication === null ? 'aes-gcm' : `aes-cbc-${authentication}`,
    key: key ?? new Secret(new Uint8Array(bytes)),
    authenticationKey: authenticationKeyOf(context, [...path, 'authentication-key'], sa, authentication),
  };
}

function authenticationKeyOf(
  context: Context,
  path: Path,
  sa: SaDocument,
  authentication: AuthenticationAlgorithm | null,
): Secret | null {
  const given = sa['authentication-key'];
  if (authentication === null) {
    if (given !== undefined) context.report(path, 'AES-GCM has none; remove it', 'key');
    return null;
  }
  const { keyBytes: bytes } = authentications[authentication];
  const none = new Secret(new Uint8Array(bytes));
  if (given === undefined) {
    context.report(path, `missing; ${authentication} wants ${bytes * 2} hexadecimal digits`, 'key');
    return none;
  }
  return readKey(context, path, given, bytes, `${authentication} wants`) ?? none;
}

function readKey(
  context: Context,
  path: Path,
  key: SaDocument['key'],
  bytes: number,
  wants: string,
  more = '',
): Secret | undefined {
  const wanted = `${wants} ${bytes * 2} hexadecimal digits${more}`;
  return readSecret(context, path, key, { least: bytes, most: bytes, wanted });
}

/** Bytes that stand in the file, in another or in the environment. Reports, and undefined, when they are not what is wanted. */
export function readSecret(
  context: Context,
  path: Path,
  key: SaDocument['key'],
  { least, most, wanted }: { readonly least: number; readonly most: number; readonly wanted: string },
): Secret | undefined {
  const sources = (['hex', 'file', 'env'] as const).filter((source) => key[source] !== undefined);
  const source = sources[0];
  if (source === undefined || sources.length > 1) {
    const says = source === undefined ? 'says nothing' : `says ${sources.join(' and ')}`;
    context.report(path, `${says}; write one of { hex: … }, { file: … }, { env: … }`, 'key');
    return undefined;
  }
  const at = [...path, source];
  const text = keyText(context, at, source, key[source]!);
  if (text === undefined) return undefined;
  const digits = text.trim().replace(/^0x/i, '').replace(/[:\s]/g, '');
  const bytes = digits.length / 2;
  if (/[^0-9a-f]/i.test(digits)) context.report(at, `not hexadecimal digits; ${wanted}`);
  else if (bytes < least || bytes > most || !Number.isInteger(bytes))
    context.report(at, `${digits.length} digits; ${wanted}`);
  else return new Secret(Uint8Array.from(Buffer.from(digits, 'hex')));
  return undefined;
}

function keyText(
  context: Context,
  at: Path,
  source: 'hex' | 'file' | 'env',
  given: string,
): string | undefined {
  if (source === 'hex') return given;
  if (/^(0x)?[0-9a-f]{32,}$/i.test(given)) {
    context.report(at, `looks like a key; write { hex: … }, or ${source === 'file' ? 'a path' : 'a name'}`);
    return undefined;
  }
  return context.secretText(at, source, given);
}

function compileSelectors(
  context: Context,
  vpnPath: Path,
  vpn: VpnDocument,
  instance: string,
  taken: Taken,
): TrafficSelectorConfig[] {
  const path = [...vpnPath, 'traffic-selector'];
  const entries = Object.entries(vpn['traffic-selector'] ?? {});
  if (vpn['traffic-selector'] === undefined)
    context.report(path, 'missing; write the name of each traffic selector and its values below it', 'key');
  else if (entries.length === 0) context.report(path, 'empty; write at least one traffic selector', 'key');
  return entries.map(([name, selector]) => {
    const at = [...path, name];
    const localIp = parsePrefix(selector['local-ip'])!;
    const remoteIp = parsePrefix(selector['remote-ip'])!;
    if (localIp.family !== remoteIp.family) {
      context.report([...at, 'remote-ip'], `${remoteIp} is ${remoteIp.family}, local-ip ${localIp} is not`);
    }
    take(
      context,
      taken.ariRoutes,
      `${instance} ${remoteIp}`,
      [...at, 'remote-ip'],
      `the ARI route ${remoteIp} is`,
    );
    return { name, localIp, remoteIp };
  });
}
