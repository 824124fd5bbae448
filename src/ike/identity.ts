/** Who a peer says it is (RFC 7296 §3.5), and whether that is whom a gateway expects. */
import type { IdentityConfig, IkeGatewayConfig, RemoteIdentityConfig } from '../config/config.js';
import { Address } from '../model/address.js';
import { type Identification, idType } from '../wire/ike.js';
import { dnText } from '../wire/x509.js';

/** For people: `enb1.example.net`, `user@example.net`, `192.0.2.1`, `CN=gw, O=Example`. */
export function identityText({ type, data }: Identification): string {
  switch (type) {
    case idType.ipv4:
    case idType.ipv6:
      return data.length === 4 || data.length === 16 ? String(new Address(data)) : hexOf(data);
    case idType.fqdn:
    case idType.rfc822:
      return printable(data) ?? hexOf(data);
    case idType.dn:
      return dnText(data) ?? hexOf(data);
    default:
      return printable(data) ?? hexOf(data);
  }
}

const hexOf = (data: Uint8Array) => `0x${Buffer.from(data.subarray(0, 64)).toString('hex')}`;

/** Text without anything that a terminal could take for more than text. */
function printable(data: Uint8Array): string | null {
  return data.length <= 256 && data.every((byte) => byte >= 0x20 && byte < 0x7f)
    ? Buffer.from(data).toString('latin1')
    : null;
}

export function encodeIdentity(identity: IdentityConfig): Identification {
  switch (identity.kind) {
    case 'inet':
      return {
        type: identity.address.family === 'inet' ? idType.ipv4 : idType.ipv6,
        data: identity.address.bytes,
      };
    case 'hostname':
      return { type: idType.fqdn, data: Buffer.from(identity.name, 'latin1') };
    case 'user-at-hostname':
      return { type: idType.rfc822, data: Buffer.from(identity.name, 'latin1') };
    case 'key-id':
      return { type: idType.keyId, data: Buffer.from(identity.name, 'latin1') };
    case 'distinguished-name':
      return { type: idType.dn, data: identity.der };
  }
}

export const isSameIdentity = (a: Identification, b: Identification): boolean =>
  a.type === b.type && Buffer.compare(a.data, b.data) === 0;

/** Whether a gateway takes a peer of this identity. */
export function isExpected({ remoteIdentity }: IkeGatewayConfig, peer: Identification): boolean {
  return matches(remoteIdentity, peer);
}

function matches(expected: RemoteIdentityConfig, peer: Identification): boolean {
  switch (expected.kind) {
    case 'any':
      return true;
    case 'wildcard-hostname': {
      // group IKE identities: whatever ends in it, with something before
      if (peer.type !== idType.fqdn && peer.type !== idType.rfc822) return false;
      const name = printable(peer.data)?.toLowerCase() ?? '';
      return name.length > expected.suffix.length && name.endsWith(expected.suffix.toLowerCase());
    }
    case 'wildcard-distinguished-name': {
      if (peer.type !== idType.dn) return false;
      const parts = dnText(peer.data)?.split(', ') ?? [];
      return expected.parts.every((part) => parts.includes(part));
    }
    default: {
      const wanted = encodeIdentity(expected);
      if (wanted.type !== peer.type) return false;
      // host names compare without case (RFC 4343)
      return wanted.type === idType.fqdn || wanted.type === idType.rfc822
        ? (printable(peer.data)?.toLowerCase() ?? '') === printable(wanted.data)?.toLowerCase()
        : Buffer.compare(wanted.data, peer.data) === 0;
    }
  }
}
