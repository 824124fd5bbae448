#!/usr/bin/env node
/**
 * Writes the JSON Schemas from what is compiled: docs/penstock.schema.json of configurations (src/config/schema.ts) and
 * docs/scenario.schema.json of scenarios (src/emulator/scenario-file.ts).
 *
 *   node scripts/generate-schema.mjs            writes what is stale
 *   node scripts/generate-schema.mjs --check    writes nothing; exit 1 when something is stale
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { jsonSchema } from '../dist/config/json-schema.js';
import { scenarioJsonSchema } from '../dist/emulator/scenario-file.js';
import { root } from './support.mjs';

const files = [
  ['docs/penstock.schema.json', 'src/config/schema.ts', jsonSchema()],
  ['docs/scenario.schema.json', 'src/emulator/scenario-file.ts', scenarioJsonSchema()],
];
for (const [file, source, schema] of files) {
  const wanted = `${JSON.stringify(schema, null, 2)}\n`;
  const present = existsSync(join(root, file)) ? readFileSync(join(root, file), 'utf8') : '';
  if (present === wanted) continue;
  if (process.argv.includes('--check')) {
    console.error(`${file} is not what ${source} says: run node scripts/generate-schema.mjs`);
    process.exitCode = 1;
  } else {
    writeFileSync(join(root, file), wanted);
  }
}
