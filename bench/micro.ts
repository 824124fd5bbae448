import Benchmark from 'benchmark';

/** Seconds a call, one value a sample of benchmark.js, which warms up and chooses the repetitions. */
export function secondsPerCall(work: () => void): number[] {
  const benchmark = new Benchmark(work, { maxTime: 0.5 });
  benchmark.run();
  return benchmark.stats.sample;
}
