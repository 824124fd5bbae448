/**
 * Certificates: chains checked with node:crypto's X509Certificate; the few fields that it does not give (the subject and the
 * public key as bytes) are read here.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { Address } from '../model/address.js';
import { type Identification, idType } from '../wire/ike.js';

interface Element {
  readonly tag: number;
  /** tag, length and value */
  readonly whole: Uint8Array;
  readonly value: Uint8Array;
}

/** DER elements one behind the other; null when it is not DER (X.690 §8.1.3; lengths up to three bytes). */
export function derElements(bytes: Uint8Array): Element[] | null {
  const elements: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at]!;
    let length = bytes[at + 1];
    if (length === undefined) return null;
    let header = 2;
    if (length >= 0x80) {
      const count = length - 0x80;
      if (count < 1 || count > 3 || at + 2 + count > bytes.length) return null;
      length = 0;
      for (let i = 0; i < count; i++) length = length * 256 + bytes[at + 2 + i]!;
      header += count;
    }
    const end = at + header + length;
    if (end > bytes.length) return null;
    elements.push({ tag, whole: bytes.subarray(at, end), value: bytes.subarray(at + header, end) });
    at = end;
  }
  return elements;
}

const inside = (bytes: Uint8Array | undefined) => (bytes === undefined ? null : derElements(bytes));

/** Subject and subjectPublicKeyInfo of a certificate (RFC 5280 §4.1), as they are. */
export function certificateFields(der: Uint8Array): { subject: Uint8Array; publicKey: Uint8Array } | null {
  const certificate = derElements(der)?.[0];
  const toBeSigned = inside(certificate?.value)?.[0];
  const fields = inside(toBeSigned?.value);
  if (fields == null) return null;
  // [0] EXPLICIT version may be left out
  const first = fields[0]?.tag === 0xa0 ? 1 : 0;
  const subject = fields[first + 4];
  const publicKey = fields[first + 5];
  return subject === undefined || publicKey === undefined
    ? null
    : { subject: subject.whole, publicKey: publicKey.whole };
}

/** What a CERTREQ names an authority by (RFC 7296 §3.7). */
export function authorityHash(der: Uint8Array): Uint8Array {
  const fields = certificateFields(der);
  return createHash('sha1')
    .update(fields?.publicKey ?? new Uint8Array(0))
    .digest();
}

const attributeNames: Readonly<Record<string, string>> = {
  '550403': 'CN',
  '550406': 'C',
  '550407': 'L',
  '550408': 'ST',
  '55040a': 'O',
  '55040b': 'OU',
  '550405': 'serialNumber',
  '0992268993f22c640119': 'DC',
  '2a864886f70d010901': 'E',
};

/** A distinguished name (RFC 5280 §4.1.2.4) as text, e.g. `C=DE, O=Example, CN=gw`; null when it is none. */
export function dnText(der: Uint8Array): string | null {
  const name = derElements(der)?.[0];
  const sets = name?.tag === 0x30 ? inside(name.value) : null;
  if (sets == null || sets.length > 64) return null;
  const parts: string[] = [];
  for (const set of sets) {
    for (const attribute of inside(set.value) ?? []) {
      const [type, value] = inside(attribute.value) ?? [];
      if (type === undefined || value === undefined) return null;
      const key = Buffer.from(type.value).toString('hex');
      const text = Buffer.from(value.value)
        .toString('utf8')
        .replace(/[^\x20-\x7e\u00a0-\uffff]/g, '?');
      parts.push(`${attributeNames[key] ?? key}=${text}`);
    }
  }
  return parts.join(', ');
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
