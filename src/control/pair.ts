/** The node's part of a pair for real: clock, timer and generations for src/node/sync.ts. */
import { randomBytes } from 'node:crypto';
import type { Config } from '../config/config.js';
import type { NodeAction, NodeEvent } from '../node/event.js';
import type { NodeState } from '../node/state.js';
import { PairSync, type PairSyncView } from '../node/sync.js';
import type { NativePlane } from '../pipeline/native.js';
import type { Timers } from '../pipeline/timers.js';

export interface PairRuntimeOptions {
  readonly plane: NativePlane;
  /** in the plane */
  readonly node: number;
  readonly timers: Timers;
  readonly nowMs: () => number;
  readonly state: () => NodeState;
  readonly post: (...events: NodeEvent[]) => void;
  readonly generation: () => number | null;
  /** Throws what the disk throws. */
  readonly claimGeneration: () => number | null;
  /** Hands on what was punted, to receive() too. */
  readonly takePunts: () => void;
  readonly log: (line: string) => void;
}

const tickMs = 5;

export class PairRuntime {
  readonly #sync: PairSync;
  readonly #stop: () => void;

  constructor(options: PairRuntimeOptions, config: Config) {
    const { plane, node, timers, log } = options;
    this.#sync = new PairSync(
      {
        ...options,
        session: randomBytes(4).readUInt32BE(),
        originate: (instance, packets) => plane.originate(node, instance, packets),
        claimGeneration: () => {
          try {
            return options.claimGeneration();
          } catch (error) {
            log(`nothing of the other node is taken over: ${(error as Error).message}`);
            return null;
          }
        },
      },
      config,
    );
    this.#stop = timers.every(tickMs, () => {
      options.takePunts();
      this.#sync.tick();
    });
  }

  configure(config: Config): void {
    this.#sync.configure(config);
  }

  /** A punted packet. False: not the interchassis link's. */
  receive(packet: Uint8Array): boolean {
    return this.#sync.receivePacket(packet);
  }

  /** What of the node's actions concerns the pair. False: none of it. */
  perform(action: NodeAction): boolean {
    switch (action.kind) {
      case 'srg-hello':
        this.#sync.srgHello(action.hello);
        return true;
      case 'srg-changed':
        this.#sync.srgChanged(action.id, action.from, action.to);
        return true;
      case 'bfd-changed':
        if (action.changes.some(({ session, up }) => session === 'icl' && !up)) this.#sync.linkDown();
        return false;
      default:
        return false;
    }
  }

  view(): PairSyncView {
    return this.#sync.view();
  }

  stop(): void {
    this.#stop();
  }
}
