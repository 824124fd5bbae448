/** What `penstock demo` prints, line by line. Pure. */
import type { MainJobEvent, MainJobOptions, MainJobResult, Sample } from '../emulator/main-job-types.js';
import { counters } from '../pipeline/counters.js';
import type { Output } from './output.js';

const kernelNames: Readonly<Record<string, string>> = {
  vaes512: 'VAES-512',
  vaes256: 'VAES-256',
  aesni: 'AES-NI',
  portable: 'portable AES',
};

const grouped = (value: number) => value.toLocaleString('en-US');
const plural = (count: number, what: string) => `${grouped(count)} ${what}${count === 1 ? '' : 's'}`;
const gatewayNames = (count: number) => Array.from({ length: count }, (_, i) => `gw${i + 1}`);
/** more columns than this are no table any more */
const mostGatewayColumns = 8;

const shownGateways = (count: number) => (count <= mostGatewayColumns ? gatewayNames(count) : []);

export function headLines(options: MainJobOptions, kernel: string): string[] {
  const { tunnels, flows, gateways, workers, size } = options;
  const names = gateways <= mostGatewayColumns ? gatewayNames(gateways).join(' ') : `gw1 … gw${gateways}`;
  const traffic = size === null ? 'SECGW-IMIX' : `${grouped(size)} bytes`;
  const head = [
    plural(tunnels, 'tunnel'),
    plural(flows, 'flow'),
    traffic,
    'AES-256-GCM',
    `router tlb1 → ${names}`,
    `${plural(workers, 'worker')} (${kernelNames[kernel] ?? kernel})`,
  ];
  const columns = [
    'time'.padStart(7),
    'inner'.padStart(9),
    'packets'.padStart(9),
    'p50'.padStart(8),
    'p99'.padStart(9),
  ];
  columns.push(
    ...shownGateways(gateways).map((name) => name.padStart(5)),
    'lost'.padStart(9),
    'wrong'.padStart(5),
  );
  return [`penstock demo: ${head.join(' · ')}`, '', columns.join('  ')];
}

const at = (seconds: number) => `${seconds.toFixed(1)} s`.padStart(7);

function microseconds(us: number | null): string {
  if (us === null) return '–';
  return us < 10_000 ? `${us < 10 ? us.toFixed(1) : Math.round(us)} µs` : `${Math.round(us / 1000)} ms`;
}

function sampleLine(sample: Sample, gateways: number): string {
  const { atSeconds, gbps, mpps, p50Us, p99Us, shares, lost, mismatched } = sample;
  const share = (value: number | null | undefined) => (value == null ? '–' : `${Math.round(value * 100)} %`);
  return [
    at(atSeconds),
    `${gbps.toFixed(gbps < 10 ? 2 : 1)} Gb/s`.padStart(9),
    `${mpps.toFixed(2)} M/s`.padStart(9),
    microseconds(p50Us).padStart(8),
    microseconds(p99Us).padStart(9),
    ...shownGateways(gateways).map((name) => share(shares[name]).padStart(5)),
    grouped(lost).padStart(9),
    grouped(mismatched).padStart(5),
  ].join('  ');
}

export function eventLines(event: MainJobEvent, { gateways }: MainJobOptions): string[] {
  switch (event.kind) {
    case 'started':
      return [];
    case 'sample':
      return [sampleLine(event.sample, gateways)];
    case 'stopped': {
      const { atSeconds, gateway, slots, rehomed, others } = event;
      const moved = `${grouped(rehomed)} of ${grouped(slots)} slots re-homed, ${grouped(others)} others moved`;
      return [`${at(atSeconds)}  ${gateway} stopped: ${moved}`];
    }
    case 'returned': {
      const { atSeconds, gateway, slots, rehomed, identical } = event;
      const table = identical ? 'the table is the first one again' : 'the table is not the first one';
      return [
        `${at(atSeconds)}  ${gateway} is back: ${grouped(rehomed)} of ${grouped(slots)} slots returned, ${table}`,
      ];
    }
    case 'rekeyed': {
      const { atSeconds, tunnels, tookMs, why } = event;
      const where = why === 'moved' ? 'on the gateways that have them now' : 'on the one they returned to';
      return [
        `${at(atSeconds)}  ${plural(tunnels, 'tunnel')} re-keyed ${where}, in ${Math.round(tookMs)} ms`,
      ];
    }
  }
}

export function resultLines(result: MainJobResult, colours: Output['colours']): string[] {
  const { sent, delivered, lost, mismatched, dropsByReason, gbps, mpps, latencyUs, movedByFailure } = result;
  const drops = Object.entries(dropsByReason).map(([name, count]) => `${nameOf(name)} ${grouped(count)}`);
  const why =
    lost === 0
      ? ''
      : `, by gw2 when it stopped and by its tunnels until they were re-keyed (${drops.join(', ')})`;
  const good = result.violations.length === 0;
  const total = `delivered ${grouped(delivered)} of ${grouped(sent)} · lost ${grouped(lost)}${why} · wrong ${grouped(mismatched)}`;
  const latency = `p50 ${microseconds(latencyUs.p50)}, p99 ${microseconds(latencyUs.p99)}`;
  const shares = Object.entries(result.shares).map(
    ([name, share]) => `${name} ${(share * 100).toFixed(1)} %`,
  );
  const { slots, unavoidable, excess, tunnels, flows } = movedByFailure;
  const percent = slots === 0 ? 0 : (unavoidable / slots) * 100;
  const moved = `moved by the failure: ${percent.toFixed(1)} % of slots (${plural(tunnels, 'tunnel')}, ${plural(flows, 'flow')}), excess ${excess}`;
  return [
    '',
    good ? colours.green(total) : colours.red(total),
    `${gbps.toFixed(2)} Gb/s and ${mpps.toFixed(2)} M packets/s of inner traffic, both directions · ${latency} one way`,
    `shares ${shares.length <= mostGatewayColumns ? shares.join(', ') : `${shares[0]} … ${shares.at(-1)}`}`,
    moved,
    `${plural(result.tunnelsRekeyed, 'tunnel')} re-keyed · ${grouped(result.nonces.seen)} nonces seen, ${grouped(result.nonces.repeated)} twice · ${result.memoryMegabytes} MB`,
    ...(good && !result.interrupted
      ? [
          'Next: penstock check FILE (is a configuration right) · penstock run FILE (a node on real ports) · examples/netns',
        ]
      : []),
  ];
}

/** As in counters.def, with hyphens: what show and metrics call it. */
function nameOf(camelName: string): string {
  const found = counters.find((counter) => counter.camelName === camelName);
  return (found?.name ?? camelName).replaceAll('_', '-');
}

/** The JSON object, numbers rounded to what they mean. */
export function demoResult(result: MainJobResult): object {
  const rounded = (value: number, digits: number) => Number(value.toFixed(digits));
  return {
    ...result,
    seconds: rounded(result.seconds, 3),
    gbps: rounded(result.gbps, 3),
    mpps: rounded(result.mpps, 4),
    shares: Object.fromEntries(
      Object.entries(result.shares).map(([name, share]) => [name, rounded(share, 4)]),
    ),
  };
}
