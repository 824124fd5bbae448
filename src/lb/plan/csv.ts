/**
 * Flows from a list: one a line, `src,dst,proto,sport,dport[,bytes]`, or columns in the order of a heading. Read piece
 * by piece; a line that is no flow is counted, and the first few are kept to be shown.
 */
import { parseAddress } from '../../config/address.js';
import { protocolNumber } from '../../config/compile/protocols.js';
import { showValue } from '../../config/problem.js';
import type { FlowRecord } from './records.js';

const columns = ['src', 'dst', 'proto', 'sport', 'dport', 'bytes'] as const;
type ColumnName = (typeof columns)[number];

/** What headings may call a column. */
const aliases: Readonly<Record<string, ColumnName>> = {
  src: 'src',
  source: 'src',
  srcaddr: 'src',
  src_ip: 'src',
  dst: 'dst',
  destination: 'dst',
  dstaddr: 'dst',
  dst_ip: 'dst',
  proto: 'proto',
  protocol: 'proto',
  prot: 'proto',
  sport: 'sport',
  src_port: 'sport',
  srcport: 'sport',
  dport: 'dport',
  dst_port: 'dport',
  dstport: 'dport',
  bytes: 'bytes',
  octets: 'bytes',
};

const longestLine = 4096;
const shownRubbish = 3;

export interface RubbishLine {
  readonly line: number;
  readonly why: string;
}

/** A line that is no flow; the message says why. */
class Rubbish extends Error {}

export class CsvReader {
  /** lines that are no flow, heading and empty ones not counted */
  rubbish = 0;
  readonly firstRubbish: RubbishLine[] = [];
  readonly #take: (record: FlowRecord) => void;
  readonly #decoder = new TextDecoder();
  #places: Readonly<Record<ColumnName, number>> = { src: 0, dst: 1, proto: 2, sport: 3, dport: 4, bytes: 5 };
  #rest = '';
  #line = 0;
  #isTooLong = false;
  #isFirst = true;

  constructor(take: (record: FlowRecord) => void) {
    this.#take = take;
  }

  push(chunk: Uint8Array): void {
    this.#read(this.#decoder.decode(chunk, { stream: true }));
  }

  end(): void {
    this.#read(this.#decoder.decode());
    if (this.#rest !== '' || this.#isTooLong) this.#endLine(this.#rest);
  }

  #read(text: string): void {
    const all = this.#rest + text;
    let from = 0;
    for (let at = all.indexOf('\n'); at >= 0; at = all.indexOf('\n', from)) {
      this.#endLine(all.slice(from, at));
      from = at + 1;
    }
    this.#rest = all.slice(from);
    // a line without an end must not fill the memory
    if (this.#rest.length > longestLine) {
      this.#rest = '';
      this.#isTooLong = true;
    }
  }

  #endLine(text: string): void {
    this.#line++;
    const isTooLong = this.#isTooLong || text.length > longestLine;
    this.#isTooLong = false;
    const line = text.trim();
    if (!isTooLong && (line === '' || line.startsWith('#'))) return;
    try {
      if (isTooLong) throw new Rubbish(`longer than ${longestLine} characters`);
      const fields = line.split(',').map(bare);
      if (this.#isFirst) {
        this.#isFirst = false;
        if (this.#heading(fields)) return;
      }
      this.#take(this.#record(fields));
    } catch (error) {
      if (!(error instanceof Rubbish)) throw error;
      this.#isFirst = false;
      this.rubbish++;
      if (this.firstRubbish.length < shownRubbish) {
        this.firstRubbish.push({ line: this.#line, why: error.message });
      }
    }
  }

  /** A first line that names source and destination says what stands where. */
  #heading(fields: readonly string[]): boolean {
    const named = fields.map((field) => {
      const word = field.toLowerCase();
      return Object.hasOwn(aliases, word) ? aliases[word] : undefined;
    });
    if (!named.includes('src') || !named.includes('dst')) return false;
    this.#places = Object.fromEntries(columns.map((column) => [column, named.indexOf(column)])) as Record<
      ColumnName,
      number
    >;
    return true;
  }

  #record(fields: readonly string[]): FlowRecord {
    const field = (column: ColumnName) => fields[this.#places[column]] ?? '';
    const source = addressOf(field('src'), 'source');
    const destination = addressOf(field('dst'), 'destination');
    if (source.length !== destination.length) throw new Rubbish('addresses of two families');
    const protocol = protocolOf(field('proto'));
    return {
      source,
      destination,
      protocol,
      ports: portsOf(field('sport'), field('dport'), protocol),
      bytes: bytesOf(field('bytes')),
    };
  }
}

const bare = (field: string) => {
  const text = field.trim();
  return text.length > 1 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1).trim() : text;
};

function addressOf(text: string, which: string): Uint8Array {
  const address = parseAddress(text);
  if (address === undefined) throw new Rubbish(`${showValue(text)} is no ${which} address`);
  return address.bytes;
}

function protocolOf(text: string): number {
  if (/^\d{1,3}$/.test(text) && Number(text) <= 255) return Number(text);
  const number = text === '' ? undefined : protocolNumber(text.toLowerCase());
  if (typeof number === 'number') return number;
  throw new Rubbish(`${showValue(text)} is no protocol`);
}

/** TCP (RFC 9293), UDP (RFC 768), SCTP (RFC 9260), DCCP (RFC 4340), UDP-Lite (RFC 3828). */
export const hasPorts = (protocol: number) => [6, 17, 132, 33, 136].includes(protocol);

function portsOf(source: string, destination: string, protocol: number): FlowRecord['ports'] {
  const isEmpty = (text: string) => text === '' || text === '-';
  if (isEmpty(source) && isEmpty(destination)) return null;
  const ports = { source: portOf(source), destination: portOf(destination) };
  // exporters of flow records write 0 or a type and code where there are no ports
  return hasPorts(protocol) ? ports : null;
}

function portOf(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 0xffff) return Number(text);
  throw new Rubbish(`${showValue(text)} is no port`);
}

function bytesOf(text: string): number {
  if (text === '' || text === '-') return 0;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new Rubbish(`${showValue(text)} is no number of bytes`);
}
