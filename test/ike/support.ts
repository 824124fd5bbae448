/** Two ends joined in memory: virtual time, computations at once or later, a wire that loses, repeats and reorders. */
import { createHash } from 'node:crypto';
import type { IkeGatewayConfig, IkeProposalConfig, IkeVpnConfig } from '../../dist/config/config.js';
import type { IkeEvent, SaAction } from '../../dist/ike/draft.js';
import { type IkeAction, IkeEngine } from '../../dist/ike/engine.js';
import { runJob } from '../../dist/ike/jobs.js';
import { type ChildSa, type EspKey, type IkePath, type IkeSa, wipeEspKey } from '../../dist/ike/sa.js';
import { Address } from '../../dist/model/address.js';
import { Prefix } from '../../dist/model/prefix.js';
import { Secret } from '../../dist/model/secret.js';

export const address = (text: string) => new Address(Uint8Array.from(text.split('.').map(Number)));
export const prefix = (text: string) => {
  const [host, length] = text.split('/') as [string, string];
  return new Prefix(address(host), Number(length));
};

/** Bytes that look random and are the same for the same seed. */
export function generator(seed: string): (count: number) => Uint8Array {
  let at = 0;
  return (count) => {
    const out = new Uint8Array(count);
    for (let filled = 0; filled < count; filled += 32)
      out.set(
        createHash('sha256')
          .update(`${seed} ${at++}`)
          .digest()
          .subarray(0, count - filled),
        filled,
      );
    return out;
  };
}

export const proposal = (over: Partial<IkeProposalConfig> = {}): IkeProposalConfig => ({
  name: 'p',
  authenticationMethod: 'pre-shared-keys',
  dhGroup: 'group31',
  authenticationAlgorithm: 'sha-256',
  encryptionAlgorithm: 'aes-256-gcm',
  lifetimeSeconds: 3600,
  ...over,
});

export const psk = (text = 'a pre-shared key') => new Secret(Uint8Array.from(Buffer.from(text)));

export const hub: IkeGatewayConfig = {
  name: 'hub-side',
  proposals: [proposal()],
  preSharedKey: psk(),
  certificate: null,
  address: null,
  connectionsLimit: null,
  localAddress: address('192.0.2.2'),
  routingInstance: 'default',
  localIdentity: { kind: 'hostname', name: 'gw.example.net' },
  remoteIdentity: { kind: 'wildcard-hostname', suffix: '.example.net' },
  deadPeerDetection: { mode: 'probe-idle-tunnel', intervalMs: 10_000, threshold: 3 },
  natKeepaliveMs: 20_000,
  fragmentBytes: 1280,
};

export const spoke: IkeGatewayConfig = {
  ...hub,
  name: 'spoke-side',
  address: address('192.0.2.2'),
  localAddress: address('192.0.2.1'),
  localIdentity: { kind: 'hostname', name: 'enb1.example.net' },
  remoteIdentity: { kind: 'hostname', name: 'gw.example.net' },
};

export const hubVpn: IkeVpnConfig = {
  name: 'hub-vpn',
  bindInterface: 'st0.1',
  gateway: 'hub-side',
  proposals: [
    {
      name: 'e',
      encryptionAlgorithm: 'aes-256-gcm',
      authenticationAlgorithm: null,
      lifetimeSeconds: 1800,
      lifetimeKilobytes: null,
    },
  ],
  perfectForwardSecrecy: null,
  trafficSelectors: [{ name: 'ts', localIp: prefix('0.0.0.0/0'), remoteIp: prefix('0.0.0.0/0') }],
  establishTunnels: 'responder-only',
  rekeys: true,
  antiReplayWindowSize: 64,
  extendedSequenceNumber: false,
  dfBit: 'clear',
  copyOuterDscp: false,
  outerDscp: null,
  idleTimeMs: null,
};

export const spokeVpn: IkeVpnConfig = {
  ...hubVpn,
  name: 'spoke-vpn',
  gateway: 'spoke-side',
  trafficSelectors: [{ name: 'ts', localIp: prefix('10.1.0.0/24'), remoteIp: prefix('10.2.0.0/24') }],
  establishTunnels: 'immediately',
};

/** A tunnel as the data plane would have it: keys by SPI. */
export interface Plane {
  readonly inbound: Map<number, string>;
  outbound: { spi: number; key: string } | null;
  child: ChildSa;
  path: IkePath;
  isEncapsulated: boolean;
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

export class End {
  readonly name: string;
  readonly engine: IkeEngine;
  readonly tunnels = new Map<string, Plane>();
  readonly events: IkeEvent[] = [];
  constructor(name: string, seed: string) {
    this.name = name;
    this.engine = new IkeEngine({ random: generator(`${seed} ${name}`), ivPrefix: 0x1000 });
  }

  get up(): IkeSa[] {
    return [...this.engine.sas.values()].filter(({ state }) => state === 'up');
  }

  get children(): ChildSa[] {
    return this.up.flatMap(({ children }) => children.filter(({ state }) => state === 'up'));
  }

  happened(event: IkeEvent['event']): IkeEvent[] {
    return this.events.filter((each) => each.event === event);
  }

  count(name: Parameters<IkeEngine['counts']['get']>[0]): number {
    return this.engine.counts.get(name)!;
  }

  keyed(action: Extract<SaAction, { kind: 'tunnel-keyed' }>): void {
    const { child, kept, inbound, outbound, path, isEncapsulated } = action;
    const before = this.tunnels.get(child.tunnel);
    const keys = new Map<number, string>();
    for (const spi of kept) {
      const key = before?.inbound.get(spi);
      if (key === undefined) throw new Error(`${this.name}: ${child.tunnel} keeps ${spi}, which it has not`);
      keys.set(spi, key);
    }
    for (const sa of inbound) keys.set(sa.spi, keyText(sa));
    const out =
      outbound === null ? (before?.outbound ?? null) : { spi: outbound.spi, key: keyText(outbound) };
    this.tunnels.set(child.tunnel, { inbound: keys, outbound: out, child, path, isEncapsulated });
    for (const sa of [...inbound, ...(outbound === null ? [] : [outbound])]) wipeEspKey(sa);
  }
}

const keyText = ({ algorithm, key, authenticationKey }: EspKey) =>
  [algorithm, hex(key.reveal()), authenticationKey === null ? '' : hex(authenticationKey.reveal())].join(' ');

export interface Packet {
  readonly from: End;
  readonly to: End;
  readonly path: IkePath;
  readonly bytes: Uint8Array;
}

export interface LabOptions {
  readonly seed?: string;
  readonly left?: { gateways: IkeGatewayConfig[]; vpns: IkeVpnConfig[] };
  readonly right?: { gateways: IkeGatewayConfig[]; vpns: IkeVpnConfig[] };
  /** what arrives of a packet: none, once, twice, changed */
  readonly wire?: (packet: Packet) => readonly Uint8Array[];
  /** the address and port that the right sees, where there is a NAT between */
  readonly nat?: { readonly address: Address; port(port: number): number };
  readonly wallMs?: number;
}

/** left is the initiator (spoke), right the responder (hub). */
export class Lab {
  readonly left: End;
  readonly right: End;
  nowMs = 1_000_000;
  readonly packets: Packet[] = [];
  readonly sent: Packet[] = [];
  readonly #options: LabOptions;
  readonly #jobs: (() => void)[] = [];

  constructor(options: LabOptions = {}) {
    this.#options = options;
    this.left = new End('left', options.seed ?? '1');
    this.right = new End('right', options.seed ?? '1');
  }

  get time() {
    return { nowMs: this.nowMs, wallMs: this.#options.wallMs ?? Date.UTC(2030, 0, 1) + this.nowMs };
  }

  begin(): this {
    const { left = { gateways: [spoke], vpns: [spokeVpn] }, right = { gateways: [hub], vpns: [hubVpn] } } =
      this.#options;
    this.perform(this.right, this.right.engine.configure(right, new Set(), this.time));
    this.perform(this.left, this.left.engine.configure(left, new Set(), this.time));
    return this;
  }

  /** Begins and runs until nothing moves. */
  start(): this {
    this.begin().run();
    return this;
  }

  perform(end: End, actions: readonly IkeAction[]): void {
    for (const action of actions) {
      switch (action.kind) {
        case 'send':
          for (const bytes of action.packets) {
            if (bytes.length === 1) continue;
            const packet = {
              from: end,
              to: end === this.left ? this.right : this.left,
              path: action.path,
              bytes,
            };
            this.packets.push(packet);
            this.sent.push(packet);
          }
          break;
        case 'compute':
          this.#jobs.push(() =>
            this.perform(end, end.engine.computed(action.sa, action.ticket, runJob(action.job), this.time)),
          );
          break;
        case 'tunnel-keyed':
          end.keyed(action);
          break;
        case 'tunnel-removed':
          if (!end.tunnels.delete(action.tunnel))
            throw new Error(`${end.name}: ${action.tunnel} is removed twice`);
          break;
        case 'event':
          end.events.push(action.event);
      }
    }
  }

  deliver({ to, path, bytes }: Packet): void {
    const { nat } = this.#options;
    let remote = path.local;
    let remotePort = path.localPort;
    let local = path.remote;
    let localPort = path.remotePort;
    if (nat !== undefined && to === this.right) {
      remote = nat.address;
      remotePort = nat.port(path.localPort);
    } else if (nat !== undefined) {
      local = this.left === to ? spoke.localAddress : local;
      localPort = path.remotePort === nat.port(4500) ? 4500 : 500;
    }
    const seen = { local, localPort, remote, remotePort, routingInstance: 'default' };
    this.perform(to, to.engine.receive(seen, Uint8Array.from(bytes), this.time));
  }

  /** One packet or computation; false: there is none. */
  turn(): boolean {
    const job = this.#jobs.shift();
    if (job !== undefined) {
      job();
      return true;
    }
    const packet = this.packets.shift();
    if (packet === undefined) return false;
    for (const bytes of (this.#options.wire ?? (({ bytes }) => [bytes]))(packet))
      this.deliver({ ...packet, bytes });
    return true;
  }

  run(most = 10_000): void {
    for (let i = 0; i < most; i++) if (!this.turn()) return;
    throw new Error('it does not come to rest');
  }

  /** Lets time pass, step by step from deadline to deadline. */
  pass(ms: number): void {
    const end = this.nowMs + ms;
    for (let i = 0; i < 100_000; i++) {
      this.run();
      const next = Math.min(this.left.engine.nextDeadline(), this.right.engine.nextDeadline());
      if (next > end) break;
      this.nowMs = Math.max(this.nowMs, next);
      for (const each of [this.left, this.right]) this.perform(each, each.engine.timePassed(this.time));
    }
    this.nowMs = end;
    this.run();
  }

  ask(end: End, task: Parameters<IkeEngine['ask']>[1], which = 0): void {
    this.perform(end, end.engine.ask(end.up[which]!.id, task, this.time));
  }
}

/** What must hold once nothing is under way: both ends have the same tunnels, and what one seals the other opens. */
export function mismatches({ left, right }: Lab): string[] {
  const wrong: string[] = [];
  const check = (from: End, to: End) => {
    const inbound = new Map([...to.tunnels.values()].flatMap((tunnel) => [...tunnel.inbound]));
    for (const [name, { outbound }] of from.tunnels) {
      if (outbound === null) wrong.push(`${from.name} ${name}: nothing to send by`);
      else if (inbound.get(outbound.spi) !== outbound.key)
        wrong.push(`${from.name} ${name}: sends by ${outbound.spi}, which ${to.name} cannot open`);
    }
  };
  check(left, right);
  check(right, left);
  if (left.tunnels.size !== right.tunnels.size)
    wrong.push(`${left.tunnels.size} tunnels on the left, ${right.tunnels.size} on the right`);
  for (const end of [left, right]) {
    const owned = new Set(
      [...end.engine.sas.values()].flatMap(({ children }) => children.map(({ tunnel }) => tunnel)),
    );
    for (const name of end.tunnels.keys())
      if (!owned.has(name)) wrong.push(`${end.name} ${name}: of no CHILD SA`);
    for (const name of owned) if (!end.tunnels.has(name)) wrong.push(`${end.name} ${name}: has no keys`);
  }
  return wrong;
}
