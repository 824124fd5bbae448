/** Hash modulo the number of living members, in the configuration's order. Weights are not known to it. */
import { livingMembers, type Model, type ModelInput, modulo as moduloOf, nobody } from './model.js';

export function modulo(input: ModelInput): Model {
  const living = livingMembers(input);
  if (living.length === 0) return nobody;
  return { pick: (hash) => living[moduloOf(hash, living.length)]!.index };
}
