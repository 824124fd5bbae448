#!/usr/bin/env node
/**
 * Before a change: which flows move when a fifth gateway joins four, and what does a failure cost?
 *
 *   node examples/plan/add-a-gateway.mjs
 */
import { buildTable, FlowHasher, movement } from 'penstock';

const hasher = new FlowHasher('xxh64', 7);
const group = (count) => Array.from({ length: count }, (_, i) => ({ name: `gw${i + 1}` }));
const size = 65_536;

const four = buildTable({ members: group(4), hasher, size });
const changes = {
  'gw5 joins': buildTable({ members: group(5), hasher, size }),
  'gw5 joins, sticky': buildTable({ members: group(5), hasher, size, previous: four }),
  'gw2 fails': buildTable({ members: group(4), dead: ['gw2'], hasher, size }),
  'gw2 and gw3 fail': buildTable({ members: group(4), dead: ['gw2', 'gw3'], hasher, size }),
};

const share = (count) => `${((count / size) * 100).toFixed(2).padStart(6)} %`;
for (const [name, table] of Object.entries(changes)) {
  const { moved, unavoidable, excess } = movement(four, table);
  console.log(
    `${name.padEnd(18)} moved ${share(moved)}   unavoidable ${share(unavoidable)}   excess ${share(excess)}`,
  );
}
