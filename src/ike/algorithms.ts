/** Which algorithms there are, what they are made of, and how two ends agree on some (RFC 7296 §2.7, §3.3; RFC 8247). */
import type { IkeProposalConfig, IpsecProposalConfig } from '../config/config.js';
import type { AuthenticationAlgorithm as EspAuthentication } from '../model/sa.js';
import {
  dhGroupId,
  encryptionId,
  integrityId,
  type Proposal,
  prfId,
  protocolId,
  type Transform,
  transformType,
} from '../wire/ike.js';

/** What an IKE SA is protected with. */
export interface IkeSuite {
  /** encryptionId */
  readonly encryption: number;
  readonly keyBits: number;
  /** integrityId; none with AES-GCM */
  readonly integrity: number;
  /** prfId */
  readonly prf: number;
  /** dhGroupId */
  readonly group: number;
}

/** What a CHILD SA is. */
export interface ChildSuite {
  readonly keyBits: number;
  /** of AES-CBC; null: AES-GCM with a 16-byte tag */
  readonly authentication: EspAuthentication | null;
  readonly extendedSequenceNumbers: boolean;
  /** dhGroupId; none: keys come of the IKE SA's alone */
  readonly group: number;
}

export type HashName = 'sha1' | 'sha256' | 'sha384' | 'sha512';

/** bytes: of the output, and so of the key that is preferred (RFC 7296 §2.13). */
export const prfs: Readonly<Record<number, { readonly hash: HashName; readonly bytes: number }>> = {
  [prfId.hmacSha1]: { hash: 'sha1', bytes: 20 },
  [prfId.hmacSha256]: { hash: 'sha256', bytes: 32 },
  [prfId.hmacSha384]: { hash: 'sha384', bytes: 48 },
  [prfId.hmacSha512]: { hash: 'sha512', bytes: 64 },
};

/** RFC 4868, 2404: key and tag in bytes. */
export const integrities: Readonly<
  Record<number, { readonly hash: HashName; readonly keyBytes: number; readonly icvBytes: number }>
> = {
  [integrityId.hmacSha1_96]: { hash: 'sha1', keyBytes: 20, icvBytes: 12 },
  [integrityId.hmacSha256_128]: { hash: 'sha256', keyBytes: 32, icvBytes: 16 },
  [integrityId.hmacSha384_192]: { hash: 'sha384', keyBytes: 48, icvBytes: 24 },
  [integrityId.hmacSha512_256]: { hash: 'sha512', keyBytes: 64, icvBytes: 32 },
};

type AuthenticationAlgorithm = IkeProposalConfig['authenticationAlgorithm'];

const byAuthentication: Readonly<Record<AuthenticationAlgorithm, { prf: number; integrity: number }>> = {
  sha1: { prf: prfId.hmacSha1, integrity: integrityId.hmacSha1_96 },
  'sha-256': { prf: prfId.hmacSha256, integrity: integrityId.hmacSha256_128 },
  'sha-384': { prf: prfId.hmacSha384, integrity: integrityId.hmacSha384_192 },
  'sha-512': { prf: prfId.hmacSha512, integrity: integrityId.hmacSha512_256 },
};

const byEncryption: Readonly<
  Record<IkeProposalConfig['encryptionAlgorithm'], { encryption: number; keyBits: number }>
> = {
  'aes-128-gcm': { encryption: encryptionId.aesGcm16, keyBits: 128 },
  'aes-256-gcm': { encryption: encryptionId.aesGcm16, keyBits: 256 },
  'aes-128-cbc': { encryption: encryptionId.aesCbc, keyBits: 128 },
  'aes-192-cbc': { encryption: encryptionId.aesCbc, keyBits: 192 },
  'aes-256-cbc': { encryption: encryptionId.aesCbc, keyBits: 256 },
};

/** By Junos's names. */
export const groupIds: Readonly<Record<IkeProposalConfig['dhGroup'], number>> = {
  group2: dhGroupId.modp1024,
  group14: dhGroupId.modp2048,
  group15: dhGroupId.modp3072,
  group16: dhGroupId.modp4096,
  group19: dhGroupId.p256,
  group20: dhGroupId.p384,
  group21: dhGroupId.p521,
  group31: dhGroupId.x25519,
};

export const groupName = (id: number): string =>
  Object.entries(groupIds).find(([, group]) => group === id)?.[0] ?? `group${id}`;

/** Junos's words, for show: what protects an IKE SA. */
export function suiteNames({ encryption, keyBits, integrity, prf, group }: IkeSuite) {
  const isGcm = encryption === encryptionId.aesGcm16;
  return {
    encryption: `aes${keyBits}-${isGcm ? 'gcm' : 'cbc'}`,
    authentication: isGcm ? 'none' : `hmac-${integrities[integrity]!.hash}`,
    pseudoRandomFunction: `hmac-${prfs[prf]!.hash}`,
    dhGroup: groupName(group).replace('group', 'DH-group-'),
  };
}

export function suiteOf({
  encryptionAlgorithm,
  authenticationAlgorithm,
  dhGroup,
}: IkeProposalConfig): IkeSuite {
  const { encryption, keyBits } = byEncryption[encryptionAlgorithm];
  const { prf, integrity } = byAuthentication[authenticationAlgorithm];
  const isGcm = encryption === encryptionId.aesGcm16;
  return {
    encryption,
    keyBits,
    integrity: isGcm ? integrityId.none : integrity,
    prf,
    group: groupIds[dhGroup],
  };
}

const transform = (type: number, id: number, keyLength: number | null = null): Transform => ({
  type,
  id,
  keyLength,
});

function ikeTransforms(suite: IkeSuite): Transform[] {
  return [
    transform(transformType.encryption, suite.encryption, suite.keyBits),
    transform(transformType.prf, suite.prf),
    ...(suite.integrity === integrityId.none ? [] : [transform(transformType.integrity, suite.integrity)]),
    transform(transformType.dhGroup, suite.group),
  ];
}

const noSpi = new Uint8Array(0);

/** What to offer, in order. spi: of an IKE SA that takes another's place; empty for a first one. */
export function offerIke(suites: readonly IkeSuite[], spi: Uint8Array = noSpi): Proposal[] {
  return suites.map((suite, i) => ({
    number: i + 1,
    protocol: protocolId.ike,
    spi,
    transforms: ikeTransforms(suite),
  }));
}

export interface Chosen<S> {
  readonly suite: S;
  /** the offer that it is from */
  readonly offer: Proposal;
  /** what to answer, with our SPI still to be filled in */
  readonly answer: Proposal;
}

/**
 * The first of ours that is offered. group: what the key exchange payload has, which is preferred since another costs a
 * round trip. null: nothing is acceptable.
 */
export function chooseIke(
  ours: readonly IkeSuite[],
  offered: readonly Proposal[],
  group: number | null,
): Chosen<IkeSuite> | null {
  const preferred = [...ours.filter((suite) => suite.group === group), ...ours];
  for (const suite of preferred) {
    const offer = offered.find((proposal) => holds(proposal, suite));
    if (offer === undefined) continue;
    return { suite, offer, answer: { ...offer, spi: noSpi, transforms: ikeTransforms(suite) } };
  }
  return null;
}

function holds(proposal: Proposal, suite: IkeSuite): boolean {
  if (proposal.protocol !== protocolId.ike) return false;
  const isGcm = suite.encryption === encryptionId.aesGcm16;
  // a type that we do not know may not be left unanswered (RFC 7296 §3.3.6)
  if (proposal.transforms.some(({ type }) => type < 1 || type > transformType.dhGroup)) return false;
  const integrity = idsOf(proposal, transformType.integrity);
  return (
    proposal.transforms.some(
      ({ type, id, keyLength }) =>
        type === transformType.encryption && id === suite.encryption && keyLength === suite.keyBits,
    ) &&
    idsOf(proposal, transformType.prf).includes(suite.prf) &&
    (isGcm
      ? integrity.length === 0 || integrity.includes(integrityId.none)
      : integrity.includes(suite.integrity)) &&
    idsOf(proposal, transformType.dhGroup).includes(suite.group)
  );
}

const idsOf = ({ transforms }: Proposal, type: number): number[] =>
  transforms.filter((each) => each.type === type).map(({ id }) => id);

export interface ChildOffer {
  readonly proposals: readonly IpsecProposalConfig[];
  readonly extendedSequenceNumbers: boolean;
  /** of perfect-forward-secrecy; none: without, or not now (RFC 7296 §1.2: not in IKE_AUTH) */
  readonly group: number;
}

const espIntegrities: Readonly<Record<EspAuthentication, number>> = {
  'hmac-sha1-96': integrityId.hmacSha1_96,
  'hmac-sha-256-128': integrityId.hmacSha256_128,
  'hmac-sha-384': integrityId.hmacSha384_192,
  'hmac-sha-512': integrityId.hmacSha512_256,
};

/** Encryption, and integrity where that brings none. */
function cipherTransforms({
  encryptionAlgorithm,
  authenticationAlgorithm,
}: IpsecProposalConfig): readonly [Transform, ...Transform[]] {
  const { encryption, keyBits } = byEncryption[encryptionAlgorithm];
  const cipher = transform(transformType.encryption, encryption, keyBits);
  if (authenticationAlgorithm === null) return [cipher];
  return [cipher, transform(transformType.integrity, espIntegrities[authenticationAlgorithm])];
}

function childTransforms(
  proposal: IpsecProposalConfig,
  extended: readonly boolean[],
  group: number,
): Transform[] {
  return [
    ...cipherTransforms(proposal),
    ...(group === dhGroupId.none ? [] : [transform(transformType.dhGroup, group)]),
    ...extended.map((is) => transform(transformType.extendedSequenceNumbers, is ? 1 : 0)),
  ];
}

export function offerChild(
  { proposals, extendedSequenceNumbers, group }: ChildOffer,
  spi: Uint8Array,
): Proposal[] {
  const extended = extendedSequenceNumbers ? [true, false] : [false];
  return proposals.map((proposal, i) => ({
    number: i + 1,
    protocol: protocolId.esp,
    spi,
    transforms: childTransforms(proposal, extended, group),
  }));
}

/** groups: those that we take where none is demanded; empty in IKE_AUTH, where there is no exchange of keys. */
export function chooseChild(
  ours: ChildOffer,
  offered: readonly Proposal[],
  groups: readonly number[],
): Chosen<ChildSuite> | null {
  for (const proposal of ours.proposals) {
    const { authenticationAlgorithm: authentication } = proposal;
    const [cipher, integrity] = cipherTransforms(proposal);
    for (const offer of offered) {
      if (offer.protocol !== protocolId.esp) continue;
      if (!offer.transforms.every(({ type }) => isChildType(type))) continue;
      const hasCipher = offer.transforms.some(
        ({ type, id, keyLength }) =>
          type === cipher.type && id === cipher.id && keyLength === cipher.keyLength,
      );
      const integrities = idsOf(offer, transformType.integrity);
      const hasIntegrity =
        integrities.includes(integrity?.id ?? integrityId.none) ||
        (integrity === undefined && integrities.length === 0);
      if (!hasCipher || !hasIntegrity) continue;
      const group = chooseGroup(ours.group, idsOf(offer, transformType.dhGroup), groups);
      const esn = idsOf(offer, transformType.extendedSequenceNumbers);
      const extended = ours.extendedSequenceNumbers && esn.includes(1);
      if (group === null || (!extended && esn.length > 0 && !esn.includes(0))) continue;
      const suite = { keyBits: cipher.keyLength!, authentication, extendedSequenceNumbers: extended, group };
      const transforms = childTransforms(proposal, [extended], group);
      return { suite, offer, answer: { ...offer, spi: noSpi, transforms } };
    }
  }
  return null;
}

const isChildType = (type: number) =>
  type >= 1 && type <= transformType.extendedSequenceNumbers && type !== 2;

/** null: none that both take. In IKE_AUTH groups say nothing (RFC 7296 §1.2), so any offer of them will do. */
function chooseGroup(demanded: number, offered: readonly number[], groups: readonly number[]): number | null {
  if (groups.length === 0) return dhGroupId.none;
  if (demanded !== dhGroupId.none) return offered.includes(demanded) ? demanded : null;
  if (offered.length === 0 || offered.includes(dhGroupId.none)) return dhGroupId.none;
  return offered.find((group) => groups.includes(group)) ?? null;
}
