/**
 * What a program that embeds penstock may use. Nothing here reads a clock, a file or the environment but
 * native(), which loads the addon.
 */
export type { Config } from './config/config.js';
export { checkConfig, loadConfig } from './config/load.js';
export { ConfigError, type Problem } from './config/problem.js';
export {
  buildTable,
  type ChashTable,
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
export { type Movement, movement, type SlotTable } from './lb/movement.js';
export { type ChashMember, native } from './pipeline/native.js';
