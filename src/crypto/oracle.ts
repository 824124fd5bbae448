/**
 * ESP in TypeScript (RFC 4303 in tunnel mode, 4106, 3602, 4868, 3948, 6040): what the native core is compared with, and what
 * `penstock esp` does without it. Thousands of packets a second, not millions.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { cbc, ecb, gcm } from '@noble/ciphers/aes.js';
import { Address } from '../model/address.js';
import {
  authenticationOf,
  type InboundSa,
  ivCounterEnd,
  type OutboundSa,
  type Sa,
  type SaSelector,
} from '../model/sa.js';
import { type Bytes, setU16, setU32, u16, u32 } from '../wire/bytes.js';
import { pseudoHeader, updated } from '../wire/checksum.js';
import { espHeaderBytes, espTrailerBytes } from '../wire/esp.js';
import { encodeIp, ipProtocol, ipv4HeaderBytes, ipv6HeaderBytes } from '../wire/ip.js';
import { encodeUdp, udpHeaderBytes } from '../wire/udp.js';
import type { EspPacket, EspResult, OpenDrop, Opener, SealDrop, Sealer } from './esp.js';
import { ReplayWindow } from './replay-window.js';

const saltBytes = 4;
const outerTtl = 64;
/** packets */
const burst = 64;

/** How an SA's packets are protected, everything from the IV on. */
interface Protection {
  readonly ivBytes: number;
  readonly icvBytes: number;
  /** the text is a multiple of this: words (RFC 4303 §2.4) or AES's blocks */
  readonly blockBytes: number;
  /** The IV that stands for a number which never comes twice (8 bytes). */
  iv(number: Bytes): Bytes;
  /** What follows the IV. */
  seal(header: Bytes, iv: Bytes, text: Bytes, sequence: bigint): Bytes;
  /** null: not authentic */
  open(esp: Bytes, sequence: bigint): Bytes | null;
}

/** RFC 4106 §4 and §8.1: the key's last four bytes, then the IV. */
function nonceOf(sa: Sa, iv: Bytes): Bytes {
  const key = sa.key.reveal();
  const nonce = new Uint8Array(saltBytes + iv.length);
  nonce.set(key.subarray(key.length - saltBytes), 0);
  nonce.set(iv, saltBytes);
  return nonce;
}

/** RFC 4106 §5: SPI and sequence number, of which with ESN only the lower half is on the wire. */
function aadOf(sa: Sa, spi: number, sequence: bigint): Bytes {
  const aad = new Uint8Array(sa.extendedSequenceNumber ? 12 : 8);
  setU32(aad, 0, spi);
  if (sa.extendedSequenceNumber) setU32(aad, 4, Number(sequence >> 32n));
  setU32(aad, aad.length - 4, Number(BigInt.asUintN(32, sequence)));
  return aad;
}

function cipher(sa: Sa, iv: Bytes, spi: number, sequence: bigint) {
  const key = sa.key.reveal();
  return gcm(key.subarray(0, key.length - saltBytes), nonceOf(sa, iv), aadOf(sa, spi, sequence));
}

function gcmOf(sa: Sa): Protection {
  const ivBytes = 8;
  const offset = espHeaderBytes + ivBytes;
  return {
    ivBytes,
    icvBytes: 16,
    blockBytes: 4,
    iv: (number) => number,
    seal: (header, iv, text, sequence) => cipher(sa, iv, u32(header, 0), sequence).encrypt(text),
    open(esp, sequence) {
      const iv = esp.subarray(espHeaderBytes, offset);
      try {
        return cipher(sa, iv, u32(esp, 0), sequence).decrypt(esp.subarray(offset));
      } catch {
        return null;
      }
    },
  };
}

/** IVs nobody can foretell: a block of AES in counter mode, under a key of their own (core/crypto/cbc_hmac.h). */
const ivLabel = 'penstock ESP AES-CBC IV';

/** AES-CBC (RFC 3602), authenticated behind the encryption (RFC 4303 §3.3.2). */
function cbcOf(sa: Sa): Protection {
  const { hash, icvBytes } = authenticationOf(sa.algorithm)!;
  const [key, macKey] = [sa.key.reveal(), sa.authenticationKey!.reveal()];
  const blockBytes = 16;
  const offset = espHeaderBytes + blockBytes;
  const aes = (iv: Bytes) => cbc(key, iv, { disablePadding: true });
  const ivKey = createHmac('sha256', key).update(ivLabel).digest().subarray(0, 16);
  const icvOf = (authenticated: readonly Bytes[], sequence: bigint): Bytes => {
    const mac = createHmac(hash, macKey);
    for (const bytes of authenticated) mac.update(bytes);
    // RFC 4303 §2.2.1: the high half of a 64-bit number is authenticated and not sent
    const high = new Uint8Array(4);
    setU32(high, 0, Number(sequence >> 32n));
    if (sa.extendedSequenceNumber) mac.update(high);
    return mac.digest().subarray(0, icvBytes);
  };
  return {
    ivBytes: blockBytes,
    icvBytes,
    blockBytes,
    iv(number) {
      const block = new Uint8Array(blockBytes);
      block.set(number, 4);
      setU32(block, 12, 2);
      return ecb(ivKey, { disablePadding: true }).encrypt(block);
    },
    seal(header, iv, text, sequence) {
      const ciphertext = aes(iv).encrypt(text);
      const rest = new Uint8Array(ciphertext.length + icvBytes);
      rest.set(ciphertext, 0);
      rest.set(icvOf([header, iv, ciphertext], sequence), ciphertext.length);
      return rest;
    },
    open(esp, sequence) {
      const end = esp.length - icvBytes;
      if (!timingSafeEqual(icvOf([esp.subarray(0, end)], sequence), esp.subarray(end))) return null;
      return aes(esp.subarray(espHeaderBytes, offset)).decrypt(esp.subarray(offset, end));
    },
  };
}

const protectionOf = (sa: Sa): Protection => (sa.algorithm === 'aes-gcm' ? gcmOf(sa) : cbcOf(sa));

const versionOf = (ip: Bytes): number => ip[0]! >> 4;
const tosOf = (ip: Bytes): number => (versionOf(ip) === 4 ? ip[1]! : (u16(ip, 0) >> 4) & 0xff);

function endsOf(ip: Bytes): { source: Address; destination: Address } {
  const [at, size] = versionOf(ip) === 4 ? [12, 4] : [8, 16];
  return {
    source: new Address(ip.subarray(at, at + size)),
    destination: new Address(ip.subarray(at + size, at + 2 * size)),
  };
}

/** Whether an SA carries this packet. */
export function selects(selectors: readonly SaSelector[], ip: Bytes): boolean {
  if (selectors.length === 0) return true;
  const { source, destination } = endsOf(ip);
  return selectors.some((each) => each.source.contains(source) && each.destination.contains(destination));
}

/** RFC 6040 §4.2, figure 4: inner ECN field, then outer (Not-ECT, ECT(1), ECT(0), CE); null: drop. */
const decapsulatedEcn: readonly (readonly (number | null)[])[] = [
  [0, 0, 0, null],
  [1, 1, 1, 3],
  [2, 1, 2, 3],
  [3, 3, 3, 3],
];

function setTos(ip: Bytes, tos: number): void {
  if (versionOf(ip) === 4) {
    const before = u16(ip, 0);
    ip[1] = tos;
    setU16(ip, 10, updated(u16(ip, 10), before, u16(ip, 0)));
  } else {
    setU16(ip, 0, (u16(ip, 0) & 0xf00f) | (tos << 4));
  }
}

/** The length that an inner packet's header says, null when there is no such packet in the bytes. */
function lengthOf(version: 4 | 6, bytes: Bytes): number | null {
  const least = version === 4 ? ipv4HeaderBytes : ipv6HeaderBytes;
  if (bytes.length < least || versionOf(bytes) !== version) return null;
  if (version === 6) {
    const length = ipv6HeaderBytes + u16(bytes, 4);
    return length <= bytes.length ? length : null;
  }
  const header = (bytes[0]! & 15) * 4;
  const length = u16(bytes, 2);
  return header >= least && header <= length && length <= bytes.length ? length : null;
}

export class OracleOpener implements Opener {
  readonly #sa: InboundSa;
  readonly #protection: Protection;
  readonly #window: ReplayWindow;

  constructor(sa: InboundSa) {
    this.#sa = sa;
    this.#protection = protectionOf(sa);
    this.#window = new ReplayWindow(sa.antiReplayWindowSize, sa.highestSequence, sa.extendedSequenceNumber);
  }

  get highestSequence(): bigint {
    return this.#window.top;
  }

  /** Burst by burst, as the core does it: what a burst's own packets change is seen after its packets were decrypted. */
  open(packets: readonly EspPacket[]): EspResult<OpenDrop>[] {
    const results: EspResult<OpenDrop>[] = [];
    for (let first = 0; first < packets.length; first += burst) {
      const some = packets.slice(first, first + burst);
      const checked = some.map(({ esp }) => this.#check(esp));
      for (const [i, packet] of some.entries()) {
        const opened = this.#open(packet, checked[i]!);
        results.push(typeof opened === 'string' ? { drop: opened } : { packet: opened });
      }
    }
    return results;
  }

  /** The whole sequence number of a packet that is worth decrypting. */
  #check(esp: Bytes): bigint | OpenDrop {
    const { ivBytes, icvBytes, blockBytes } = this.#protection;
    const textBytes = esp.length - espHeaderBytes - ivBytes - icvBytes;
    if (textBytes < espTrailerBytes) return 'esp_runt';
    if (textBytes % blockBytes !== 0) return 'bad_length';
    const sequence = this.#window.infer(u32(esp, 4));
    return sequence !== null && this.#window.check(sequence) ? sequence : 'replay';
  }

  #open({ esp, outerTos }: EspPacket, checked: bigint | OpenDrop): Bytes | OpenDrop {
    if (typeof checked === 'string') return checked;
    const text = this.#protection.open(esp, checked);
    if (text === null) return 'auth_failed';
    // again: a copy may have come in the same burst
    if (!this.#window.check(checked)) return 'replay';
    this.#window.advance(checked);
    return this.#unwrap(text, outerTos);
  }

  /** What is in an authentic packet. */
  #unwrap(text: Bytes, outerTos: number): Bytes | OpenDrop {
    const padLength = text[text.length - espTrailerBytes]!;
    const end = text.length - espTrailerBytes - padLength;
    if (end < 0) return 'bad_padding';
    const padding = text.subarray(end, text.length - espTrailerBytes);
    if (padding.some((byte, i) => byte !== i + 1)) return 'bad_padding';
    const nextHeader = text[text.length - 1];
    if (nextHeader === ipProtocol.noNext) return 'dummy';
    if (nextHeader !== ipProtocol.ipv4 && nextHeader !== ipProtocol.ipv6) return 'bad_next_header';
    // more may stand behind the packet: traffic flow confidentiality (RFC 4303 §2.7)
    const length = lengthOf(nextHeader === ipProtocol.ipv4 ? 4 : 6, text.subarray(0, end));
    if (length === null) return 'bad_length';
    const inner = text.slice(0, length);
    const tos = tosOf(inner);
    const ecn = decapsulatedEcn[tos & 3]![outerTos & 3]!;
    if (ecn === null) return 'ecn';
    setTos(inner, ((this.#sa.copyOuterDscp ? outerTos : tos) & 0xfc) | ecn);
    return selects(this.#sa.selectors, inner) ? inner : 'selector';
  }
}

export class OracleSealer implements Sealer {
  readonly #sa: OutboundSa;
  readonly #protection: Protection;
  #sequence: bigint;
  #counter: bigint;

  constructor(sa: OutboundSa) {
    this.#sa = sa;
    this.#protection = protectionOf(sa);
    this.#sequence = sa.nextSequence;
    this.#counter = sa.nextIv.counter;
  }

  next(): { sequence: bigint; counter: bigint } {
    return { sequence: this.#sequence, counter: this.#counter };
  }

  seal(packets: readonly Bytes[]): EspResult<SealDrop>[] {
    return packets.map((packet) => {
      const sealed = this.#seal(packet);
      return typeof sealed === 'string' ? { drop: sealed } : { packet: sealed };
    });
  }

  #seal(inner: Bytes): Bytes | SealDrop {
    const sa = this.#sa;
    if (!selects(sa.selectors, inner)) return 'selector';
    const { ivBytes, icvBytes, blockBytes } = this.#protection;
    const payloadOffset = espHeaderBytes + ivBytes;
    const padLength = -(inner.length + espTrailerBytes) & (blockBytes - 1);
    const text = new Uint8Array(inner.length + padLength + espTrailerBytes);
    const headers =
      (sa.source.family === 'inet' ? ipv4HeaderBytes : ipv6HeaderBytes) +
      (sa.udp === null ? 0 : udpHeaderBytes);
    if (headers + payloadOffset + text.length + icvBytes > sa.mtu) return 'too_big';
    // RFC 4303 §3.3.3: the last number is never passed
    if (this.#sequence >= (sa.extendedSequenceNumber ? 2n ** 64n : 2n ** 32n)) return 'seq_cycled';
    if (this.#counter >= ivCounterEnd) return 'iv_exhausted';
    const sequence = this.#sequence++;
    const counter = this.#counter++;

    text.set(inner, 0);
    for (let i = 0; i < padLength; i++) text[inner.length + i] = i + 1;
    text[text.length - 2] = padLength;
    text[text.length - 1] = versionOf(inner) === 4 ? ipProtocol.ipv4 : ipProtocol.ipv6;

    const esp = new Uint8Array(payloadOffset + text.length + icvBytes);
    setU32(esp, 0, sa.spi);
    setU32(esp, 4, Number(BigInt.asUintN(32, sequence)));
    const number = new Uint8Array(8);
    setU16(number, 0, (sa.nextIv.nodeId << 12) | sa.nextIv.epoch);
    setU16(number, 2, Number(counter >> 32n));
    setU32(number, 4, Number(BigInt.asUintN(32, counter)));
    const iv = this.#protection.iv(number);
    esp.set(iv, espHeaderBytes);
    esp.set(this.#protection.seal(esp.subarray(0, espHeaderBytes), iv, text, sequence), payloadOffset);
    return this.#encapsulate(esp, inner, sequence);
  }

  /** The outer headers: RFC 4301 §5.1.2.1, RFC 6040 §4.1 in normal mode, RFC 3948. */
  #encapsulate(esp: Bytes, inner: Bytes, sequence: bigint): Bytes {
    const { source, destination, udp, dfBit, outerDscp } = this.#sa;
    const tos = tosOf(inner);
    // no router fragments IPv6, so the outer packet of one is not to be fragmented either
    const innerDf = versionOf(inner) === 6 || (u16(inner, 6) & 0x4000) !== 0;
    const protocol = udp === null ? ipProtocol.esp : ipProtocol.udp;
    // over IPv4 without a checksum (RFC 3948 §2.1), over IPv6 with one (RFC 6935 §5)
    const pseudo =
      source.family === 'inet'
        ? null
        : pseudoHeader(source.bytes, destination.bytes, protocol, udpHeaderBytes + esp.length);
    const payload = udp === null ? esp : encodeUdp(udp.sourcePort, udp.destinationPort, esp, pseudo);
    return encodeIp(
      {
        source: source.bytes,
        destination: destination.bytes,
        protocol,
        ttl: outerTtl,
        tos: outerDscp === null ? tos : (outerDscp << 2) | (tos & 3),
        identification: Number(BigInt.asUintN(16, sequence)),
        dontFragment: dfBit === 'copy' ? innerDf : dfBit === 'set',
      },
      payload,
    );
  }
}
