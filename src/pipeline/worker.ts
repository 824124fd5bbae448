/**
 * The task of a dataplane worker: drives one worker of a plane until the plane is stopped. Between polls it returns
 * to its event loop once, so that termination and messages get through (11 µs a millisecond, 1 %).
 */
import { native } from './native.js';

export interface WorkerTask {
  plane: number;
  worker: number;
  /** to pin the thread to, -1: not pinned */
  cpu: number;
  /** how long native code may keep the thread */
  budgetMicroseconds: number;
}

export default async function run(task: WorkerTask): Promise<void> {
  const plane = native().attachPlane(task.plane, task.cpu);
  try {
    while (plane.poll(task.worker, task.budgetMicroseconds)) {
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  } finally {
    plane.detach();
  }
}
