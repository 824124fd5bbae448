import { nativeBench } from './native-bench.js';
import type { Question } from './question.js';

export const io: Question = {
  name: 'io',
  title: 'Real ports: what passes through AF_XDP and AF_PACKET?',
  method:
    'Two veth pairs between two network namespaces; the generator on CPU 0, one worker between the inner ends on CPU 1. The rate is the highest that passes with at most 0.1 % loss, found by halving; where full load passes so, the generator is the bound (generatorBound 1). p50 and p99 at half of it. Where no rate passes so, all three are none (null in JSON): “no loss-free rate found”. Peer "testpmd": DPDK’s, mac forwarding, on the same interfaces in the same round. esp: IP packets of the mix sealed into 100 tunnels, AES-256-GCM, sessions on; peer "plain": the same packets, routed only. Wants root.',
  async *run(effort) {
    if (process.getuid?.() !== 0) {
      effort.progress('io is left out: it wants root, to make network namespaces');
      return;
    }
    yield* nativeBench('io', [], { ...effort, only: effort.only || 'io.' });
  },
};
