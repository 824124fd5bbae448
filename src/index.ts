/**
 * What a program that embeds penstock may use.
 */
export type { Surroundings } from './config/compile/context.js';
export type * from './config/config.js';
export { type Checked, checkConfig, loadConfig } from './config/load.js';
export { ConfigError, type Problem } from './config/problem.js';
export type { BadConfiguration } from './control/daemon.js';
export { type EmbeddedNode, type NodeOptions, startNode } from './control/embedded-node.js';
export type { ApplyReport, ChangeLine } from './control/live-config.js';
export type { CheckFunction, CustomCheck } from './control/probe/custom.js';
export {
  type HealthCheck,
  type HealthWatch,
  type MemberHealth,
  type WatchHealthOptions,
  watchHealth,
} from './control/watch-health.js';
export {
  buildTable,
  type ChashTable,
  type ConfiguredMember,
  defaultTableSize,
  maxTableMembers,
  maxTableSize,
  noMember,
  type PreviousTable,
  type TableInput,
  type TableMember,
} from './lb/chash.js';
export {
  type FlowFields,
  FlowHasher,
  flowKey,
  type Hash64,
  type HashFunction,
  type HashKey,
  type Seed,
  slotOf,
} from './lb/keys.js';
export {
  LoadBalancer,
  type LoadBalancerEvents,
  type LoadBalancerOptions,
  type MemberState,
  type TableChange,
  type TextFlow,
} from './lb/load-balancer.js';
export { type Movement, movement, type Overlaps, type SlotTable } from './lb/movement.js';
export type { Address, Family } from './model/address.js';
export type { Prefix } from './model/prefix.js';
export type { AuthenticationAlgorithm, EspAlgorithm } from './model/sa.js';
export type { Secret } from './model/secret.js';
export type { GroupForecast } from './node/forecast.js';
