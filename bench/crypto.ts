import { nativeBench } from './native-bench.js';
import type { Question } from './question.js';

export const crypto: Question = {
  name: 'crypto',
  title: 'AES-GCM: how fast is the cipher alone?',
  method:
    'Bursts of 32 packets over one key, 1,000 keys at random where the id says so. Penstock, libipsec-mb and OpenSSL take turns within each round; OpenSSL reuses one context, libipsec-mb has its keys expanded before.',
  run: (effort) => nativeBench('crypto', [], effort),
};
