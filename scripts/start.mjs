#!/usr/bin/env node
/** `npm start`: sets up, then runs the main job, `penstock demo`, with the arguments given. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setupOrSay } from './setup.mjs';
import { root } from './support.mjs';

if (!(await setupOrSay())) process.exit(1);
process.removeAllListeners('SIGINT').removeAllListeners('SIGTERM').removeAllListeners('SIGHUP');
const demo = spawn(process.execPath, [join(root, 'dist/cli/main.js'), 'demo', ...process.argv.slice(2)], {
  stdio: 'inherit',
});
// a terminal sends SIGINT to both; the demo ends by itself, and what it says is what we say
process.on('SIGINT', () => {});
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => demo.kill(signal));
demo.on('error', (error) => {
  process.stderr.write(`penstock: ${error.message}\n`);
  process.exitCode = 1;
});
demo.on('close', (code, signal) => {
  if (signal !== null) process.stderr.write(`penstock: the demo was ended by ${signal}\n`);
  process.exitCode = code ?? 1;
});
