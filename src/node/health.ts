/** Which health checks a configuration asks for: each active profile on each real service of its group. */
import type { Config, MonitoringProfileConfig, ProbeConfig, TlbInstanceConfig } from '../config/config.js';
import type { Address } from '../model/address.js';
import { realServiceKey } from './state.js';

/** Where answers to probes come back: the upper part of the dynamic ports (RFC 6335 §6), and echo identifiers alike. */
export const probePorts: readonly [number, number] = [53_248, 65_535];

export type ActiveProbe = Exclude<ProbeConfig, { kind: 'neighbour' | 'link' }>;

export const isActive = (probe: ProbeConfig): probe is ActiveProbe =>
  probe.kind !== 'neighbour' && probe.kind !== 'link';

export interface WantedCheck {
  /** realServiceKey() */
  readonly service: string;
  readonly profile: string;
  readonly realService: string;
  readonly probe: ActiveProbe;
  readonly settings: {
    readonly intervalMs: number;
    readonly timeoutMs: number;
    readonly jitter: number;
    readonly failureRetries: number;
    readonly recoveryRetries: number;
  };
  readonly path: {
    readonly address: Address;
    readonly source: Address | null;
    readonly routingInstance: string;
  };
}

export function wantedChecks(config: Config): WantedCheck[] {
  const profiles = new Map(config.networkMonitoring.map((profile) => [profile.name, profile]));
  return config.trafficLoadBalance.flatMap((instance) =>
    instance.groups.flatMap((group) => {
      // a group that no virtual service uses forwards nothing
      if (!instance.virtualServices.some((service) => service.group === group.name)) return [];
      return group.networkMonitoringProfiles.flatMap((name) => {
        const profile = profiles.get(name)!;
        const { probe } = profile;
        if (!isActive(probe)) return [];
        return group.realServices.map((real): WantedCheck => {
          const { routingInstance } = group;
          const source = sourceOf(config, instance, profile, real.address);
          return {
            service: realServiceKey(instance.name, group.name, real.name),
            profile: name,
            realService: real.name,
            probe,
            settings: {
              intervalMs: profile.probeIntervalMs,
              timeoutMs: profile.timeoutMs,
              jitter: profile.jitter,
              failureRetries: profile.failureRetries,
              recoveryRetries: profile.recoveryRetries,
            },
            path: { address: real.address, source, routingInstance },
          };
        });
      });
    }),
  );
}

function sourceOf(
  config: Config,
  instance: TlbInstanceConfig,
  { sourceAddress }: MonitoringProfileConfig,
  to: Address,
): Address | null {
  const own = config.interfaces.find(({ name }) => name === instance.interface)?.addresses ?? [];
  return sourceAddress[to.family] ?? own.find(({ family }) => family === to.family)?.address ?? null;
}
