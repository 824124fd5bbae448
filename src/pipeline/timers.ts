/**
 * The clock that this room is handed: it has none of its own. Both return what cancels; neither may keep the process
 * alive by itself.
 */
export interface Timers {
  every(intervalMs: number, run: () => void): () => void;
  after(delayMs: number, run: () => void): () => void;
}
