/** Chains of certificates, checked with node:crypto's X509Certificate. */
import { createHash, X509Certificate } from 'node:crypto';
import { Address } from '../model/address.js';
import { type Identification, idType } from '../wire/ike.js';
import { certificateFields } from '../wire/x509.js';

/** What a CERTREQ names an authority by (RFC 7296 §3.7). */
export function authorityHash(der: Uint8Array): Uint8Array {
  const fields = certificateFields(der);
  return createHash('sha1')
    .update(fields?.publicKey ?? new Uint8Array(0))
    .digest();
}

/** Our own bound, of a chain that a peer sends. */
export const mostCertificates = 8;

export type Judged =
  | { readonly ok: true; readonly certificate: X509Certificate }
  | { readonly ok: false; readonly reason: string };

/**
 * Whether the first certificate is of this identity and leads to one of the authorities, all of them valid at wallMs.
 * Pure. No revocation lists are asked.
 */
export function judgeChain(
  chain: readonly Uint8Array[],
  authorities: readonly Uint8Array[],
  identity: Identification,
  wallMs: number,
): Judged {
  const refuse = (reason: string): Judged => ({ ok: false, reason });
  if (chain.length === 0) return refuse('no certificate came');
  if (chain.length > mostCertificates) return refuse(`more than ${mostCertificates} certificates`);
  let certificates: X509Certificate[];
  try {
    certificates = chain.map((der) => new X509Certificate(der));
  } catch {
    return refuse('a certificate cannot be read');
  }
  const [leaf, ...others] = certificates as [X509Certificate, ...X509Certificate[]];
  if (!isNamed(leaf, chain[0]!, identity)) return refuse('the certificate does not have this identity');
  const anchors = authorities.map((der) => new X509Certificate(der));
  let current = leaf;
  for (let depth = 0; depth <= mostCertificates; depth++) {
    const when = validity(current, wallMs);
    if (when !== null) return refuse(when);
    const isAnchor = anchors.some((anchor) => Buffer.compare(anchor.raw, current.raw) === 0);
    if (isAnchor) return { ok: true, certificate: leaf };
    const signs = (issuer: X509Certificate) =>
      issuer.ca && current.checkIssued(issuer) && current.verify(issuer.publicKey);
    const anchor = anchors.find(signs);
    if (anchor !== undefined) {
      const anchorWhen = validity(anchor, wallMs);
      return anchorWhen === null ? { ok: true, certificate: leaf } : refuse(anchorWhen);
    }
    const next = others.find((each) => each !== current && signs(each));
    if (next === undefined)
      return refuse(`no trusted authority signed the certificate of ${oneLine(current)}`);
    current = next;
  }
  return refuse('the chain of certificates has no end');
}

const oneLine = ({ subject }: X509Certificate) => (subject ?? 'nobody').replace(/\n/g, ', ');

function validity(certificate: X509Certificate, wallMs: number): string | null {
  if (wallMs > Date.parse(certificate.validTo))
    return `the certificate of ${oneLine(certificate)} expired on ${certificate.validTo}`;
  if (wallMs < Date.parse(certificate.validFrom))
    return `the certificate of ${oneLine(certificate)} is valid from ${certificate.validFrom} on`;
  return null;
}

/** RFC 4945 §3.1: the identity is the subject, or one of the alternative names. */
function isNamed(certificate: X509Certificate, der: Uint8Array, { type, data }: Identification): boolean {
  switch (type) {
    case idType.dn: {
      const fields = certificateFields(der);
      return fields !== null && Buffer.compare(fields.subject, data) === 0;
    }
    case idType.fqdn:
      return certificate.checkHost(Buffer.from(data).toString('latin1'), { subject: 'never' }) !== undefined;
    case idType.rfc822:
      return certificate.checkEmail(Buffer.from(data).toString('latin1'), { subject: 'never' }) !== undefined;
    case idType.ipv4:
    case idType.ipv6:
      return (
        (data.length === 4 || data.length === 16) &&
        certificate.checkIP(String(new Address(data))) !== undefined
      );
    default:
      return false;
  }
}
