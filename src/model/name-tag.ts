/**
 * What a zone or routing instance goes by between the nodes of a pair: each node numbers its own by its own history, and
 * only the name means the same on both.
 */

export const nameTagBits = 20;

/** 20 bits of the FNV-1a hash (32 bits, folded) of the name's UTF-8; never 0, which says "none". Two names of one node must not share one. */
export function nameTag(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return ((hash >>> nameTagBits) ^ hash) & ((1 << nameTagBits) - 1) || 1;
}

/** The first two names that share a tag; null: none do. */
export function sharedNameTag(names: Iterable<string>): readonly [string, string] | null {
  const seen = new Map<number, string>();
  for (const name of names) {
    const tag = nameTag(name);
    const other = seen.get(tag);
    if (other !== undefined && other !== name) return [other, name];
    seen.set(tag, name);
  }
  return null;
}
