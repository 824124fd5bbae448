/**
 * What is spoken over the control socket: one JSON object a line.
 *
 *   → {"id":1,"method":"show","params":{"what":"route"}}
 *   ← {"id":1,"result":{…}}      or {"id":1,"error":{"message":"…"}}
 *   ← {"event":"superseded","routes":[…]}     unasked, to whoever exports routes
 */
import { z } from 'zod';
import { parseAddress, parsePrefix } from '../config/address.js';
import { tuning } from '../config/limits.js';
import type { Address } from '../model/address.js';
import type { Prefix } from '../model/prefix.js';
import type { PrefixOfInstance } from '../node/event.js';
import type { Announcement } from '../routing/ari.js';

/** Grows when a message changes its meaning. */
export const protocolVersion = 1;

/** No honest line is longer: 10,000 routes have about 1 MB. */
export const longestLine = 16 * 1024 * 1024;

const address = z.string().transform((text, context): Address => {
  const parsed = parseAddress(text);
  if (parsed !== undefined) return parsed;
  context.addIssue({ code: 'custom', message: `${text.slice(0, 50)} is not an IP address` });
  return z.NEVER;
});
const prefix = z.string().transform((text, context): Prefix => {
  const parsed = parsePrefix(text);
  if (parsed?.isNetwork() === true) return parsed;
  context.addIssue({ code: 'custom', message: `${text.slice(0, 60)} is not a prefix` });
  return z.NEVER;
});
const port = z.int().min(0).max(0xffff);
const routingInstance = z.string().min(1).max(63);
const prefixOfInstance = z.strictObject({ routingInstance, prefix });
const announcement = z.strictObject({ routingInstance, prefix, nextHop: address });

const request = z.strictObject({
  id: z.int().min(0),
  method: z.string().max(40),
  params: z.unknown().optional(),
});
export type Request = z.infer<typeof request>;

/** Parameters of each method. */
export const parameters = {
  hello: z.strictObject({}),
  show: z.looseObject({ what: z.string().max(60) }),
  explain: z.strictObject({
    source: address,
    destination: address,
    protocol: z.int().min(0).max(255),
    ports: z.strictObject({ source: port, destination: port }).nullable(),
    spi: z.int().min(0).max(0xffff_ffff).nullable(),
    interface: z.string().max(63).nullable(),
  }),
  /** text: of the file, which key files and sockets in it are found by */
  apply: z.strictObject({
    file: z.string().min(1).max(4096),
    text: z.string(),
    dryRun: z.boolean().optional(),
    confirmSeconds: z.int().min(1).max(tuning.mostConfirmSeconds).optional(),
  }),
  'apply.confirm': z.strictObject({}),
  /** answered by events `captured` until the connection ends */
  'capture.start': z.strictObject({ filter: z.string().max(4096) }),
  'capture.keys': z.strictObject({}),
  drain: z.strictObject({
    /** of real services, or `instance/name` */
    realService: z.string().min(1).max(200),
    drained: z.boolean(),
    /** also when no other real service of a group is left for new flows */
    force: z.boolean().optional(),
  }),
  /** an operator's word on a services redundancy group; peer: as a check, its number */
  'srg.command': z.strictObject({
    command: z.enum(['failover', 'failback']),
    group: z.int().min(0).max(999),
    peer: z.int().min(0).max(999).optional(),
    /** also when sessions are lost by it */
    force: z.boolean().optional(),
  }),
  /** VRRP, or whoever drives an ha-group, says whether this node has it */
  'ha-group.tell': z.strictObject({ name: z.string().min(1).max(63), told: z.enum(['active', 'backup']) }),
  /** answered by events `ike` until the connection ends */
  'ike.monitor': z.strictObject({}),
  /** IKE SAs that are deleted: of this gateway, with this peer's address or identity; all that are left out fit */
  'ike.clear': z.strictObject({
    gateway: z.string().min(1).max(63).optional(),
    peer: z.string().min(1).max(300).optional(),
  }),
  'ari.open': z.strictObject({ hostName: z.string().min(1).max(63), addresses: z.array(address).max(4096) }),
  'ari.announce': z.strictObject({ routes: z.array(announcement).max(100_000) }),
  'ari.withdraw': z.strictObject({ routes: z.array(prefixOfInstance).max(100_000) }),
} as const;
export type Method = keyof typeof parameters;

const response = z.union([
  z.object({ id: z.int(), result: z.unknown() }),
  z.object({ id: z.int(), error: z.object({ message: z.string() }) }),
  z.object({ event: z.literal('superseded'), routes: z.array(prefixOfInstance) }),
  /** time: ISO 8601; ike: an IkeEvent */
  z.object({ event: z.literal('ike'), time: z.string(), ike: z.record(z.string(), z.unknown()) }),
  /** blocks: pcapng in base64; missed: so far, for want of room */
  z.object({
    event: z.literal('captured'),
    blocks: z.string(),
    packets: z.int(),
    missed: z.int(),
  }),
]);
export type Response = z.infer<typeof response>;

export interface Hello {
  readonly protocol: number;
  readonly hostName: string;
  readonly pid: number;
}

/** Throws Error with what is wrong. */
export function readRequest(line: string): Request {
  return parse(request, line);
}

export function readResponse(line: string): Response {
  return parse(response, line);
}

function parse<T extends z.ZodType>(type: T, line: string): z.infer<T> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Error('not a line of JSON');
  }
  const result = type.safeParse(value);
  if (!result.success) throw new Error(issueText(result.error));
  return result.data;
}

export function issueText({ issues }: z.ZodError): string {
  return issues
    .slice(0, 5)
    .map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`))
    .join('; ');
}

/** Bigints as numbers where they fit, else as texts. */
export function writeLine(message: object): string {
  const text = JSON.stringify(message, (_key, value: unknown) => {
    if (typeof value !== 'bigint') return value;
    return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  });
  return `${text}\n`;
}

export const announcementsToJson = (routes: readonly Announcement[]) =>
  routes.map(({ routingInstance: instance, prefix: to, nextHop }) => ({
    routingInstance: instance,
    prefix: String(to),
    nextHop: String(nextHop),
  }));

export const prefixesToJson = (routes: readonly PrefixOfInstance[]) =>
  routes.map(({ routingInstance: instance, prefix: to }) => ({
    routingInstance: instance,
    prefix: String(to),
  }));

/** Cuts what arrives into lines. */
export class LineReader {
  #rest: Buffer[] = [];
  #length = 0;

  /** The lines that are complete now. Throws RangeError once one is longer than any may be. */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let from = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      this.#rest.push(chunk.subarray(from, at));
      lines.push(Buffer.concat(this.#rest).toString('utf8'));
      this.#rest = [];
      this.#length = 0;
      from = at + 1;
    }
    this.#rest.push(chunk.subarray(from));
    this.#length += chunk.length - from;
    if (this.#length > longestLine) throw new RangeError(`a line longer than ${longestLine} bytes`);
    return lines.filter((line) => line.trim() !== '');
  }
}
