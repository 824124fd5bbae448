import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { espSaLine } from '../../dist/cli/capture.js';
import { espCommand } from '../../dist/cli/esp.js';
import { createOutput } from '../../dist/cli/output.js';
import type { EspAlgorithm } from '../../dist/model/sa.js';
import { encodeEthernet, etherType } from '../../dist/wire/ethernet.js';
import { captureHeader, capturePacket, type LinkType, readCapture } from '../../dist/wire/pcap.js';
import { type Bytes, innerPacket, toHex } from '../crypto/support.js';
import { python, requirePython, requireTool } from '../support/requires.js';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'penstock-esp-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const at = (name: string) => join(directory, name);
const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

interface Ended {
  code: number;
  out: string;
  err: string;
}

/** The command in this process. */
async function penstock(...args: string[]): Promise<Ended> {
  const out: string[] = [];
  const err: string[] = [];
  const output = createOutput({ write: (text) => out.push(text) }, { write: (text) => err.push(text) }, {});
  const command = espCommand(output);
  for (const each of [command, ...command.commands]) {
    each.exitOverride().configureOutput({ writeErr: (text) => void err.push(text) });
  }
  try {
    await command.parseAsync(args, { from: 'user' });
    return { code: 0, out: out.join(''), err: err.join('') };
  } catch (error) {
    const { code, message } = error as { code: number | string; message: string };
    return {
      code: typeof code === 'number' ? code : code === undefined ? 4 : 2,
      out: out.join(''),
      err: err.join('') + message,
    };
  }
}

function writeCapture(name: string, packets: Bytes[], link: LinkType = 'raw-ip'): string {
  const header = {
    destination: Uint8Array.of(2, 0, 0, 0, 0, 2),
    source: Uint8Array.of(2, 0, 0, 0, 0, 1),
    vlan: 7,
  };
  const framed = packets.map((packet) => {
    if (link === 'raw-ip') return packet;
    return encodeEthernet(
      { ...header, type: packet[0]! >> 4 === 4 ? etherType.ipv4 : etherType.ipv6 },
      packet,
    );
  });
  const records = framed.map((data, i) => capturePacket({ data, timeNs: 1_000n * BigInt(i) }));
  writeFileSync(at(name), Buffer.concat([captureHeader(link, 'test'), ...records]));
  return at(name);
}
function packetsOf(name: string): { link: LinkType; data: Bytes; timeNs: bigint }[] {
  const { packets, error } = readCapture(readFileSync(at(name)));
  expect(error).toBeNull();
  return packets;
}
const hexOf = (name: string): string[] => packetsOf(name).map(({ data }) => toHex(data));

const key = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fdeadbeef';
const saLines = (changes: Record<string, string | undefined> = {}): string => {
  const fields: Record<string, string | undefined> = {
    spi: '0x1001',
    key: `{ hex: ${key} }`,
    source: '192.0.2.1',
    destination: '192.0.2.2',
    sequence: '1',
    iv: '0x1000000000000000',
    ...changes,
  };
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}:${value === '' ? '' : ` ${value}`}\n`)
    .join('');
};
function writeSa(text: string, name = 'sa.yaml', mode = 0o600): string {
  writeFileSync(at(name), text, { mode });
  chmodSync(at(name), mode);
  return at(name);
}
const inner = Array.from({ length: 10 }, (_, i) => innerPacket(i % 3 === 2 ? 6 : 4, i * 37));

const scapy = requirePython('scapy.all', 'cryptography');
function runScapy(verb: string): void {
  const script = fileURLToPath(new URL('esp_scapy.py', import.meta.url));
  const { status, stderr } = spawnSync(python, [script, verb, directory], {
    encoding: 'utf8',
    timeout: 120_000,
  });
  expect(stderr).not.toContain('Error');
  expect(status).toBe(0);
}
const cases = [128, 256].flatMap((bits) =>
  [false, true].flatMap((esn) =>
    ['192.0.2', '2001:db8:0:'].map((net) => ({
      name: `${bits}-${esn ? 'esn' : 'no-esn'}-${net.includes(':') ? 'v6' : 'v4'}`,
      spi: 0x1000 + bits,
      key: Buffer.from(Array.from({ length: bits / 8 + 4 }, (_, i) => (i * 5 + 1) & 0xff)).toString('hex'),
      esn,
      // with ESN in the eighth subspace
      sequence: (esn ? 7 * 2 ** 32 : 0) + 5,
      source: `${net}${net.includes(':') ? ':' : '.'}1`,
      destination: `${net}${net.includes(':') ? ':' : '.'}2`,
    })),
  ),
);
interface PeerCase {
  name: string;
  spi: number;
  key: string;
  esn: boolean;
  sequence: number;
  source: string;
  destination: string;
  authentication?: string;
  authenticationKey?: string;
}
const hmacKeyBytes = { 'hmac-sha1-96': 20, 'hmac-sha-256-128': 32, 'hmac-sha-384': 48, 'hmac-sha-512': 64 };
const cbcCases = Object.entries(hmacKeyBytes).flatMap(([authentication, bytes], i) =>
  [false, true].map((esn): PeerCase => {
    const { source, destination, sequence } = cases[(i % 2) + (esn ? 2 : 0)]!;
    const bits = [128, 192, 256][i % 3]!;
    return {
      name: `cbc-${bits}-${authentication}-${esn ? 'esn' : 'no-esn'}`,
      spi: 0x2000 + i,
      key: Buffer.from(Array.from({ length: bits / 8 }, (_, k) => (k * 5 + 1) & 0xff)).toString('hex'),
      authentication,
      authenticationKey: Buffer.from(Array.from({ length: bytes }, (_, k) => (k * 3 + 2) & 0xff)).toString(
        'hex',
      ),
      esn,
      sequence,
      source,
      destination,
    };
  }),
);
const saOf = (each: PeerCase) =>
  saLines({
    spi: String(each.spi),
    key: `{ hex: ${each.key} }`,
    source: `"${each.source}"`,
    destination: `"${each.destination}"`,
    sequence: String(each.sequence),
    ...(each.esn ? { 'extended-sequence-number': '' } : {}),
    ...(each.authentication === undefined
      ? {}
      : {
          'authentication-algorithm': each.authentication,
          'authentication-key': `{ hex: ${each.authenticationKey} }`,
        }),
  });

describe('with scapy', () => {
  it.skipIf(scapy.missing)(
    `opens what scapy made: both modes, every key length, ESN on and off, IPv4 and IPv6${scapy.note}`,
    async () => {
      for (const each of [...cases, ...cbcCases])
        writeFileSync(at(`${each.name}.json`), JSON.stringify(each));
      runScapy('make');
      for (const each of [...cases, ...cbcCases]) {
        const sa = writeSa(saOf(each));
        for (const crypto of ['typescript', 'native']) {
          const args = [
            'open',
            at(`${each.name}.pcap`),
            '--sa',
            sa,
            '-w',
            at('out.pcapng'),
            '--crypto',
            crypto,
          ];
          const { code, out } = await penstock(...args, '--json');
          expect(code).toBe(0);
          expect(JSON.parse(out)).toMatchObject({ packets: 8, opened: 8, dropsByReason: {}, crypto });
          const expected = readFileSync(at(`${each.name}.inner`), 'utf8')
            .trim()
            .split('\n');
          // behind the Ethernet header
          expect(hexOf('out.pcapng').map((hex) => hex.slice(28))).toEqual(expected);
        }
      }
    },
    120_000,
  );

  it.skipIf(scapy.missing)(
    `seals what scapy opens: both modes, every key length, ESN on and off, IPv4 and IPv6${scapy.note}`,
    async () => {
      const capture = writeCapture('in.pcapng', inner, 'ethernet');
      for (const [i, each] of [...cases, ...cbcCases].entries()) {
        writeFileSync(at(`${each.name}.json`), JSON.stringify(each));
        const args = ['seal', capture, '--sa', writeSa(saOf(each)), '-w', at(`${each.name}.pcapng`)];
        expect(await penstock(...args, '--crypto', i % 2 === 0 ? 'native' : 'typescript')).toMatchObject({
          code: 0,
        });
      }
      runScapy('open');
      for (const each of [...cases, ...cbcCases]) {
        const opened = readFileSync(at(`${each.name}.inner`), 'utf8')
          .trim()
          .split('\n');
        expect(opened).toEqual(inner.map(toHex));
      }
    },
    120_000,
  );
});

const tshark = requireTool('tshark');
it.skipIf(tshark.missing)(
  `Wireshark decrypts it with the keys that capture writes${tshark.note}`,
  async () => {
    const capture = writeCapture('in.pcapng', inner, 'ethernet');
    const some = [cases[0]!, cases[5]!, ...cbcCases.filter(({ esn }) => !esn)] as PeerCase[];
    for (const each of some) {
      const { spi, source, destination, key, authentication, authenticationKey = null } = each;
      const file = at(`${each.name}.pcapng`);
      await penstock('seal', capture, '--sa', writeSa(saOf(each)), '-w', file);
      const algorithm = (
        authentication === undefined ? 'aes-gcm' : `aes-cbc-${authentication}`
      ) as EspAlgorithm;
      const line = espSaLine({
        vpn: 'any',
        direction: 'outbound',
        extendedSequenceNumber: false,
        ...{ source, destination, spi, algorithm, key, authenticationKey },
      });
      const options = [
        'enable_encryption_decode:TRUE',
        'enable_authentication_check:TRUE',
        'enable_null_encryption_decode_heuristic:FALSE',
      ].flatMap((each) => ['-o', `esp.${each}`]);
      const { stdout, stderr } = spawnSync(
        'tshark',
        [
          ...['-r', file, ...options, '-o', `uat:esp_sa:${line}`],
          ...['-T', 'fields', '-e', 'udp.dstport', '-e', 'esp.icv_good'],
        ],
        { encoding: 'utf8', timeout: 60_000 },
      );
      const lines = stdout.trim().split('\n');
      expect(lines, `${each.name} ${stderr}`).toHaveLength(10);
      for (const fields of lines) expect(fields, each.name).toMatch(/^53(\t(True|1)?)?$/);
      // Wireshark says so for those whose ICV it checks by itself
      if (authentication !== undefined) expect(lines[0], each.name).toMatch(/\t(True|1)$/);
    }
  },
  120_000,
);

describe('seal', () => {
  it('writes the next numbers back and changes nothing else in the file', async () => {
    const capture = writeCapture('in.pcapng', inner);
    const text = `# of the lab\n${saLines({ sequence: '41   # next', iv: '"0x2abc0000000000ff"' })}mtu: 9000\n`;
    const sa = writeSa(text, 'sa.yaml', 0o600);
    expect(await penstock('seal', capture, '--sa', sa, '-w', at('out.pcapng'))).toMatchObject({
      code: 0,
      err: '',
    });
    const expected = text.replace('41   # next', '51   # next').replace('00ff', '0109');
    expect(readFileSync(sa, 'utf8')).toBe(expected);
    expect(statSync(sa).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory).sort()).toEqual(['in.pcapng', 'out.pcapng', 'sa.yaml']);
    // and goes on from there
    await penstock('seal', capture, '--sa', sa, '-w', at('more.pcapng'));
    const numbers = [...hexOf('out.pcapng'), ...hexOf('more.pcapng')].map((hex) => hex.slice(48, 72));
    expect(numbers).toEqual(
      Array.from({ length: 20 }, (_, i) => {
        const sequence = (41 + i).toString(16).padStart(8, '0');
        return `${sequence}2abc${(0xff + i).toString(16).padStart(12, '0')}`;
      }),
    );
  });

  it('does the same in a JSON file, and through a symbolic link', async () => {
    const capture = writeCapture('in.pcapng', inner);
    const document = {
      spi: 4097,
      key: { hex: key },
      source: '192.0.2.1',
      destination: '192.0.2.2',
      'extended-sequence-number': true,
      sequence: '18446744073709551610',
      iv: '0x1000fffffffffffd',
    };
    writeSa(JSON.stringify(document), 'real.json');
    symlinkSync(at('real.json'), at('sa.json'));
    const { code, out } = await penstock(
      'seal',
      capture,
      '--sa',
      at('sa.json'),
      '-w',
      at('out.pcapng'),
      '--json',
    );
    expect(code).toBe(3);
    expect(JSON.parse(out)).toMatchObject({ packets: 10, sealed: 3, dropsByReason: { iv_exhausted: 7 } });
    expect(JSON.parse(readFileSync(at('real.json'), 'utf8'))).toEqual({
      ...document,
      sequence: '18446744073709551613',
      iv: 'used-up',
    });
    // and is understood again
    const again = await penstock('seal', capture, '--sa', at('sa.json'), '-w', at('out.pcapng'), '--json');
    expect(again.code).toBe(1);
    expect(JSON.parse(again.out)).toMatchObject({ sealed: 0, dropsByReason: { iv_exhausted: 10 } });
  });

  it('never passes the last sequence number', async () => {
    const capture = writeCapture('in.pcapng', inner);
    for (const crypto of ['native', 'typescript']) {
      for (const [esn, last] of [
        [undefined, 2n ** 32n - 1n],
        ['', 2n ** 64n - 1n],
      ] as const) {
        const sa = writeSa(saLines({ sequence: String(last - 1n), 'extended-sequence-number': esn }));
        const args = ['seal', capture, '--sa', sa, '-w', at('out.pcapng'), '--crypto', crypto, '--json'];
        expect(JSON.parse((await penstock(...args)).out)).toMatchObject({
          sealed: 2,
          dropsByReason: { seq_cycled: 8 },
        });
        expect(readFileSync(sa, 'utf8')).toContain(`sequence: ${last + 1n}\n`);
        expect(JSON.parse((await penstock(...args)).out)).toMatchObject({
          sealed: 0,
          dropsByReason: { seq_cycled: 10 },
        });
      }
    }
  });

  it('gives each packet to the SA whose traffic selector holds it', async () => {
    const sas = [
      { spi: 300, 'source-address': '10.1.0.0/16', 'destination-address': '10.2.0.0/16' },
      { spi: 301, 'source-address': '2001:db8:a::/48', 'destination-address': '::/0' },
    ].map(({ spi, ...selector }, i) => ({
      spi,
      key: { hex: key.replace('00', `0${i}`) },
      source: '2001:db8::1',
      destination: '2001:db8::2',
      'udp-encapsulation': { 'source-port': 4500, 'destination-port': 4500 },
      sequence: '1',
      iv: '0x1000000000000000',
      'traffic-selector': [selector],
    }));
    const file = writeSa(JSON.stringify({ 'security-associations': sas }));
    const stranger = innerPacket(4, 5, { destination: '10.3.0.1' });
    const capture = writeCapture('in.pcapng', [...inner, stranger]);
    const { code, out } = await penstock('seal', capture, '--sa', file, '-w', at('out.pcapng'));
    expect(code).toBe(3);
    expect(out).toContain('sealed 10 of 11 packets: 1 Traffic selector mismatch (selector)');
    // SPI behind the headers of IPv6 and UDP
    expect(hexOf('out.pcapng').map((hex) => Number.parseInt(hex.slice(96, 104), 16))).toEqual(
      inner.map((packet) => (packet[0]! >> 4 === 4 ? 300 : 301)),
    );
    const written = JSON.parse(readFileSync(file, 'utf8'))['security-associations'];
    expect(written.map((sa: { sequence: string }) => sa.sequence)).toEqual(['8', '4']);
    const opened = await penstock('open', at('out.pcapng'), '--sa', file, '-w', at('back.pcapng'), '--json');
    // opening starts at `sequence`, which is behind these by now
    expect(JSON.parse(opened.out)).toMatchObject({ opened: 0, dropsByReason: { replay: 10 } });
    writeSa(JSON.stringify({ 'security-associations': sas }));
    expect(await penstock('open', at('out.pcapng'), '--sa', file, '-w', at('back.pcapng'))).toMatchObject({
      code: 0,
    });
    expect(hexOf('back.pcapng')).toEqual(inner.map(toHex));
  });

  it('does not write over what someone else has changed', async () => {
    const capture = writeCapture('in.pcapng', inner);
    const sa = writeSa(saLines());
    writeFileSync(`${sa}.next`, '');
    const blocked = await penstock('seal', capture, '--sa', sa, '-w', at('out.pcapng'));
    expect(blocked.code).toBe(1);
    expect(blocked.err).toContain(`${sa}.next is left of a command that was killed`);
    expect(hexOf('out.pcapng')).toEqual([]);
    expect(readFileSync(sa, 'utf8')).toBe(saLines());
  });
});

/** A capture of many packets, so that a run takes a while and writes back more than once. */
function manyPackets(count: number): string {
  return writeCapture(
    'many.pcapng',
    Array.from({ length: count }, (_, i) => innerPacket(4, i % 60)),
  );
}
function start(capture: string, sa: string, out: string) {
  const args = [program, 'esp', 'seal', capture, '--sa', sa, '-w', out, '--crypto', 'native'];
  const child = spawn(process.execPath, args, { stdio: 'ignore' });
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
  return { child, ended };
}
/** IVs of the whole packets in a capture that may be cut short. */
function ivsOf(file: string): string[] {
  if (!existsSync(file)) return [];
  return readCapture(readFileSync(file)).packets.map(({ data }) => toHex(data.subarray(28, 36)));
}

it('killed at any moment and started again, seal uses no IV twice', async () => {
  const capture = manyPackets(20_000);
  const sa = writeSa(saLines());
  const seen: string[] = [];
  let killedAtWork = 0;
  const lives = 12;
  for (let life = 0; life < lives; life++) {
    const out = at(`out-${life}.pcapng`);
    const { child, ended } = start(capture, sa, out);
    // killed when the SA file has been replaced so many times, or when packets have been written so many times
    const watched =
      life % 2 === 0 ? () => statSync(sa).ino : () => (existsSync(out) ? statSync(out).size : 0);
    let changes = 0;
    let last = watched();
    const timer = setInterval(() => {
      const now = watched();
      if (now !== last && ++changes > life / 4 && life < lives - 1) child.kill('SIGKILL');
      last = now;
    }, 1);
    const code = await ended;
    clearInterval(timer);
    const ivs = ivsOf(out);
    if (code === null && ivs.length > 0) killedAtWork++;
    const next = /^iv: 0x([0-9a-f]{16})$/m.exec(readFileSync(sa, 'utf8'))?.[1];
    // what is in the file is ahead of all that was ever written
    for (const iv of ivs) expect(iv < next!).toBe(true);
    seen.push(...ivs);
    // of one that was killed between creating and renaming it
    rmSync(`${sa}.next`, { force: true });
  }
  expect(new Set(seen).size).toBe(seen.length);
  expect(seen.length).toBeGreaterThanOrEqual(20_000);
  expect(killedAtWork).toBeGreaterThan(0);
}, 120_000);

it('two at a time on one file use no IV twice', async () => {
  const capture = manyPackets(9_000);
  const sa = writeSa(saLines());
  const seen: string[] = [];
  for (let round = 0; round < 4; round++) {
    const outs = [at(`a${round}.pcapng`), at(`b${round}.pcapng`)];
    const codes = await Promise.all(outs.map((out) => start(capture, sa, out).ended));
    expect(codes).toContain(0);
    for (const out of outs) seen.push(...ivsOf(out));
  }
  expect(new Set(seen).size).toBe(seen.length);
}, 120_000);

describe('open', () => {
  const sealed = async (link: LinkType, changes: Record<string, string> = {}) => {
    const sa = writeSa(saLines(changes));
    await penstock('seal', writeCapture('in.pcapng', inner, link), '--sa', sa, '-w', at('sealed.pcapng'));
    return writeSa(saLines(changes));
  };

  it.each(['raw-ip', 'ethernet'] as const)(
    'gives back what was sealed, times and links included: %s',
    async (link) => {
      for (const changes of [
        {},
        { 'udp-encapsulation': '' },
        { source: '"2001:db8::1"', destination: '"2001:db8::2"', 'outer-dscp': '46', 'df-bit': 'set' },
      ]) {
        const sa = await sealed(link, changes);
        for (const crypto of ['native', 'typescript']) {
          const args = ['open', at('sealed.pcapng'), '--sa', sa, '-w', at('back.pcapng'), '--crypto', crypto];
          expect(await penstock(...args)).toMatchObject({ code: 0 });
          expect(
            packetsOf('back.pcapng').map(({ link, data, timeNs }) => ({ link, data: toHex(data), timeNs })),
          ).toEqual(
            packetsOf('in.pcapng').map(({ link, data, timeNs }) => ({ link, data: toHex(data), timeNs })),
          );
        }
      }
    },
  );

  it('counts what it leaves out by its reason', async () => {
    const sa = await sealed('raw-ip');
    const [first, second, third, ...rest] = packetsOf('sealed.pcapng').map(({ data }) => data.slice());
    const otherSpi = second!.slice();
    otherSpi[20]! ^= 0x40;
    const forged = third!.slice();
    forged[60]! ^= 1;
    const capture = writeCapture('mixed.pcapng', [
      first!,
      first!,
      otherSpi,
      forged,
      third!,
      inner[3]!,
      rest[0]!.subarray(0, 90),
    ]);
    const { code, out } = await penstock('open', capture, '--sa', sa, '-w', at('back.pcapng'), '--json');
    expect(code).toBe(3);
    expect(JSON.parse(out)).toEqual({
      schemaVersion: 1,
      packets: 7,
      opened: 2,
      other: 1,
      dropsByReason: { replay: 1, no_sa: 1, auth_failed: 1, bad_ipv4: 1 },
      crypto: 'native',
      written: at('back.pcapng'),
      captureFault: null,
    });
    const people = await penstock('open', capture, '--sa', sa, '-w', at('back.pcapng'));
    expect(people.out).toContain('opened 2 of 7 packets: ');
    expect(people.out).toContain('1 ESP authentication failure (auth_failed)');
    expect(people.out).toContain('1 not ESP');
    const none = await penstock(
      'open',
      writeCapture('one.pcapng', [forged]),
      '--sa',
      sa,
      '-w',
      at('back.pcapng'),
    );
    expect(none.code).toBe(1);
  });

  it('opens what a capture that is cut short still holds, and says so', async () => {
    const sa = await sealed('raw-ip');
    const whole = readFileSync(at('sealed.pcapng'));
    writeFileSync(at('cut.pcapng'), whole.subarray(0, whole.length - 100));
    const { code, out, err } = await penstock(
      'open',
      at('cut.pcapng'),
      '--sa',
      sa,
      '-w',
      at('back.pcapng'),
      '--json',
    );
    expect(code).toBe(1);
    expect(err).toContain(`${at('cut.pcapng')}: `);
    expect(JSON.parse(out)).toMatchObject({ opened: 9 });
    expect(JSON.parse(out).captureFault).toMatch(/\d/);
    expect(hexOf('back.pcapng')).toEqual(inner.slice(0, 9).map(toHex));
    writeFileSync(at('noise.pcapng'), Buffer.from('this is no capture'));
    const noise = await penstock('open', at('noise.pcapng'), '--sa', sa, '-w', at('back.pcapng'));
    expect(noise.code).toBe(1);
    expect(noise.err).toContain('not a pcap or pcapng capture');
  });
});

describe('what is wrong is said with its place and its mend', () => {
  const complaints = async (text: string, verb = 'seal') => {
    const sa = writeSa(text);
    const { code, err } = await penstock(
      verb,
      writeCapture('in.pcapng', inner),
      '--sa',
      sa,
      '-w',
      at('out.pcapng'),
    );
    expect(code).toBe(4);
    expect(err).not.toContain(key.slice(0, 32));
    return err.replaceAll(`${sa}:`, '').split('\n');
  };

  it('all at once', async () => {
    expect(
      await complaints(
        [
          'spi: 12',
          `key: { hex: ${key.slice(2)} }`,
          'sourec: 192.0.2.1',
          'destination: 192.0.2.300',
          'sequence: 0',
          'iv: 1',
          'mtu: 9',
          '',
        ].join('\n'),
      ),
    ).toEqual([
      '1:6: spi: 12 is not a whole number from 256 to 4294967295',
      '3:1: sourec: unknown key; did you mean source?',
      '4:14: destination: 192.0.2.300 is not an IP address, e.g. 10.0.0.1 or 2001:db8::1',
      '7:6: mtu: 9 is not a whole number from 576 to 65535',
    ]);
    expect(
      await complaints(
        saLines({
          key: `{ hex: ${key.slice(2)} }`,
          destination: '2001:db8::1',
          sequence: '0',
          iv: '0x0000000000000001',
        }),
      ),
    ).toEqual([
      '2:13: key.hex: 70 digits; write 40 or 72 hexadecimal digits: 16 or 32 bytes of AES key, then 4 of salt',
      '4:14: destination: 2001:db8::1 is inet6, source 192.0.2.1 is not',
      '5:11: sequence: 0 is not a number from 1 to 2^32; extended-sequence-number allows more',
      '6:5: iv: 0x0000000000000001 has node-id 0; write 0x, the node-id (1 to f), 3 digits of epoch and 12 of counter: ' +
        '0x1000000000000000',
    ]);
  });

  it('one by one', async () => {
    const first = async (changes: Record<string, string | undefined>, verb = 'seal') =>
      (await complaints(saLines(changes), verb))[0];
    expect(await first({ sequence: undefined })).toContain(
      'sequence: missing; write 1 for a key that was never used',
    );
    expect(await first({ iv: undefined })).toContain(
      'iv: missing; for a key that was never used write 0x, the node-id',
    );
    expect(await first({ iv: '12' })).toContain('6:5: iv: 12 is not an IV; write 0x');
    expect(await first({ sequence: '4294967297' })).toContain('4294967297 is not a number from 1 to 2^32');
    expect(await first({ source: undefined })).toContain(
      'source: missing; write the source of the outer packets',
    );
    expect(await first({ key: '{}' })).toContain(
      'key: says nothing; write one of { hex: … }, { file: … }, { env: … }',
    );
    expect(await first({ key: `{ env: NO_SUCH_VARIABLE_HERE }` })).toContain(
      'NO_SUCH_VARIABLE_HERE is not set',
    );
    expect(await first({ key: `{ file: nowhere.key }` })).toContain('there is no such file');
    expect(await first({ key: `{ file: ${key} }` })).toContain(
      'looks like a key; write { hex: … }, or a path',
    );
    expect(await first({ key: key.slice(0, 20) })).toContain('key: not a mapping; write { hex: … }');
    expect(await first({ 'anti-replay-window-size': '500' }, 'open')).toContain('512 is the next');
    const both = { 'anti-replay-window-size': '64', 'no-anti-replay': '' };
    expect(await first(both, 'open')).toContain('no-anti-replay: contradicts anti-replay-window-size');
    expect((await complaints('[]', 'open'))[0]).toContain('not an SA; write spi, key');
    expect((await complaints('security-associations: []', 'open'))[0]).toContain('empty; write one');
  });

  it('a key that is there twice', async () => {
    const sas = [300, 301].map((spi) => ({
      spi,
      key: { hex: key },
      source: '192.0.2.1',
      destination: '192.0.2.2',
      sequence: '1',
      iv: '0x1000000000000000',
    }));
    expect((await complaints(JSON.stringify({ 'security-associations': sas })))[0]).toContain(
      'security-associations.1.key: the key is that of security-associations.0 too; each needs its own',
    );
  });

  it('a file whose key others may read', async () => {
    const capture = writeCapture('in.pcapng', inner);
    const seal = (sa: string) => penstock('seal', capture, '--sa', sa, '-w', at('out.pcapng'));
    const open = await seal(writeSa(saLines(), 'sa.yaml', 0o644));
    expect(open.code).toBe(4);
    expect(open.err).toBe(
      `${at('sa.yaml')}: mode 0644: other users may read the key; chmod 600 ${at('sa.yaml')}`,
    );
    expect((await seal(writeSa(saLines(), 'sa.yaml', 0o602))).err).toContain('other users may change it');
    const group = await seal(writeSa(saLines(), 'sa.yaml', 0o640));
    expect(group.code).toBe(0);
    expect(group.err).toContain('its group may read or change the key');
    expect(statSync(at('sa.yaml')).mode & 0o777).toBe(0o640);
    writeSa(`${key}\n`, 'esp.key', 0o644);
    const keyFile = await seal(writeSa(saLines({ key: '{ file: esp.key }' })));
    expect(keyFile.code).toBe(4);
    expect(keyFile.err).toContain('other users may read the key');
    writeSa(`${key}\n`, 'esp.key', 0o600);
    expect(await seal(writeSa(saLines({ key: '{ file: esp.key }' })))).toMatchObject({ code: 0, err: '' });
  });

  it('files that are not there, that cannot be written, that would be overwritten', async () => {
    const capture = writeCapture('in.pcapng', inner);
    const sa = writeSa(saLines());
    expect(await penstock('open', at('none'), '--sa', sa, '-w', at('out'))).toMatchObject({
      code: 1,
      err: `${at('none')}: there is no such file`,
    });
    expect(await penstock('open', capture, '--sa', at('none'), '-w', at('out'))).toMatchObject({ code: 4 });
    const unwritable = await penstock('seal', capture, '--sa', sa, '-w', join(directory, 'no', 'such'));
    expect(unwritable.code).toBe(1);
    expect(readFileSync(sa, 'utf8')).toBe(saLines());
    expect(await penstock('open', capture, '--sa', sa, '-w', capture)).toMatchObject({ code: 2 });
    expect(await penstock('open', capture, '--sa', sa, '-w', sa)).toMatchObject({ code: 2 });
    expect(await penstock('open', capture, '--sa', sa, '-w', '-', '--json')).toMatchObject({ code: 2 });
    expect(await penstock('open', capture, '--sa', sa, '-w', at('out'), '--crypto', 'best')).toMatchObject({
      code: 2,
    });
    expect(await penstock('open', capture)).toMatchObject({ code: 2 });
  });
});

it('works as a program, from standard input to standard output', () => {
  const sa = writeSa(saLines());
  const input = readFileSync(writeCapture('in.pcapng', inner));
  const sealed = spawnSync(process.execPath, [program, 'esp', 'seal', '-', '--sa', sa, '-w', '-'], { input });
  expect(sealed.stderr.toString()).toBe('penstock: -: sealed 10 of 10 packets\n');
  writeSa(saLines());
  const opened = spawnSync(process.execPath, [program, 'esp', 'open', '-', '--sa', sa, '-w', '-'], {
    input: sealed.stdout,
  });
  expect(opened.status).toBe(0);
  expect(readCapture(opened.stdout).packets.map(({ data }) => toHex(data))).toEqual(inner.map(toHex));
});
