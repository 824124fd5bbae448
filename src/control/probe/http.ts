/** HTTP/1.1 (RFC 9112) as a health check needs it: one request, the answer's status, and what its body holds. */
import type { ProbeConfig } from '../../config/config.js';
import type { Address } from '../../model/address.js';

export type HttpProbe = Extract<ProbeConfig, { kind: 'http' | 'https' }>;

/** What is read of an answer at most; a text to be found stands in it. */
export const mostRead = 65_536;

export function requestOf({ method, url, hostName, port, kind }: HttpProbe, address: Address): Uint8Array {
  const literal = address.family === 'inet6' ? `[${address}]` : String(address);
  const usual = port === (kind === 'http' ? 80 : 443);
  const host = hostName ?? (usual ? literal : `${literal}:${port}`);
  return new TextEncoder().encode(
    `${method} ${url} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: penstock\r\nAccept: */*\r\nConnection: close\r\n\r\n`,
  );
}

/** null: read on; '': passed; anything else: why it failed */
export type Verdict = string | null;

/** Judges an answer as it comes, by its status and then by its body. */
export class AnswerReader {
  readonly #probe: HttpProbe;
  #read = Buffer.alloc(0);
  #total = 0;
  #head: { readonly status: number; readonly chunked: boolean; readonly length: number | null } | null = null;

  constructor(probe: HttpProbe) {
    this.#probe = probe;
  }

  push(bytes: Uint8Array): Verdict {
    this.#total += bytes.length;
    this.#read = Buffer.concat([this.#read, bytes]);
    const verdict = this.#judge(false);
    if (verdict !== null || this.#total < mostRead) return verdict;
    return this.#head === null ? `no end of the header within ${mostRead} bytes` : this.#judge(true);
  }

  /** The other end sends no more. */
  end(): string {
    if (this.#total === 0) return 'closed without an answer';
    return this.#judge(true) ?? 'not an HTTP answer: it ends in its header';
  }

  #judge(isWhole: boolean): Verdict {
    if (this.#head === null) {
      const fault = this.#takeHead();
      if (fault !== null || this.#head === null) return fault;
    }
    const { status, length, chunked } = this.#head!;
    if (!this.#probe.statusCodes.some(([low, high]) => status >= low && status <= high))
      return `HTTP status ${status}`;
    const { bodyMatch } = this.#probe;
    if (bodyMatch === null) return '';
    const { body, ended } = chunked ? dechunked(this.#read) : { body: this.#read, ended: false };
    if (body.includes(bodyMatch)) return '';
    const done = isWhole || ended || (length !== null && this.#read.length >= length);
    return done ? `HTTP status ${status}, the body does not hold ${JSON.stringify(bodyMatch)}` : null;
  }

  #takeHead(): Verdict {
    for (;;) {
      const end = this.#read.indexOf('\r\n\r\n');
      const first = this.#read.subarray(0, 16).toString('latin1');
      if (this.#read.length >= 9 && !/^HTTP\/1\.[01] /.test(first)) return 'not an HTTP answer';
      if (end < 0) return null;
      const [line = '', ...fields] = this.#read.subarray(0, end).toString('latin1').split('\r\n');
      const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(line)?.[1] ?? Number.NaN);
      if (Number.isNaN(status)) return 'not an HTTP answer';
      this.#read = this.#read.subarray(end + 4);
      // RFC 9110 §15.2: interim answers come before the real one
      if (status >= 100 && status < 200 && status !== 101) continue;
      const field = (name: string) =>
        fields
          .find((each) => each.toLowerCase().startsWith(`${name}:`))
          ?.slice(name.length + 1)
          .trim();
      const length = field('content-length');
      this.#head = {
        status,
        chunked: field('transfer-encoding')?.toLowerCase().endsWith('chunked') === true,
        length: length === undefined || !/^\d+$/.test(length) ? null : Number(length),
      };
      return null;
    }
  }
}

/** RFC 9112 §7.1: as much of the body as is there. */
function dechunked(bytes: Buffer): { body: Buffer; ended: boolean } {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const line = bytes.indexOf('\r\n', at);
    if (line < 0) break;
    const size = Number.parseInt(bytes.subarray(at, line).toString('latin1'), 16);
    if (!(size >= 0)) break;
    if (size === 0) return { body: Buffer.concat(parts), ended: true };
    parts.push(bytes.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
  return { body: Buffer.concat(parts), ended: false };
}
