/**
 * A gateway and a strongSwan in network namespaces: what the test of IKE and the matrix (ike-matrix.mjs) are made of.
 *
 *     client (strongSwan, 192.0.2.1, behind it 10.1.0.1)  ──  gateway (penstock, 192.0.2.2)  ──  server (10.2.0.2)
 *
 * strongSwan's ESP here is that of user space (kernel-libipsec): always in UDP, AES-GCM and AES-CBC, no ESN.
 */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './support.mjs';

const main = join(root, 'dist/cli/main.js');
export const charon = '/usr/lib/ipsec/charon';
/** What to install, or null when all is there. */
export const missing = () => {
  if (process.getuid?.() !== 0) return 'not root';
  if (!existsSync(charon) || spawnSync('swanctl', ['--version']).error)
    return 'no strongSwan: apt-get install strongswan-swanctl strongswan-charon libcharon-extra-plugins libstrongswan-standard-plugins libstrongswan-extra-plugins';
  return null;
};

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export async function until(holds, mostMs) {
  const end = performance.now() + mostMs;
  while (performance.now() < end) {
    if (await holds()) return true;
    await sleep(25);
  }
  return false;
}

const pem = (kind, base64) =>
  `-----BEGIN ${kind}-----\n${base64.match(/.{1,64}/g).join('\n')}\n-----END ${kind}-----\n`;

export class IkeLab {
  prefix = `pi${process.pid.toString(36)}${Math.floor(Math.random() * 46_656).toString(36)}`;
  directory = mkdtempSync(join(tmpdir(), 'penstock-ike-'));
  #children = new Set();
  /** @type {any} what runs: { child, ended, log() } */
  gateway = null;
  /** @type {any} */
  peer = null;

  of(name) {
    return `${this.prefix}-${name}`;
  }

  #ip(...words) {
    const { status, stderr } = spawnSync('ip', words, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`ip ${words.join(' ')}: ${stderr}`);
  }

  up() {
    chmodSync(this.directory, 0o700);
    for (const name of ['client', 'gateway', 'server']) {
      this.#ip('netns', 'add', this.of(name));
      this.#ip('-n', this.of(name), 'link', 'set', 'lo', 'up');
    }
    const link = (from, a, to, b) => {
      this.#ip(
        '-n',
        this.of(from),
        'link',
        'add',
        a,
        'type',
        'veth',
        'peer',
        'name',
        b,
        'netns',
        this.of(to),
      );
      for (const [name, port] of [
        [from, a],
        [to, b],
      ]) {
        // a packet socket would get checksums that are not computed yet
        spawnSync('ip', ['netns', 'exec', this.of(name), 'ethtool', '-K', port, 'tx', 'off']);
        this.#ip('-n', this.of(name), 'link', 'set', port, 'up');
      }
    };
    link('gateway', 'outside', 'client', 'c0');
    link('gateway', 'inside', 'server', 's0');
    this.#ip('-n', this.of('client'), 'addr', 'add', '192.0.2.1/24', 'dev', 'c0');
    this.#ip('-n', this.of('client'), 'addr', 'add', '10.1.0.1/24', 'dev', 'lo');
    this.#ip('-n', this.of('server'), 'addr', 'add', '10.2.0.2/24', 'dev', 's0');
    this.#ip('-n', this.of('server'), 'route', 'add', 'default', 'via', '10.2.0.1');
    this.#writeCertificates();
  }

  #writeCertificates() {
    const made = JSON.parse(readFileSync(join(root, 'test/vectors/ike-certificates.json'), 'utf8'));
    mkdirSync(join(this.directory, 'swanctl/x509'), { recursive: true });
    mkdirSync(join(this.directory, 'swanctl/x509ca'));
    mkdirSync(join(this.directory, 'swanctl/private'));
    for (const [name, entry] of Object.entries(made)) {
      if (name === 'comment') continue;
      const certificate = pem('CERTIFICATE', entry.certificate);
      const place = name === 'ca' ? 'x509ca' : 'x509';
      writeFileSync(join(this.directory, `${name}.pem`), certificate);
      writeFileSync(join(this.directory, 'swanctl', place, `${name}.pem`), certificate);
      if (entry.key === undefined) continue;
      const key = pem('PRIVATE KEY', entry.key);
      writeFileSync(join(this.directory, `${name}.key`), key, { mode: 0o600 });
      if (name !== 'gw')
        writeFileSync(join(this.directory, 'swanctl/private', `${name}.key`), key, { mode: 0o600 });
    }
  }

  /** security: the text below `security:`, indented by two. */
  async startGateway(security) {
    const text = `system: { host-name: gw, node-id: 1, control-socket: gw.sock }
interfaces:
  ge-0/0/0: { port: { af-packet: outside }, unit: { 0: { family: { inet: { address: 192.0.2.2/24 } } } } }
  ge-0/0/1: { port: { af-packet: inside }, unit: { 0: { family: { inet: { address: 10.2.0.1/24 } } } } }
  st0: { unit: { 1: { family: { inet } } } }
security:
${security}
  zones:
    security-zone:
      outside: { interfaces: ge-0/0/0.0 }
      inside: { interfaces: ge-0/0/1.0 }
      vpn: { interfaces: st0.1 }
  policies: { default-policy: permit-all }
`;
    writeFileSync(join(this.directory, 'gw.yaml'), text);
    this.gateway = this.#spawn('gateway', [process.execPath, main, 'run', join(this.directory, 'gw.yaml')]);
    if (!(await until(() => this.gateway.log().includes('gw runs'), 30_000)))
      throw new Error(`the gateway does not start: ${this.gateway.log()}`);
  }

  /** config: the text of swanctl.conf. */
  async startPeer(config) {
    const { directory } = this;
    writeFileSync(join(directory, 'swanctl/swanctl.conf'), config);
    mkdirSync(join(directory, 'run'), { recursive: true });
    const plugins =
      'random nonce openssl curve25519 pem pkcs1 pkcs8 x509 pubkey constraints hmac sha1 sha2 kdf aes gcm gmp kernel-libipsec kernel-netlink socket-default vici updown';
    writeFileSync(
      join(directory, 'strongswan.conf'),
      `charon {
  load = ${plugins}
  retransmit_timeout = 1.0
  retransmit_tries = 3
  plugins { vici { socket = unix://${directory}/charon.vici }
    kernel-libipsec { allow_peer_ts = yes } }
  filelog { log { path = ${directory}/charon.log
      default = 1
      flush_line = yes } }
}
swanctl { load = random openssl pem pkcs1 pkcs8 x509 pubkey }
`,
    );
    process.env.STRONGSWAN_CONF = join(directory, 'strongswan.conf');
    process.env.SWANCTL_DIR = join(directory, 'swanctl');
    rmSync(join(directory, 'charon.vici'), { force: true });
    // ip netns exec gives a mount namespace, so that each charon has a /run of its own
    const script = `mount --bind ${directory}/run /run; exec ${charon}`;
    this.peer = this.#spawn('client', ['bash', '-c', script]);
    if (!(await until(() => existsSync(join(directory, 'charon.vici')), 10_000)))
      throw new Error(`strongSwan does not start: ${this.peer.log()}`);
    const loaded = this.swanctl('--load-all');
    if (loaded.status !== 0) throw new Error(`swanctl --load-all: ${loaded.text}`);
  }

  swanctl(...words) {
    const { status, stdout, stderr } = spawnSync(
      'timeout',
      ['20', 'swanctl', ...words, '--uri', `unix://${this.directory}/charon.vici`],
      { encoding: 'utf8' },
    );
    return { status, text: stdout + stderr };
  }

  penstock(...words) {
    const all = [main, ...words, '--socket', join(this.directory, 'gw.sock')];
    const { stdout, stderr, status } = spawnSync(process.execPath, all, {
      encoding: 'utf8',
      timeout: 20_000,
    });
    return { status, stdout, stderr };
  }

  /** From behind the client; the part of answers that came. */
  async ping(count = 3, intervalSeconds = 0.05) {
    const words = [
      '-q',
      '-c',
      String(count),
      '-i',
      String(intervalSeconds),
      '-W',
      '1',
      '-I',
      '10.1.0.1',
      '10.2.0.2',
    ];
    const ping = this.#spawn('client', ['ping', ...words]);
    await ping.ended;
    const received = / (\d+) received/.exec(ping.log());
    return received === null ? 0 : Number(received[1]) / count;
  }

  charonLog() {
    return existsSync(join(this.directory, 'charon.log'))
      ? readFileSync(join(this.directory, 'charon.log'), 'utf8')
      : '';
  }

  async stop(running, signal = 'SIGTERM') {
    running.child.kill(signal);
    await running.ended;
  }

  #spawn(namespace, command) {
    const child = spawn('ip', ['netns', 'exec', this.of(namespace), ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => {
        text += chunk;
      });
    const ended = new Promise((resolve) => child.once('close', resolve));
    this.#children.add(child);
    void ended.then(() => this.#children.delete(child));
    return { child, ended, log: () => text };
  }

  async down() {
    for (const child of this.#children) child.kill('SIGTERM');
    await until(() => this.#children.size === 0, 3000);
    for (const child of this.#children) child.kill('SIGKILL');
    for (const name of ['client', 'gateway', 'server']) spawnSync('ip', ['netns', 'del', this.of(name)]);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Every algorithm that there is, in one policy; by pre-shared keys, and by certificates. lifetimes in seconds. */
export function gatewaySecurity({
  ikeLife = 28_800,
  childLife = 3600,
  initiate = false,
  proposals = allProposals,
} = {}) {
  const lines = (method) =>
    proposals
      .map(
        ([name, cipher, hash, group]) =>
          `      ${method === 'certificates' ? 'c' : 'k'}-${name}: { authentication-method: ${method}, encryption-algorithm: ${cipher}, authentication-algorithm: ${hash}, dh-group: ${group}, lifetime-seconds: ${ikeLife}, weak-algorithms: [sha1, group2] }`,
      )
      .join('\n');
  const names = (kind) => proposals.map(([name]) => `${kind}-${name}`).join(', ');
  const peer = (hostname) =>
    initiate
      ? 'address: 192.0.2.1\n        remote-identity: { hostname: enb1.psk.example.net }'
      : `dynamic: { hostname: ${hostname}, ike-user-type: group-ike-id }`;
  const establish = initiate ? '\n        establish-tunnels: immediately' : '';
  const certified = initiate
    ? ''
    : `
      certified:
        ike-policy: certified
        ${peer('.example.net')}
        dead-peer-detection: { probe-idle-tunnel, interval: 2, threshold: 2 }
        local-identity: { hostname: gw.example.net }
        local-address: 192.0.2.2`;
  const certifiedVpn = initiate
    ? ''
    : `
      certified:
        bind-interface: st0.1
        ike: { gateway: certified, ipsec-policy: q }
        traffic-selector: { ts: { local-ip: 10.2.0.0/16, remote-ip: 10.1.0.0/16 } }`;
  const [own, remote] = initiate ? ['10.2.0.0/24', '10.1.0.0/24'] : ['10.2.0.0/16', '10.1.0.0/16'];
  return `  ike:
    proposal:
${lines('pre-shared-keys')}
${lines('certificates')}
    policy:
      keyed: { proposals: [${names('k')}], pre-shared-key: { ascii-text: interop-psk-0123456789 } }
      certified: { proposals: [${names('c')}], certificate: { local-certificate: gw.pem, private-key: gw.key, trusted-ca: ca.pem } }
    gateway:
      keyed:
        ike-policy: keyed
        ${peer('.psk.example.net')}
        dead-peer-detection: { probe-idle-tunnel, interval: 2, threshold: 2 }
        local-identity: { hostname: gw.example.net }
        local-address: 192.0.2.2${certified}
  ipsec:
    proposal:
      e256: { encryption-algorithm: aes-256-gcm, lifetime-seconds: ${childLife} }
      e128: { encryption-algorithm: aes-128-gcm, lifetime-seconds: ${childLife} }
      c256: { encryption-algorithm: aes-256-cbc, authentication-algorithm: hmac-sha-256-128, lifetime-seconds: ${childLife} }
      c128: { encryption-algorithm: aes-128-cbc, authentication-algorithm: hmac-sha-512, lifetime-seconds: ${childLife} }
    policy: { q: { proposals: [e256, e128, c256, c128] } }
    vpn:
      keyed:
        bind-interface: st0.1
        ike: { gateway: keyed, ipsec-policy: q }${establish}
        traffic-selector: { ts: { local-ip: ${own}, remote-ip: ${remote} } }${certifiedVpn}`;
}

/** name, encryption, hash, group; and what strongSwan calls it */
export const allProposals = [
  ['x25519', 'aes-256-gcm', 'sha-256', 'group31', 'aes256gcm16-prfsha256-x25519'],
  ['p256', 'aes-128-gcm', 'sha-256', 'group19', 'aes128gcm16-prfsha256-ecp256'],
  ['p384', 'aes-256-gcm', 'sha-384', 'group20', 'aes256gcm16-prfsha384-ecp384'],
  ['p521', 'aes-256-gcm', 'sha-512', 'group21', 'aes256gcm16-prfsha512-ecp521'],
  ['modp2048', 'aes-256-gcm', 'sha-256', 'group14', 'aes256gcm16-prfsha256-modp2048'],
  ['modp3072', 'aes-256-gcm', 'sha-256', 'group15', 'aes256gcm16-prfsha256-modp3072'],
  ['modp4096', 'aes-256-gcm', 'sha-256', 'group16', 'aes256gcm16-prfsha256-modp4096'],
  ['cbc128', 'aes-128-cbc', 'sha-256', 'group31', 'aes128-sha256-x25519'],
  ['cbc192', 'aes-192-cbc', 'sha-384', 'group31', 'aes192-sha384-x25519'],
  ['cbc256', 'aes-256-cbc', 'sha-512', 'group31', 'aes256-sha512-x25519'],
  ['reference', 'aes-256-cbc', 'sha1', 'group2', 'aes256-sha1-modp1024'],
];

/**
 * One connection of strongSwan. auth: psk, or the name of a certificate.
 * @param {string} name
 * @param {{ proposal?: string, auth?: string, esp?: string, id?: string, start?: boolean }} [options]
 */
export function connection(
  name,
  { proposal = allProposals[0][4], auth = 'psk', esp = 'aes256gcm16,aes128gcm16', id, start = false } = {},
) {
  const identity = id ?? (auth === 'psk' ? 'enb1.psk.example.net' : `${auth}.example.net`);
  const local =
    auth === 'psk'
      ? `local { auth = psk
      id = ${identity} }
    remote { auth = psk
      id = gw.example.net }`
      : `local { auth = pubkey
      certs = ${auth}.pem
      id = ${identity} }
    remote { auth = pubkey
      id = gw.example.net }`;
  return `  ${name} {
    version = 2
    local_addrs = 192.0.2.1
    remote_addrs = 192.0.2.2
    proposals = ${proposal}
    mobike = no
    dpd_delay = 2s
    ${local}
    children { ${name} {
        local_ts = 10.1.0.0/24
        remote_ts = 10.2.0.0/24
        esp_proposals = ${esp}
        dpd_action = ${start ? 'restart' : 'clear'}
        rekey_time = 1h } }
  }
`;
}

export const swanctlConf = (...connections) => `connections {
${connections.join('')}}
secrets { ike-1 { secret = "interop-psk-0123456789" } }
`;
