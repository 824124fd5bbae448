import { native } from '../../../dist/pipeline/native.js';

/** Drives the task's worker like a good one for some polls; worker 0 then does `fault`. */
export async function drive(task, fault) {
  const plane = native().attachPlane(task.plane, task.cpu);
  try {
    for (let polls = 0; plane.poll(task.worker, task.budgetMicroseconds); polls++) {
      if (polls === 20 && task.worker === 0) await fault();
      await new Promise((resolve) => setImmediate(resolve));
    }
  } finally {
    plane.detach();
  }
}
