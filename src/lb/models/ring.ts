/** Ring hash as ketama does it (and libmemcached): 160 points for each member of average weight, from MD5 of the name. */
import { createHash } from 'node:crypto';
import { livingMembers, type Model, type ModelInput, nobody } from './model.js';

const pointsPerMember = 160;
const pointsPerHash = 4;

/** Position on the ring of a key's or point's digest: word `word` of four, little-endian. */
export function ketamaHash(text: string, word = 0): number {
  return createHash('md5')
    .update(text)
    .digest()
    .readUInt32LE(4 * word);
}

export function ring(input: ModelInput): Model {
  const living = livingMembers(input);
  if (living.length === 0) return nobody;
  const total = living.reduce((sum, { weight }) => sum + weight, 0);
  const points: { at: number; member: number }[] = [];
  for (const { name, weight, index } of living) {
    // single precision, as the original counts them
    const part = Math.fround(weight / total);
    const perMember = Math.fround(
      Math.fround(Math.fround(part * pointsPerMember) / pointsPerHash) * living.length,
    );
    const hashes = Math.floor(Math.fround(perMember + 1e-10));
    for (let i = 0; i < hashes; i++) {
      for (let word = 0; word < pointsPerHash; word++) {
        points.push({ at: ketamaHash(`${name}-${i}`, word), member: index });
      }
    }
  }
  points.sort((a, b) => a.at - b.at || a.member - b.member);
  const positions = Uint32Array.from(points, ({ at }) => at);
  return { pick: ({ hi }) => points[firstAtOrAfter(positions, hi)]!.member };
}

/** Wraps round to the first point. */
function firstAtOrAfter(positions: Uint32Array, at: number): number {
  let low = 0;
  let high = positions.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (positions[middle]! < at) low = middle + 1;
    else high = middle;
  }
  return low === positions.length ? 0 : low;
}
