/** Runs a node: events in, first come first served; each action performed before the next event is looked at. */
import type { NodeAction, NodeEvent } from './event.js';
import { emptyNode, type NodeState } from './state.js';
import { flush, step } from './step.js';

export class NodeDriver {
  #state: NodeState = emptyNode;
  readonly #perform: (action: NodeAction) => readonly NodeEvent[];
  readonly #nowMs: () => number;
  readonly #queue: NodeEvent[] = [];
  #running = false;

  /** perform: does what it is told and returns the events that answer it; others come through post(). */
  constructor(perform: (action: NodeAction) => readonly NodeEvent[], nowMs: () => number) {
    this.#perform = perform;
    this.#nowMs = nowMs;
  }

  get state(): NodeState {
    return this.#state;
  }

  /** Takes events and works until nothing is left to do. An event that comes meanwhile waits its turn. */
  post(...events: NodeEvent[]): void {
    this.#queue.push(...events);
    if (this.#running) return;
    this.#running = true;
    try {
      do {
        for (let event = this.#queue.shift(); event !== undefined; event = this.#queue.shift()) {
          const { state, actions } = step(this.#state, event, this.#nowMs());
          this.#state = state;
          this.#performAll(actions);
        }
        const { state, actions } = flush(this.#state);
        this.#state = state;
        this.#performAll(actions);
      } while (this.#queue.length > 0);
    } catch (error) {
      // What comes after something that could not be done is not done either; answers to what was done still count.
      this.#queue.splice(0, Infinity, ...this.#queue.filter((event) => !events.includes(event)));
      throw error;
    } finally {
      this.#running = false;
    }
  }

  #performAll(actions: readonly NodeAction[]): void {
    for (const action of actions) this.#queue.push(...this.#perform(action));
  }
}
