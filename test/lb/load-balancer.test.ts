import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addressHashHigh } from '../../dist/lb/address-hash.js';
import { buildTable, noMember } from '../../dist/lb/chash.js';
import { FlowHasher, flowKey, slotOf } from '../../dist/lb/keys.js';
import { LoadBalancer, type LoadBalancerOptions, type TableChange } from '../../dist/lb/load-balancer.js';

const named = (count: number) => Array.from({ length: count }, (_, i) => ({ name: `m${i}` }));
const bytesOf = (address: number) =>
  Uint8Array.from([address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255]);
const textOf = (address: number) => bytesOf(address).join('.');
const address = fc.nat(0xffffffff);

/** The member that the definition gives, by way of the TypeScript table. */
function expected(options: LoadBalancerOptions, dead: string[], key: Uint8Array): string | undefined {
  const hasher = new FlowHasher(options.hash ?? 'xxh64', options.seed ?? 0, options.hashKey);
  const table = buildTable({ ...options, hasher, dead, previous: undefined });
  return table.members[table.slots[slotOf(hasher.hash(key), table.slots.length)]!]?.name;
}

describe('picks', () => {
  it('of an address are what table and hash say', () => {
    const options = { members: [{ name: 'b', weight: 3 }, { name: 'a' }, { name: 'c', weight: 2 }], seed: 7 };
    const balancer = new LoadBalancer(options);
    fc.assert(
      fc.property(address, (from) => {
        expect(balancer.pick(textOf(from))).toBe(expected(options, [], bytesOf(from)));
      }),
    );
  });

  it('hash an IPv4 address by hand to what xxh64 gives', () => {
    fc.assert(
      fc.property(address, fc.bigInt(0n, 2n ** 64n - 1n), (from, seed) => {
        const hasher = new FlowHasher('xxh64', seed);
        expect(addressHashHigh(from, hasher.seed)).toBe(hasher.hash(bytesOf(from)).hi);
      }),
      { numRuns: 1000 },
    );
  });

  it.each(['source-ip', 'destination-ip', 'symmetric', '5-tuple', 'symmetric-5-tuple'] as const)(
    'by %s take what the key takes, in both families',
    (key) => {
      for (const [source, destination] of [
        ['10.1.2.3', '203.0.113.9'],
        ['2001:db8::1', '2001:db8:ffff::9'],
      ] as const) {
        for (const hash of ['xxh64', 'siphash-1-3', 'toeplitz'] as const) {
          const options = { members: named(5), key, hash, seed: 99 };
          const balancer = new LoadBalancer(options);
          const bytes = (text: string) =>
            text.includes(':')
              ? Uint8Array.from(
                  text
                    .replace('::', `:${'0:'.repeat(9 - text.split(':').length)}`)
                    .split(':')
                    .flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]),
                )
              : Uint8Array.from(text.split('.'), Number);
          const fields = {
            source: bytes(source),
            destination: bytes(destination),
            protocol: 6,
            ports: { source: 1025, destination: 443 },
          };
          const flow = { source, destination, protocol: 6, sourcePort: 1025, destinationPort: 443 };
          expect(balancer.pick(flow)).toBe(expected(options, [], flowKey(key, fields)));
        }
      }
    },
  );

  it('in bulk agree with single ones', () => {
    const balancer = new LoadBalancer({ members: named(7), seed: 3 });
    balancer.setDown('m2');
    const addresses = Uint32Array.from({ length: 1000 }, (_, i) => (i * 2_654_435_761) >>> 0);
    const { members } = balancer;
    const picked = balancer.pickAddresses(addresses);
    const keys = Uint8Array.from([...addresses].flatMap((one) => [...bytesOf(one)]));
    expect(balancer.pickKeys(keys, 4)).toEqual(picked);
    addresses.forEach((one, i) => {
      expect(members[picked[i]!]?.name).toBe(balancer.pick(textOf(one)));
    });
  });

  it('of nobody, when nobody is up: undefined, and 65,535 in bulk', () => {
    const balancer = new LoadBalancer({ members: named(2) });
    balancer.setDown('m0');
    balancer.setDrained('m1', true);
    expect(balancer.pick('10.0.0.1')).toBeUndefined();
    expect(balancer.pickAddresses(Uint32Array.of(1))[0]).toBe(noMember);
    expect(new LoadBalancer({ members: [] }).pick('10.0.0.1')).toBeUndefined();
  });

  it('fail open where that is asked: as if all were up', () => {
    const balancer = new LoadBalancer({ members: named(3), allDead: 'fail-open' });
    const { digest } = balancer;
    for (const { name } of balancer.members) balancer.setDown(name);
    expect(balancer.digest).toBe(digest);
  });

  it.each([
    ['10.0.0', 'write an IPv4 or IPv6 address'],
    ['10.0.0.256', 'write an IPv4 or IPv6 address'],
    ['010.0.0.1', 'write an IPv4 or IPv6 address'],
    ['1.2.3.4.5', 'write an IPv4 or IPv6 address'],
    ['', 'write an IPv4 or IPv6 address'],
  ])('refuse %j', (text, words) => {
    expect(() => new LoadBalancer({ members: named(2) }).pick(text)).toThrow(words);
  });

  it('want a key, a size and whole keys', () => {
    const refused = (options: object) => () => new LoadBalancer({ members: named(2), ...options });
    expect(refused({ key: 'foo' })).toThrow('key: foo is none of source-ip');
    expect(refused({ size: 0 })).toThrow('size: 1 to 1,048,576');
    const balancer = new LoadBalancer({ members: named(2) });
    expect(() => balancer.pickKeys(new Uint8Array(7), 4)).toThrow('whole keys of 4 bytes');
    expect(() => balancer.pickKeys(new Uint8Array(7), 0)).toThrow();
  });

  it('refuse a flow that lacks what the key wants', () => {
    const balancer = new LoadBalancer({ members: named(2), key: 'symmetric' });
    expect(() => balancer.pick('10.0.0.1')).toThrow('no flow for the key symmetric');
    expect(() => balancer.pick({ source: '10.0.0.1' })).toThrow('destination: missing');
    expect(() => balancer.pick({ source: '10.0.0.1', destination: '::1' })).toThrow('not of one family');
  });
});

describe('changes', () => {
  it('move only what they must, and recovery gives the very same table', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 40 }), fc.nat(), fc.nat(1000), (count, which, seed) => {
        const balancer = new LoadBalancer({ members: named(count), seed });
        const before = balancer.digest;
        const name = `m${which % count}`;
        const share = balancer.members.find((member) => member.name === name)!.share;
        const lost = balancer.setDown(name)!;
        expect(lost).toMatchObject({ moved: share * balancer.size, excess: 0 });
        expect(balancer.members.find((member) => member.name === name)).toMatchObject({
          up: false,
          share: 0,
        });
        balancer.setUp(name);
        expect(balancer.digest).toBe(before);
      }),
      { numRuns: 30 },
    );
  });

  it('are told once, and only when something changed', () => {
    const balancer = new LoadBalancer({ members: named(3) });
    const heard: unknown[] = [];
    balancer.on('up', (name) => heard.push(['up', name]));
    balancer.on('down', (name, why) => heard.push(['down', name, why]));
    balancer.on('change', (change: TableChange) => heard.push(change.digest));
    expect(balancer.setUp('m1')).toBeNull();
    balancer.setDown('m1', 'refused');
    expect(balancer.setDown('m1', 'again')).toBeNull();
    const down = balancer.digest;
    balancer.setUp('m1');
    expect(heard).toEqual([['down', 'm1', 'refused'], down, ['up', 'm1'], balancer.digest]);
  });

  it('of members keep who is down and who is drained', () => {
    const balancer = new LoadBalancer({ members: named(4), size: 1024 });
    balancer.setDown('m1');
    balancer.setDrained('m2', true);
    balancer.update([...named(3), { name: 'new', weight: 5 }]);
    expect(balancer.members.map(({ name, up, drained }) => [name, up, drained])).toEqual([
      ['m0', true, false],
      ['m1', false, false],
      ['m2', true, true],
      ['new', true, false],
    ]);
    expect(balancer.size).toBe(1024);
  });

  it('do nothing when they cannot be done', () => {
    const balancer = new LoadBalancer({ members: named(3) });
    const { digest, members } = balancer;
    expect(() => balancer.update([{ name: 'a' }, { name: 'a' }])).toThrow('a: duplicate member');
    expect(() => balancer.update([{ name: 'a', weight: -1 }])).toThrow(
      'a: weight: -1 is not from 1 to 65,535',
    );
    expect(() => balancer.update(named(1025))).toThrow();
    expect(() => balancer.setDown('nobody')).toThrow('nobody: no member has this name');
    expect(balancer.digest).toBe(digest);
    expect(balancer.members).toEqual(members);
  });

  it('are whole before listeners hear of them, and stay when one of these throws', () => {
    const balancer = new LoadBalancer({ members: named(3) });
    let seen: number | undefined;
    const refuse = () => {
      seen = balancer.members.find(({ name }) => name === 'm1')?.share;
      throw new Error('not now');
    };
    balancer.once('down', refuse);
    expect(() => balancer.setDown('m1')).toThrow('not now');
    expect(seen).toBe(0);
    expect(balancer.members.map(({ up, share }) => [up, share > 0])).toEqual([
      [true, true],
      [false, false],
      [true, true],
    ]);
    balancer.once('change', refuse);
    expect(() => balancer.update([{ name: 'm0' }, { name: 'new' }])).toThrow('not now');
    expect(balancer.members.map(({ name }) => name)).toEqual(['m0', 'new']);
    expect(balancer.pick('10.0.0.1')).toMatch(/^(m0|new)$/);
  });

  it('in sticky mode: a fifth member takes a twentieth of all from each of four, and nothing else moves', () => {
    const balancer = new LoadBalancer({ members: named(4), sticky: true, size: 65_536 });
    const before = balancer.members.map(({ share }) => share);
    const { moved, excess } = balancer.update(named(5));
    expect(excess).toBe(0);
    expect(Math.abs(moved - 65_536 / 5)).toBeLessThanOrEqual(5);
    balancer.members.slice(0, 4).forEach(({ share }, i) => {
      expect((before[i]! - share) * 65_536).toBeCloseTo(65_536 / 20, -1);
    });
  });

  it('in sticky mode can be saved and gone on from', () => {
    const first = new LoadBalancer({ members: named(4), sticky: true });
    first.update(named(5));
    first.update(named(6).slice(1));
    const second = new LoadBalancer({ members: named(6).slice(1), sticky: first.saved });
    expect(second.digest).toBe(first.digest);
    expect(new LoadBalancer({ members: named(6).slice(1), size: first.size }).digest).not.toBe(first.digest);
  });
});
