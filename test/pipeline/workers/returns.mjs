import { drive } from './drive.mjs';

export default (task) => (task.worker === 0 ? undefined : drive(task));
