/**
 * Keys of the ICD's tags. Both nodes have them already: of what seals the ICL, one key for each direction. The tag's key is
 * derived, so that one says nothing of the other.
 */
import { createHmac } from 'node:crypto';
import type { HighAvailabilityConfig } from '../config/config.js';

export const icdKeyBytes = 16;

export interface IcdKeys {
  /** of what this node sends */
  readonly own: Uint8Array;
  /** of what the peer may send by */
  readonly peers: readonly Uint8Array[];
}

/**
 * Without link encryption there is no secret to derive from: the keys are a function of the configuration then, and keep
 * out accidents alone.
 */
export function icdKeys({ localId, peer }: HighAvailabilityConfig): IcdKeys {
  const manual = peer.linkEncryption?.manual;
  const none = new Uint8Array();
  return {
    own: derive(manual?.outbound.key.reveal() ?? none, localId),
    peers: (manual?.inbound ?? [{ key: null }]).map(({ key }) => derive(key?.reveal() ?? none, peer.id)),
  };
}

const derive = (key: Uint8Array, sender: number): Uint8Array =>
  new Uint8Array(createHmac('sha256', key).update(`penstock icd ${sender}`).digest()).subarray(
    0,
    icdKeyBytes,
  );
