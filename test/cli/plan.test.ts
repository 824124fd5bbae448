import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { planCommand } from '../../dist/cli/plan.js';
import { aboveText } from '../../dist/cli/plan-json.js';
import { buildTable, type ChashTable } from '../../dist/lb/chash.js';
import { FlowHasher, slotOf } from '../../dist/lb/keys.js';
import { encodeEthernet } from '../../dist/wire/ethernet.js';
import { encodeIp } from '../../dist/wire/ip.js';
import { captureHeader, capturePacket } from '../../dist/wire/pcap.js';
import { directory, gateways, router } from './plan-samples.js';

const here = directory();
afterAll(() => here.remove());

here.file('one.yaml', router(gateways(1)));
here.file('four.yaml', router(gateways(4)));
here.file('five.yaml', router(gateways(5)));
here.file('renamed.yaml', router(gateways(5), { group: 'another' }));
here.file('rehashed.yaml', router(gateways(4), { seed: 8 }));
here.file('two-groups.yaml', router(gateways(4), { second: 'spare' }));
here.file('two-groups-more.yaml', router(gateways(5), { second: 'spare' }));
here.file('pair.yaml', router([{ name: 'gw1', weight: 3 }, { name: 'gw2' }]));

const hasher = new FlowHasher('xxh64', 7);
const table = (count: number, dead: string[] = [], size = 4096): ChashTable =>
  buildTable({ members: gateways(count), dead, hasher, size });

/** Who has a slot, by name. */
const holder = ({ members, slots }: ChashTable, slot: number) => members[slots[slot]!]?.name ?? null;
const holderOf = (of: ChashTable, address: readonly number[]) =>
  holder(of, slotOf(hasher.hash(Uint8Array.from(address)), of.slots.length));

/** Slot by slot, without what the program counts with. */
function slotMoves(before: ChashTable, after: ChashTable): Map<string, number> {
  const moves = new Map<string, number>();
  for (let slot = 0; slot < before.slots.length; slot++) {
    const from = holder(before, slot);
    const to = holder(after, slot);
    if (from !== to) moves.set(`${from} ${to}`, (moves.get(`${from} ${to}`) ?? 0) + 1);
  }
  return moves;
}

interface ColumnJson {
  kind: string;
  unit: string;
  total: number;
  moved: number;
  movedPercent: number;
  unavoidable: number;
  excess: number;
  movedOnce: number;
  imbalance: { before: number | null; after: number | null };
  members: { name: string | null; before: number; after: number }[];
  moves: { from: string; to: string; count: number }[];
  steps: ColumnJson[];
}
interface PlanJson {
  schemaVersion: number;
  flows: { name: string; records: number; rubbishLines: number; otherPackets: number } | null;
  groups: {
    group: string;
    rehashed: boolean;
    flowsElsewhere: number | null;
    heaviest: { name: string; bytes: number } | null;
    columns: ColumnJson[];
    models: { model: string; columns: ColumnJson[] }[];
    tables: { event: string; digest: string; slots: number; ineligible: string[] }[];
  }[];
  threshold: { ok: boolean; movedPercent: number } | null;
}

async function planned(...args: string[]): Promise<PlanJson> {
  const { status, stdout, stderr } = await here.run(planCommand, ...args, '--json');
  expect([status, stderr]).toEqual([0, '']);
  return JSON.parse(stdout) as PlanJson;
}
const column = (plan: PlanJson, kind: string) => plan.groups[0]!.columns.find((each) => each.kind === kind)!;
const movesOf = ({ moves }: ColumnJson) =>
  new Map(moves.map(({ from, to, count }) => [`${from} ${to}`, count]));

describe('penstock plan, slot by slot', () => {
  it('counts what moves between two configurations', async () => {
    const before = table(4);
    const after = table(5);
    const plan = await planned('four.yaml', 'five.yaml', '--slots', '4096');
    const slots = column(plan, 'slots');
    const expected = slotMoves(before, after);
    const toNew = [...expected].filter(([pair]) => pair.endsWith(' gw5')).reduce((sum, [, n]) => sum + n, 0);
    const moved = [...expected.values()].reduce((sum, count) => sum + count, 0);
    expect(movesOf(slots)).toEqual(expected);
    expect(slots).toMatchObject({
      unit: 'slots',
      total: 4096,
      moved,
      unavoidable: toNew,
      excess: moved - toNew,
    });
    expect(plan.groups[0]!.tables.map(({ digest }) => digest)).toEqual([before.digest, after.digest]);
  });

  it('counts each of several events, and what moved at all', async () => {
    const tables = [table(4), table(4, ['gw2']), table(4, ['gw2', 'gw3']), table(4, ['gw3'])];
    const slots = column(
      await planned('four.yaml', '--fail', 'gw2', '--fail', 'gw3', '--recover', 'gw2', '--slots', '4096'),
      'slots',
    );
    expect(slots.steps.map(movesOf)).toEqual([0, 1, 2].map((i) => slotMoves(tables[i]!, tables[i + 1]!)));
    expect(movesOf(slots)).toEqual(slotMoves(tables[0]!, tables[3]!));
    const ever = Array.from(
      { length: 4096 },
      (_, slot) => new Set(tables.map((each) => holder(each, slot))).size > 1,
    );
    expect(slots.movedOnce).toBe(ever.filter(Boolean).length);
    expect(slots.steps.map(({ excess }) => excess)).toEqual([0, 0, 0]);
  });

  it('drains, adds, removes and weighs in the order given', async () => {
    const events = ['--drain', 'gw1', '--add', 'gw9=2', '--remove', 'gw3', '--weight', 'gw2=3'];
    const plan = await planned('four.yaml', ...events, '--slots', '4096');
    const members = [
      { name: 'gw1' },
      { name: 'gw2', weight: 3 },
      { name: 'gw4' },
      { name: 'gw9', weight: 2 },
    ];
    const last = buildTable({ members, dead: ['gw1'], hasher, size: 4096 });
    expect(plan.groups[0]!.tables.at(-1)).toMatchObject({ digest: last.digest, ineligible: ['gw1'] });
    expect(plan.groups[0]!.tables.map(({ event }) => event)).toEqual([
      '',
      'drain gw1',
      'add gw9=2',
      'remove gw3',
      'weight gw2=3',
    ]);
    expect(movesOf(column(plan, 'slots'))).toEqual(slotMoves(table(4), last));
  });

  it('starts from the table before in sticky mode, where nothing moves but to who joins', async () => {
    const slots = column(await planned('four.yaml', '--add', 'gw5', '--sticky', '--slots', '4096'), 'slots');
    expect(slots.excess).toBe(0);
    expect(slots.moves.map(({ from, to }) => `${from} ${to}`).sort()).toEqual([
      'gw1 gw5',
      'gw2 gw5',
      'gw3 gw5',
      'gw4 gw5',
    ]);
  });

  it('says that a table of another size moves nearly everything, and what one size would', async () => {
    const { status, stdout } = await here.run(planCommand, 'four.yaml', 'five.yaml');
    expect(status).toBe(0);
    expect(stdout).toMatch(/1,024 → 2,048 slots\n {2}note: the table changes its size.*--slots 2048 shows/);
    const before = table(4, [], 1024);
    const after = table(5, [], 2048);
    const moved = Array.from(
      { length: 2048 },
      (_, slot) => holder(before, slot >> 1) !== holder(after, slot),
    );
    expect(column(await planned('four.yaml', 'five.yaml'), 'slots')).toMatchObject({
      total: 2048,
      moved: moved.filter(Boolean).length,
    });
  });

  it('takes the shares as chance has them when flows hash otherwise afterwards', async () => {
    const plan = await planned('four.yaml', 'rehashed.yaml', '--flows', 'uniform:1000');
    expect(plan.groups[0]!.rehashed).toBe(true);
    expect(plan.groups[0]!.columns.map(({ kind }) => kind)).toEqual(['slots']);
    expect(column(plan, 'slots').movedPercent).toBeCloseTo(75, 6);
  });

  it('plans the group that changed, or the one that is named', async () => {
    expect((await planned('four.yaml', 'renamed.yaml')).groups.map(({ group }) => group)).toEqual(['secgw']);
    expect(
      (await planned('two-groups.yaml', 'two-groups-more.yaml')).groups.map(({ group }) => group),
    ).toEqual(['secgw', 'spare']);
    expect(
      (await planned('two-groups.yaml', '--fail', 'gw2', '--group', 'spare')).groups.map(
        ({ group }) => group,
      ),
    ).toEqual(['spare']);
    expect(
      (await planned('two-groups.yaml', '--fail', 'gw2', '--group', 'vs1')).groups.map(({ group }) => group),
    ).toEqual(['secgw']);
  });
});

// 40 clients, some of which come twice; the last one has most of the bytes
const clients = Array.from({ length: 40 }, (_, i) => [10, 20, i >> 3, i * 5 + 1]);
const bytesOf = (i: number) => (i === 39 ? 910_000 : 1000 + i);
const totalBytes = clients.reduce((sum, _, i) => sum + bytesOf(i), 0);

function expectFlows(plan: PlanJson, before: ChashTable, after: ChashTable): void {
  const moved = clients.flatMap((client, i) =>
    holderOf(before, client) === holderOf(after, client) ? [] : [i],
  );
  const flows = column(plan, 'flows');
  const bytes = column(plan, 'bytes');
  expect(moved.length).toBeGreaterThan(3);
  expect(flows).toMatchObject({ total: 40, moved: moved.length });
  expect(bytes).toMatchObject({ total: totalBytes, moved: moved.reduce((sum, i) => sum + bytesOf(i), 0) });
  for (const { name, before: had, after: has } of flows.members) {
    expect([had, has]).toEqual([
      clients.filter((client) => holderOf(before, client) === name).length,
      clients.filter((client) => holderOf(after, client) === name).length,
    ]);
  }
  const largest = Math.max(...bytes.members.map(({ after: held }) => held));
  expect(bytes.imbalance.after).toBeCloseTo(
    (largest * (after.members.length - after.dead.size)) / totalBytes,
    9,
  );
}

describe('penstock plan --flows', () => {
  it('counts flows and bytes of a list, each flow once', async () => {
    const lines = clients.flatMap((client, i) => {
      const line = (bytes: number) => `${client.join('.')},10.0.0.1,udp,500,500,${bytes}`;
      return i % 2 === 0 ? [line(bytesOf(i))] : [line(bytesOf(i) - 100), line(100)];
    });
    here.file('flows.csv', `# busy hour\n${lines.join('\n')}\n`);
    const plan = await planned('four.yaml', '--fail', 'gw2', '--flows', 'flows.csv', '--slots', '4096');
    expect(plan.flows).toMatchObject({ name: 'flows.csv', records: 60, rubbishLines: 0 });
    expectFlows(plan, table(4), table(4, ['gw2']));
    expect(plan.groups[0]!.heaviest).toEqual({ name: '10.20.4.196', bytes: 910_000 });
    const { stdout } = await here.run(planCommand, 'four.yaml', '--fail', 'gw2', '--flows', 'flows.csv');
    expect(stdout).toContain('flows in flows.csv');
    expect(stdout).toMatch(/bytes: 10\.20\.4\.196 alone is 96 %/);
  });

  it('reads columns by their heading, and IPv6', async () => {
    here.file(
      'headed.csv',
      '"bytes","dst","src","proto"\r\n7,10.0.0.1,10.20.0.1,ESP\r\n8,2001:db8::1,2001:db8::2,50\r\n',
    );
    const plan = await planned('four.yaml', '--flows', 'headed.csv');
    // one of the two goes to the virtual service
    expect(column(plan, 'flows').total).toBe(1);
    expect(column(plan, 'bytes').total).toBe(7);
    expect(plan.groups[0]!.flowsElsewhere).toBe(1);
  });

  const packets = clients.flatMap((client, i) => {
    const ip = (payload: number, bytes = client) =>
      encodeIp(
        { source: Uint8Array.from(bytes), destination: Uint8Array.of(10, 0, 0, 1), protocol: 50 },
        new Uint8Array(payload),
      );
    const whole = Math.floor(bytesOf(i) / 60_000);
    const rest = bytesOf(i) - whole * 60_000;
    return [...Array.from({ length: whole }, () => ip(60_000 - 20)), ip(rest - 20)];
  });
  const frame = (ip: Uint8Array) =>
    encodeEthernet({ destination: new Uint8Array(6), source: new Uint8Array(6), type: 0x0800, vlan: 40 }, ip);
  const others = [
    encodeIp(
      { source: Uint8Array.of(10, 0, 0, 1), destination: Uint8Array.of(10, 20, 0, 1), protocol: 50 },
      new Uint8Array(30),
    ),
  ];
  const arp = encodeEthernet(
    { destination: new Uint8Array(6), source: new Uint8Array(6), type: 0x0806, vlan: 0 },
    new Uint8Array(28),
  );

  it('counts packets of a pcapng, by what their headers say, and leaves other addresses out', async () => {
    const blocks = [...packets.map(frame), ...others.map(frame), arp].map((data) =>
      capturePacket({ data, timeNs: 0n }),
    );
    here.file('hour.pcapng', Buffer.concat([captureHeader('ethernet', 'eth0'), ...blocks]));
    const { status, stdout, stderr } = await here.run(
      planCommand,
      'four.yaml',
      '--fail',
      'gw2',
      '--flows',
      'hour.pcapng',
      '--slots',
      '4096',
      '--json',
    );
    expect([status, stderr]).toEqual([0, 'penstock: hour.pcapng: 1 packets that are not IP are left out\n']);
    const plan = JSON.parse(stdout) as PlanJson;
    expectFlows(plan, table(4), table(4, ['gw2']));
    expect(plan.groups[0]!.flowsElsewhere).toBe(1);
  });

  it('counts packets of a pcap that were cut short', async () => {
    const header = Buffer.alloc(24);
    header.writeUInt32LE(0xa1b2c3d4, 0);
    header.writeUInt16LE(2, 4);
    header.writeUInt32LE(64, 16);
    header.writeUInt32LE(101, 20);
    const records = packets.map((packet) => {
      const record = Buffer.alloc(16 + 64);
      record.writeUInt32LE(64, 8);
      record.writeUInt32LE(packet.length, 12);
      record.set(packet.subarray(0, 64), 16);
      return record;
    });
    here.file('short.pcap', Buffer.concat([header, ...records]));
    expectFlows(
      await planned('four.yaml', '--fail', 'gw2', '--flows', 'short.pcap', '--slots', '4096'),
      table(4),
      table(4, ['gw2']),
    );
    here.file('broken.pcap', Buffer.concat([header, ...records]).subarray(0, -10));
    const { status, stderr } = await here.run(planCommand, 'four.yaml', '--flows', 'broken.pcap');
    expect([status, stderr]).toEqual([
      0,
      expect.stringMatching(
        /broken\.pcap: the capture is damaged, what comes before counts: offset \d+: .*inside a record/,
      ),
    ]);
  });

  it('counts the generated flows that TypeScript generates, too', async () => {
    // murmur3's finaliser, as native/core/chash/flow_source.cc has it
    const mix = (value: number) => {
      let x = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
      x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
      return (x ^ (x >>> 16)) >>> 0;
    };
    const address = (i: number, seed: number) => {
      const x = mix(i ^ mix(seed));
      return [x >>> 24, (x >>> 16) & 255, (x >>> 8) & 255, x & 255];
    };
    const before = table(4);
    const after = table(4, ['gw3']);
    const args = ['four.yaml', '--fail', 'gw3', '--slots', '4096', '--seed', '5', '--flows'];
    const uniform = Array.from({ length: 3000 }, (_, i) => address(i, 5));
    const zipf = await planned(...args, 'zipf:3000:1');
    const size = (i: number) => Math.floor((1500 * 3000) / (i + 1));
    const moved = uniform.flatMap((each, i) => (holderOf(before, each) === holderOf(after, each) ? [] : [i]));
    expect(column(await planned(...args, 'uniform:3000'), 'flows')).toMatchObject({
      total: 3000,
      moved: moved.length,
    });
    expect(column(zipf, 'flows')).toMatchObject({ total: 3000, moved: moved.length });
    expect(column(zipf, 'bytes').moved).toBe(moved.reduce((sum, i) => sum + size(i), 0));
    const subnet = Array.from({ length: 3000 }, (_, i) => [10, 20, (i % 1024) >> 8, i & 255]);
    const movedOfSubnet = subnet.filter((each) => holderOf(before, each) !== holderOf(after, each));
    expect(column(await planned(...args, 'subnet:10.20.0.0/22:3k'), 'flows').moved).toBe(
      movedOfSubnet.length,
    );
  });
});

it('calls no flow needlessly moved where no slot is', async () => {
  const flows = column(
    await planned('pair.yaml', '--weight', 'gw1=1', '--flows', 'uniform:500', '--seed', '5'),
    'flows',
  );
  expect(flows.moved).toBeGreaterThan(40);
  expect(flows).toMatchObject({ excess: 0, unavoidable: flows.moved });
});

describe('penstock plan, of a group that grows', () => {
  it('follows flows through tables of many sizes', async () => {
    const more = Array.from({ length: 32 }, (_, i) => ['--add', `more${i}`]).flat();
    const plan = await planned('one.yaml', ...more, '--flows', 'uniform:1000');
    // with those of the models more than eight
    expect(new Set(plan.groups[0]!.tables.map(({ slots }) => slots)).size).toBe(7);
    expect(column(plan, 'flows').members.reduce((sum, { after }) => sum + after, 0)).toBe(1000);
  });
});

describe('penstock plan --model', () => {
  it('compares with the usual ones in one line, or with those asked for', async () => {
    const { stdout } = await here.run(planCommand, 'four.yaml', '--fail', 'gw2');
    expect(stdout).toMatch(
      /^the same with what others run: {2}maglev \d+\.\d % {3}ring\(160\) \d+\.\d % {3}modulo \d+\.\d %$/m,
    );
    const plan = await planned(
      'four.yaml',
      '--add',
      'gw5',
      '--slots',
      '65536',
      '--model',
      'modulo',
      '--model',
      'jump',
    );
    const moved = plan.groups[0]!.models.map(({ model, columns }) => [model, columns[0]!.movedPercent]);
    // modulo keeps a flow with the chance of 1 in 5, jump moves just a fifth
    expect(moved).toEqual([
      ['modulo', expect.closeTo(80, 0)],
      ['jump', expect.closeTo(20, 0)],
    ]);
  });
});

it('has the figures of Maglev as others measured them', async () => {
  here.file('sixty-four.yaml', router(gateways(64)));
  const plan = await planned('sixty-four.yaml', '--fail', 'gw3', '--model', 'maglev', '--model', 'maglev-v2');
  for (const { columns } of plan.groups[0]!.models) {
    const { excess, total, imbalance } = columns[0]!;
    // 0.49 % of the table moves between members that live, and shares are within a thousandth
    expect((100 * excess) / total).toBeCloseTo(0.49, 0);
    expect((100 * excess) / total).toBeGreaterThan(0.3);
    expect(imbalance.after).toBeLessThan(1.002);
  }
});

describe('penstock plan, for a pipeline', () => {
  it('exits 99 when more moves than may', async () => {
    const { status, stdout } = here.penstock(
      'plan',
      'four.yaml',
      '--fail',
      'gw2',
      '--fail',
      'gw3',
      '--max-moved',
      '30%',
    );
    expect(status).toBe(99);
    expect(stdout).toMatch(/\nmoved 50\.0 % > 30 %\n$/);
    expect((await here.run(planCommand, 'four.yaml', '--fail', 'gw2', '--max-moved', '25')).status).toBe(0);
    const little = await here.run(planCommand, 'four.yaml', '--fail', 'gw2', '--max-moved', '24.99%');
    expect(little.stdout).toContain('moved 25.0 % > 24.99 %');
    expect([aboveText(33.34, 5), aboveText(20.1019, 20.1)]).toEqual(['33.3', '20.102']);
    const json = await here.run(planCommand, 'four.yaml', '--fail', 'gw2', '--max-moved', '24.9%', '--json');
    expect(json.status).toBe(99);
    expect((JSON.parse(json.stdout) as PlanJson).threshold).toEqual({
      ok: false,
      movedPercent: 25,
      maxMovedPercent: 24.9,
    });
  });

  it('ends with 130 when it is interrupted', async () => {
    const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
    const args = [program, 'plan', 'four.yaml', '--flows', 'uniform:4G', '--html', 'never.html'];
    const child = spawn(process.execPath, args, { cwd: here.path, stdio: 'ignore' });
    // again and again, since the first may come before anybody listens
    const timer = setInterval(() => child.kill('SIGINT'), 1500);
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
    clearInterval(timer);
    expect(code ?? signal).toSatisfy((how: number | string) => how === 130 || how === 'SIGINT');
    expect(existsSync(join(here.path, 'never.html'))).toBe(false);
  });

  it('writes a page that needs nothing else', async () => {
    expect(
      here.penstock(
        'plan',
        'four.yaml',
        'five.yaml',
        '--fail',
        'gw2',
        '--flows',
        'zipf:10k',
        '--html',
        'plan.html',
      ).status,
    ).toBe(0);
    const page = readFileSync(join(here.path, 'plan.html'), 'utf8');
    expect(page).toMatch(/^<!doctype html>/);
    expect(page).not.toMatch(/https?:|src=|<script|@import|url\(/);
    expect(page.match(/<svg /g)!.length).toBeGreaterThanOrEqual(7);
    expect(page).toContain('<title>gw5, after: ');
  });
});

describe('what penstock plan refuses', () => {
  here.file('empty.pcap', new Uint8Array(0));
  here.file(
    'empty2.pcap',
    Buffer.from('d4c3b2a1020004000000000000000000000004000100000000', 'hex').subarray(0, 24),
  );
  here.file('rubbish.csv', 'hello\n1,2,3\n10.0.0.1,10.0.0.2,warp,1,2\nfour\n');
  here.file('300.yaml', router(gateways(300)));
  here.file('duplicate.yaml', router([...gateways(3), { name: 'gw2' }]));
  here.file('negative.yaml', router([{ name: 'gw1', weight: -1 }]));
  here.file('none.yaml', 'system: { host-name: x }\n');

  it.each([
    [['four.yaml', '--fail', 'gv2'], 2, 'no member gv2 in group secgw; did you mean gw2?'],
    [['four.yaml', '--fail', 'zebra9'], 2, 'no member zebra9 in group secgw; it has gw1, gw2, gw3, gw4'],
    [['four.yaml', '--fail', 'gw2', '--fail', 'gw2'], 2, '--fail gw2: it has failed already'],
    [['four.yaml', '--recover', 'gw2'], 2, '--recover gw2: it has not failed, and is not drained'],
    [['four.yaml', '--add', 'gw2'], 2, '--add gw2: it is in group secgw already'],
    [
      ['four.yaml', '--weight', 'gw2=-1'],
      2,
      '--weight gw2=-1: weight -1 is not a whole number from 1 to 1000',
    ],
    [['four.yaml', '--weight', 'gw2'], 2, '--weight gw2: write --weight NAME=WEIGHT'],
    [['four.yaml', '--add', '<b>'], 2, '--add <b>: write --add NAME or NAME=WEIGHT'],
    [['four.yaml', '--max-moved', '500%'], 2, '--max-moved 500%: write a percentage from 0 to 100'],
    [['-', '-'], 2, 'standard input is read once: name a file for the others'],
    [['-', '--flows', '-'], 2, 'standard input is read once: name a file for the others'],
    [['four.yaml', '--max-moved', 'five'], 2, '--max-moved five: write a percentage from 0 to 100'],
    [['four.yaml', '--model', 'maglv'], 2, '--model maglv: no such model; did you mean maglev?'],
    [['four.yaml', '--group', 'secgv'], 2, '--group secgv: no such group; did you mean secgw?'],
    [['two-groups.yaml', '--fail', 'gw2'], 2, 'which group is meant? write --group with one of secgw, spare'],
    [['four.yaml', '--flows', 'uniform'], 2, 'write a pcap, pcapng or CSV file, uniform:N'],
    [['four.yaml', '--flows', 'uniform:5000M'], 2, '5000M is not a number of flows from 1 to 2^32'],
    [['four.yaml', '--flows', 'zipf:10:-1'], 2, 'the exponent is a number from 0 to 4'],
    [['four.yaml', '--flows', 'subnet:10.0.0.0/33:9'], 2, '10.0.0.0/33 is not a prefix'],
    [['four.yaml', '--flows', 'gone.pcap'], 1, 'gone.pcap: cannot be read: there is no such file'],
    [['four.yaml', '--flows', 'empty.pcap'], 1, 'empty.pcap: there is no flow in it'],
    [['four.yaml', '--flows', 'empty2.pcap'], 1, 'empty2.pcap: there is no packet in it'],
    [['four.yaml', '--flows', 'rubbish.csv'], 1, 'rubbish.csv: none of its 4 lines is a flow'],
    [['gone.yaml'], 4, 'gone.yaml: cannot be read: there is no such file'],
    [['four.yaml', 'gone.yaml'], 4, 'gone.yaml: cannot be read'],
    [['300.yaml'], 4, '300 real services; a group has at most 256'],
    [['duplicate.yaml'], 4, 'gw2'],
    [['negative.yaml'], 4, 'weight'],
    [['none.yaml'], 2, 'the configuration has no group that flows are shared out to'],
    [
      ['four.yaml', '--fail', 'gw1', '--html', 'no/such/place.html'],
      1,
      'no/such/place.html: cannot be written',
    ],
    [[], 2, ''],
  ] as const)('%j', async (args, status, message) => {
    const result = await here.run(planCommand, ...args);
    expect([result.status, result.stdout]).toEqual([status, '']);
    expect(result.stderr).toContain(message);
  });

  it('counts lines that are no flows, and shows the first three', async () => {
    const good = '10.20.0.1,10.0.0.1,udp,500,500';
    here.file(
      'mixed.csv',
      `${good}\nx\n10.20.0.2,10.0.0.1,tcp,70000,1\n\n${good},-5\n10.20.0.3,2001:db8::1,6,1,2\n${'y'.repeat(9000)}\n10.20.0.4,10.0.0.1,6,1,2\n`,
    );
    const { status, stdout, stderr } = await here.run(
      planCommand,
      'four.yaml',
      '--flows',
      'mixed.csv',
      '--json',
    );
    expect(status).toBe(0);
    expect(stderr.split('\n')).toEqual([
      'penstock: mixed.csv: 5 lines are no flows and left out:',
      'penstock:   line 2: x is no source address',
      'penstock:   line 3: 70000 is no port',
      'penstock:   line 5: -5 is no number of bytes',
      '',
    ]);
    const plan = JSON.parse(stdout) as PlanJson;
    expect(plan.flows).toMatchObject({ records: 2, rubbishLines: 5 });
    expect(column(plan, 'flows').total).toBe(2);
  });
});
