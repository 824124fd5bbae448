import { describe, expect, it } from 'vitest';
import { createOutput, jsonText, tableText } from '../../dist/cli/output.js';

function recorder(isTTY: boolean) {
  const written: string[] = [];
  return { isTTY, written, write: (text: string) => written.push(text) };
}

describe('output', () => {
  it.each<[boolean, Record<string, string>, boolean]>([
    [true, {}, true],
    [true, { NO_COLOR: '' }, true],
    [true, { NO_COLOR: '0' }, false],
    [true, { TERM: 'dumb' }, false],
    [false, {}, false],
    [false, { FORCE_COLOR: '1' }, false],
  ])('terminal %s with %j: colour %s', (isTTY, env, expected) => {
    const { colours } = createOutput(recorder(isTTY), recorder(isTTY), env);
    expect(colours.red('x') !== 'x').toBe(expected);
  });

  it('puts data on standard output and messages on standard error', () => {
    const [stdout, stderr] = [recorder(false), recorder(false)];
    const output = createOutput(stdout, stderr, {});
    output.data('a row');
    output.json({ packets: 3n });
    output.message('a word');
    expect(stdout.written).toEqual(['a row\n', '{"schemaVersion":1,"packets":3}\n']);
    expect(stderr.written).toEqual(['penstock: a word\n']);
  });

  it('writes bigints as numbers where they fit', () => {
    expect(jsonText({ a: 2n ** 53n - 1n, b: 2n ** 64n - 1n })).toBe(
      '{"a":9007199254740991,"b":"18446744073709551615"}',
    );
  });

  it('lays out a table', () => {
    const columns = [{ head: 'Real service' }, { head: 'Packets', align: 'right' as const }];
    expect(
      tableText(columns, [
        ['SRX1', 7],
        ['SRX2', 12345678],
      ]),
    ).toBe('Real service   Packets\nSRX1                 7\nSRX2          12345678');
  });
});
