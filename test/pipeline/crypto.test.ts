/** AES-GCM through the addon: every kernel against node:crypto and, sampled, @noble/ciphers. */
import { spawnSync } from 'node:child_process';
import { createCipheriv } from 'node:crypto';
import { gcm } from '@noble/ciphers/aes.js';
import { afterEach, describe, expect, it } from 'vitest';
import { native } from '../../dist/pipeline/native.js';

const addon = native();
const first = addon.crypto().active;
afterEach(() => addon.selectCrypto(first));

/** The same bytes for the same seed (xorshift). */
function bytes(length: number, seed: number): Uint8Array {
  let word = seed * 2654435761 + 1;
  return Uint8Array.from({ length }, () => {
    word ^= word << 13;
    word ^= word >>> 17;
    word ^= word << 5;
    return word;
  });
}

function sealByNode(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const cipher = createCipheriv(key.length === 16 ? 'aes-128-gcm' : 'aes-256-gcm', key, nonce);
  cipher.setAAD(aad);
  return new Uint8Array(Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]));
}

describe.each(addon.crypto().available)('%s', (kernel) => {
  it.each([16, 32])('agrees with node:crypto on every length to 2048, keys of %i bytes', (keyBytes) => {
    addon.selectCrypto(kernel);
    expect(addon.crypto().active).toBe(kernel);
    for (let length = 0; length <= 2048; length++) {
      const key = bytes(keyBytes, length);
      const nonce = bytes(12, length + 1);
      const aad = bytes(length % 2 ? 8 : 12, length + 2);
      const plaintext = bytes(length, length + 3);
      const sealed = sealByNode(key, nonce, aad, plaintext);
      // Buffer.compare: expect() on every one would take minutes.
      const ours = addon.gcmSeal(key, nonce, aad, plaintext);
      if (Buffer.compare(ours, sealed) !== 0) expect(ours, `sealed, ${length} bytes`).toEqual(sealed);
      const opened = addon.gcmOpen(key, nonce, aad, sealed);
      if (!opened || Buffer.compare(opened, plaintext) !== 0) {
        expect(opened, `opened, ${length} bytes`).toEqual(plaintext);
      }
    }
  });

  it('agrees with @noble/ciphers on some lengths, and on AAD of any', () => {
    addon.selectCrypto(kernel);
    for (const length of [0, 1, 15, 16, 17, 63, 64, 255, 1424, 9000, 65535]) {
      for (const aadLength of [0, 1, 8, 12, 16, 100, 1000]) {
        const key = bytes(32, length);
        const nonce = bytes(12, aadLength);
        const aad = bytes(aadLength, 3);
        const plaintext = bytes(length, 4);
        expect(addon.gcmSeal(key, nonce, aad, plaintext)).toEqual(gcm(key, nonce, aad).encrypt(plaintext));
      }
    }
  });

  it('opens nothing that was changed by one bit', () => {
    addon.selectCrypto(kernel);
    const [key, nonce, aad] = [bytes(16, 1), bytes(12, 2), bytes(8, 3)];
    const sealed = addon.gcmSeal(key, nonce, aad, bytes(100, 4));
    expect(addon.gcmOpen(key, nonce, aad, sealed)).toEqual(bytes(100, 4));
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = Uint8Array.from(sealed);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(addon.gcmOpen(key, nonce, aad, changed)).toBeNull();
    }
    for (const [i, part] of [key, nonce, aad].entries()) {
      const changed = [key, nonce, aad] as [Uint8Array, Uint8Array, Uint8Array];
      changed[i] = part.map((byte, at) => (at === 5 ? byte ^ 1 : byte));
      expect(addon.gcmOpen(...changed, sealed)).toBeNull();
    }
  });
});

it('an unknown kernel is refused, naming those that there are', () => {
  expect(() => addon.selectCrypto('rot13')).toThrow(/selectCrypto\.name: .*portable/);
  expect(addon.crypto().active).toBe(first);
});

it('a kernel in PENSTOCK_CRYPTO is used, or refused, naming those that there are', () => {
  const module = new URL('../../dist/pipeline/native.js', import.meta.url).href;
  const start = (kernel: string) =>
    spawnSync(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `import { native } from '${module}'; console.log(native().crypto().active)`,
      ],
      { encoding: 'utf8', env: { ...process.env, PENSTOCK_CRYPTO: kernel } },
    );
  for (const kernel of addon.crypto().available) expect(start(kernel).stdout.trim()).toBe(kernel);
  const refused = start('rot13');
  expect(refused.stderr).toContain(
    `PENSTOCK_CRYPTO: crypto kernel rot13: no such kernel; this processor runs ${addon.crypto().available.join(' ')}`,
  );
  expect(refused.status).not.toBe(0);
});
