import { format, inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { Secret } from '../../dist/model/secret.js';

describe('Secret', () => {
  const secret = new Secret(Uint8Array.of(222, 173, 190, 239));

  it('shows itself nowhere', () => {
    const texts = [
      `${secret}`,
      JSON.stringify({ secret }),
      inspect(secret, { showHidden: true, depth: 9 }),
      format('%o %s %j', secret, secret, secret),
      JSON.stringify(Object.entries(secret)),
      JSON.stringify(structuredClone({ ...secret })),
    ];
    for (const text of texts) expect(text).not.toMatch(/222|173|deadbeef|de, ad/i);
  });

  it('compares bytes', () => {
    expect(secret.equals(new Secret(Uint8Array.of(222, 173, 190, 239)))).toBe(true);
    expect(secret.equals(new Secret(Uint8Array.of(222, 173, 190, 238)))).toBe(false);
    expect(secret.equals(new Secret(Uint8Array.of(222, 173, 190)))).toBe(false);
  });

  it('is gone once it is wiped', () => {
    const bytes = Uint8Array.of(1, 2, 3);
    const once = new Secret(bytes);
    expect([...once.reveal()]).toEqual([1, 2, 3]);
    once.wipe();
    expect([...bytes]).toEqual([0, 0, 0]);
  });
});
