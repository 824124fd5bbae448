import { drive } from './drive.mjs';

export default (task) =>
  drive(task, () => {
    throw new RangeError('out of cheese');
  });
