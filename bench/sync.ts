import { nativeBench } from './native-bench.js';
import type { Question } from './question.js';

export const sync: Question = {
  name: 'sync',
  title: 'Sessions on both nodes of a pair: cold sync, live sync, bytes',
  method:
    'Two workers and the thread between their rings, in one process and without the link; three messages a new TCP session.',
  run: (effort) => nativeBench('sync', [], effort),
};
