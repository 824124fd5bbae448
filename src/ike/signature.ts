/** Signatures of AUTH payloads: RSA and ECDSA by themselves (RFC 7296 §3.8, 4754) and by RFC 7427. Pure. */
import { constants, createPrivateKey, type KeyObject, sign, verify } from 'node:crypto';
import { authMethod, concat, hashAlgorithm } from '../wire/ike.js';
import type { HashName } from './algorithms.js';

interface Scheme {
  readonly key: 'rsa' | 'ec';
  readonly hash: HashName;
  readonly isPss: boolean;
  /** AlgorithmIdentifier, DER (RFC 7427 appendix A) */
  readonly identifier: Uint8Array;
}

const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'));
/** RSASSA-PSS-params with the hash, MGF1 of the same, and a salt of its length (RFC 7427 §A.4) */
const pss = (hash: string, salt: string) =>
  hex(
    `304106092a864886f70d01010a3034a00f300d0609608648016503040${hash}0500a11c301a06092a864886f70d010108300d0609608648016503040${hash}0500a2030201${salt}`,
  );
const schemes: readonly Scheme[] = [
  { key: 'ec', hash: 'sha256', isPss: false, identifier: hex('300a06082a8648ce3d040302') },
  { key: 'ec', hash: 'sha384', isPss: false, identifier: hex('300a06082a8648ce3d040303') },
  { key: 'ec', hash: 'sha512', isPss: false, identifier: hex('300a06082a8648ce3d040304') },
  { key: 'rsa', hash: 'sha256', isPss: false, identifier: hex('300d06092a864886f70d01010b0500') },
  { key: 'rsa', hash: 'sha384', isPss: false, identifier: hex('300d06092a864886f70d01010c0500') },
  { key: 'rsa', hash: 'sha512', isPss: false, identifier: hex('300d06092a864886f70d01010d0500') },
  { key: 'rsa', hash: 'sha256', isPss: true, identifier: pss('201', '20') },
  { key: 'rsa', hash: 'sha384', isPss: true, identifier: pss('202', '30') },
  { key: 'rsa', hash: 'sha512', isPss: true, identifier: pss('203', '40') },
];

const hashIds: Readonly<Record<HashName, number>> = {
  sha1: hashAlgorithm.sha1,
  sha256: hashAlgorithm.sha256,
  sha384: hashAlgorithm.sha384,
  sha512: hashAlgorithm.sha512,
};

/** What we say in SIGNATURE_HASH_ALGORITHMS: SHA-1 is not among them. */
export const ourHashes: readonly number[] = [
  hashAlgorithm.sha256,
  hashAlgorithm.sha384,
  hashAlgorithm.sha512,
];

const ecdsaMethods: Readonly<Record<number, { hash: HashName; curve: string }>> = {
  [authMethod.ecdsa256]: { hash: 'sha256', curve: 'prime256v1' },
  [authMethod.ecdsa384]: { hash: 'sha384', curve: 'secp384r1' },
  [authMethod.ecdsa521]: { hash: 'sha512', curve: 'secp521r1' },
};
/** The hash that is as strong as the curve. */
const hashOfCurve: Readonly<Record<string, HashName>> = {
  prime256v1: 'sha256',
  secp384r1: 'sha384',
  secp521r1: 'sha512',
};

const curveOf = (key: KeyObject) => key.asymmetricKeyDetails?.namedCurve ?? '';

export interface Signed {
  readonly method: number;
  readonly data: Uint8Array;
}

/**
 * Signs with a private key (PKCS #8, DER). peerHashes: of its SIGNATURE_HASH_ALGORITHMS; none: it knows no RFC 7427. Throws
 * what node:crypto does when the key is none, and Error when nothing strong enough is known to both.
 */
export function signOctets(
  privateKey: Uint8Array,
  peerHashes: readonly number[],
  octets: Uint8Array,
): Signed {
  const key = createPrivateKey({ key: Buffer.from(privateKey), format: 'der', type: 'pkcs8' });
  const kind = key.asymmetricKeyType === 'ec' ? 'ec' : 'rsa';
  const fitting = schemes.filter((each) => each.key === kind && peerHashes.includes(hashIds[each.hash]));
  const scheme =
    fitting.find(({ hash }) => kind === 'rsa' || hash === hashOfCurve[curveOf(key)]) ?? fitting[0];
  if (scheme !== undefined) {
    const signature = sign(scheme.hash, octets, { key, dsaEncoding: 'der' });
    const { identifier } = scheme;
    return {
      method: authMethod.digitalSignature,
      data: concat(Uint8Array.of(identifier.length), identifier, signature),
    };
  }
  if (kind === 'rsa') throw new Error('the peer signs with SHA-1 alone (no RFC 7427)');
  const method = Object.entries(ecdsaMethods).find(([, { curve }]) => curve === curveOf(key));
  if (method === undefined) throw new Error(`no signature with curve ${curveOf(key)}`);
  return {
    method: Number(method[0]),
    data: sign(method[1].hash, octets, { key, dsaEncoding: 'ieee-p1363' }),
  };
}

/** Whether it is a signature by this key; a reason when it is not. RSA with SHA-1 (method 1 of old peers) is refused. */
export function checkSignature(key: KeyObject, { method, data }: Signed, octets: Uint8Array): string | null {
  const wrong = 'the signature is wrong';
  try {
    const kind = key.asymmetricKeyType === 'ec' ? 'ec' : key.asymmetricKeyType === 'rsa' ? 'rsa' : null;
    if (kind === null) return `no signature with a key of type ${key.asymmetricKeyType}`;
    if (method === authMethod.rsa) return 'it is signed with SHA-1 (RSA without RFC 7427)';
    const ecdsa = ecdsaMethods[method];
    if (ecdsa !== undefined) {
      if (curveOf(key) !== ecdsa.curve) return `its key is not of ${ecdsa.curve}`;
      return verify(ecdsa.hash, octets, { key, dsaEncoding: 'ieee-p1363' }, data) ? null : wrong;
    }
    if (method !== authMethod.digitalSignature) return `authentication method ${method} is not known`;
    const length = data[0] ?? 0;
    const identifier = data.subarray(1, 1 + length);
    const scheme = schemes.find((each) => Buffer.compare(each.identifier, identifier) === 0);
    if (scheme === undefined || scheme.key !== kind)
      return 'its signature algorithm is not known, or is too weak';
    const signature = data.subarray(1 + length);
    if (!scheme.isPss)
      return verify(scheme.hash, octets, { key, dsaEncoding: 'der' }, signature) ? null : wrong;
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    const saltLength = constants.RSA_PSS_SALTLEN_DIGEST;
    return verify(scheme.hash, octets, { key, padding, saltLength }, signature) ? null : wrong;
  } catch {
    return wrong;
  }
}
