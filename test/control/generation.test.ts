import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { claimGeneration, type Disk, epochOf } from '../../dist/control/generation.js';

const made: string[] = [];
function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'penstock-generation-'));
  made.push(path);
  return path;
}
afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});

class Crash extends Error {}

/** A disk that loses power before its operation number `crashAt`: entries not synced are there or not, by `keep`. */
class FailingDisk implements Disk {
  durable = new Set<string>();
  #entries = new Set<string>();
  #operations = 0;
  #crashAt = Number.POSITIVE_INFINITY;
  #keep: () => boolean = () => true;

  start(crashAt: number, keep: () => boolean): void {
    this.#entries = new Set(this.durable);
    this.#operations = 0;
    this.#crashAt = crashAt;
    this.#keep = keep;
  }

  #operate(): void {
    if (this.#operations++ < this.#crashAt) return;
    const names = new Set([...this.#entries, ...this.durable]);
    this.durable = new Set(
      [...names].filter((name) => {
        const same = this.#entries.has(name) === this.durable.has(name);
        return same
          ? this.durable.has(name)
          : this.#keep()
            ? this.#entries.has(name)
            : this.durable.has(name);
      }),
    );
    throw new Crash();
  }

  makeDirectory(): void {
    this.#operate();
  }
  list(path: string): string[] {
    this.#operate();
    return [...this.#entries].map((name) => name.slice(path.length + 1));
  }
  createExclusively(path: string): boolean {
    this.#operate();
    if (this.#entries.has(path)) return false;
    this.#entries.add(path);
    return true;
  }
  syncDirectory(): void {
    this.#operate();
    this.durable = new Set(this.#entries);
  }
  remove(path: string): void {
    this.#operate();
    this.#entries.delete(path);
  }
  /** The process ends in order. */
  end(): void {
    this.durable = new Set(this.#entries);
  }
}

describe('claimGeneration', () => {
  it('counts from 1, one more at each start, and keeps a few files', () => {
    const path = join(directory(), 'state');
    expect(Array.from({ length: 20 }, () => claimGeneration(path))).toEqual(
      Array.from({ length: 20 }, (_, i) => i + 1),
    );
    expect(readdirSync(path)).toHaveLength(8 + 1);
    expect(readdirSync(path)).toContain('generation.20');
    expect(statSync(path).mode & 0o777).toBe(0o700);
  });

  it('is null where generations were lost, and stays so', () => {
    const path = directory();
    claimGeneration(path);
    rmSync(join(path, 'generation.1'));
    expect(claimGeneration(path)).toBeNull();
    expect(claimGeneration(path)).toBeNull();
  });

  it('takes the highest of what an interrupted start left, and minds no other file', () => {
    const path = directory();
    for (const name of ['state', 'generation.9', 'generation.10', 'generation.x', 'generation.011']) {
      writeFileSync(join(path, name), '');
    }
    expect(claimGeneration(path)).toBe(11);
  });

  it('gives no number twice, whatever operation the power fails before', () => {
    const path = '/state';
    const crash = fc.record({ at: fc.nat(12), keep: fc.infiniteStream(fc.boolean()) });
    fc.assert(
      fc.property(fc.array(crash, { minLength: 1, maxLength: 30 }), (crashes) => {
        const fake = new FailingDisk();
        let highest = 0;
        for (const { at, keep } of crashes) {
          fake.start(at, () => keep.next().value);
          try {
            const generation = claimGeneration(path, fake);
            // once there was one, null would be loss, and there is none here
            expect(generation).not.toBeNull();
            expect(generation!).toBeGreaterThan(highest);
            highest = generation!;
            fake.end();
          } catch (error) {
            if (!(error instanceof Crash)) throw error;
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it('gives different numbers to processes that start at the same time', async () => {
    const path = directory();
    const module = new URL('../../dist/control/generation.js', import.meta.url).href;
    const code = `import { claimGeneration } from ${JSON.stringify(module)};
      const until = Number(process.argv[2]); while (Date.now() < until);
      const mine = []; for (let i = 0; i < 50; i++) mine.push(claimGeneration(process.argv[1])); console.log(JSON.stringify(mine));`;
    const at = String(Date.now() + 1500);
    const outputs = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const child = spawn(process.execPath, ['--input-type=module', '-e', code, path, at], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        let text = '';
        for await (const chunk of child.stdout) text += chunk;
        return JSON.parse(text) as number[];
      }),
    );
    const all = outputs.flat();
    expect(all).toHaveLength(200);
    expect(new Set(all).size).toBe(200);
  }, 30_000);

  it('throws where it may not write', () => {
    const path = directory();
    writeFileSync(join(path, 'file'), '');
    expect(() => claimGeneration(join(path, 'file'))).toThrow(/EEXIST|ENOTDIR/);
  });
});

describe('epochOf', () => {
  it.each([
    [1, 0, 1],
    [4095, 0, 4095],
    [4096, 0, null],
    [5000, 4000, 1000],
    [5000, 5000, 0],
    [5000, 5001, null],
    [null, 0, null],
  ])('generation %s with base %s is epoch %s', (generation, base, epoch) => {
    expect(epochOf(generation, base)).toBe(epoch);
  });
});
