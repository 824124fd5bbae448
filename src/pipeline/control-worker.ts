/** Tasks of the control plane that would keep its thread too long. Each is a function of its argument alone. */
import {
  type ChashOptions,
  type ChashTable,
  type CountFlowsOptions,
  type FlowCounts,
  native,
} from './native.js';

export function chashBuild(options: ChashOptions): ChashTable {
  return native().chashBuild(options);
}

export function countFlows(options: CountFlowsOptions): FlowCounts {
  return native().countFlows(options);
}
