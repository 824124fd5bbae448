import { drive } from './drive.mjs';

const kept = [];
export default (task) =>
  drive(task, () => {
    for (;;) kept.push(Array.from({ length: 1000 }, (_, i) => ({ i })));
  });
