/** A TLS ClientHello (RFC 8446 §4.1.2, acceptable to TLS 1.2) and what its answer says. No handshake is finished. */

const uint16 = (value: number) => [value >> 8, value & 0xff];
const sized16 = (bytes: readonly number[]) => [...uint16(bytes.length), ...bytes];
const extension = (type: number, body: readonly number[]) => [...uint16(type), ...sized16(body)];

/** AES-GCM and ChaCha20 of TLS 1.3, and of 1.2 with ECDHE and with RSA alone */
const cipherSuites = [
  0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d,
];
const groups = [0x001d, 0x0017, 0x0018];
const signatures = [0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0807];

/** random: 96 bytes, anew for each. hostName: for the server name extension, null: none. */
export function clientHello(random: Uint8Array, hostName: string | null): Uint8Array {
  if (random.length < 96) throw new RangeError(`96 random bytes, not ${random.length}`);
  const names = hostName === null ? [] : [...new TextEncoder().encode(hostName)];
  const extensions = [
    ...(names.length === 0 ? [] : extension(0, sized16([0, ...sized16(names)]))),
    ...extension(10, sized16(groups.flatMap(uint16))),
    ...extension(11, [1, 0]),
    ...extension(13, sized16(signatures.flatMap(uint16))),
    ...extension(43, [4, ...uint16(0x0304), ...uint16(0x0303)]),
    ...extension(45, [1, 1]),
    // an X25519 share is any 32 bytes; nothing is ever derived from this one
    ...extension(51, sized16([...uint16(0x001d), ...sized16([...random.subarray(64, 96)])])),
  ];
  const body = [
    ...uint16(0x0303),
    ...random.subarray(0, 32),
    32,
    ...random.subarray(32, 64),
    ...sized16(cipherSuites.flatMap(uint16)),
    1,
    0,
    ...sized16(extensions),
  ];
  const handshake = [1, body.length >> 16, ...uint16(body.length & 0xffff), ...body];
  return Uint8Array.from([22, ...uint16(0x0301), ...sized16(handshake)]);
}

const alerts: Readonly<Record<number, string>> = {
  0: 'close notify',
  10: 'unexpected message',
  40: 'handshake failure',
  47: 'illegal parameter',
  70: 'protocol version',
  71: 'insufficient security',
  80: 'internal error',
  112: 'unrecognized name',
};

/** null: read on; '': a ServerHello; anything else: what came instead. bytes: all that was read. */
export function judgeHello(bytes: Uint8Array): string | null {
  if (bytes.length > 0 && bytes[0] !== 22 && bytes[0] !== 21) return 'not a TLS answer';
  if (bytes.length < 6) return null;
  if (bytes[1] !== 3) return 'not a TLS answer';
  // RFC 8446 §4: ServerHello, also as a HelloRetryRequest
  if (bytes[0] === 22) return bytes[5] === 2 ? '' : `TLS handshake message ${bytes[5]} instead of a hello`;
  if (bytes.length < 7) return null;
  return `TLS alert: ${alerts[bytes[6]!] ?? bytes[6]}`;
}
