import { describe, expect, it } from 'vitest';
import type { SrgHellos } from '../../dist/model/high-availability.js';
import { decodeHello, encodeHello } from '../../dist/wire/icl-hello.js';

const srg: SrgHellos = {
  nodeId: 3,
  generation: 0x1234_5678_9abc,
  sequence: 77,
  heard: { generation: 1_763_760_000, sequence: 0xffff_ffff_fff0 },
  coldSync: 'IN PROGRESS',
  interfaceScheme: '00c0ffee',
  groups: [
    { id: 1, status: 'ACTIVE', priority: 254, preempt: true, healthy: true, failures: [], request: null },
    {
      id: 64,
      status: 'INELIGIBLE',
      priority: 1,
      preempt: false,
      healthy: false,
      failures: ['BF', 'IP', 'IF', 'CP'],
      request: { number: 9, status: 'BACKUP' },
    },
  ],
};
const hello = {
  generation: 12,
  coldSync: 'IN PROGRESS' as const,
  parts: new Map([['vpns', '0123456789abcdef'] as const]),
  srg,
};

describe('hellos of the interchassis link', () => {
  it('carry all of them, the generation of the start apart from that of takeovers', () => {
    expect(decodeHello(encodeHello(hello), 3)).toEqual(hello);
    expect(decodeHello(encodeHello({ ...hello, srg: null }), 3)).toEqual({ ...hello, srg: null });
  });

  it('cut short at any byte are malformed', () => {
    const bytes = encodeHello(hello);
    for (let length = 0; length < bytes.length; length++)
      expect(decodeHello(bytes.subarray(0, length), 3)).toBeNull();
  });
});
