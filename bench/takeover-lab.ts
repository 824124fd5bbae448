/**
 * A pair of gateways on a switched segment, in network namespaces, for takeover.ts:
 *
 *   client ── enb ── switch ══ gwa, gwb ══ switch ── server          gwa ── gwb: the ICL
 *
 * enb is all clients' ends of the tunnels in one node. Both gateways have the VPNs; the virtual addresses 10.1.1.1 and
 * 10.2.1.1 and the floating address 10.0.0.1, where the tunnels end, are the active one's.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clientAddress, serverAddress } from './takeover-traffic.js';

const main = new URL('../cli/main.js', import.meta.url).pathname;
const traffic = new URL('./takeover-traffic.js', import.meta.url).pathname;
const hosts = ['client', 'enb', 'switch', 'gwa', 'gwb', 'server'] as const;
type Host = (typeof hosts)[number];
export type Gateway = 'gwa' | 'gwb';

const port = '5000';
/** for an inner packet of 1,518 bytes with ESP around it */
const mtu = 2000;

export interface Process {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  readonly log: () => string;
}

export interface LabOptions {
  readonly tunnels: number;
  /** of the ICL's BFD */
  readonly intervalMs: number;
  readonly multiplier: number;
}

export class TakeoverLab {
  readonly #prefix = `ptk${process.pid.toString(36)}${randomBytes(2).toString('hex')}`;
  readonly #directory = mkdtempSync(join(tmpdir(), 'penstock-takeover-'));
  readonly #running = new Set<Process>();
  readonly #nodes = new Map<string, Process>();

  /** Throws what `ip` says. */
  constructor(options: LabOptions) {
    for (const host of hosts) {
      ip('netns', 'add', this.#of(host));
      this.#ip(host, 'link', 'set', 'lo', 'up');
      if (host !== 'client' && host !== 'server' && host !== 'switch')
        ip('netns', 'exec', this.#of(host), 'sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
    }
    for (const bridge of ['outside', 'inside']) {
      this.#ip('switch', 'link', 'add', bridge, 'type', 'bridge');
      this.#ip('switch', 'link', 'set', bridge, 'mtu', String(mtu), 'up');
    }
    this.#link('client', 'eth0', 'enb', 'inside0');
    this.#link('enb', 'outside0', 'switch', 'enb0', 'outside');
    for (const gateway of ['gwa', 'gwb'] as const) {
      this.#link(gateway, 'outside0', 'switch', `${gateway}0`, 'outside');
      this.#link(gateway, 'inside0', 'switch', `${gateway}1`, 'inside');
    }
    this.#link('server', 'eth0', 'switch', 'server0', 'inside');
    this.#link('gwa', 'icl0', 'gwb', 'icl0');
    // any of the clients' addresses
    this.#ip('client', 'address', 'add', '192.168.255.2/16', 'dev', 'eth0');
    this.#ip('client', 'route', 'add', 'local', '192.168.0.0/17', 'dev', 'lo');
    this.#ip('client', 'route', 'add', 'default', 'via', '192.168.255.1');
    // and of the server's, one for each tunnel: its route is the tunnel's own
    this.#ip('server', 'address', 'add', '10.2.1.10/24', 'dev', 'eth0');
    this.#ip('server', 'route', 'add', 'local', '172.16.0.0/16', 'dev', 'lo');
    this.#ip('server', 'route', 'add', 'default', 'via', '10.2.1.1');
    const keys = new Keys(options.tunnels);
    this.#write('enb', clients(keys));
    this.#write('gwa', gateway(1, keys, options));
    this.#write('gwb', gateway(2, keys, options));
  }

  start(node: 'enb' | Gateway): Process {
    const process_ = this.#spawn(node, [
      process.execPath,
      main,
      'run',
      join(this.#directory, `${node}.yaml`),
    ]);
    this.#nodes.set(node, process_);
    return process_;
  }

  log(node: 'enb' | Gateway): string {
    return this.#nodes.get(node)?.log() ?? '';
  }

  async kill(node: Gateway): Promise<void> {
    const running = this.#nodes.get(node)!;
    running.child.kill('SIGKILL');
    await running.ended;
  }

  serve(tunnels: number): Process {
    return this.#spawn('server', [process.execPath, traffic, 'serve', port, String(tunnels)]);
  }

  send(tunnels: number, rate: number, tcp: number): Process {
    const words = [port, tunnels, rate, tcp].map(String);
    return this.#spawn('client', [process.execPath, traffic, 'send', ...words]);
  }

  async ping(): Promise<boolean> {
    const { ended } = this.#spawn('client', [
      'ping',
      '-q',
      '-c',
      '1',
      '-W',
      '1',
      '-I',
      clientAddress(0),
      serverAddress(0),
    ]);
    return (await ended) === 0;
  }

  /** null: it does not answer. */
  show<V>(node: 'enb' | Gateway, ...words: string[]): V | null {
    const { stdout } = spawnSync(
      process.execPath,
      [main, 'show', ...words, '--json', '--socket', join(this.#directory, `${node}.sock`)],
      { encoding: 'utf8', timeout: 20_000, maxBuffer: 1 << 26 },
    );
    return stdout === '' ? null : (JSON.parse(stdout) as V);
  }

  async close(): Promise<void> {
    for (const { child } of this.#running) child.kill('SIGKILL');
    await Promise.all([...this.#running].map(({ ended }) => ended));
    for (const host of hosts) spawnSync('ip', ['netns', 'delete', this.#of(host)]);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #of(host: string): string {
    return `${this.#prefix}-${host}`;
  }

  #ip(host: Host, ...words: string[]): void {
    ip('-n', this.#of(host), ...words);
  }

  #link(left: Host, leftName: string, right: Host, rightName: string, bridge?: string): void {
    this.#ip(left, 'link', 'add', leftName, 'mtu', String(mtu), 'type', 'veth', 'peer', 'name', rightName, 'mtu', String(mtu), 'netns', this.#of(right)); // biome-ignore format: one command
    this.#ip(left, 'link', 'set', leftName, 'up');
    if (bridge !== undefined) this.#ip(right, 'link', 'set', rightName, 'master', bridge);
    this.#ip(right, 'link', 'set', rightName, 'up');
  }

  #write(node: string, text: string): void {
    writeFileSync(join(this.#directory, `${node}.yaml`), text, { mode: 0o600 });
  }

  #spawn(host: Host, command: readonly string[]): Process {
    const child = spawn('ip', ['netns', 'exec', this.#of(host), ...command], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += chunk));
    const ended = new Promise<number | null>((resolve) => void child.once('close', resolve));
    const running = { child, ended, log: () => text };
    this.#running.add(running);
    void ended.then(() => this.#running.delete(running));
    return running;
  }
}

function ip(...words: string[]): void {
  const { status, stderr } = spawnSync('ip', words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${words.join(' ')}: ${stderr}`);
}

const key = () => randomBytes(36).toString('hex');

/** Of each tunnel both ways, and of the ICL both ways. */
class Keys {
  readonly up: readonly string[];
  readonly down: readonly string[];
  readonly link = [key(), key()] as const;

  constructor(tunnels: number) {
    this.up = Array.from({ length: tunnels }, key);
    this.down = Array.from({ length: tunnels }, key);
  }
}

const upSpi = (n: number) => 0x10000 + n;
const downSpi = (n: number) => 0x20000 + n;
const client = (n: number) => `${clientAddress(n)}/32`;
const service = (n: number) => `${serverAddress(n)}/32`;

function clients({ up, down }: Keys): string {
  const vpns = up.map(
    (upKey, n) => `      t${n}:
        bind-interface: st0.0
        manual:
          gateway: 10.0.0.1
          local-address: 10.20.0.1
          encryption-algorithm: aes-256-gcm
          inbound: [{ spi: ${downSpi(n)}, key: { hex: ${down[n]} } }]
          outbound: { spi: ${upSpi(n)}, key: { hex: ${upKey} } }
        traffic-selector: { ts: { local-ip: ${client(n)}, remote-ip: ${service(n)} } }`,
  );
  return `system: { host-name: enb, node-id: 3, state-directory: enb.state, control-socket: enb.sock }
interfaces:
  ge-0/0/0: { port: { af-packet: inside0 }, mtu: ${mtu}, unit: { 0: { family: { inet: { address: 192.168.255.1/16 } } } } }
  ge-0/0/1: { port: { af-packet: outside0 }, mtu: ${mtu}, unit: { 0: { family: { inet: { address: 10.1.1.10/24 } } } } }
  lo0: { unit: { 0: { family: { inet: { address: 10.20.0.1/32 } } } } }
  st0: { unit: { 0: {} } }
routing-options: { static: { route: { 10.0.0.1/32: { next-hop: 10.1.1.1 } } } }
security:
  zones:
    security-zone:
      inside: { interfaces: ge-0/0/0 }
      outside: { interfaces: [ge-0/0/1, lo0] }
      vpn: { interfaces: st0.0 }
  policies: { default-policy: permit-all }
  flow: { tcp-session: { no-syn-check, no-syn-check-in-tunnel } }
  ipsec:
    anti-replay-window-size: 512
    vpn:
${vpns.join('\n')}
`;
}

function gateway(id: 1 | 2, { up, down, link }: Keys, { intervalMs, multiplier }: LabOptions): string {
  const name = id === 1 ? 'gwa' : 'gwb';
  const vpns = up.map(
    (upKey, n) => `      t${n}:
        bind-interface: st0.0
        manual:
          gateway: 10.20.0.1
          local-address: 10.0.0.1
          encryption-algorithm: aes-256-gcm
          inbound: [{ spi: ${upSpi(n)}, key: { hex: ${upKey} } }]
          outbound: { spi: ${downSpi(n)}, key: { hex: ${down[n]} } }
        traffic-selector: { ts: { local-ip: ${service(n)}, remote-ip: ${client(n)} } }`,
  );
  const peer = 3 - id;
  return `system: { host-name: ${name}, node-id: ${id}, state-directory: ${name}.state, control-socket: ${name}.sock }
chassis:
  high-availability:
    local-id: { id: ${id}, local-ip: 10.3.1.${id + 1} }
    peer-id:
      ${peer}:
        peer-ip: 10.3.1.${peer + 1}
        interface: ge-0/0/2
        vpn-profile: ICL
        liveness-detection: { minimum-interval: ${intervalMs}, multiplier: ${multiplier} }
    services-redundancy-group:
      1:
        deployment-type: hybrid
        prefix-list: { floating }
        managed-services: ipsec
        activeness-priority: ${id === 1 ? 200 : 100}
        virtual-ip:
          1: { ip: 10.1.1.1/24, interface: ge-0/0/0 }
          2: { ip: 10.2.1.1/24, interface: ge-0/0/1 }
interfaces:
  ge-0/0/0: { port: { af-packet: outside0 }, mtu: ${mtu}, unit: { 0: { family: { inet: { address: 10.1.1.${id + 1}/24 } } } } }
  ge-0/0/1: { port: { af-packet: inside0 }, mtu: ${mtu}, unit: { 0: { family: { inet: { address: 10.2.1.${id + 1}/24 } } } } }
  ge-0/0/2: { port: { af-packet: icl0 }, mtu: ${mtu}, unit: { 0: { family: { inet: { address: 10.3.1.${id + 1}/24 } } } } }
  lo0: { unit: { 0: { family: { inet: { address: 10.0.0.1/32 } } } } }
  st0: { unit: { 0: {} } }
policy-options: { prefix-list: { floating: 10.0.0.1/32 } }
routing-options: { static: { route: { 10.20.0.0/16: { next-hop: 10.1.1.10 }, 172.16.0.0/16: { next-hop: 10.2.1.10 } } } }
security:
  zones:
    security-zone:
      outside: { interfaces: [ge-0/0/0, lo0] }
      inside: { interfaces: ge-0/0/1 }
      vpn: { interfaces: st0.0 }
      ha: { interfaces: ge-0/0/2 }
  policies: { default-policy: permit-all }
  ipsec:
    anti-replay-window-size: 512
    vpn:
      ICL:
        ha-link-encryption:
        manual:
          encryption-algorithm: aes-256-gcm
          inbound: [{ spi: ${0x900 + peer}, key: { hex: ${link[peer - 1]} } }]
          outbound: { spi: ${0x900 + id}, key: { hex: ${link[id - 1]} } }
${vpns.join('\n')}
`;
}
