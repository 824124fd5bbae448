import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { markdown, parse, typescript } from '../../scripts/generate-counters.mjs';

const script = new URL('../../scripts/generate-counters.mjs', import.meta.url).pathname;

describe('generate-counters', () => {
  it('was run after the last change of counters.def', () => {
    expect(() => execFileSync(process.execPath, [script, '--check'], { stdio: 'pipe' })).not.toThrow();
  });

  it('reads counters and drops in order, strings of several pieces and comments', () => {
    const source = [
      '#define DROP(name, words, meaning)',
      '// COUNTER(not_me, packets, "a comment")',
      'COUNTER(rx_bytes, bytes, "with the "',
      '        "header")',
      'DROP(no_route, "No route", "it\'s \\"gone\\" | away")',
    ].join('\n');
    const counters = parse(source);
    expect(counters).toEqual([
      { name: 'rx_bytes', unit: 'bytes', words: 'rx bytes', meaning: 'with the header', isDrop: false },
      { name: 'no_route', unit: 'packets', words: 'No route', meaning: 'it\'s "gone" | away', isDrop: true },
    ]);
    expect(typescript(counters)).toContain('  rxBytes: 0,\n  noRoute: 1,\n');
    expect(markdown(counters)).toContain('| `no_route` | No route | it\'s "gone" \\| away |');
  });

  it('names the line that it cannot read', () => {
    expect(() => parse('\nCOUNTER(x, packets, missing quotes)')).toThrow(
      /^native\/counters\.def:2: not COUNTER/,
    );
    const twice = 'COUNTER(x, packets, "a")\nDROP(x, "b", "c")';
    expect(() => parse(twice)).toThrow('native/counters.def:2: x is declared twice');
  });
});
