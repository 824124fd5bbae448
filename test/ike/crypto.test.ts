/** Calls of ours against published vectors. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  childKeys,
  dhPublic,
  dhPublicBytes,
  dhShared,
  hmac,
  openBody,
  prfPlus,
  sealBody,
} from '../../dist/ike/crypto.js';
import { Secret } from '../../dist/model/secret.js';
import { dhGroupId, encryptionId, integrityId, prfId } from '../../dist/wire/ike.js';
import { generator } from './support.js';

type Row = readonly [string, string, string, string];
const vectors = JSON.parse(
  readFileSync(new URL('../vectors/ike-wycheproof.json', import.meta.url), 'utf8'),
) as {
  x25519: Row[];
  p256: Row[];
  hmacSha256: Row[];
};
const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'));
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('Diffie-Hellman', () => {
  it.each([
    ['x25519', dhGroupId.x25519, 518],
    ['p256', dhGroupId.p256, 300],
  ] as const)('%s: Wycheproof', (name, group, least) => {
    const rows = vectors[name];
    expect(rows.length).toBeGreaterThanOrEqual(least);
    for (const [secret, peer, shared, result] of rows) {
      const got = dhShared(group, hex(secret), hex(peer));
      const came = got === null ? null : text(got.reveal());
      // what may be refused is either refused or right; zeros tell nobody anything, and are refused (RFC 8031 §4)
      const wanted = result === 'valid' ? [shared] : result === 'acceptable' ? [shared, null] : [null];
      expect(wanted, `${secret} ${peer} ${result}`).toContain(came);
    }
  });

  it.each(Object.entries(dhGroupId).filter(([, id]) => id !== 0))(
    '%s: both ends come to the same, and take no bad value',
    (_name, group) => {
      const random = generator('dh');
      const secret = () => {
        const bytes = random(
          dhPublicBytes(group) === 32
            ? 32
            : group === dhGroupId.p384
              ? 48
              : group === dhGroupId.p521
                ? 66
                : group === dhGroupId.p256
                  ? 32
                  : 52,
        );
        if (group === dhGroupId.p521) bytes[0] = 0;
        else bytes[0]! &= 0x7f;
        return bytes;
      };
      const [a, b] = [secret(), secret()];
      const [publicA, publicB] = [dhPublic(group, a), dhPublic(group, b)];
      expect(publicA).toHaveLength(dhPublicBytes(group));
      const shared = dhShared(group, a, publicB)!;
      expect(shared.equals(dhShared(group, b, publicA)!)).toBe(true);
      const zeros = new Uint8Array(dhPublicBytes(group));
      expect(dhShared(group, a, zeros)).toBeNull();
      const one = Uint8Array.from(zeros);
      one[one.length - 1] = 1;
      if (group !== dhGroupId.x25519) expect(dhShared(group, a, one)).toBeNull();
      if (group !== dhGroupId.x25519) expect(dhShared(group, a, zeros.fill(0xff))).toBeNull();
      expect(dhShared(group, a, publicB.subarray(1))).toBeNull();
    },
  );
});

describe('keys', () => {
  it('HMAC-SHA-256: Wycheproof', () => {
    for (const [key, message, tag, result] of vectors.hmacSha256) {
      const got = text(hmac('sha256', hex(key), hex(message))).slice(0, tag.length);
      expect(got === tag).toBe(result === 'valid');
    }
  });

  it('prf+ is a chain of blocks (RFC 7296 §2.13)', () => {
    const key = hex('0b'.repeat(32));
    const seed = hex('cd'.repeat(50));
    const long = prfPlus(prfId.hmacSha256, key, seed, 100);
    const first = hmac('sha256', key, seed, Uint8Array.of(1));
    const second = hmac('sha256', key, first, seed, Uint8Array.of(2));
    expect(text(long.subarray(0, 64))).toBe(text(first) + text(second));
    expect(() => prfPlus(prfId.hmacSha256, key, seed, 255 * 32 + 1)).toThrow(RangeError);
  });

  it('of CHILD SAs differ by direction', () => {
    const keys = childKeys(prfId.hmacSha256, new Secret(hex('01'.repeat(32))), null, hex('02'.repeat(64)), {
      keyBits: 256,
      authentication: null,
    });
    expect(keys.fromInitiator.key.length).toBe(36);
    expect(keys.fromInitiator.key.equals(keys.fromResponder.key)).toBe(false);
  });

  // RFC 7296 §2.17: of each direction the cipher's key first, then the integrity's
  it('of AES-CBC have an HMAC key behind the cipher key', () => {
    const d = hex('01'.repeat(32));
    const nonces = hex('02'.repeat(64));
    const { fromInitiator, fromResponder } = childKeys(prfId.hmacSha256, new Secret(d), null, nonces, {
      keyBits: 192,
      authentication: 'hmac-sha-384',
    });
    const all = [fromInitiator, fromResponder].flatMap(({ key, authenticationKey }) => [
      key.reveal(),
      authenticationKey!.reveal(),
    ]);
    expect(all.map(({ length }) => length)).toEqual([24, 48, 24, 48]);
    expect(Buffer.concat(all)).toEqual(Buffer.from(prfPlus(prfId.hmacSha256, d, nonces, 144)));
    expect(fromInitiator.algorithm).toBe('aes-cbc-hmac-sha-384');
  });
});

describe('the encrypted payload', () => {
  const suites = [
    { encryption: encryptionId.aesGcm16, keyBits: 128, integrity: integrityId.none, key: 20, iv: 8 },
    { encryption: encryptionId.aesGcm16, keyBits: 256, integrity: integrityId.none, key: 36, iv: 8 },
    { encryption: encryptionId.aesCbc, keyBits: 128, integrity: integrityId.hmacSha256_128, key: 16, iv: 16 },
    { encryption: encryptionId.aesCbc, keyBits: 256, integrity: integrityId.hmacSha512_256, key: 32, iv: 16 },
    { encryption: encryptionId.aesCbc, keyBits: 256, integrity: integrityId.hmacSha1_96, key: 32, iv: 16 },
  ];
  it.each(suites)(
    'opens what was sealed and nothing that was changed: $encryption/$keyBits/$integrity',
    ({ key, iv, ...part }) => {
      const random = generator('seal');
      const suite = { ...part, prf: prfId.hmacSha256, group: dhGroupId.x25519 };
      const [e, a] = [new Secret(random(key)), new Secret(random(64))];
      for (const length of [0, 1, 14, 15, 16, 17, 100]) {
        const [head, plain] = [random(32), random(length)];
        const sealed = sealBody(suite, e, a, random(iv), head, plain);
        expect(text(openBody(suite, e, a, head, sealed)!)).toBe(text(plain));
        for (let at = 0; at < sealed.length; at++) {
          const copy = Uint8Array.from(sealed);
          copy[at]! ^= 1;
          expect(openBody(suite, e, a, head, copy)).toBeNull();
        }
        for (let cut = 0; cut < sealed.length; cut++)
          expect(openBody(suite, e, a, head, sealed.subarray(0, cut))).toBeNull();
        head[3]! ^= 0x80;
        expect(openBody(suite, e, a, head, sealed)).toBeNull();
      }
    },
  );
});
