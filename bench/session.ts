import { nativeBench } from './native-bench.js';
import type { Question } from './question.js';

export const session: Question = {
  name: 'session',
  title: 'Session table: look-up, set-up, expiry, memory',
  method:
    'Random keys with routing instance and zone, in bursts of 64, over 1 and 10 million sessions; bytes count records and index.',
  run: (effort) => nativeBench('session', [], effort),
};
