import { nativeBench } from './native-bench.js';
import type { Question } from './question.js';

export const router: Question = {
  name: 'router',
  title: 'Router: what does balancing a packet cost?',
  method:
    '64-byte packets of a million flows through filter-based forwarding, a consistent-hash table of 65,536 slots over 256 members, the next hop’s MAC, counters. 2,048 packets lie in memory before the clock starts.',
  run: (effort) => nativeBench('path', ['--question', 'router'], effort),
};
