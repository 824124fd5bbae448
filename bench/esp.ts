import { nativeBench } from './native-bench.js';
import type { Question } from './question.js';

export const esp: Question = {
  name: 'esp',
  title: 'ESP gateway: how much traffic does one worker carry, memory to memory?',
  method:
    'A gateway with tunnels (1,000 unless the id says otherwise), AES-256-GCM, SECGW-IMIX sizes as inner IP lengths, sessions, policies and traffic selectors on. 2,048 packets of random tunnels are sealed before the clock starts; what is timed is the node’s turns until all have left. Peer "kernel": the cipher alone on the same sizes in the same round. esp.seal and esp.open: what ESP adds to the cipher, without a node around it.',
  run: async function* (effort) {
    yield* nativeBench('path', ['--question', 'esp'], effort);
    yield* nativeBench('esp', [], effort);
  },
};
