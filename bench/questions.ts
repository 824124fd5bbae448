import { addon } from './addon.js';
import { crypto } from './crypto.js';
import { demo } from './demo.js';
import { esp } from './esp.js';
import { ike } from './ike.js';
import { io } from './io.js';
import { lb } from './lb.js';
import type { Question } from './question.js';
import { router } from './router.js';
import { scale } from './scale.js';
import { session } from './session.js';
import { sync } from './sync.js';
import { tables } from './tables.js';

/** All there are, in the order of `penstock bench all`. */
export const questions: readonly Question[] = [
  crypto,
  esp,
  router,
  session,
  sync,
  tables,
  scale,
  io,
  ike,
  lb,
  addon,
  demo,
];
