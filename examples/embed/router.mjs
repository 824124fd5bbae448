#!/usr/bin/env node
/**
 * A router inside a program: started, asked, changed while it runs, stopped. Its ports write captures here, which needs no
 * privilege; with `af-packet: eth1` or `af-xdp: eth1` it forwards.
 *
 *   node examples/embed/router.mjs
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startNode } from 'penstock';

const directory = mkdtempSync(join(tmpdir(), 'penstock-'));
const read = (name) =>
  readFileSync(new URL(`../plan/${name}.yaml`, import.meta.url), 'utf8')
    .replace('host-name: tlb1', `host-name: tlb1, control-socket: ${join(directory, 'tlb1.sock')}`)
    .replace(/af-packet: (\w+)/g, (_, port) => `pcap: { write: ${join(directory, port)}.pcapng }`);

const node = await startNode(read('today'), { log: (line) => console.log(`node: ${line}`) });

const tomorrow = read('tomorrow');
for (const { group, moved } of node.apply(tomorrow, { dryRun: true }).groups)
  console.log(`group ${group}: ${(100 * moved).toFixed(1)} % of all flows would move`);
console.log(node.apply(tomorrow).outcome);
await node.stop();
rmSync(directory, { recursive: true });
