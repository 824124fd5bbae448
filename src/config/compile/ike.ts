/** IKE gateways with their policies and proposals, and the VPNs that go by them. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { Address } from '../../model/address.js';
import { Secret } from '../../model/secret.js';
import { certificateFields } from '../../wire/x509.js';
import { notAHost, parseAddress } from '../address.js';
import type {
  DeadPeerDetectionConfig,
  IdentityConfig,
  IkeCertificateConfig,
  IkeGatewayConfig,
  IkeProposalConfig,
  IpsecProposalConfig,
  RemoteIdentityConfig,
} from '../config.js';
import { limits } from '../limits.js';
import type { Path } from '../problem.js';
import type { ConfigDocument } from '../schema.js';
import type { Context } from './context.js';
import { fullName } from './context.js';
import { algorithmsOf } from './esp-algorithms.js';
import type { Reach } from './interfaces.js';

type Ike = NonNullable<NonNullable<ConfigDocument['security']>['ike']>;
type ProposalDocument = Ike['proposal'][string];
type PolicyDocument = Ike['policy'][string];
type GatewayDocument = Ike['gateway'][string];

const path: Path = ['security', 'ike'];

export function compileIkeGateways(context: Context, reach: Reach): IkeGatewayConfig[] {
  const ike = context.document.security?.ike;
  if (ike === undefined) return [];
  for (const [name, proposal] of Object.entries(ike.proposal))
    checkWeak(context, [...path, 'proposal', name], proposal);
  for (const [name, proposal] of Object.entries(context.document.security?.ipsec?.proposal ?? {}))
    algorithmsOf(context, ['security', 'ipsec', 'proposal', name], proposal);
  return Object.entries(ike.gateway).flatMap(([name, gateway]) => {
    const compiled = compileGateway(context, name, gateway, ike, reach);
    return compiled === undefined ? [] : [compiled];
  });
}

/** RFC 8247 §2: what should no longer be used is named by whoever wants it. */
function checkWeak(context: Context, at: Path, proposal: ProposalDocument): void {
  const allowed = proposal['weak-algorithms'] ?? [];
  const check = (key: 'dh-group' | 'authentication-algorithm', weak: 'group2' | 'sha1', instead: string) => {
    if (proposal[key] !== weak) return;
    if (allowed.includes(weak))
      context.warn([...at, key], `${weak} is weak (RFC 8247); ${instead} is better, once the peers have it`);
    else
      context.report(
        [...at, key],
        `${weak} is weak (RFC 8247); write ${instead}, or allow it by name with weak-algorithms: ${weak}`,
      );
  };
  check('dh-group', 'group2', 'group14 or higher');
  check('authentication-algorithm', 'sha1', 'sha-256');
}

function compileGateway(
  context: Context,
  name: string,
  gateway: GatewayDocument,
  ike: Ike,
  reach: Reach,
): IkeGatewayConfig | undefined {
  const at = [...path, 'gateway', name];
  const policyName = gateway['ike-policy'];
  if (!context.refer([...at, 'ike-policy'], 'policy', policyName, [...path, 'policy'])) return undefined;
  const policy = ike.policy[policyName];
  if (policy === undefined) return undefined;
  const keys = compileKeys(context, [...path, 'policy', policyName], policy, ike);
  const local = localAddressOf(context, at, gateway, reach);
  if (keys === undefined || local === undefined) return undefined;
  const address = compilePeer(context, at, gateway, local, reach);
  return {
    name,
    ...keys,
    address,
    connectionsLimit: gateway.dynamic?.['connections-limit'] ?? null,
    localAddress: local,
    routingInstance: reach.instanceOfOwn(String(local)) ?? 'default',
    localIdentity: localIdentityOf(context, at, gateway, local, keys.certificate),
    remoteIdentity: remoteIdentityOf(context, at, gateway, address),
    deadPeerDetection:
      gateway['dead-peer-detection'] === undefined
        ? null
        : detectionOf(context, at, gateway['dead-peer-detection'] ?? {}),
    natKeepaliveMs: (gateway['nat-keepalive'] ?? limits.ike.keepaliveSeconds.fallback) * 1000,
    fragmentBytes:
      gateway.fragmentation?.disable !== undefined
        ? null
        : (gateway.fragmentation?.size ?? limits.ike.fragmentBytes.fallback),
  };
}

// ---- keys ----

function compileKeys(
  context: Context,
  at: Path,
  policy: PolicyDocument,
  ike: Ike,
): Pick<IkeGatewayConfig, 'proposals' | 'preSharedKey' | 'certificate'> | undefined {
  const proposals = policy.proposals.flatMap((name, i): IkeProposalConfig[] => {
    if (!context.refer([...at, 'proposals', i], 'proposal', name, [...path, 'proposal'])) return [];
    const proposal = ike.proposal[name];
    return proposal === undefined ? [] : [compileProposal(name, proposal)];
  });
  if (proposals.length === 0) return undefined;
  const methods = new Set(proposals.map(({ authenticationMethod }) => authenticationMethod));
  if (methods.size > 1) {
    context.report([...at, 'proposals'], 'some have pre-shared-keys, some certificates; write two policies');
    return undefined;
  }
  const wantsKey = methods.has('pre-shared-keys');
  const [wanted, other] = wantsKey
    ? (['pre-shared-key', 'certificate'] as const)
    : (['certificate', 'pre-shared-key'] as const);
  if (policy[other] !== undefined)
    context.report([...at, other], `its proposals authenticate by ${wanted}; remove it`, 'key');
  if (policy[wanted] === undefined) {
    const mend = wantsKey
      ? 'write { file: … }, { env: … } or { ascii-text: … }'
      : 'write local-certificate, private-key and trusted-ca';
    context.report([...at, wanted], `missing; ${mend}`, 'key');
    return undefined;
  }
  if (wantsKey) {
    const preSharedKey = readKey(context, [...at, wanted], policy['pre-shared-key']!);
    return preSharedKey === undefined ? undefined : { proposals, preSharedKey, certificate: null };
  }
  const certificate = readCertificates(context, [...at, 'certificate'], policy.certificate!);
  return certificate === undefined ? undefined : { proposals, preSharedKey: null, certificate };
}

function compileProposal(name: string, proposal: ProposalDocument): IkeProposalConfig {
  return {
    name,
    authenticationMethod:
      proposal['authentication-method'] === 'pre-shared-keys' ? 'pre-shared-keys' : 'certificates',
    dhGroup: proposal['dh-group'],
    authenticationAlgorithm: proposal['authentication-algorithm'] ?? 'sha-256',
    encryptionAlgorithm: proposal['encryption-algorithm'],
    lifetimeSeconds: proposal['lifetime-seconds'] ?? limits.ike.lifetimeSeconds.fallback,
  };
}

function readKey(
  context: Context,
  at: Path,
  key: NonNullable<PolicyDocument['pre-shared-key']>,
): Secret | undefined {
  const sources = (['ascii-text', 'hexadecimal', 'file', 'env'] as const).filter(
    (source) => key[source] !== undefined,
  );
  const [source] = sources;
  if (source === undefined || sources.length > 1) {
    const says = source === undefined ? 'says nothing' : `says ${sources.join(' and ')}`;
    context.report(
      at,
      `${says}; write one of { file: … }, { env: … }, { ascii-text: … }, { hexadecimal: … }`,
      'key',
    );
    return undefined;
  }
  const text = keyText(context, [...at, source], source, key[source]!);
  if (text === undefined) return undefined;
  if (source === 'hexadecimal') {
    const digits = text.replace(/^0x/i, '').replace(/[:\s]/g, '');
    if (/[^0-9a-f]/i.test(digits) || digits.length % 2 !== 0) {
      context.report([...at, source], 'not hexadecimal digits, two for each byte');
      return undefined;
    }
    return checkedKey(context, [...at, source], Uint8Array.from(Buffer.from(digits, 'hex')));
  }
  return checkedKey(context, [...at, source], Uint8Array.from(Buffer.from(text, 'utf8')));
}

function checkedKey(context: Context, at: Path, bytes: Uint8Array): Secret | undefined {
  const { least, most } = limits.ike.preSharedKeyBytes;
  if (bytes.length >= least && bytes.length <= most) return new Secret(bytes);
  context.report(at, `a key of ${bytes.length} bytes; write from ${least} to ${most}, at random`);
  return undefined;
}

function keyText(
  context: Context,
  at: Path,
  source: 'ascii-text' | 'hexadecimal' | 'file' | 'env',
  given: string,
): string | undefined {
  if (source === 'ascii-text' || source === 'hexadecimal') return given;
  if (source === 'file') return readFile(context, at, given)?.replace(/\r?\n$/, '');
  const value = context.surroundings.variable(given);
  if (value === undefined) context.report(at, `environment variable ${given} is not set`);
  return value;
}

function readFile(context: Context, at: Path, given: string): string | undefined {
  const file = context.path(given);
  try {
    return context.surroundings.readFile(file);
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    const reason =
      code === 'ENOENT' ? 'there is no such file' : code === 'EACCES' ? 'permission denied' : String(code);
    context.report(at, `cannot read ${file}: ${reason}`);
    return undefined;
  }
}

function readCertificates(
  context: Context,
  at: Path,
  {
    'local-certificate': own,
    'private-key': privateKey,
    'trusted-ca': trusted,
  }: NonNullable<PolicyDocument['certificate']>,
): IkeCertificateConfig | undefined {
  const chain = readPem(context, [...at, 'local-certificate'], own);
  const authorities = trusted.map((file, i) => readPem(context, [...at, 'trusted-ca', i], file));
  const text = readFile(context, [...at, 'private-key'], privateKey);
  if (chain === undefined || text === undefined || authorities.some((each) => each === undefined))
    return undefined;
  try {
    const key = createPrivateKey(text);
    if (!new X509Certificate(chain[0]!).checkPrivateKey(key)) {
      context.report([...at, 'private-key'], 'is of another certificate than the first of local-certificate');
      return undefined;
    }
    const der = key.export({ format: 'der', type: 'pkcs8' });
    return {
      chain,
      privateKey: new Secret(Uint8Array.from(der)),
      trustedCa: authorities.flatMap((each) => each ?? []),
    };
  } catch {
    context.report(
      [...at, 'private-key'],
      'is no private key in PEM without a passphrase (PKCS #8, PKCS #1, SEC 1)',
    );
    return undefined;
  }
}

/** The certificates of a PEM file, DER. */
function readPem(context: Context, at: Path, file: string): Uint8Array[] | undefined {
  const text = readFile(context, at, file);
  if (text === undefined) return undefined;
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    const certificates = blocks.map((block) => Uint8Array.from(new X509Certificate(block).raw));
    if (certificates.length > 0) return certificates;
  } catch {
    // said below
  }
  context.report(at, 'holds no certificate in PEM (-----BEGIN CERTIFICATE-----)');
  return undefined;
}

// ---- who and where ----

function localAddressOf(
  context: Context,
  at: Path,
  gateway: GatewayDocument,
  reach: Reach,
): Address | undefined {
  const external = gateway['external-interface'];
  const name =
    external === undefined ? undefined : context.referInterface([...at, 'external-interface'], external);
  const given = gateway['local-address'];
  if (given === undefined) {
    if (external === undefined) {
      context.report([...at, 'local-address'], 'missing; write an address of this node, e.g. of lo0', 'key');
      return undefined;
    }
    if (name === undefined) return undefined;
    const family = gateway.address === undefined ? 'inet' : parseAddress(gateway.address)!.family;
    const found = addressesOf(context, name).find((each) => each.family === family);
    if (found === undefined)
      context.report([...at, 'external-interface'], `${name} has no ${family} address; write local-address`);
    return found;
  }
  const local = parseAddress(given)!;
  if (!context.sound('interfaces')) return undefined;
  if (reach.instanceOfOwn(given) === undefined) {
    context.report(
      [...at, 'local-address'],
      `${local} is no address of this node; add it to an interface, e.g. lo0`,
    );
    return undefined;
  }
  if (name !== undefined && !addressesOf(context, name).some((each) => each.equals(local)))
    context.report([...at, 'local-address'], `${local} is not on external-interface ${fullName(name)}`);
  return local;
}

function addressesOf(context: Context, logical: string): Address[] {
  const dot = logical.lastIndexOf('.');
  const unit = context.document.interfaces?.[logical.slice(0, dot)]?.unit?.[logical.slice(dot + 1)];
  const families = [unit?.family?.inet, unit?.family?.inet6];
  return families.flatMap((family) =>
    (family?.address ?? []).flatMap((text) => {
      const address = parseAddress(String(text).split('/')[0]!);
      return address === undefined ? [] : [address];
    }),
  );
}

/** null: whoever comes. */
function compilePeer(
  context: Context,
  at: Path,
  gateway: GatewayDocument,
  local: Address,
  reach: Reach,
): Address | null {
  if (gateway.address === undefined && gateway.dynamic === undefined) {
    context.report(
      at,
      'has neither address nor dynamic; write the address of the peer, or who may come',
      'key',
    );
    return null;
  }
  if (gateway.address === undefined) return null;
  if (gateway.dynamic !== undefined) {
    context.report([...at, 'dynamic'], 'there is an address, too; write one of them', 'key');
    return null;
  }
  const peer = parseAddress(gateway.address)!;
  const instance = reach.instanceOfOwn(String(local));
  const reason = notAHost(peer);
  const peerPath = [...at, 'address'];
  if (reason !== undefined) context.report(peerPath, `${peer} is ${reason}; write the peer's address`);
  else if (peer.family !== local.family)
    context.report(peerPath, `${peer} is ${peer.family}, local-address ${local} is not`);
  else if (instance !== undefined && context.sound('routing-instances') && context.sound('routing-options')) {
    if (!reach.reaches(instance, gateway.address))
      context.report(peerPath, `no route to ${peer} in routing instance ${instance}`);
  }
  return peer;
}

type IdentityDocument = Omit<NonNullable<GatewayDocument['remote-identity']>, 'distinguished-name'>;

/** The one that is written; undefined: none, or (reported) more than one. */
function writtenIdentity(
  context: Context,
  at: Path,
  given: IdentityDocument & { readonly 'distinguished-name'?: unknown },
): Exclude<IdentityConfig, { kind: 'distinguished-name' }> | undefined {
  const kinds = (
    ['hostname', 'inet', 'inet6', 'user-at-hostname', 'key-id', 'distinguished-name'] as const
  ).filter((kind) => given[kind] !== undefined);
  if (kinds.length !== 1)
    context.report(
      at,
      kinds.length === 0
        ? 'empty; write an identity, e.g. hostname'
        : `says ${kinds.join(' and ')}; write one`,
      'key',
    );
  const [kind] = kinds;
  if (kind === undefined || kind === 'distinguished-name') return undefined;
  const value = given[kind]!;
  if (kind === 'inet' || kind === 'inet6') return { kind: 'inet', address: parseAddress(value)! };
  return { kind, name: value };
}

function localIdentityOf(
  context: Context,
  at: Path,
  gateway: GatewayDocument,
  local: Address,
  certificate: IkeCertificateConfig | null,
): IdentityConfig {
  const given = gateway['local-identity'];
  const subject = () => certificateFields(certificate!.chain[0]!)!.subject;
  if (given === undefined)
    return certificate === null
      ? { kind: 'inet', address: local }
      : { kind: 'distinguished-name', der: subject() };
  const written = writtenIdentity(context, [...at, 'local-identity'], given);
  if (written !== undefined) return written;
  if (certificate !== null) return { kind: 'distinguished-name', der: subject() };
  if (given['distinguished-name'] !== undefined)
    context.report(
      [...at, 'local-identity', 'distinguished-name'],
      'there is no certificate whose subject it would be',
      'key',
    );
  return { kind: 'inet', address: local };
}

function remoteIdentityOf(
  context: Context,
  at: Path,
  gateway: GatewayDocument,
  address: Address | null,
): RemoteIdentityConfig {
  if (gateway['general-ikeid'] !== undefined) return { kind: 'any' };
  const { dynamic } = gateway;
  const given = gateway['remote-identity'];
  if (dynamic === undefined || given !== undefined) {
    if (given === undefined) return address === null ? { kind: 'any' } : { kind: 'inet', address };
    const written = writtenIdentity(context, [...at, 'remote-identity'], given);
    return written ?? wildcardOf(given['distinguished-name']?.wildcard ?? '');
  }
  const isGroup = dynamic['ike-user-type'] === 'group-ike-id';
  const { 'ike-user-type': _type, 'connections-limit': _limit, ...who } = dynamic;
  const names = Object.keys(who);
  const where = [...at, 'dynamic'];
  if (names.length === 0) {
    context.report(where, 'says nothing of who may come; write hostname, or general-ikeid beside it', 'key');
    return { kind: 'any' };
  }
  const { hostname } = dynamic;
  if (hostname?.startsWith('.') === true && !isGroup)
    context.report(
      [...where, 'hostname'],
      `${hostname} is what names end in; write ike-user-type: group-ike-id with it, or a whole name`,
    );
  const written = writtenIdentity(context, where, who);
  if (written?.kind === 'hostname' && isGroup) return { kind: 'wildcard-hostname', suffix: written.name };
  if (written?.kind === 'user-at-hostname' && isGroup)
    return { kind: 'wildcard-hostname', suffix: written.name };
  return written ?? wildcardOf(dynamic['distinguished-name']?.wildcard ?? '');
}

const wildcardOf = (text: string): RemoteIdentityConfig => ({
  kind: 'wildcard-distinguished-name',
  parts: text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
});

function detectionOf(
  context: Context,
  at: Path,
  detection: NonNullable<GatewayDocument['dead-peer-detection']>,
): DeadPeerDetectionConfig {
  const { interval, threshold } = detection;
  if (detection['always-send'] !== undefined && detection['probe-idle-tunnel'] !== undefined)
    context.report(
      [...at, 'dead-peer-detection'],
      'says always-send and probe-idle-tunnel; write one',
      'key',
    );
  return {
    mode:
      detection['always-send'] !== undefined
        ? 'always-send'
        : detection['probe-idle-tunnel'] !== undefined
          ? 'probe-idle-tunnel'
          : 'optimized',
    intervalMs: (interval ?? limits.ike.probeSeconds.fallback) * 1000,
    threshold: threshold ?? limits.ike.probeThreshold.fallback,
  };
}

// ---- CHILD SAs ----

/** Of the policy that a VPN names. */
export function compileIpsecPolicy(
  context: Context,
  at: Path,
  name: string,
):
  | { proposals: IpsecProposalConfig[]; perfectForwardSecrecy: IkeProposalConfig['dhGroup'] | null }
  | undefined {
  const ipsec = context.document.security?.ipsec;
  const tables = ['security', 'ipsec'];
  if (!context.refer(at, 'policy', name, [...tables, 'policy'])) return undefined;
  const policy = ipsec?.policy?.[name];
  if (policy === undefined) return undefined;
  const proposals = policy.proposals.flatMap((each, i): IpsecProposalConfig[] => {
    const place = [...tables, 'policy', name, 'proposals', i];
    if (!context.refer(place, 'proposal', each, [...tables, 'proposal'])) return [];
    const proposal = ipsec?.proposal?.[each];
    if (proposal === undefined) return [];
    return [
      {
        name: each,
        encryptionAlgorithm: proposal['encryption-algorithm'],
        authenticationAlgorithm: proposal['encryption-algorithm'].endsWith('-gcm')
          ? null
          : (proposal['authentication-algorithm'] ?? 'hmac-sha-256-128'),
        lifetimeSeconds: proposal['lifetime-seconds'] ?? limits.ike.childLifetimeSeconds,
        lifetimeKilobytes: proposal['lifetime-kilobytes'] ?? null,
      },
    ];
  });
  const group = policy['perfect-forward-secrecy']?.keys ?? null;
  if (group === 'group2')
    context.report(
      [...tables, 'policy', name, 'perfect-forward-secrecy', 'keys'],
      'group2 is weak (RFC 8247); write group14 or higher',
    );
  return proposals.length === 0 ? undefined : { proposals, perfectForwardSecrecy: group };
}
