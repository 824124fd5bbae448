import { drive } from './drive.mjs';

export default (task) =>
  drive(task, () => {
    for (;;);
  });
