/**
 * The SA file of `penstock esp`: one security association, or a list under `security-associations`, in YAML or JSON.
 * It describes an SA for both its ends: `esp open` reads what the receiver wants, `esp seal` what the sender does, and
 * writes `sequence` and `iv` back.
 */
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { isMap, isScalar, isSeq, type Node, type Pair, parseDocument, type Scalar } from 'yaml';
import { z } from 'zod';
import { parseAddress, parsePrefix } from '../config/address.js';
import * as f from '../config/fields.js';
import { limits } from '../config/limits.js';
import type { Surroundings } from '../config/load.js';
import { ConfigError, type Path, type Problem, showValue } from '../config/problem.js';
import { type Finding, normalise, valueAt } from '../config/walk.js';
import { readYaml, type YamlDocument } from '../config/yaml.js';
import type { Address } from '../model/address.js';
import {
  authentications,
  type EspKeys,
  type InboundSa,
  type IvState,
  ivCounterEnd,
  type OutboundSa,
  type Sa,
} from '../model/sa.js';
import { Secret } from '../model/secret.js';
import { espUdpPort } from '../wire/esp.js';

export type InboundEntry = InboundSa & {
  /** null: whatever the outer destination is */
  readonly destination: Address | null;
};

export interface OutboundFile {
  readonly sas: readonly OutboundSa[];
  /** The file's text with these numbers, one for each SA, and nothing else changed. */
  withNumbers(numbers: readonly { sequence: bigint; counter: bigint }[]): string;
}

/** What `key` may be, in bytes: with AES-GCM the salt is behind the AES key. */
const gcmKeyBytes = [20, 36];
const cbcKeyBytes = [16, 24, 32];
const unlimitedMtu = 0xffff;
const usedUp = 'used-up';
const listKey = 'security-associations';

const hidden = (advice: string) =>
  z
    .string({ error: `not a text; write ${advice}` })
    .min(1, { error: `empty; write ${advice}` })
    .optional();

const port = () => f.integer({ least: 1, most: 0xffff }).optional();

const keySource = z.strictObject(
  {
    hex: hidden('hexadecimal digits'),
    file: hidden('the path of a file with the hexadecimal digits'),
    env: hidden('the name of an environment variable'),
  },
  {
    error: (issue) =>
      `${issue.input === undefined ? 'missing' : 'not a mapping'}; write { hex: … }, { file: … } or { env: … }`,
  },
);
type KeySource = z.infer<typeof keySource>;

const entry = f.section({
  spi: f.integer(limits.ipsec.spi),
  key: keySource,
  'authentication-algorithm': f
    .word(['hmac-sha-256-128', 'hmac-sha-384', 'hmac-sha-512', 'hmac-sha1-96'], ['hmac-md5-96'])
    .optional(),
  'authentication-key': keySource.optional(),
  'extended-sequence-number': f.flag(),
  sequence: z.string().optional(),
  iv: z.string().optional(),
  source: f.address().optional(),
  destination: f.address().optional(),
  'udp-encapsulation': z
    .union(
      [z.null(), z.literal(true), z.strictObject({ 'source-port': port(), 'destination-port': port() })],
      {
        error:
          'not ports; write { source-port: 4500, destination-port: 4500 }, or nothing behind it for these',
      },
    )
    .optional(),
  'traffic-selector': f
    .list(f.section({ 'source-address': f.prefix(), 'destination-address': f.prefix() }), 'traffic selectors')
    .optional(),
  'anti-replay-window-size': f.windowSize().optional(),
  'no-anti-replay': f.flag(),
  'copy-outer-dscp': f.flag(),
  'df-bit': f.word(['copy', 'set', 'clear']).optional(),
  'outer-dscp': f.integer({ least: 0, most: 63 }).optional(),
  mtu: f.integer({ least: limits.mtu.least, most: unlimitedMtu }).optional(),
});
const schema = f.section({
  [listKey]: f.list(entry, 'security associations').min(1, { error: 'empty; write one' }),
});
type Entry = z.infer<typeof entry>;

/** The SAs for `esp open`. Throws ConfigError with every problem. */
export function readInboundSas(text: string, file: string, surroundings: Surroundings): InboundEntry[] {
  const reader = new Reader(text, file, surroundings);
  const sas = reader.entries.map((each, i) => reader.inbound(each, i));
  reader.once(
    sas.map(({ spi, destination }) => `${spi} ${destination ?? 'any'}`),
    'spi',
    'the SPI is',
  );
  reader.finish();
  return sas;
}

/** The SAs for `esp seal`. Throws ConfigError with every problem. */
export function readOutboundSas(text: string, file: string, surroundings: Surroundings): OutboundFile {
  const reader = new Reader(text, file, surroundings);
  const sas = reader.entries.map((each, i) => reader.outbound(each, i));
  // one key on two SAs would let one nonce come twice
  reader.once(
    sas.map(({ key }) => createHash('sha256').update(key.reveal()).digest('hex')),
    'key',
    'the key is',
  );
  reader.finish();
  return {
    sas,
    withNumbers: (numbers) =>
      replaceScalars(
        text,
        numbers.flatMap(({ sequence, counter }, i) => [
          { path: reader.path(i, 'sequence'), value: String(sequence) },
          { path: reader.path(i, 'iv'), value: ivText({ ...sas[i]!.nextIv, counter }) },
        ]),
      ),
  };
}

/** 16 hexadecimal digits behind 0x, or that none is left. */
export function ivText({ nodeId, epoch, counter }: IvState): string {
  if (counter >= ivCounterEnd) return usedUp;
  const number = (BigInt(nodeId) << 60n) | (BigInt(epoch) << 48n) | counter;
  return `0x${number.toString(16).padStart(16, '0')}`;
}

function parseIv(text: string): IvState | undefined {
  const match = /^(?:0x)?([0-9a-f]{16})$/i.exec(text);
  if (match === null) return undefined;
  const number = BigInt(`0x${match[1]}`);
  return {
    nodeId: Number(number >> 60n),
    epoch: Number((number >> 48n) & 0xfffn),
    counter: number & (ivCounterEnd - 1n),
  };
}

class Reader {
  readonly entries: readonly Entry[];
  readonly #yaml: YamlDocument;
  readonly #file: string;
  readonly #surroundings: Surroundings;
  readonly #problems: Problem[] = [];
  /** a single SA stands at the top */
  readonly #isSingle: boolean;

  constructor(text: string, file: string, surroundings: Surroundings) {
    this.#file = file;
    this.#surroundings = surroundings;
    this.#yaml = readYaml(text, file);
    this.#problems.push(...this.#yaml.problems);
    this.finish();
    const { value } = this.#yaml;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new ConfigError([
        this.#yaml.problem(
          [],
          'not an SA; write spi, key, and for sealing source, destination, sequence and iv',
        ),
      ]);
    }
    this.#isSingle = !Object.hasOwn(value, listKey);
    const list = valueAt(value, [listKey]);
    const given = this.#isSingle ? [value] : Array.isArray(list) ? list : [list];
    // as written: a YAML number would have lost zeros, digits or its base
    const contents = nodesOf(text);
    given.forEach((each, i) => {
      for (const name of ['sequence', 'iv']) {
        const scalar = scalarAt(contents, this.path(i, name));
        if (scalar !== undefined && typeof each === 'object' && each !== null)
          each[name] = String(scalar.value);
      }
    });
    const findings: Finding[] = [];
    const document = normalise({ [listKey]: given }, findings, schema);
    for (const { path, message, at } of findings) this.#report(path, message, at);
    const result = schema.safeParse(document);
    if (!result.success) {
      for (const issue of result.error.issues) {
        const path = issue.path as (string | number)[];
        // nothing is missing where only its name is misspelt
        if (findings.some(({ meant }) => meant?.join() === path.join())) continue;
        this.#report(path, issue.message, valueAt(document, path) === undefined ? 'key' : 'value');
      }
    }
    this.finish();
    this.entries = result.data![listKey]!;
  }

  path(index: number, ...rest: Path): Path {
    return this.#isSingle ? rest : [listKey, index, ...rest];
  }

  /** Throws what has been found so far. */
  finish(): void {
    if (this.#problems.length === 0) return;
    throw new ConfigError(this.#problems.toSorted((a, b) => a.line - b.line || a.column - b.column));
  }

  /** Reports values that come more than once. */
  once(values: readonly string[], name: string, sentence: string): void {
    values.forEach((value, i) => {
      const first = values.indexOf(value);
      if (first < i) this.#at(i, [name], `${sentence} that of ${listKey}.${first} too; each needs its own`);
    });
  }

  inbound(each: Entry, i: number): InboundEntry {
    if (each['anti-replay-window-size'] !== undefined && each['no-anti-replay'] !== undefined) {
      this.#at(i, ['no-anti-replay'], 'contradicts anti-replay-window-size; write one of the two', 'key');
    }
    const isOff = each['no-anti-replay'] !== undefined;
    return {
      ...this.#common(each, i),
      antiReplayWindowSize: isOff
        ? null
        : (each['anti-replay-window-size'] ?? limits.ipsec.antiReplayWindow.fallback),
      highestSequence: (each.sequence === undefined ? 1n : this.#sequence(each, i)) - 1n,
      copyOuterDscp: each['copy-outer-dscp'] !== undefined,
      destination: each.destination === undefined ? null : parseAddress(each.destination)!,
    };
  }

  outbound(each: Entry, i: number): OutboundSa {
    const [source, destination] = (['source', 'destination'] as const).map((name) => {
      const text = each[name];
      if (text === undefined) this.#at(i, [name], `missing; write the ${name} of the outer packets`, 'key');
      return parseAddress(text ?? '0.0.0.0')!;
    }) as [Address, Address];
    if (each.source !== undefined && each.destination !== undefined && source.family !== destination.family) {
      this.#at(i, ['destination'], `${destination} is ${destination.family}, source ${source} is not`);
    }
    const udp = each['udp-encapsulation'];
    const ports = typeof udp === 'object' && udp !== null ? udp : {};
    return {
      ...this.#common(each, i),
      source,
      destination,
      udp:
        udp === undefined
          ? null
          : {
              sourcePort: ports['source-port'] ?? espUdpPort,
              destinationPort: ports['destination-port'] ?? espUdpPort,
            },
      nextSequence: this.#sequence(each, i),
      nextIv: this.#iv(each, i),
      dfBit: each['df-bit'] ?? 'copy',
      outerDscp: each['outer-dscp'] ?? null,
      mtu: each.mtu ?? unlimitedMtu,
    };
  }

  #common(each: Entry, i: number): Sa {
    const selectors = (each['traffic-selector'] ?? []).map((selector, n) => {
      const source = parsePrefix(selector['source-address'])!;
      const destination = parsePrefix(selector['destination-address'])!;
      if (source.family !== destination.family) {
        const path = ['traffic-selector', n, 'destination-address'];
        this.#at(i, path, `${destination} is ${destination.family}, source-address ${source} is not`);
      }
      return { source, destination };
    });
    return {
      spi: each.spi,
      ...this.#keys(each, i),
      extendedSequenceNumber: each['extended-sequence-number'] !== undefined,
      selectors,
    };
  }

  #sequence(each: Entry, i: number): bigint {
    const isExtended = each['extended-sequence-number'] !== undefined;
    const end = isExtended ? 2n ** 64n : 2n ** 32n;
    const text = each.sequence;
    if (text === undefined) {
      this.#at(
        i,
        ['sequence'],
        'missing; write 1 for a key that was never used, else the next number',
        'key',
      );
    } else if (/^(\d{1,20}|0x[0-9a-f]{1,17})$/i.test(text) && BigInt(text) >= 1n && BigInt(text) <= end) {
      return BigInt(text);
    } else {
      const most = isExtended ? '2^64' : '2^32';
      const more = isExtended ? '' : '; extended-sequence-number allows more';
      this.#at(i, ['sequence'], `${showValue(text)} is not a number from 1 to ${most}${more}`);
    }
    return 1n;
  }

  #iv(each: Entry, i: number): IvState {
    const nothing = { nodeId: 1, epoch: 0, counter: 0n };
    const advice = '0x, the node-id (1 to f), 3 digits of epoch and 12 of counter: 0x1000000000000000';
    const text = each.iv;
    if (text === undefined) {
      this.#at(i, ['iv'], `missing; for a key that was never used write ${advice}`, 'key');
      return nothing;
    }
    // behind the last counter; node-id and epoch do not matter any more
    if (text === usedUp) return { ...nothing, counter: ivCounterEnd };
    const iv = parseIv(text);
    if (iv === undefined) this.#at(i, ['iv'], `${showValue(text)} is not an IV; write ${advice}`);
    else if (iv.nodeId === 0) this.#at(i, ['iv'], `${showValue(text)} has node-id 0; write ${advice}`);
    return iv ?? nothing;
  }

  /** AES-GCM, or AES-CBC where an HMAC is named. */
  #keys(each: Entry, i: number): EspKeys {
    const authentication = each['authentication-algorithm'];
    const given = each['authentication-key'];
    if (authentication === undefined) {
      if (given !== undefined) {
        const advice = 'write what it is for, e.g. hmac-sha-256-128; AES-GCM has no such key';
        this.#at(i, ['authentication-algorithm'], `missing; ${advice}`, 'key');
      }
      const wanted = '40 or 72 hexadecimal digits: 16 or 32 bytes of AES key, then 4 of salt';
      return {
        algorithm: 'aes-gcm',
        key: this.#key(i, 'key', each.key, gcmKeyBytes, wanted),
        authenticationKey: null,
      };
    }
    const { keyBytes } = authentications[authentication];
    const digits = `${keyBytes * 2} hexadecimal digits`;
    if (given === undefined) this.#at(i, ['authentication-key'], `missing; write ${digits}`, 'key');
    const aesDigits = '32, 48 or 64 hexadecimal digits of AES key';
    const none = new Secret(new Uint8Array(keyBytes));
    return {
      algorithm: `aes-cbc-${authentication}`,
      key: this.#key(i, 'key', each.key, cbcKeyBytes, aesDigits),
      authenticationKey:
        given === undefined ? none : this.#key(i, 'authentication-key', given, [keyBytes], digits),
    };
  }

  #key(i: number, name: string, key: KeySource, sizes: readonly number[], wanted: string): Secret {
    const nothing = new Secret(new Uint8Array(sizes[0]!));
    const sources = (['hex', 'file', 'env'] as const).filter((source) => key[source] !== undefined);
    const [source] = sources;
    if (source === undefined || sources.length > 1) {
      const says = source === undefined ? 'says nothing' : `says ${sources.join(' and ')}`;
      this.#at(i, [name], `${says}; write one of { hex: … }, { file: … }, { env: … }`, 'key');
      return nothing;
    }
    const at = [name, source];
    const text = this.#keyText(i, at, source, key[source]!);
    if (text === undefined) return nothing;
    const digits = text.trim().replace(/^0x/i, '').replace(/[:\s]/g, '');
    if (/[^0-9a-f]/i.test(digits)) this.#at(i, at, `not hexadecimal digits; write ${wanted}`);
    else if (!sizes.some((bytes) => digits.length === 2 * bytes)) {
      this.#at(i, at, `${digits.length} digits; write ${wanted}`);
    } else return new Secret(Uint8Array.from(Buffer.from(digits, 'hex')));
    return nothing;
  }

  #keyText(i: number, at: Path, source: 'hex' | 'file' | 'env', given: string): string | undefined {
    if (source === 'hex') return given;
    if (/^(0x)?[0-9a-f]{32,}$/i.test(given)) {
      const mend = source === 'file' ? 'a path' : 'a name';
      this.#at(i, at, `looks like a key; write { hex: … }, or ${mend}`);
      return undefined;
    }
    if (source === 'env') {
      const value = this.#surroundings.variable(given);
      if (value === undefined) this.#at(i, at, `environment variable ${given} is not set`);
      return value;
    }
    const path = given.startsWith('/') ? given : join(dirname(this.#file), given);
    try {
      return this.#surroundings.readFile(path);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const reasons: Record<string, string> = {
        ENOENT: 'there is no such file',
        EACCES: 'permission denied',
      };
      this.#at(i, at, `cannot read ${path}: ${reasons[code ?? ''] ?? message}`);
      return undefined;
    }
  }

  #at(index: number, path: Path, message: string, at: 'key' | 'value' = 'value'): void {
    this.#problems.push(this.#yaml.problem(this.path(index, ...path), message, at));
  }

  /** For a path of the document in which a single SA is the only one of a list. */
  #report(path: Path, message: string, at: 'key' | 'value'): void {
    const isInSingle = this.#isSingle && path[0] === listKey;
    this.#problems.push(this.#yaml.problem(isInSingle ? path.slice(2) : path, message, at));
  }
}

/** The nodes of a text that readYaml() has found right, with their places. */
const nodesOf = (text: string): Node | null =>
  parseDocument(text, { schema: 'failsafe', logLevel: 'silent' }).contents;

/** The scalar at a path, undefined when there is none. */
function scalarAt(contents: Node | null, path: Path): Scalar | undefined {
  let node: Node | null | undefined = contents;
  for (const part of path) {
    if (isSeq(node)) node = node.items[part as number] as Node | undefined;
    else if (isMap(node)) {
      const items = node.items as Pair<Node, Node | null>[];
      node = items.find(({ key }) => isScalar(key) && key.value === part)?.value;
    } else return undefined;
  }
  return isScalar(node) && node.range && node.range[1] > node.range[0] ? node : undefined;
}

/** The text with other values at these places, quoted as they were. */
function replaceScalars(text: string, values: readonly { path: Path; value: string }[]): string {
  const contents = nodesOf(text);
  const places = values.map(({ path, value }) => {
    const [start, end] = scalarAt(contents, path)!.range!;
    const quote = /^["']/.exec(text.slice(start, end))?.[0] ?? '';
    return { start, end, value: `${quote}${value}${quote}` };
  });
  return places
    .toSorted((a, b) => b.start - a.start)
    .reduce((result, { start, end, value }) => result.slice(0, start) + value + result.slice(end), text);
}
