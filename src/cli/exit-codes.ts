/** What the process ends with; the same for every verb. */
export const exitCodes = {
  ok: 0,
  failure: 1,
  usage: 2,
  degraded: 3,
  badConfiguration: 4,
  lackingPrivilege: 5,
  thresholdFailed: 99,
  interrupted: 130,
} as const;

/** Thrown by a command that ends without success: the code, and a line for people (none: all has been said). */
export class Exit extends Error {
  readonly code: number;

  constructor(reason: keyof typeof exitCodes, message = '') {
    super(message);
    this.name = 'Exit';
    this.code = exitCodes[reason];
  }
}
