/** What every way to open and to seal ESP has in common: the native core's and the TypeScript oracle's. */
import type { Bytes } from '../wire/bytes.js';

/** Names of native/counters.def. */
export type OpenDrop =
  | 'esp_runt'
  | 'bad_length'
  | 'replay'
  | 'auth_failed'
  | 'bad_padding'
  | 'dummy'
  | 'bad_next_header'
  | 'ecn'
  | 'selector';
export type SealDrop = 'selector' | 'too_big' | 'seq_cycled' | 'iv_exhausted' | 'cipher_failed';

export type EspResult<Drop> = { readonly packet: Bytes } | { readonly drop: Drop };

export interface EspPacket {
  /** from the ESP header to the end of the IP (or UDP) payload */
  readonly esp: Bytes;
  /** DSCP and ECN of the outer header */
  readonly outerTos: number;
}

/** An inbound SA at work. */
export interface Opener {
  /** Inner packets, in the order given. The bytes given are not changed. */
  open(packets: readonly EspPacket[]): EspResult<OpenDrop>[];
}

/** An outbound SA at work. It makes the IVs itself, from where nextIv of the SA stood. */
export interface Sealer {
  /** Whole inner IP packets in, outer IP packets out, in the order given. */
  seal(packets: readonly Bytes[]): EspResult<SealDrop>[];
  /** What must be kept before any packet sealed so far leaves: the next sequence number and IV counter. */
  next(): { readonly sequence: bigint; readonly counter: bigint };
}
