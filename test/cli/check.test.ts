import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { digits, edited, gateway, pair, router } from '../config/samples.js';

const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'penstock-check-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** Runs the real program in the directory of the files. */
function penstock(
  args: string[],
  { input = '', env = {} }: { input?: string; env?: Record<string, string> } = {},
) {
  const { NO_COLOR, FORCE_COLOR, OUTBOUND_KEY, ...rest } = process.env;
  const result = spawnSync(process.execPath, [program, ...args], {
    cwd: directory,
    input,
    env: { ...rest, OUTBOUND_KEY: digits('b2'), ...env },
    encoding: 'utf8',
    timeout: 20_000,
  });
  return { status: result.status, stdout: result.stdout, stderr: result.stderr };
}

function file(name: string, content: string | Uint8Array): string {
  writeFileSync(join(directory, name), content);
  return name;
}

describe('penstock check', () => {
  it('says that a configuration is right, and exits 0', () => {
    file('gw.yaml', gateway);
    file('tlb.yaml', router);
    expect(penstock(['check', 'gw.yaml', 'tlb.yaml'])).toEqual({
      status: 0,
      stdout:
        'gw.yaml: ok: gw1, 4 interfaces, 1 VPN, 1 policy\ntlb.yaml: ok: tlb1, 3 interfaces, 1 virtual service\n',
      stderr: '',
    });
  });

  it('prints every problem of every file, and exits 4', () => {
    file(
      'one.yaml',
      edited(
        gateway,
        ['workers: 2', 'worker: 2'],
        ['anti-replay-window-size: 512', 'anti-replay-window-size: 500'],
      ),
    );
    file('two.yaml', edited(router, ['weight: 3', 'weight: -1']));
    const { status, stdout } = penstock(['check', 'one.yaml', 'two.yaml']);
    expect(status).toBe(4);
    expect(stdout.split('\n')).toEqual([
      'one.yaml:4:3: system.worker: unknown key; did you mean workers?',
      'one.yaml:32:30: security.ipsec.anti-replay-window-size: 500 is not a power of two from 64 to 8192; 512 is the next',
      'two.yaml:44:48: services.traffic-load-balance.instance.ipsec_lb.real-service.SRX2.weight: -1 is not a whole number from 1 to 1000',
      '3 errors',
      '',
    ]);
  });

  it('prints one JSON object with --json', () => {
    file('bad.yaml', edited(gateway, ['node-id: 1', 'node-id: 16']));
    file('good.yaml', router);
    const { status, stdout } = penstock(['check', '--json', 'bad.yaml', 'good.yaml']);
    expect(status).toBe(4);
    expect(JSON.parse(stdout)).toEqual({
      schemaVersion: 1,
      ok: false,
      errors: 1,
      files: [
        {
          file: 'bad.yaml',
          ok: false,
          problems: [
            {
              file: 'bad.yaml',
              line: 3,
              column: 12,
              path: 'system.node-id',
              message: '16 is not a whole number from 1 to 15',
            },
          ],
          warnings: [],
        },
        { file: 'good.yaml', ok: true, problems: [], warnings: [] },
      ],
    });
    expect(JSON.parse(penstock(['check', '--json', 'good.yaml']).stdout)).toMatchObject({
      ok: true,
      errors: 0,
    });
  });

  it('warns, and exits 0', () => {
    const period = 'sync-period-packets: 64';
    const { status, stdout } = penstock(['check', '-'], {
      input: edited(pair, [period, 'packet-rate: 200000, sync-period-packets: 64']),
    });
    expect([status, stdout.split('\n')[0]]).toEqual([
      0,
      'warning: <stdin>:29:5: chassis.high-availability.seqnum-sync: oseq-shift 65536 is too small for 200000 packets/s: 80256 is four times what is sent between two updates that the peer has',
    ]);
  });

  it('reads standard input', () => {
    const { status, stdout } = penstock(['check', '-'], {
      input: edited(router, ['weight: 3', 'weight: 0']),
    });
    expect([status, stdout.split('\n')[0]]).toEqual([
      4,
      '<stdin>:44:48: services.traffic-load-balance.instance.ipsec_lb.real-service.SRX2.weight: 0 is not a whole number from 1 to 1000',
    ]);
  });

  it('reads keys from files beside the configuration and from the environment, and shows none', () => {
    file('outbound.key', `${digits('c3')}\n`);
    file('keys.yaml', edited(gateway, ['{ env: OUTBOUND_KEY }', '{ file: outbound.key }']));
    expect(penstock(['check', 'keys.yaml']).status).toBe(0);
    file('env.yaml', gateway);
    const { status, stdout, stderr } = penstock(['check', 'env.yaml'], {
      env: { OUTBOUND_KEY: 'feedface'.repeat(4) },
    });
    expect(status).toBe(4);
    expect(stdout).toContain('32 digits; aes-256-gcm wants 72 hexadecimal digits');
    expect(stdout + stderr).not.toContain('feedface');
  });

  it.each<[string, () => string, RegExp]>([
    [
      'a file that is not there',
      () => 'nothing.yaml',
      /^nothing\.yaml: cannot be read: there is no such file$/m,
    ],
    ['a directory', () => '.', /^\.: cannot be read: it is a directory$/m],
    [
      'bytes',
      () => file('bytes.yaml', Uint8Array.of(0xff, 0xfe, 0, 0x80)),
      /^bytes\.yaml: not a text file: it is not UTF-8$/m,
    ],
    [
      'zeros',
      () => file('zeros.yaml', new Uint8Array(1000)),
      /^zeros\.yaml:1:1: not a text file: character U\+0000$/m,
    ],
    [
      'a megabyte of brackets',
      () => file('deep.yaml', '['.repeat(1 << 20)),
      /^deep\.yaml:1:1: nested deeper than 64 levels$/m,
    ],
    [
      'an empty file',
      () => file('empty.yaml', ''),
      /^empty\.yaml:1:1: empty; write at least system\.host-name$/m,
    ],
    [
      'the program itself',
      () => file('node.yaml', execFileSync('head', ['-c', '100000', process.execPath])),
      /^node\.yaml: not a text file: it is not UTF-8$/m,
    ],
    [
      'a loop of links',
      () => {
        symlinkSync('loop.yaml', join(directory, 'loop.yaml'));
        return 'loop.yaml';
      },
      /^loop\.yaml: cannot be read: ELOOP/m,
    ],
  ])('refuses %s with exit 4', (_, make, line) => {
    const { status, stdout, stderr } = penstock(['check', make()]);
    expect(stdout).toMatch(line);
    expect(status).toBe(4);
    expect(stderr).toBe('');
  });

  it('prints the schema for editors', () => {
    const schema = JSON.parse(penstock(['check', '--schema']).stdout) as { properties: object };
    expect(Object.keys(schema.properties)).toContain('security');
  });

  it('survives a reader that has seen enough', () => {
    file('many.yaml', Array.from({ length: 5000 }, (_, i) => `colour${i}: 1`).join('\n'));
    const command = `"${process.execPath}" "${program}" check many.yaml | head -n 1`;
    expect(spawnSync('sh', ['-c', command], { cwd: directory, encoding: 'utf8' })).toMatchObject({
      status: 0,
      stderr: '',
    });
  });
});

describe('penstock', () => {
  it.each<[string, string[], number, RegExp]>([
    ['a misspelt verb', ['chekc'], 2, /^penstock: unknown verb chekc; did you mean check\?\n$/],
    ['an unknown verb', ['frobnicate'], 2, /^penstock: unknown verb frobnicate; try penstock --help\n$/],
    ['no verb', [], 2, /Usage: penstock/],
    ['an unknown option', ['check', '--colour'], 2, /unknown option '--colour'/],
    ['no file', ['check'], 2, /check wants a file/],
  ])('refuses %s with exit 2 and a message', (_, args, status, message) => {
    const result = penstock(args);
    expect(result.stderr).toMatch(message);
    expect([result.status, result.stdout]).toEqual([status, '']);
  });

  it.each([[['--help']], [['help']], [['check', '--help']], [['help', 'check']], [['--version']]])(
    '%j exits 0',
    (args) => {
      const { status, stdout, stderr } = penstock(args);
      expect([status, stderr]).toEqual([0, '']);
      expect(stdout).not.toBe('');
    },
  );

  it('uses no colour without a terminal', () => {
    file('plain.yaml', edited(router, ['weight: 3', 'weight: 0']));
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what is looked for
    expect(penstock(['check', 'plain.yaml']).stdout).not.toMatch(/\u001b/);
  });

  it('is there as a program of npm, through a link', () => {
    const link = join(directory, 'penstock');
    symlinkSync(program, link);
    expect(spawnSync(process.execPath, [link, '--version'], { encoding: 'utf8' }).status).toBe(0);
  });
});
