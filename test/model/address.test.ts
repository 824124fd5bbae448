import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, it } from 'vitest';
import { notAHost, parseAddress, parsePrefix } from '../../dist/config/address.js';
import { Address } from '../../dist/model/address.js';
import { Prefix } from '../../dist/model/prefix.js';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
// runs of zeros are what the text of IPv6 is about
const inet6 = fc
  .array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 })
  .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255])));

describe('Address', () => {
  it.each([
    ['10.0.0.1', [10, 0, 0, 1]],
    ['::', Array(16).fill(0)],
    ['::1', [...Array(15).fill(0), 1]],
    ['2001:db8::1', [0x20, 1, 0x0d, 0xb8, ...Array(11).fill(0), 1]],
    // RFC 5952 §4.2.2: one zero group is not shortened; §4.2.3: the first of two equal runs is
    ['2001:db8:0:1:1:1:1:1', [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]],
    ['2001:db8::1:0:0:1', [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1]],
    ['2001:0:0:1::1', [0x20, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]],
    ['1::', [0, 1, ...Array(14).fill(0)]],
  ])('%s', (text, expected) => {
    const address = new Address(Uint8Array.from(expected));
    expect(String(address)).toBe(text);
    expect([...parseAddress(text)!.bytes]).toEqual(expected);
    expect(JSON.stringify({ address })).toBe(`{"address":"${text}"}`);
  });

  it('reads what it writes, and writes what ipaddr.js writes', () => {
    fc.assert(
      fc.property(fc.oneof(bytes(4), bytes(16), inet6), (value) => {
        const address = new Address(value);
        const theirs = ipaddr.fromByteArray([...value]);
        expect(String(address)).toBe(
          theirs.kind() === 'ipv6' ? (theirs as ipaddr.IPv6).toRFC5952String() : theirs.toString(),
        );
        expect(parseAddress(String(address))!.equals(address)).toBe(true);
      }),
    );
  });

  it.each([
    '',
    '10.0.0',
    '10.0.0.256',
    '010.0.0.1',
    '0x7f.0.0.1',
    '10.0.0.1 ',
    '1::2::3',
    ':',
    'fe80::1%eth0',
    '::g',
    '12345::',
    '10.0.0.1/8',
    '1:2:3:4:5:6:7:8:9',
  ])('refuses %j', (text) => expect(parseAddress(text)).toBeUndefined());

  it('keeps a copy of its bytes', () => {
    const given = Uint8Array.of(10, 0, 0, 1);
    const address = new Address(given);
    given.fill(0);
    expect(String(address)).toBe('10.0.0.1');
    expect(() => new Address(new Uint8Array(5))).toThrow(RangeError);
  });
});

describe('Prefix', () => {
  it.each([
    '10.0.0.0',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/08',
    '10.0.0.0/8/8',
    '/8',
    '::/129',
    '10.0.0.0/',
  ])('refuses %j', (text) => {
    expect(parsePrefix(text)).toBeUndefined();
  });

  it('holds an address when it has the network bits, and only then', () => {
    const ofFamily = (length: number) =>
      fc.tuple(bytes(length), bytes(length), fc.nat(length * 8)).map(([a, b, bits]) => ({ a, b, bits }));
    fc.assert(
      fc.property(fc.oneof(ofFamily(4), ofFamily(16)), fc.boolean(), ({ a, b, bits }, share) => {
        const value = (part: Uint8Array) => part.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
        const shift = BigInt(a.length * 8 - bits);
        // half of the cases agree in the network bits, which random ones hardly ever do
        const low = share ? Uint8Array.from(a, (byte, i) => (i * 8 >= bits ? b[i]! : byte)) : b;
        const prefix = new Prefix(new Address(a), bits);
        expect(prefix.contains(new Address(low))).toBe(value(a) >> shift === value(low) >> shift);
        expect(value(prefix.network().address.bytes)).toBe((value(a) >> shift) << shift);
        expect(prefix.network().isNetwork()).toBe(true);
      }),
    );
  });

  it('never holds an address of the other family', () => {
    expect(parsePrefix('0.0.0.0/0')!.contains(parseAddress('::')!)).toBe(false);
    expect(parsePrefix('::/0')!.contains(parseAddress('10.0.0.1')!)).toBe(false);
    expect(() => new Prefix(parseAddress('10.0.0.0')!, 33)).toThrow(RangeError);
  });
});

describe('what no host can have', () => {
  it.each([
    ['10.0.0.1', undefined],
    ['fe80::1', undefined],
    ['2001:db8::1', undefined],
    ['224.0.0.1', 'a multicast address'],
    ['ff02::1', 'a multicast address'],
    ['127.0.0.1', 'a loopback address'],
    ['::1', 'a loopback address'],
    ['255.255.255.255', 'a broadcast address'],
    ['0.0.0.0', 'the unspecified address'],
    ['::', 'the unspecified address'],
    ['::ffff:10.0.0.1', 'an IPv4-mapped address'],
    ['0.1.2.3', 'the unspecified address'],
  ])('%s', (text, reason) => expect(notAHost(parseAddress(text)!)).toBe(reason));
});
