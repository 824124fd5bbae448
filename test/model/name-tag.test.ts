import { expect, it } from 'vitest';
import { nameTag, nameTagBits, sharedNameTag } from '../../dist/model/name-tag.js';

it('is a function of the name alone', () => {
  expect(nameTag('trust')).toBe(nameTag('trust'));
  expect(nameTag('trust')).not.toBe(nameTag('untrust'));
  for (const name of ['', 'default', 'Zürich', 'x'.repeat(500)]) {
    expect(nameTag(name)).toBeGreaterThanOrEqual(0);
    expect(nameTag(name)).toBeLessThan(1 << nameTagBits);
  }
});

it('finds two names that share a tag', () => {
  const byTag = new Map<number, string>();
  let shared: [string, string] | null = null;
  for (let i = 0; shared === null; i++) {
    const other = byTag.get(nameTag(`zone-${i}`));
    if (other !== undefined) shared = [other, `zone-${i}`];
    byTag.set(nameTag(`zone-${i}`), `zone-${i}`);
  }
  expect(sharedNameTag(['trust', ...shared, 'untrust'])).toEqual(shared);
  expect(sharedNameTag(['trust', 'untrust', 'trust'])).toBeNull();
});
