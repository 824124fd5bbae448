/** Tasks of the control plane that would keep its thread too long. Each is a function of its argument alone. */
import { type ChashOptions, type ChashTable, native } from './native.js';

export function chashBuild(options: ChashOptions): ChashTable {
  return native().chashBuild(options);
}
