/** Words in network order. Callers check lengths first: beyond the end these give NaN or nothing. */
export type Bytes = Uint8Array;

export const u16 = (bytes: Bytes, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;

export const u32 = (bytes: Bytes, at: number): number =>
  bytes[at]! * 0x1000000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!);

export function setU16(bytes: Bytes, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

export function setU32(bytes: Bytes, at: number, value: number): void {
  setU16(bytes, at, Math.floor(value / 0x10000));
  setU16(bytes, at + 2, value & 0xffff);
}

/** Why bytes from the network are not what they should be: the drop reasons of native/counters.def. */
export type DecodeReason =
  | 'runt'
  | 'bad_ethernet'
  | 'bad_arp'
  | 'bad_ipv4'
  | 'bad_ipv6'
  | 'bad_checksum'
  | 'bad_address'
  | 'bad_l4'
  | 'esp_runt'
  | 'bad_next_header'
  | 'bad_bfd';

export type Decoded<T> = { ok: true; value: T } | { ok: false; reason: DecodeReason };

export const decoded = <T>(value: T): Decoded<T> => ({ ok: true, value });
export const undecodable = (reason: DecodeReason): { ok: false; reason: DecodeReason } => ({
  ok: false,
  reason,
});

/** The value, for callers that built the bytes themselves. Throws an Error that names the reason. */
export function mustDecode<T>(result: Decoded<T>): T {
  if (!result.ok) throw new Error(`not decodable: ${result.reason}`);
  return result.value;
}
