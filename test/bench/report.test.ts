import { describe, expect, it } from 'vitest';
import { compare } from '../../dist/bench/compare.js';
import type { Environment } from '../../dist/bench/environment.js';
import { environmentLine, html, markdown } from '../../dist/bench/report.js';
import { quantile, type Series, summarise } from '../../dist/bench/series.js';
import { judge, parseThreshold } from '../../dist/bench/threshold.js';

const rate: Series = {
  id: 'esp.inbound.imix',
  unit: 'Gbit/s',
  ours: [20, 24, 22, 30, 21],
  peers: { kernel: [40, 60, 44, 60, 63] },
  cyclesPerPacket: [500, 510, 490],
};
const time: Series = {
  id: 'router.v4.64',
  unit: 'ns/packet',
  ours: [30, 31, 32],
  peers: { other: [60, 62, 64] },
};

const quiet: Environment = {
  cpu: 'A <CPU>',
  cpus: 2,
  isa: 'vaes512',
  isas: ['vaes512', 'portable'],
  kernel: '6.1',
  governor: 'none',
  loadBefore: 0.1,
  loadAfter: 1,
  othersBusy: 0,
  stolen: 0,
  isLoaded: false,
  commit: 'abcdef0',
  node: 'v20',
  date: '2026-01-02T03:04:05.000Z',
};

describe('a summary', () => {
  it('is the median, with the middle half as its spread', () => {
    const result = summarise(rate, false);
    expect(result.ours).toBe(22);
    expect(result.spread).toEqual({ median: 22, low: 21, high: 24 });
    expect(result.cyclesPerPacket).toBe(500);
    expect(result.rounds).toBe(5);
  });

  it('shows everything from least to most when the machine was loaded', () => {
    expect(summarise(rate, true).spread).toEqual({ median: 22, low: 20, high: 30 });
  });

  it('compares round by round, so that what slows both counts for neither', () => {
    // 20/40, 24/60, 22/44, 30/60, 21/63
    expect(summarise(rate, false).ratio['kernel']).toEqual({ median: 0.5, low: 0.4, high: 0.5 });
  });

  it('says how many times better, also where less is better', () => {
    expect(summarise(time, false).ratio['other']?.median).toBe(2);
  });

  it('says when rounds found nothing, and makes no figure of them', () => {
    const some = summarise({ ...time, ours: [30, null, 32], peers: { other: [60, 62, null] } }, false);
    expect([some.ours, some.none, some.peers['other'], some.ratio['other']?.median]).toEqual([31, 1, 61, 2]);
    const none = summarise({ ...time, ours: [null, null, null], peers: { other: [60, 62, 64] } }, false);
    expect([none.ours, none.spread, none.peers, none.ratio]).toEqual([null, null, { other: 62 }, {}]);
    expect(JSON.parse(JSON.stringify(none)).ours).toBeNull();
    const text = (result: typeof none) => markdown(quiet, [{ title: '', method: '', results: [result] }]);
    expect(text(some)).toContain('no loss-free rate found in 1 of 3 rounds');
    expect(text(none)).toContain(
      '| router.v4.64 | none |  | ns/packet |  | other 62.0, no loss-free rate found |  |',
    );
    expect(html(quiet, [{ title: '', method: '', results: [none] }])).toContain('penstock none');
    expect(judge([parseThreshold('router.v4.64<=1000')], [none])[0]?.holds).toBe(false);
    expect(judge([parseThreshold('router.v4.64<=1000')], [some])[0]?.holds).toBe(true);
  });

  it('interpolates quantiles', () => {
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5);
    expect(quantile([7], 0.25)).toBe(7);
  });
});

describe('a threshold', () => {
  const results = [summarise(rate, false), summarise(time, false)];
  const verdicts = (text: string) => judge([parseThreshold(text)], results);

  it.each([
    ['esp.inbound.imix>21.9', true],
    ['esp.inbound.imix>22', false],
    ['esp.inbound.imix>=22', true],
    ['esp.gbps>20', true],
    ['esp>23', false],
    ['router.v4.64<=31', true],
    ['router.v4.64.ratio.other>=2', true],
    ['router.v4.64.ratio.other>2', false],
  ])('%s holds: %s', (text, holds) => {
    expect(verdicts(text).map((verdict) => verdict.holds)).toEqual([holds]);
  });

  it('that means no result is an error, not a success', () => {
    expect(() => verdicts('esp.outbound.imix>1')).toThrow('no result has this id');
    expect(() => verdicts('router.v4.64.ratio.nobody>1')).toThrow(RangeError);
  });

  it.each(['esp.gbps', '>5', 'esp.gbps>fast', 'esp.gbps=5'])('%s is refused with what to write', (text) => {
    expect(() => parseThreshold(text)).toThrow(/write ID>NUMBER/);
  });
});

describe('a comparison of two reports', () => {
  it('tells a change from noise by the spreads, and which way is better by the unit', () => {
    const report = (...series: Series[]) => ({
      environment: quiet,
      results: series.map((one) => summarise(one, false)),
    });
    const after: Series[] = [
      { ...rate, ours: [21, 23, 24, 22, 23] },
      { ...time, ours: [15, 15.5, 16] },
      { ...time, id: 'router.v6.64' },
    ];
    const changes = compare(report(rate, time), report(...after));
    expect(changes.map(({ id, isClear }) => [id, isClear])).toEqual([
      ['esp.inbound.imix', false],
      ['router.v4.64', true],
    ]);
    expect(changes[1]?.times).toBe(2);
  });
});

describe('a report', () => {
  const sections = [{ title: 'A & B', method: 'How <so>.', results: [summarise(rate, false)] }];

  it('names the machine, and says it when somebody else was busy', () => {
    expect(environmentLine(quiet)).toContain('± is the middle half');
    const loaded = environmentLine({ ...quiet, othersBusy: 0.8, isLoaded: true });
    expect(loaded).toContain('others 0.80');
    expect(loaded).toContain('LOADED');
  });

  it('is a table in Markdown', () => {
    const lines = markdown(quiet, sections).split('\n');
    expect(lines[2]).toContain('2026-01-02');
    expect(lines).toContain(
      '| esp.inbound.imix | 22.0 | 1.50 | Gbit/s | 500 /packet | kernel 60.0 | 0.50 ±0.05 |',
    );
  });

  it('is one page that asks nothing of the network and escapes what it is given', () => {
    const page = html(quiet, sections);
    expect(page).toContain('A &lt;CPU&gt;');
    expect(page).toContain('How &lt;so&gt;.');
    expect(page).toContain('<svg');
    expect(page).not.toMatch(/<script|https?:|src=/);
  });
});
