/** What a services redundancy group watches, and when that makes the node ineligible for it. Pure. */
import type { SrgMonitorConfig } from '../config/config.js';
import type { FailureCode } from '../model/high-availability.js';

/** What is known of the members. true: fine, or not known yet. */
export interface MonitorFacts {
  readonly interfaceUp: (name: string) => boolean;
  /** names of the targets are the caller's matter: it gets the entries of the configuration back */
  readonly ipUp: (target: Ip) => boolean;
  readonly bfdUp: (target: Bfd) => boolean;
}

type Objects = SrgMonitorConfig['objects'][number];
type Ip = NonNullable<Objects['ip']>['members'][number];
type Bfd = NonNullable<Objects['bfdLiveliness']>['members'][number];

export interface ObjectVerdict {
  readonly name: string;
  /** of members that have failed, where their kind's sum has reached its threshold */
  readonly weight: number;
  readonly threshold: number;
  readonly failed: boolean;
}

export interface MonitorVerdict {
  /** of objects that have failed */
  readonly weight: number;
  readonly threshold: number;
  readonly failed: boolean;
  /** kinds that made it fail; empty unless it has */
  readonly failures: readonly FailureCode[];
  readonly objects: readonly ObjectVerdict[];
}

/** Weights of failed members, up through the three thresholds: of the kind, of the object, of the group. */
export function judgeMonitor(
  { srgThreshold, objects }: SrgMonitorConfig,
  facts: MonitorFacts,
): MonitorVerdict {
  const codes = new Set<FailureCode>();
  const verdicts = objects.map((object): ObjectVerdict => {
    const kinds = [
      ['BF', failing(object.bfdLiveliness, facts.bfdUp)],
      ['IP', failing(object.ip, facts.ipUp)],
      ['IF', failing(object.interface, ({ name }) => facts.interfaceUp(name))],
    ] as const;
    const weight = kinds.reduce((sum, [, of]) => sum + of, 0);
    const failed = weight >= object.objectThreshold;
    if (failed) for (const [code, of] of kinds) if (of > 0) codes.add(code);
    return { name: object.name, weight, threshold: object.objectThreshold, failed };
  });
  const weight = verdicts.reduce((sum, verdict) => sum + (verdict.failed ? verdict.weight : 0), 0);
  const failed = objects.length > 0 && weight >= srgThreshold;
  return { weight, threshold: srgThreshold, failed, failures: failed ? [...codes] : [], objects: verdicts };
}

/** What a kind weighs in its object. */
function failing<M extends { readonly weight: number }>(
  kind: { readonly threshold: number; readonly members: readonly M[] } | null,
  isUp: (member: M) => boolean,
): number {
  if (kind === null) return 0;
  const sum = kind.members.reduce((total, member) => total + (isUp(member) ? 0 : member.weight), 0);
  return sum >= kind.threshold ? sum : 0;
}
