import { jump } from './jump.js';
import { maglev, maglevCilium, maglevV1, maglevV2 } from './maglev.js';
import type { ModelBuilder } from './model.js';
import { modulo } from './modulo.js';
import { rendezvous } from './rendezvous.js';
import { ring } from './ring.js';

export { type Model, type ModelBuilder, type ModelInput, sample } from './model.js';

/** What a user may run today, by the name that `--model` takes. */
export const models = {
  maglev,
  'maglev-v1': maglevV1,
  'maglev-v2': maglevV2,
  'maglev-cilium': maglevCilium,
  ring,
  rendezvous,
  jump,
  modulo,
} as const satisfies Record<string, ModelBuilder>;

export type ModelName = keyof typeof models;
