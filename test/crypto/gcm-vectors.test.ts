import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { native } from '../../dist/pipeline/native.js';

type Row = [
  name: string,
  key: string,
  nonce: string,
  aad: string,
  plaintext: string,
  ciphertext: string,
  tag: string,
  isValid: boolean,
];

const rows = JSON.parse(readFileSync(new URL('../vectors/gcm.json', import.meta.url), 'utf8')) as Row[];
const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'));
const hex = (data: Uint8Array) => Buffer.from(data).toString('hex');
const chosen = native().crypto().active;

afterAll(() => native().selectCrypto(chosen));

describe.each(native().crypto().available)('published AES-GCM vectors on %s', (kernel) => {
  it.each(['w', 'cavp128', 'cavp256'])('%s…', (set) => {
    native().selectCrypto(kernel);
    expect(native().crypto().active).toBe(kernel);
    const wanted = rows.filter(([name]) => name.startsWith(set));
    expect(wanted.length).toBeGreaterThan(100);
    for (const [name, key, nonce, aad, plaintext, ciphertext, tag, isValid] of wanted) {
      const opened = native().gcmOpen(bytes(key), bytes(nonce), bytes(aad), bytes(ciphertext + tag));
      expect(opened === null ? null : hex(opened), name).toBe(isValid ? plaintext : null);
      if (!isValid) continue;
      const sealed = native().gcmSeal(bytes(key), bytes(nonce), bytes(aad), bytes(plaintext));
      expect(hex(sealed), name).toBe(ciphertext + tag);
    }
  });
});
