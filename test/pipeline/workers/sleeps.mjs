import { spawnSync } from 'node:child_process';
import { drive } from './drive.mjs';

// Inside native code, where no thread can be ended.
export default (task) => drive(task, () => void spawnSync('sleep', ['2']));
