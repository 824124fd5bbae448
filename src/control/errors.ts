/** Why a node did not start: what the command ends with, and one line that names the mend. */
export class StartError extends Error {
  readonly reason: 'privilege' | 'failure';

  constructor(reason: 'privilege' | 'failure', message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StartError';
    this.reason = reason;
  }
}

export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : '';
}
