#!/usr/bin/env node
// Writes icd-golden.json: the decision tables of src/ha/icd.ts, which native code looks up, and payloads of the
// inter-chassis datapath whose tags OpenSSL has made. Expects dist/.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { decisionTable } from '../../dist/ha/icd.js';

const hex = (bytes) => Buffer.from(bytes).toString('hex');
const key = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex');

const payloads = [0, 1, 7, 8, 20, 61, 1400].map((length, i) => {
  const packet = Buffer.from(Array.from({ length }, (_, at) => (at * 31 + length) & 255));
  const header = { piece: i % 2, nodeId: 1 + i, zone: (0xfffff * (i + 1)) % 0x100000, routingInstance: i * 70_001 };
  const names = BigInt(header.zone) * 0x100000n + BigInt(header.routingInstance);
  const head = Buffer.from(
    ((BigInt((1 << 5) | (header.piece << 4) | header.nodeId) << 40n) | names).toString(16).padStart(12, '0'),
    'hex',
  );
  const size = Buffer.alloc(2);
  size.writeUInt16BE(length);
  const mac = execFileSync(
    'openssl',
    ['mac', '-binary', '-macopt', `hexkey:${hex(key)}`, '-macopt', 'size:8', '-in', '-', 'SIPHASH'],
    { input: Buffer.concat([head, size, packet]) },
  );
  // OpenSSL gives the word in little-endian order
  const tag = Buffer.from(mac).reverse().subarray(2);
  return { ...header, packet: hex(packet), bytes: hex(Buffer.concat([head, tag, packet])) };
});

const tables = Object.fromEntries(
  ['none', 'up', 'down', 'alone'].map((icd) => [icd, hex(decisionTable(icd))]),
);
writeFileSync(
  new URL('icd-golden.json', import.meta.url),
  `${JSON.stringify({ key: hex(key), payloads, tables }, null, 1)}\n`,
);
