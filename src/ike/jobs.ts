/** What takes long: Diffie-Hellman and signatures. Functions of the job alone, for any thread. */
import { dhExchange } from './crypto.js';
import type { Job, JobResult } from './sa.js';
import { checkSignature, signOctets } from './signature.js';
import { judgeChain } from './x509.js';

/** Of a job that was handed on: private values in it are zero from now on. */
export function wipeJob(job: Job): void {
  if (job.kind === 'dh') job.secret.fill(0);
  else if (job.kind === 'sign') job.privateKey.fill(0);
}

/** Never throws. Private values in the job are zero afterwards. */
export function runJob(job: Job): JobResult {
  try {
    switch (job.kind) {
      case 'dh': {
        // a key that was wiped before its time must never be used
        if (job.secret.every((byte) => byte === 0))
          return { kind: 'failed', reason: 'there is no private value' };
        const { publicKey, shared } = dhExchange(job.group, job.secret, job.peer);
        return { kind: 'dh', publicKey, shared: shared?.reveal() ?? null };
      }
      case 'sign':
        return { kind: 'signed', ...signOctets(job.privateKey, job.peerHashes, job.octets) };
      case 'verify': {
        const judged = judgeChain(job.chain, job.authorities, job.identity, job.wallMs);
        if (!judged.ok) return { kind: 'failed', reason: judged.reason };
        const { method, signature: data } = job;
        const wrong = checkSignature(judged.certificate.publicKey, { method, data }, job.octets);
        return wrong === null ? { kind: 'verified' } : { kind: 'failed', reason: wrong };
      }
    }
  } catch (error) {
    return { kind: 'failed', reason: (error as Error).message };
  } finally {
    wipeJob(job);
  }
}
