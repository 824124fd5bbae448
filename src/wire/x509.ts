/** The few fields of X.509 certificates (RFC 5280) that are wanted as bytes or in our words; DER (X.690). */
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
