import { native } from '#penstock/pipeline/native.js';
import { secondsPerCall } from './micro.js';
import type { Effort } from './native-bench.js';
import type { Question } from './question.js';
import type { Series } from './series.js';

async function* calls({ only, progress }: Effort): AsyncGenerator<Series> {
  const core = native();
  const key = new Uint8Array(32).fill(7);
  const nonce = new Uint8Array(12);
  const aad = new Uint8Array(8);
  const questions: readonly (readonly [string, () => void])[] = [
    ['addon.call', () => void core.crypto()],
    ...[64, 1424].map((length): readonly [string, () => void] => {
      const plaintext = new Uint8Array(length);
      return [`addon.gcm-seal.${length}`, () => void core.gcmSeal(key, nonce, aad, plaintext)];
    }),
  ];
  for (const [id, work] of questions) {
    if (!id.includes(only)) continue;
    progress(id);
    yield { id, unit: 'ns/call', ours: secondsPerCall(work).map((seconds) => seconds * 1e9), peers: {} };
  }
}

export const addon: Question = {
  name: 'addon',
  title: 'Addon: what does one call from JavaScript into the core cost?',
  method:
    'benchmark.js, single calls: why packets never cross this border one by one. Sealing includes the key schedule.',
  run: calls,
};
