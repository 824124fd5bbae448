/** The functions that IKE's keys are made of. Pure: whatever is random comes as an argument. */
import {
  createCipheriv,
  createDecipheriv,
  createDiffieHellman,
  createECDH,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  getDiffieHellman,
  type KeyObject,
  timingSafeEqual,
} from 'node:crypto';
import { authentications, type EspKeys } from '../model/sa.js';
import { Secret } from '../model/secret.js';
import { concat, dhGroupId, encryptionId } from '../wire/ike.js';
import { type ChildSuite, type HashName, type IkeSuite, integrities, prfs } from './algorithms.js';

export type Bytes = Uint8Array;

const own = (buffer: Buffer): Bytes => new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);

export const hmac = (hash: HashName, key: Bytes, ...data: readonly Bytes[]): Bytes => {
  const mac = createHmac(hash, key);
  for (const part of data) mac.update(part);
  return own(mac.digest());
};

export const prf = (id: number, key: Bytes, ...data: readonly Bytes[]): Bytes =>
  hmac(prfs[id]!.hash, key, ...data);

export const sha1 = (...data: readonly Bytes[]): Bytes => {
  const hash = createHash('sha1');
  for (const part of data) hash.update(part);
  return own(hash.digest());
};

/** prf+ (RFC 7296 §2.13); throws RangeError beyond 255 blocks. */
export function prfPlus(id: number, key: Bytes, seed: Bytes, length: number): Bytes {
  const blocks = Math.ceil(length / prfs[id]!.bytes);
  if (blocks > 255) throw new RangeError(`prf+ gives at most 255 blocks, not ${blocks}`);
  const out = new Uint8Array(blocks * prfs[id]!.bytes);
  let last: Bytes = new Uint8Array(0);
  for (let i = 0; i < blocks; i++) {
    last = prf(id, key, last, seed, Uint8Array.of(i + 1));
    out.set(last, i * last.length);
  }
  const result = out.slice(0, length);
  out.fill(0);
  return result;
}

export const isEqual = (a: Bytes, b: Bytes): boolean => a.length === b.length && timingSafeEqual(a, b);

// ---- Diffie-Hellman ----

const curves: Readonly<Record<number, { name: string; bytes: number }>> = {
  [dhGroupId.p256]: { name: 'prime256v1', bytes: 32 },
  [dhGroupId.p384]: { name: 'secp384r1', bytes: 48 },
  [dhGroupId.p521]: { name: 'secp521r1', bytes: 66 },
};
const modps: Readonly<Record<number, { name: string; bytes: number }>> = {
  [dhGroupId.modp1024]: { name: 'modp2', bytes: 128 },
  [dhGroupId.modp2048]: { name: 'modp14', bytes: 256 },
  [dhGroupId.modp3072]: { name: 'modp15', bytes: 384 },
  [dhGroupId.modp4096]: { name: 'modp16', bytes: 512 },
};

/** Bytes of randomness that make a private value. */
export const dhSecretBytes = 66;
/** Twice the strength of the largest group in bits, and a margin (RFC 7919 §5.2 has 400 for 4096). */
const modpExponentBytes = 52;

export const isGroup = (group: number): boolean =>
  group === dhGroupId.x25519 || group in curves || group in modps;

/** Bytes of a key exchange payload (RFC 7296 §3.4, 5903 §7, 8031 §3). */
export const dhPublicBytes = (group: number): number =>
  group === dhGroupId.x25519
    ? 32
    : curves[group] !== undefined
      ? 2 * curves[group].bytes
      : modps[group]!.bytes;

/** A private value of dhSecretBytes of randomness, which are wiped. */
export function dhSecret(group: number, random: Bytes): Bytes {
  const curve = curves[group];
  const length = group === dhGroupId.x25519 ? 32 : (curve?.bytes ?? modpExponentBytes);
  const secret = random.slice(0, length);
  random.fill(0);
  // below the curve's order, whatever it is: all three begin with ones
  if (group === dhGroupId.p521) secret[0] = 0;
  else if (curve !== undefined) secret[0]! &= 0x7f;
  return secret;
}

/** Our public value. secret: of dhSecret(). */
export function dhPublic(group: number, secret: Bytes): Bytes {
  if (group === dhGroupId.x25519) return x25519Public(x25519Private(secret));
  if (curves[group] !== undefined) return own(ecdh(group, secret).getPublicKey()).subarray(1);
  const { exchange, bytes } = modp(group, secret);
  return padded(own(exchange.generateKeys()), bytes);
}

/** The shared secret, or null when the peer's value is none of the group (RFC 7296 §3.4, 6989). */
export function dhShared(group: number, secret: Bytes, peer: Bytes): Secret | null {
  if (peer.length !== dhPublicBytes(group)) return null;
  try {
    if (group === dhGroupId.x25519) return x25519Shared(x25519Private(secret), peer);
    if (curves[group] !== undefined) {
      return new Secret(own(ecdh(group, secret).computeSecret(concat(Uint8Array.of(4), peer))));
    }
    const { exchange, bytes, prime } = modp(group, secret);
    if (!isProperResidue(peer, prime)) return null;
    return new Secret(padded(own(exchange.computeSecret(peer)), bytes));
  } catch {
    return null;
  }
}

/** Both at once; a private value is made a key of X25519 by a multiplication as long as the exchange itself. */
export function dhExchange(
  group: number,
  secret: Bytes,
  peer: Bytes | null,
): { publicKey: Bytes; shared: Secret | null } {
  if (group !== dhGroupId.x25519) {
    const shared = peer === null ? null : dhShared(group, secret, peer);
    return { publicKey: dhPublic(group, secret), shared };
  }
  const key = x25519Private(secret);
  let shared: Secret | null = null;
  try {
    if (peer !== null && peer.length === dhPublicBytes(group)) shared = x25519Shared(key, peer);
  } catch {
    // none of the group
  }
  return { publicKey: x25519Public(key), shared };
}

function x25519Public(key: KeyObject): Bytes {
  const { x } = key.export({ format: 'jwk' });
  return own(Buffer.from(x!, 'base64url'));
}

/** OpenSSL refuses a result of zeros, as RFC 8031 §4 wants (small-order points). */
function x25519Shared(privateKey: KeyObject, peer: Bytes): Secret {
  const publicKey = createPublicKey({
    key: { kty: 'OKP', crv: 'X25519', x: Buffer.from(peer).toString('base64url') },
    format: 'jwk',
  });
  return new Secret(own(diffieHellman({ privateKey, publicKey })));
}

// by JWK: OpenSSL takes ten times as long for PKCS #8
const x25519Private = (secret: Bytes) =>
  createPrivateKey({
    key: { kty: 'OKP', crv: 'X25519', d: Buffer.from(secret).toString('base64url'), x: '' },
    format: 'jwk',
  });

function ecdh(group: number, secret: Bytes) {
  const exchange = createECDH(curves[group]!.name);
  exchange.setPrivateKey(secret);
  return exchange;
}

const primes = new Map<number, Buffer>();

function modp(group: number, secret: Bytes) {
  const { name, bytes } = modps[group]!;
  const prime = primes.get(group) ?? getDiffieHellman(name).getPrime();
  primes.set(group, prime);
  const exchange = createDiffieHellman(prime, Buffer.of(2));
  exchange.setPrivateKey(secret);
  return { exchange, bytes, prime };
}

/** 1 < value < prime - 1 (RFC 6989 §2.1) */
function isProperResidue(value: Bytes, prime: Bytes): boolean {
  if (Buffer.compare(value, prime) >= 0) return false;
  const isSmall = value.subarray(0, -1).every((byte) => byte === 0) && value.at(-1)! <= 1;
  const less = Uint8Array.from(prime);
  less[less.length - 1]! -= 1; // the prime is odd
  return !isSmall && Buffer.compare(value, less) !== 0;
}

function padded(bytes: Bytes, length: number): Bytes {
  if (bytes.length === length) return bytes;
  const whole = new Uint8Array(length);
  whole.set(bytes, length - bytes.length);
  return whole;
}

// ---- keys ----

/** RFC 7296 §2.14; AES-GCM's SK_e has the salt behind the key (RFC 5282 §7.1), and no SK_a. */
export interface IkeKeys {
  readonly d: Secret;
  readonly ai: Secret;
  readonly ar: Secret;
  readonly ei: Secret;
  readonly er: Secret;
  readonly pi: Secret;
  readonly pr: Secret;
}

const saltBytes = 4;

/**
 * seed: SKEYSEED. Of a first IKE SA it is prf(Ni | Nr, g^ir), of a rekeyed one prf(SK_d of the old, g^ir | Ni | Nr)
 * (RFC 7296 §2.14, §2.18). Wiped here.
 */
export function ikeKeys(
  suite: IkeSuite,
  seed: Bytes,
  nonces: Bytes,
  initiatorSpi: Bytes,
  responderSpi: Bytes,
): IkeKeys {
  const isGcm = suite.encryption === encryptionId.aesGcm16;
  const p = prfs[suite.prf]!.bytes;
  const a = isGcm ? 0 : integrities[suite.integrity]!.keyBytes;
  const e = suite.keyBits / 8 + (isGcm ? saltBytes : 0);
  const material = prfPlus(
    suite.prf,
    seed,
    concat(nonces, initiatorSpi, responderSpi),
    3 * p + 2 * a + 2 * e,
  );
  seed.fill(0);
  let at = 0;
  const take = (length: number) => {
    at += length;
    return new Secret(material.slice(at - length, at));
  };
  const keys = {
    d: take(p),
    ai: take(a),
    ar: take(a),
    ei: take(e),
    er: take(e),
    pi: take(p),
    pr: take(p),
  };
  material.fill(0);
  return keys;
}

export function wipeIkeKeys(keys: IkeKeys | null): void {
  if (keys !== null) for (const key of Object.values(keys) as Secret[]) key.wipe();
}

/**
 * Keys of a CHILD SA (RFC 7296 §2.17): from its initiator to its responder, and back. Of each AES's key first, behind it
 * the salt of AES-GCM (RFC 5282 §7.1) or the key of the HMAC.
 */
export function childKeys(
  prfOfIke: number,
  d: Secret,
  shared: Secret | null,
  nonces: Bytes,
  { keyBits, authentication }: Pick<ChildSuite, 'keyBits' | 'authentication'>,
): { fromInitiator: EspKeys; fromResponder: EspKeys } {
  const cipherBytes = keyBits / 8 + (authentication === null ? saltBytes : 0);
  const length = cipherBytes + (authentication === null ? 0 : authentications[authentication].keyBytes);
  const seed = shared === null ? nonces : concat(shared.reveal(), nonces);
  const material = prfPlus(prfOfIke, d.reveal(), seed, 2 * length);
  const take = (at: number): EspKeys => {
    const key = new Secret(material.slice(at, at + cipherBytes));
    if (authentication === null) return { algorithm: 'aes-gcm', key, authenticationKey: null };
    const authenticationKey = new Secret(material.slice(at + cipherBytes, at + length));
    return { algorithm: `aes-cbc-${authentication}`, key, authenticationKey };
  };
  const keys = { fromInitiator: take(0), fromResponder: take(length) };
  material.fill(0);
  if (shared !== null) seed.fill(0);
  return keys;
}

/** RFC 7296 §2.15 */
export const pskAuth = (prfOfIke: number, preSharedKey: Secret, octets: Bytes): Bytes => {
  const key = prf(prfOfIke, preSharedKey.reveal(), Buffer.from('Key Pad for IKEv2', 'ascii'));
  const auth = prf(prfOfIke, key, octets);
  key.fill(0);
  return auth;
};

// ---- the encrypted payload ----

export const gcmIvBytes = 8;
export const gcmTagBytes = 16;
const blockBytes = 16;

/** Bytes that SK adds to what it carries, at most. */
export const sealOverhead = ({ encryption, integrity }: IkeSuite): number =>
  encryption === encryptionId.aesGcm16
    ? gcmIvBytes + 1 + gcmTagBytes
    : blockBytes + blockBytes + integrities[integrity]!.icvBytes;

/** How long the body of SK is for this much plaintext. */
export function sealedBytes(suite: IkeSuite, plain: number): number {
  if (suite.encryption === encryptionId.aesGcm16) return gcmIvBytes + plain + 1 + gcmTagBytes;
  const blocks = Math.ceil((plain + 1) / blockBytes) * blockBytes;
  return blockBytes + blocks + integrities[suite.integrity]!.icvBytes;
}

/**
 * The body of SK or SKF. head: everything before it, its own generic header included, with all lengths as they will be.
 * iv: of AES-GCM 8 bytes that never come twice with this key; of AES-CBC 16 that nobody can guess.
 */
export function sealBody(suite: IkeSuite, e: Secret, a: Secret, iv: Bytes, head: Bytes, plain: Bytes): Bytes {
  const bits = suite.keyBits;
  const key = e.reveal();
  if (suite.encryption === encryptionId.aesGcm16) {
    const nonce = concat(key.subarray(bits / 8), iv);
    const cipher = createCipheriv(`aes-${bits === 128 ? 128 : 256}-gcm`, key.subarray(0, bits / 8), nonce);
    cipher.setAAD(head);
    // no padding is needed (RFC 5282 §3.1): its length alone
    const first = cipher.update(concat(plain, Uint8Array.of(0)));
    cipher.final();
    return concat(iv, own(first), own(cipher.getAuthTag()));
  }
  const { hash, icvBytes } = integrities[suite.integrity]!;
  const padding = blockBytes - 1 - (plain.length % blockBytes);
  const cipher = createCipheriv(`aes-${bits}-cbc`, key, iv);
  cipher.setAutoPadding(false);
  const sealed = concat(
    iv,
    own(cipher.update(concat(plain, new Uint8Array(padding), Uint8Array.of(padding)))),
  );
  return concat(sealed, hmac(hash, a.reveal(), head, sealed).subarray(0, icvBytes));
}

/** What was sealed, or null when it does not authenticate. */
export function openBody(suite: IkeSuite, e: Secret, a: Secret, head: Bytes, body: Bytes): Bytes | null {
  const bits = suite.keyBits;
  const key = e.reveal();
  let plain: Bytes;
  if (suite.encryption === encryptionId.aesGcm16) {
    if (body.length < gcmIvBytes + 1 + gcmTagBytes) return null;
    const nonce = concat(key.subarray(bits / 8), body.subarray(0, gcmIvBytes));
    const decipher = createDecipheriv(
      `aes-${bits === 128 ? 128 : 256}-gcm`,
      key.subarray(0, bits / 8),
      nonce,
      { authTagLength: gcmTagBytes },
    );
    decipher.setAAD(head);
    decipher.setAuthTag(body.subarray(-gcmTagBytes));
    plain = own(decipher.update(body.subarray(gcmIvBytes, -gcmTagBytes)));
    try {
      decipher.final();
    } catch {
      return null;
    }
  } else {
    const { hash, icvBytes } = integrities[suite.integrity]!;
    const sealed = body.subarray(0, -icvBytes);
    if (body.length < 2 * blockBytes + icvBytes || sealed.length % blockBytes !== 0) return null;
    const icv = hmac(hash, a.reveal(), head, sealed).subarray(0, icvBytes);
    if (!isEqual(icv, body.subarray(-icvBytes))) return null;
    const decipher = createDecipheriv(`aes-${bits}-cbc`, key, sealed.subarray(0, blockBytes));
    decipher.setAutoPadding(false);
    plain = own(decipher.update(sealed.subarray(blockBytes)));
  }
  const padding = plain.at(-1)!;
  return padding + 1 > plain.length ? null : plain.subarray(0, plain.length - 1 - padding);
}
