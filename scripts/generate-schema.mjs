#!/usr/bin/env node
/**
 * Writes docs/penstock.schema.json, the JSON Schema of configurations, from the compiled src/config/schema.ts.
 *
 *   node scripts/generate-schema.mjs            writes it when it is stale
 *   node scripts/generate-schema.mjs --check    writes nothing; exit 1 when it is stale
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { jsonSchema } from '../dist/config/json-schema.js';
import { root } from './support.mjs';

const file = 'docs/penstock.schema.json';
const wanted = `${JSON.stringify(jsonSchema(), null, 2)}\n`;
const present = existsSync(join(root, file)) ? readFileSync(join(root, file), 'utf8') : '';
if (present !== wanted) {
  if (process.argv.includes('--check')) {
    console.error(`${file} is not what src/config/schema.ts says: run node scripts/generate-schema.mjs`);
    process.exitCode = 1;
  } else {
    writeFileSync(join(root, file), wanted);
  }
}
