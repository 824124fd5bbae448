/** What ESP goes by, of manual keys and of IPsec proposals. */
import type { AuthenticationAlgorithm } from '../../model/sa.js';
import type { EncryptionAlgorithm } from '../config.js';
import type { Path } from '../problem.js';
import type { Context } from './context.js';

interface AlgorithmsDocument {
  readonly 'encryption-algorithm': EncryptionAlgorithm;
  readonly 'authentication-algorithm'?: AuthenticationAlgorithm | undefined;
  readonly 'weak-algorithms'?: readonly string[] | undefined;
}

export interface Algorithms {
  readonly encryption: EncryptionAlgorithm;
  /** null: AES-GCM */
  readonly authentication: AuthenticationAlgorithm | null;
}

/** AES-CBC wants an HMAC over it, AES-GCM has none. SHA-1 is for those who say so. */
export function algorithmsOf(context: Context, path: Path, document: AlgorithmsDocument): Algorithms {
  const encryption = document['encryption-algorithm'];
  const authentication = document['authentication-algorithm'];
  const at = [...path, 'authentication-algorithm'];
  if (encryption.endsWith('-gcm')) {
    if (authentication !== undefined)
      context.report(at, `${encryption} authenticates by itself; remove it`, 'key');
    return { encryption, authentication: null };
  }
  if (authentication === undefined) {
    context.report(at, `missing; ${encryption} wants one, e.g. hmac-sha-256-128`, 'key');
    return { encryption, authentication: 'hmac-sha-256-128' };
  }
  if (authentication === 'hmac-sha1-96') {
    if (document['weak-algorithms']?.includes(authentication))
      context.warn(at, 'hmac-sha1-96 is weak (RFC 8221); hmac-sha-256-128 is better, once the peer has it');
    else
      context.report(
        at,
        'hmac-sha1-96 is weak (RFC 8221); write hmac-sha-256-128, or allow it by name with weak-algorithms: hmac-sha1-96',
      );
  }
  return { encryption, authentication };
}
