/**
 * Health checks for an embedded load balancer: probes its members through the host's sockets and says to it who is up.
 * The steps, retries and jitter are those of a node's network-monitoring profiles (lb/health/check.ts).
 */

import { parseAddress } from '../config/address.js';
import type { ProbeConfig } from '../config/config.js';
import type { LoadBalancer } from '../lb/load-balancer.js';
import type { ActiveProbe, WantedCheck } from '../node/health.js';
import type { CheckFunction } from './probe/custom.js';
import { HostNetwork } from './probe/host-network.js';
import { HealthMonitor } from './probe/monitor.js';
import { NetworkProber } from './probe/prober.js';
import { processTimers } from './timers.js';

/** What is asked of a member. `port` comes with its target, where that says one. */
export type HealthCheck =
  | { readonly kind: 'tcp'; readonly port?: number }
  | {
      readonly kind: 'http' | 'https';
      readonly port?: number;
      /** default GET */
      readonly method?: 'GET' | 'HEAD' | 'OPTIONS';
      /** default / */
      readonly url?: string;
      /** default the member's address */
      readonly hostName?: string;
      /** ranges, ends included; default [[200, 299]] */
      readonly statusCodes?: readonly (readonly [number, number])[];
      /** a text that the body must hold */
      readonly bodyMatch?: string;
    }
  | { readonly kind: 'ssl-hello'; readonly port?: number; readonly hostName?: string }
  | {
      readonly kind: 'udp';
      readonly port?: number;
      readonly send: Uint8Array;
      /** bytes that the answer must hold; left out: any answer will do */
      readonly expect?: Uint8Array;
    }
  | { readonly kind: 'command'; readonly command: readonly string[] }
  /** Returns or resolves when the member is well; throws or rejects, with a message, when it is not. */
  | CheckFunction;

export interface WatchHealthOptions {
  readonly check: HealthCheck;
  /** Where a member is asked: '10.0.0.1', '10.0.0.1:8080', '2001:db8::1' or '[2001:db8::1]:8080'; undefined: it is not. */
  readonly target: (member: string) => string | undefined;
  /** Default 5,000. */
  readonly intervalMs?: number;
  /** After which a probe counts as lost; at most the interval, which is the default. */
  readonly timeoutMs?: number;
  /** A part of the interval, below 1, up to which each probe is sent earlier or later; default 0.1. */
  readonly jitter?: number;
  /** Probes lost in a row before a member is down; default 5. */
  readonly failureRetries?: number;
  /** Probes answered in a row before it is up again; default 3. */
  readonly recoveryRetries?: number;
}

/** What is known of one member's check. */
export interface MemberHealth {
  /** null: nothing yet; the balancer takes the member as it was */
  readonly up: boolean | null;
  readonly sent: number;
  readonly failed: number;
  /** of the last answer */
  readonly roundTripMs: number | null;
  /** why the last probe failed; '' when it did not */
  readonly message: string;
}

export interface HealthWatch {
  of(member: string): MemberHealth | undefined;
  /** Ends every probe under way; the balancer stays as it is. */
  stop(): void;
}

const functionName = 'check';

/** Starts at once. It keeps no process alive. Throws RangeError for a target or a number that cannot be. */
export function watchHealth(balancer: LoadBalancer, options: WatchHealthOptions): HealthWatch {
  const { check } = options;
  const settings = settingsOf(options);
  const functions = new Map(typeof check === 'function' ? [[functionName, check]] : []);
  const monitor = new HealthMonitor({
    prober: new NetworkProber(new HostNetwork(), functions),
    timers: processTimers,
    nowMs: () => performance.now(),
    random: Math.random,
    onChange: (changes) => {
      for (const { service, up, message } of changes) {
        if (!watched.has(service)) continue;
        if (up) balancer.setUp(service);
        else balancer.setDown(service, message);
      }
    },
  });
  let watched = new Set<string>();
  const look = () => {
    const names = balancer.members.map(({ name }) => name);
    if (names.length === watched.size && names.every((name) => watched.has(name))) return;
    watched = new Set(names);
    monitor.configure(names.flatMap((name) => wantedCheck(name, options.target(name), check, settings)));
  };
  look();
  balancer.on('change', look);
  return {
    of: (member) => {
      const state = monitor.viewOf(member)[0]?.state;
      if (state === undefined) return undefined;
      const { up, sent, failed, roundTripMs, message } = state;
      return { up, sent, failed, roundTripMs, message };
    },
    stop: () => {
      balancer.off('change', look);
      monitor.close();
    },
  };
}

function settingsOf(options: WatchHealthOptions): WantedCheck['settings'] {
  const { intervalMs = 5_000, jitter = 0.1, failureRetries = 5, recoveryRetries = 3 } = options;
  const { timeoutMs = intervalMs } = options;
  const require = (holds: boolean, what: string) => {
    if (!holds) throw new RangeError(what);
  };
  require(intervalMs >= 10, `intervalMs: ${intervalMs} is below 10`);
  require(timeoutMs > 0 && timeoutMs <= intervalMs, `timeoutMs: ${timeoutMs} is not within the interval`);
  require(jitter >= 0 && jitter < 1, `jitter: ${jitter} is not from 0 to below 1`);
  for (const [name, retries] of Object.entries({ failureRetries, recoveryRetries }))
    require(Number.isInteger(retries) && retries >= 1, `${name}: ${retries} is not a whole number from 1`);
  return { intervalMs, timeoutMs, jitter, failureRetries, recoveryRetries };
}

function wantedCheck(
  member: string,
  target: string | undefined,
  check: HealthCheck,
  settings: WantedCheck['settings'],
): WantedCheck[] {
  if (target === undefined) return [];
  const [, host = target, portText] =
    /^\[(.+)\]:(\d+)$/.exec(target) ?? /^([\d.]+):(\d+)$/.exec(target) ?? [];
  const address = parseAddress(host);
  const port = portText === undefined ? undefined : Number(portText);
  if (address === undefined || (port !== undefined && (port < 1 || port > 65_535)))
    throw new RangeError(
      `${member}: target ${target}; write an address, e.g. 10.0.0.1, 10.0.0.1:80 or [2001:db8::1]:80`,
    );
  return [
    {
      service: member,
      profile: functionName,
      realService: member,
      probe: probeOf(member, check, port),
      settings,
      path: { address, source: null, routingInstance: '' },
    },
  ];
}

function probeOf(member: string, check: HealthCheck, targetPort: number | undefined): ActiveProbe {
  if (typeof check === 'function') return { kind: 'function', function: functionName };
  if (check.kind === 'command') return check;
  const port = targetPort ?? check.port;
  if (port === undefined) throw new RangeError(`${member}: no port; give check.port, or a target with one`);
  switch (check.kind) {
    case 'tcp':
      return { kind: 'tcp', port };
    case 'ssl-hello':
      return { kind: 'ssl-hello', port, hostName: check.hostName ?? null };
    case 'udp':
      return { kind: 'udp', port, send: check.send, expect: check.expect ?? null };
    default:
      return {
        kind: check.kind,
        port,
        method: check.method ?? 'GET',
        url: check.url ?? '/',
        hostName: check.hostName ?? null,
        statusCodes: check.statusCodes ?? [[200, 299]],
        bodyMatch: check.bodyMatch ?? null,
      } satisfies ProbeConfig;
  }
}
