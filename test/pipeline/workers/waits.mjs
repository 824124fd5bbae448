import { drive } from './drive.mjs';

// The thread is well, its event loop turns; the worker does not.
export default (task) => drive(task, () => new Promise(() => setInterval(() => {}, 1000)));
