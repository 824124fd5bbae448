import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = new URL('..', import.meta.url).pathname;

function run(...args: string[]) {
  return spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', timeout: 60_000 });
}

/** What each says when all is well. An example without a line here is one that nobody looks at. */
const says: Record<string, RegExp> = {
  'embed/router.mjs': /would move\n(.*\n)*applied\n/,
  'embed/tcp-proxy.mjs':
    /answering: alpha, beta, gamma\nbeta is down: .*500\nanswering: alpha, gamma\nbeta is up\nanswering: alpha, beta, gamma\n/,
  'embed/udp-balancer.mjs': /beta failed: \d+ moved, all of them beta's: true/,
  'plan/add-a-gateway.mjs': /moved/,
};

describe('examples', () => {
  const found = ['embed', 'plan'].flatMap((room) =>
    readdirSync(join(root, 'examples', room))
      .filter((name) => name.endsWith('.mjs'))
      .map((name) => `${room}/${name}`),
  );

  it('are all run here', () => {
    expect(found.sort()).toEqual(Object.keys(says).sort());
  });

  it.each(Object.entries(says))('%s runs as it stands', (name, words) => {
    const { status, stdout, stderr } = run(join('examples', name));
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toMatch(words);
  });
});

describe('configurations', () => {
  it('of the load balancer pass check', () => {
    const { status, stdout } = run('dist/cli/main.js', 'check', 'examples/load-balancer/tlb.yaml');
    expect([status, stdout]).toEqual([0, expect.stringContaining(': ok: mx1')]);
  });
});

describe('the API pages', () => {
  it('are made of the sources without a warning', () => {
    const out = mkdtempSync(join(tmpdir(), 'penstock-api-'));
    try {
      const made = run('node_modules/typedoc/bin/typedoc', '--out', out);
      expect(`${made.stdout}${made.stderr}`).not.toMatch(/warning|error/);
      expect(made.status).toBe(0);
      expect(readdirSync(join(out, 'classes'))).toContain('LoadBalancer.html');
    } finally {
      rmSync(out, { recursive: true, force: true });
    }
  });
});
