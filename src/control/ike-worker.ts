/** Tasks of IKE for other threads: Diffie-Hellman and signatures, many at a time. */
import { runJob } from '../ike/jobs.js';
import type { Job, JobResult } from '../ike/sa.js';

export const runJobs = (jobs: readonly Job[]): JobResult[] => jobs.map(runJob);
