/**
 * The language of capture filters, compiled to what the native tap evaluates.
 *
 *   expression   term, and, or, not, parentheses; `and` may be left out; not binds tightest, then and, then or
 *   protocols    ip ip6 arp icmp icmp6 tcp udp esp gre, or proto NUMBER
 *   addresses    [src|dst] host ADDRESS, [src|dst] net PREFIX
 *   ports        [src|dst] port NUMBER or NUMBER-NUMBER
 *   tunnels      spi NUMBER (0x… too), also of ESP in UDP
 *   where        in, out, interface NAME, worker NUMBER
 *   verdict      dropped, reason NAME (as in show counters)
 *   length       less NUMBER, greater NUMBER: bytes with the link header
 */
import { parseAddress, parsePrefix } from '../config/address.js';
import { nearest } from '../config/problem.js';
import { counters } from '../pipeline/counters.js';
import type { CaptureInstruction } from '../pipeline/native.js';

const protocols: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17, gre: 47, esp: 50, icmp6: 58 };
const plain = ['ip', 'ip6', 'arp', 'in', 'out', 'dropped', ...Object.keys(protocols)];
const withValue = ['proto', 'host', 'net', 'port', 'spi', 'interface', 'worker', 'reason', 'less', 'greater'];
const words = [...plain, ...withValue, 'and', 'or', 'not', 'src', 'dst'];
const mostInstructions = 256;

/** ports: of the node, by native index. '' is every packet. Throws Error that says what to write. */
export function compileFilter(text: string, ports: readonly string[]): CaptureInstruction[] {
  const parser = new Parser(text.match(/[()!]|&&|\|\||[^\s()!&|]+/g) ?? [], ports);
  const program = parser.whole();
  if (program.length > mostInstructions) throw new Error(`filter: more than ${mostInstructions} terms`);
  return program;
}

class Parser {
  readonly #tokens: readonly string[];
  readonly #ports: readonly string[];
  readonly #program: CaptureInstruction[] = [];
  #at = 0;

  constructor(tokens: readonly string[], ports: readonly string[]) {
    this.#tokens = tokens;
    this.#ports = ports;
  }

  whole(): CaptureInstruction[] {
    if (this.#tokens.length === 0) return [];
    this.#or();
    if (this.#peek() !== undefined) throw new Error(`filter: ${this.#peek()} is one too many`);
    return this.#program;
  }

  #peek(): string | undefined {
    return this.#tokens[this.#at];
  }

  #take(...any: readonly string[]): boolean {
    const token = this.#peek();
    if (token === undefined || !any.includes(token)) return false;
    this.#at++;
    return true;
  }

  #or(): void {
    this.#and();
    while (this.#take('or', '||')) {
      this.#and();
      this.#program.push({ op: 'or' });
    }
  }

  #and(): void {
    this.#not();
    for (;;) {
      const next = this.#peek();
      if (!this.#take('and', '&&') && (next === undefined || [')', 'or', '||'].includes(next))) return;
      this.#not();
      this.#program.push({ op: 'and' });
    }
  }

  #not(): void {
    if (this.#take('not', '!')) {
      this.#not();
      this.#program.push({ op: 'not' });
    } else if (this.#take('(')) {
      this.#or();
      if (!this.#take(')')) throw new Error('filter: a ( without its )');
    } else {
      this.#program.push(this.#term());
    }
  }

  #term(): CaptureInstruction {
    const word = this.#value('a term');
    if (word === 'src' || word === 'dst') return this.#ended(word === 'src' ? 'source-' : 'destination-');
    if (Object.hasOwn(protocols, word)) return { op: 'protocol', a: protocols[word]! };
    switch (word) {
      case 'ip':
        return { op: 'version', a: 4 };
      case 'ip6':
        return { op: 'version', a: 6 };
      case 'arp':
      case 'in':
      case 'out':
      case 'dropped':
        return { op: word };
      case 'host':
      case 'net':
      case 'port':
        this.#at--;
        return this.#ended('');
      case 'proto':
        return { op: 'protocol', a: this.#number(word, 255) };
      case 'spi':
        return { op: 'spi', a: this.#number(word, 0xffffffff) };
      case 'worker':
        return { op: 'worker', a: this.#number(word, 63) };
      case 'less':
        return { op: 'shorter', a: this.#number(word, 65_535) };
      case 'greater':
        return { op: 'longer', a: this.#number(word, 65_535) };
      case 'interface':
        return { op: 'port', a: this.#port() };
      case 'reason':
        return { op: 'reason', a: this.#reason() };
      default: {
        const meant = nearest(word, words);
        throw new Error(
          `filter: no term ${word}; ${meant === undefined ? `there is ${words.join(', ')}` : `did you mean ${meant}?`}`,
        );
      }
    }
  }

  /** host, net or port, of either end or of one. */
  #ended(end: '' | 'source-' | 'destination-'): CaptureInstruction {
    const kind = this.#value('host, net or port');
    if (kind === 'port') {
      const text = this.#value('a port');
      const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
      const [low, high] = [Number(match?.[1] ?? -1), Number(match?.[2] ?? match?.[1] ?? -1)];
      if (low < 0 || high > 65_535 || high < low)
        throw new Error(`filter: port ${text}: not a port or a range of ports, e.g. 443 or 8000-8080`);
      return { op: `${end}ports`, a: low, b: high };
    }
    if (kind !== 'host' && kind !== 'net')
      throw new Error(`filter: src and dst want host, net or port after them, not ${kind}`);
    const text = this.#value(kind === 'host' ? 'an address' : 'a prefix');
    const prefix = kind === 'net' ? parsePrefix(text) : undefined;
    const address = prefix?.address ?? (kind === 'host' ? parseAddress(text) : undefined);
    if (address === undefined) {
      throw new Error(
        `filter: ${kind} ${text}: not ${kind === 'host' ? 'an address, e.g. 10.0.0.1' : 'a prefix, e.g. 10.0.0.0/24'}`,
      );
    }
    const length = prefix?.length ?? address.bytes.length * 8;
    return { op: `${end}net`, net: { address: address.bytes, length } };
  }

  #value(what: string): string {
    const token = this.#peek();
    if (token === undefined) throw new Error(`filter: it ends where ${what} is wanted`);
    this.#at++;
    return token;
  }

  #number(word: string, most: number): number {
    const text = this.#value('a number');
    const number = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : Number.NaN;
    if (!(number <= most)) throw new Error(`filter: ${word} ${text}: not a number up to ${most}`);
    return number;
  }

  #port(): number {
    const name = this.#value('an interface');
    const index = this.#ports.findIndex((port) => port !== '' && (port === name || `${port}.0` === name));
    if (index < 0) {
      const there = this.#ports.filter((port) => port !== '').join(', ');
      throw new Error(`filter: no interface ${name}; there is ${there}`);
    }
    return index;
  }

  #reason(): number {
    const name = this.#value('a drop reason');
    const wanted = name.replaceAll(/[-_]/g, '').toLowerCase();
    const index = counters.findIndex(({ camelName, isDrop }) => isDrop && camelName.toLowerCase() === wanted);
    if (index < 0) {
      const names = counters.filter(({ isDrop }) => isDrop).map(({ camelName }) => String(camelName));
      const meant = nearest(name, names);
      throw new Error(
        `filter: no drop reason ${name}; ${meant === undefined ? `there is ${names.join(', ')}` : `did you mean ${meant}?`}`,
      );
    }
    return index;
  }
}
