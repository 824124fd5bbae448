/** How workers are driven, watched and stopped. */
export const dataplaneLimits = {
  /** how long native code may keep a worker's thread before it looks at its event loop */
  pollBudgetMicroseconds: 1000,
  /** every worker must have turned within this */
  startDeadlineMs: 15_000,
  /** workers are looked at this often … */
  heartbeatMs: 250,
  /** … and one that has not turned for this long has stalled */
  stallAfterMs: 3_000,
  /** after stop(), before threads are ended in the middle of what they do */
  stopDeadlineMs: 3_000,
  /** … and before they are given up */
  destroyDeadlineMs: 3_000,
};
