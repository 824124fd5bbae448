import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkConfig } from '../../dist/config/load.js';
import { problemText } from '../../dist/config/problem.js';
import { schema } from '../../dist/config/schema.js';

const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');

interface Def {
  readonly innerType?: { readonly def: Def };
  readonly element?: { readonly def: Def };
  readonly valueType?: { readonly def: Def };
  readonly shape?: Readonly<Record<string, { readonly def: Def }>>;
}

function keysOf(def: Def): string[] {
  const below = [def.innerType, def.element, def.valueType].flatMap((type) =>
    type === undefined ? [] : keysOf(type.def),
  );
  return [...below, ...Object.entries(def.shape ?? {}).flatMap(([key, type]) => [key, ...keysOf(type.def)])];
}

describe('docs/configuration.md', () => {
  it('has every key', () => {
    const keys = [...new Set(keysOf(schema.def as unknown as Def))];
    expect(keys.length).toBeGreaterThan(80);
    expect(keys.filter((key) => !new RegExp(`(?<![\\w-])${key}(?![\\w-])`).test(page))).toEqual([]);
  });

  it.each(
    [...page.matchAll(/```yaml\n# (\S+)\n[\s\S]*?```/g)].map((match) => [match[1]!, match[0]!] as const),
  )('has a configuration %s without a problem', (name, block) => {
    const text = block.replace(/^```yaml\n|```$/g, '');
    const { problems } = checkConfig(text, name, {
      readFile: () => '',
      variable: (variable) => Buffer.from(variable.padEnd(36)).toString('hex'),
    });
    expect(problems.map(problemText)).toEqual([]);
  });
});
