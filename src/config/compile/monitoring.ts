import type { Family } from '../../model/address.js';
import { parseAddress } from '../address.js';
import type { InterfaceConfig, MonitoringProfileConfig, ProbeConfig } from '../config.js';
import { limits } from '../limits.js';
import type { Path } from '../problem.js';
import type { ConfigDocument } from '../schema.js';
import type { Context } from './context.js';

type ProfileDocument = NonNullable<
  NonNullable<ConfigDocument['services']>['network-monitoring']
>['profile'][string];
type Http = NonNullable<ProfileDocument['http']>;
type Payload = NonNullable<NonNullable<ProfileDocument['udp']>['send']>;

const kinds = ['icmp', 'tcp', 'http', 'https', 'ssl-hello', 'udp', 'custom', 'neighbour', 'link'] as const;

export function compileProfiles(
  context: Context,
  interfaces: readonly InterfaceConfig[],
): MonitoringProfileConfig[] {
  const profiles = context.document.services?.['network-monitoring']?.profile ?? {};
  return Object.entries(profiles).map(([name, profile]) => {
    const path = ['services', 'network-monitoring', 'profile', name];
    const said = kinds.filter((kind) => profile[kind] !== undefined);
    if (said.length !== 1) {
      const what = said.length === 0 ? 'says nothing to probe with' : `has ${said.join(' and ')}`;
      context.report(path, `${what}; write one of ${kinds.join(', ')}`, 'key');
    }
    const probeIntervalMs = 1000 * (profile['probe-interval'] ?? limits.tlb.probeIntervalSeconds.fallback);
    const timeoutMs = 1000 * (profile.timeout ?? probeIntervalMs / 1000);
    if (timeoutMs > probeIntervalMs) {
      const most = `the probe-interval of ${probeIntervalMs / 1000} s`;
      context.report(
        [...path, 'timeout'],
        `${timeoutMs / 1000} s is longer than ${most}; write at most that`,
      );
    }
    return {
      name,
      probe: probeOf(context, path, said[0] ?? 'icmp', profile),
      probeIntervalMs,
      timeoutMs,
      jitter: (profile.jitter ?? limits.tlb.jitter.fallback) / 100,
      sourceAddress: sourceAddresses(context, path, profile, interfaces),
      failureRetries: profile['failure-retries'] ?? limits.tlb.failureRetries,
      recoveryRetries: profile['recovery-retries'] ?? limits.tlb.recoveryRetries,
    };
  });
}

function probeOf(
  context: Context,
  path: Path,
  kind: (typeof kinds)[number],
  profile: ProfileDocument,
): ProbeConfig {
  switch (kind) {
    case 'icmp':
    case 'neighbour':
    case 'link':
      return { kind };
    case 'tcp':
      return { kind, port: profile.tcp!.port };
    case 'http':
    case 'https':
      return httpProbe(context, [...path, kind], kind, profile[kind] ?? {});
    case 'ssl-hello': {
      const hello = profile['ssl-hello'] ?? {};
      return { kind, port: hello.port ?? 443, hostName: hello['host-name'] ?? null };
    }
    case 'udp': {
      const { port, send, expect } = profile.udp!;
      return {
        kind,
        port,
        send: bytesOf(context, [...path, 'udp', 'send'], send) ?? new Uint8Array(0),
        expect: bytesOf(context, [...path, 'udp', 'expect'], expect),
      };
    }
    case 'custom': {
      const { command, function: name } = profile.custom!;
      if ((command === undefined) === (name === undefined)) {
        const what = command === undefined ? 'says nothing' : 'has both';
        context.report([...path, 'custom'], `${what}; write command or function`, 'key');
      }
      return command === undefined
        ? { kind: 'function', function: name ?? '' }
        : { kind: 'command', command: [context.program(command[0]!), ...command.slice(1)] };
    }
  }
}

function httpProbe(context: Context, path: Path, kind: 'http' | 'https', http: Http): ProbeConfig {
  const statusCodes = (http['status-code'] ?? ['200-299']).map((given, i): readonly [number, number] => {
    const [low, high] = String(given).split('-').map(Number);
    if (high !== undefined && high < low!) {
      context.report([...path, 'status-code', i], `${given} ends below its start; write ${high}-${low}`);
    }
    return [low!, high ?? low!];
  });
  if (http.method === 'HEAD' && http['body-match'] !== undefined) {
    context.report([...path, 'body-match'], 'an answer to HEAD has no body; write method: GET');
  }
  return {
    kind,
    port: http.port ?? (kind === 'http' ? 80 : 443),
    method: http.method ?? 'GET',
    url: http.url ?? '/',
    hostName: http['host-name'] ?? null,
    statusCodes,
    bodyMatch: http['body-match'] ?? null,
  };
}

function bytesOf(context: Context, path: Path, payload: Payload | undefined): Uint8Array | null {
  if (payload === undefined) return null;
  const { ascii, hex } = payload;
  if ((ascii === undefined) === (hex === undefined)) {
    context.report(path, `${ascii === undefined ? 'says nothing' : 'has both'}; write ascii or hex`, 'key');
  }
  return ascii === undefined
    ? Uint8Array.from(Buffer.from(hex ?? '', 'hex'))
    : new TextEncoder().encode(ascii);
}

/** Own addresses, one a family: answers must come back here. */
function sourceAddresses(
  context: Context,
  path: Path,
  profile: ProfileDocument,
  interfaces: readonly InterfaceConfig[],
): MonitoringProfileConfig['sourceAddress'] {
  const found: { [F in Family]: MonitoringProfileConfig['sourceAddress'][F] } = { inet: null, inet6: null };
  profile['source-address']?.forEach((text, i) => {
    const at = [...path, 'source-address', i];
    const address = parseAddress(text)!;
    if (found[address.family] !== null)
      context.report(at, `a second ${address.family} address; write one a family`);
    found[address.family] = address;
    const own = interfaces.some(({ addresses }) => addresses.some((each) => each.address.equals(address)));
    if (!own && context.sound('interfaces')) context.report(at, `${text} is no address of this node`);
  });
  return found;
}
