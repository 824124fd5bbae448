import { nativeBench } from './native-bench.js';
import type { Question } from './question.js';

export const tables: Question = {
  name: 'tables',
  title: 'Consistent-hash tables: time to build, and what moves',
  method:
    'Tables of 65,536 slots; excess is what moves beyond the unavoidable, in percent of the table, over many seeds and failures; worst is the largest of them.',
  run: (effort) => nativeBench('tables', [], effort),
};
