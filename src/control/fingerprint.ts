/** Configurations compared without their keys, which are zero once the native core has them. */
import { createHmac, randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import type { Config, ManualSaConfig, VpnConfig } from '../config/config.js';
import { Secret } from '../model/secret.js';

/** of this process alone, so that nobody can tell from a fingerprint which key it is */
const secret = randomBytes(32);

/** The same for the same key, in this process. */
export const fingerprintOf = (key: Secret): Uint8Array =>
  createHmac('sha256', secret).update(key.reveal()).digest();

export const textOf = (fingerprint: Secret): string => Buffer.from(fingerprint.reveal()).toString('hex');

/** With fingerprints in the place of keys, and paths that do not depend on where the process stands. */
export function withFingerprints(config: Config): Config {
  const printed = (key: Secret) => new Secret(fingerprintOf(key));
  const redacted = (sa: ManualSaConfig) => ({
    ...sa,
    key: printed(sa.key),
    authenticationKey: sa.authenticationKey === null ? null : printed(sa.authenticationKey),
  });
  const redactedVpn = <T extends Pick<VpnConfig, 'manual'>>(vpn: T): T => ({
    ...vpn,
    manual: {
      ...vpn.manual,
      inbound: vpn.manual.inbound.map(redacted),
      outbound: redacted(vpn.manual.outbound),
    },
  });
  const { stateDirectory, controlSocket } = config.system;
  return {
    ...config,
    system: {
      ...config.system,
      stateDirectory: stateDirectory === null ? null : resolve(stateDirectory),
      controlSocket: controlSocket === null ? null : resolve(controlSocket),
    },
    vpns: config.vpns.map(redactedVpn),
    highAvailability: config.highAvailability && {
      ...config.highAvailability,
      peer: {
        ...config.highAvailability.peer,
        linkEncryption:
          config.highAvailability.peer.linkEncryption &&
          redactedVpn(config.highAvailability.peer.linkEncryption),
      },
    },
  };
}

export function wipeKeys({ vpns }: Config): void {
  for (const { manual } of vpns) {
    for (const { key, authenticationKey } of [...manual.inbound, manual.outbound]) {
      key.wipe();
      authenticationKey?.wipe();
    }
  }
}
