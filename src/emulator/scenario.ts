/** A scenario: a topology, traffic, what happens when, and what must hold. Values only; scenario-file.ts reads them. */
import type { LinkQuality } from '../pipeline/native.js';
import type { TopologySpec } from './topology.js';

export interface Scenario {
  readonly name: string;
  readonly topology: TopologySpec;
  /** of every link, unless `links` says otherwise */
  readonly quality: LinkQuality;
  readonly links: Readonly<Record<string, LinkQuality>>;
  /** traffic flows from warmUpMs, events count from there, and it ends durationMs later */
  readonly warmUpMs: number;
  readonly durationMs: number;
  readonly detection: Detection;
  readonly traffic: readonly FlowClass[];
  readonly events: readonly ScenarioEvent[];
  readonly expect: readonly Expectation[];
}

export interface Detection {
  /** control sessions of routes: without a word from the other end */
  readonly holdMs: number;
  /** base stations: nothing came through the tunnel */
  readonly deadPeerIdleMs: number;
  readonly deadPeerRetryMs: number;
  readonly deadPeerAttempts: number;
}

export interface FlowClass {
  readonly name: string;
  /** flows, over all tunnels in turn */
  readonly sessions: number;
  /** of each */
  readonly packetsPerSecond: number;
  /** bytes of IP packet */
  readonly size: number;
}

/** What can happen. `forMs`: how long until it is undone; left out: it stays. */
export type Fault =
  | { readonly kind: 'kill'; readonly node: string; readonly forMs?: number }
  | { readonly kind: 'power-off'; readonly node: string; readonly forMs?: number }
  | { readonly kind: 'reboot'; readonly node: string; readonly forMs?: number }
  | { readonly kind: 'freeze'; readonly node: string; readonly forMs?: number }
  | { readonly kind: 'link-down'; readonly link: string; readonly forMs?: number }
  | { readonly kind: 'one-way-loss'; readonly link: string; readonly from: string; readonly forMs?: number }
  | {
      readonly kind: 'link-quality';
      readonly link: string;
      readonly quality: LinkQuality;
      readonly forMs?: number;
    }
  | {
      readonly kind: 'clock-skew';
      readonly node: string;
      readonly offsetMs: number;
      readonly gainedPpm: number;
      readonly forMs?: number;
    }
  | { readonly kind: 'ipsec-failure'; readonly node: string; readonly forMs?: number }
  | { readonly kind: 'routing-restart'; readonly node: string; readonly forMs?: number }
  | { readonly kind: 'graceful-restart'; readonly node: string; readonly forMs?: number }
  | { readonly kind: 'tlb-restart'; readonly node: string; readonly forMs?: number }
  /** gateways that share the traffic from now on, by their numbers */
  | { readonly kind: 'members'; readonly members: readonly number[]; readonly forMs?: number }
  | { readonly kind: 'switch-over'; readonly node: string; readonly forMs?: number };

export type FaultKind = Fault['kind'];
export const faultKinds = [
  'kill',
  'power-off',
  'reboot',
  'freeze',
  'link-down',
  'one-way-loss',
  'link-quality',
  'clock-skew',
  'ipsec-failure',
  'routing-restart',
  'graceful-restart',
  'tlb-restart',
  'members',
  'switch-over',
] as const satisfies readonly FaultKind[];

export type ScenarioEvent = Fault & { readonly atMs: number };

export interface Expectation {
  /** name of a flow class; null: every one */
  readonly flowClass: string | null;
  /** affected: of gateways that an event is about; unaffected: all the others */
  readonly flows: 'affected' | 'unaffected' | 'all';
  /** packets that may be lost; null: any */
  readonly lost: number | null;
  /** the longest time that a flow may get nothing, more than its interval; null: any */
  readonly recoveredWithinMs: number | null;
}

export const defaultDetection: Detection = {
  holdMs: 900,
  deadPeerIdleMs: 500,
  deadPeerRetryMs: 250,
  deadPeerAttempts: 3,
};
