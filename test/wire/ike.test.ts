import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  authMethod,
  decodeMessage,
  decodePayloads,
  encodeMessage,
  encodePayload,
  encryptionId,
  exchangeType,
  idType,
  ikeHeaderBytes,
  mostPayloads,
  mostSelectors,
  notify,
  notifyType,
  type Payload,
  payloadType,
  prfId,
  protocolId,
  transformType,
  unknownTransform,
} from '../../dist/wire/ike.js';
import '../support/fast-check-seed.js';

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'));
const spi = hex('0102030405060708');
const none = new Uint8Array(8);

const header = {
  initiatorSpi: spi,
  responderSpi: none,
  exchange: exchangeType.ikeSaInit,
  isFromInitiator: true,
  isResponse: false,
  messageId: 0,
};

/** Decoded as far as it goes; the reason where it stops. */
function readAll(bytes: Uint8Array): Payload[] | string {
  const message = decodeMessage(bytes);
  if (!message.ok) return message.reason;
  const payloads = decodePayloads(
    message.value.payloads.filter(
      ({ type }) => type !== payloadType.encrypted && type !== payloadType.encryptedFragment,
    ),
  );
  return payloads.ok ? payloads.value : payloads.reason;
}

const bytes = (least: number, most: number) => fc.uint8Array({ minLength: least, maxLength: most });
const u8 = fc.integer({ min: 0, max: 255 });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const transform = fc.record({
  type: u8,
  id: u16.filter((id) => id !== unknownTransform),
  keyLength: fc.option(u16),
});
const proposal = fc
  .constantFrom([protocolId.ike, 0], [protocolId.ike, 8], [protocolId.esp, 4])
  .chain(([protocol, size]) =>
    fc.record({
      number: u8,
      protocol: fc.constant(protocol!),
      spi: bytes(size!, size!),
      transforms: fc.array(transform, { maxLength: 40 }),
    }),
  );
const selector = fc.constantFrom(4, 16).chain((size) =>
  fc.record({
    protocol: u8,
    firstPort: u16,
    lastPort: u16,
    first: bytes(size, size),
    last: bytes(size, size),
  }),
);
const payload: fc.Arbitrary<Payload> = fc.oneof(
  fc.record({
    kind: fc.constant('sa' as const),
    proposals: fc.array(proposal, { minLength: 1, maxLength: 5 }),
  }),
  fc.record({ kind: fc.constant('ke' as const), group: u16, data: bytes(1, 600) }),
  fc.record({
    kind: fc.constantFrom('idInitiator' as const, 'idResponder' as const),
    type: u8,
    data: bytes(1, 80),
  }),
  fc.record({
    kind: fc.constantFrom('certificate' as const, 'certificateRequest' as const),
    encoding: u8,
    data: bytes(0, 900),
  }),
  fc.record({ kind: fc.constant('auth' as const), method: u8, data: bytes(1, 300) }),
  fc.record({ kind: fc.constant('nonce' as const), data: bytes(16, 256) }),
  fc.record({
    kind: fc.constant('notify' as const),
    type: u16,
    protocol: u8,
    spi: bytes(0, 8),
    data: bytes(0, 64),
  }),
  fc.record({
    kind: fc.constant('delete' as const),
    protocol: fc.constant(protocolId.esp),
    spis: fc.array(u32, { maxLength: 20 }),
  }),
  fc.record({
    kind: fc.constantFrom('tsInitiator' as const, 'tsResponder' as const),
    selectors: fc.array(selector, { minLength: 1, maxLength: 8 }),
  }),
  fc.record({
    kind: fc.constant('configuration' as const),
    configuration: fc.record({
      type: u8,
      attributes: fc.array(fc.record({ type: fc.integer({ min: 0, max: 0x7fff }), value: bytes(0, 20) }), {
        maxLength: 10,
      }),
    }),
  }),
  fc.record({ kind: fc.constant('vendorId' as const), data: bytes(0, 32) }),
  fc.record({ kind: fc.constant('eap' as const), data: bytes(0, 32) }),
);
const message = fc
  .record({
    payloads: fc.array(payload, { maxLength: 12 }),
    exchange: u8,
    messageId: u32,
    flags: fc.tuple(fc.boolean(), fc.boolean()),
  })
  .map(({ payloads, exchange, messageId, flags }) => ({
    payloads,
    bytes: encodeMessage(
      { ...header, exchange, messageId, isFromInitiator: flags[0], isResponse: flags[1] },
      payloads.map(encodePayload),
    ),
  }));

describe('IKE messages', () => {
  it('are laid out as RFC 7296 draws them', () => {
    const sa: Payload = {
      kind: 'sa',
      proposals: [
        {
          number: 1,
          protocol: protocolId.ike,
          spi: new Uint8Array(0),
          transforms: [
            { type: transformType.encryption, id: encryptionId.aesGcm16, keyLength: 256 },
            { type: transformType.prf, id: prfId.hmacSha256, keyLength: null },
          ],
        },
      ],
    };
    const made = encodeMessage(header, [
      encodePayload(sa),
      encodePayload(notify(notifyType.cookie, hex('aabb'))),
    ]);
    expect(Buffer.from(made).toString('hex')).toBe(
      Buffer.from(
        hex(`
          0102030405060708 0000000000000000 21 20 22 08 00000000 00000046
          29 00 0020  00 00 001c 01 01 00 02  03 00 000c 01 00 0014 800e 0100  00 00 0008 02 00 0005
          00 00 000a  00 00 4006 aabb`),
      ).toString('hex'),
    );
    expect(readAll(made)).toEqual([sa, notify(notifyType.cookie, hex('aabb'))]);
  });

  it('come back as they were', () => {
    fc.assert(
      fc.property(message, ({ payloads, bytes: made }) => {
        expect(readAll(made)).toEqual(payloads);
      }),
      { numRuns: 300 },
    );
  });

  it('say what is wrong with them', () => {
    const good = encodeMessage(header, [encodePayload({ kind: 'nonce', data: new Uint8Array(32) })]);
    const changed = (at: number, value: number) => {
      const copy = Uint8Array.from(good);
      copy[at] = value;
      return readAll(copy);
    };
    expect(readAll(good.subarray(0, ikeHeaderBytes - 1))).toBe('ike_runt');
    expect(readAll(good.subarray(0, good.length - 1))).toBe('ike_bad_length');
    expect(changed(17, 0x10)).toBe('ike_bad_version');
    expect(readAll(encodeMessage({ ...header, initiatorSpi: none }, []))).toBe('ike_bad_header');
    expect(changed(31, 3)).toBe('ike_bad_payload_length');
    expect(changed(31, 200)).toBe('ike_bad_payload_length');
    expect(changed(16, payloadType.sa)).toBe('ike_bad_proposal');
    expect(changed(16, payloadType.tsInitiator)).toBe('ike_bad_traffic_selector');
    expect(changed(16, payloadType.configuration)).not.toBeTypeOf('string');
    expect(changed(16, 200)).toEqual([{ kind: 'unknown', type: 200 }]);
    const criticalCopy = Uint8Array.from(good);
    criticalCopy[16] = 200;
    criticalCopy[29] = 0x80;
    expect(readAll(criticalCopy)).toBe('ike_unknown_critical');
    expect(readAll(encodeMessage(header, [encodePayload({ kind: 'nonce', data: new Uint8Array(15) })]))).toBe(
      'ike_bad_nonce',
    );
    const many = Array.from({ length: mostPayloads + 1 }, () =>
      encodePayload({ kind: 'vendorId', data: none }),
    );
    expect(readAll(encodeMessage(header, many))).toBe('ike_too_many_payloads');
    const range = {
      protocol: 0,
      firstPort: 0,
      lastPort: 0xffff,
      first: new Uint8Array(4),
      last: new Uint8Array(4),
    };
    const tooMany = {
      kind: 'tsInitiator',
      selectors: Array.from({ length: mostSelectors + 1 }, () => range),
    } as const;
    expect(readAll(encodeMessage(header, [encodePayload(tooMany)]))).toBe('ike_bad_traffic_selector');
  });

  it('leave out a transform with an attribute that is not known', () => {
    // attribute 1, of which RFC 7296 knows nothing, beside the key length
    const body = hex('00 00 0020 01 01 00 01  00 00 0018 01 00 000c 800e 0080 0001 0008 0000000000000000');
    const made = encodeMessage(header, [{ type: payloadType.sa, isCritical: false, body: fixed(body) }]);
    const payloads = readAll(made);
    expect(payloads).toMatchObject([
      { proposals: [{ transforms: [{ id: unknownTransform, keyLength: null }] }] },
    ]);
  });

  it('never make the decoder throw: at random, cut short, changed', () => {
    const seen = new Map<string, number>();
    const count = (made: Uint8Array) => {
      const result = readAll(made);
      const key = typeof result === 'string' ? result : 'read';
      seen.set(key, (seen.get(key) ?? 0) + 1);
    };
    fc.assert(
      fc.property(
        message,
        fc.array(fc.tuple(fc.nat(), u8), { minLength: 1, maxLength: 6 }),
        fc.nat(),
        (made, changes, cut) => {
          const copy = Uint8Array.from(made.bytes);
          for (const [at, value] of changes) copy[at % copy.length] = value;
          count(copy);
          count(withLength(copy.subarray(0, cut % (copy.length + 1))));
        },
      ),
      { numRuns: 1500 },
    );
    fc.assert(
      fc.property(bytes(0, 400), (body) => {
        count(body);
        count(withLength(Uint8Array.from([...encodeMessage(header, []), ...body])));
      }),
      { numRuns: 1500 },
    );
    // every part of the decoder was reached
    expect(seen.get('read')).toBeGreaterThan(50);
    expect(seen.size).toBeGreaterThan(8);
  });

  it('of every single byte changed are read, or refused with a reason', () => {
    const made = encodeMessage(header, [
      encodePayload({ kind: 'auth', method: authMethod.sharedKey, data: new Uint8Array(32) }),
      encodePayload({ kind: 'idInitiator', type: idType.fqdn, data: hex('61') }),
      encodePayload({
        kind: 'tsInitiator',
        selectors: [
          { protocol: 0, firstPort: 0, lastPort: 0xffff, first: hex('0a000000'), last: hex('0a0000ff') },
        ],
      }),
    ]);
    for (let at = 0; at < made.length; at++) {
      for (let value = 0; value < 256; value++) {
        const copy = Uint8Array.from(made);
        copy[at] = value;
        const result = readAll(copy);
        expect(typeof result === 'string' ? /^ike_/.test(result) : Array.isArray(result)).toBe(true);
      }
    }
  });
});

/** With the length in its header that it has. */
function withLength(made: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(made);
  if (copy.length >= ikeHeaderBytes) new DataView(copy.buffer).setUint32(24, copy.length);
  return copy;
}

/** The lengths of a lone proposal with a lone transform, counted. */
function fixed(body: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(body);
  new DataView(copy.buffer).setUint16(2, copy.length);
  new DataView(copy.buffer).setUint16(10, copy.length - 8);
  return copy;
}
