/** A node on ports, for a program that embeds it: what `penstock run` runs, without the command and its signals. */
import type { Config } from '../config/config.js';
import { loadConfig } from '../config/load.js';
import { surroundings } from './config-file.js';
import { type BadConfiguration, Daemon } from './daemon.js';
import type { ApplyReport } from './live-config.js';
import type { CheckFunction } from './probe/custom.js';

export interface NodeOptions {
  /** Names the configuration in messages, and is where relative paths in it are found; default 'configuration'. */
  readonly file?: string;
  /** One line for people, for what happens; default: nobody hears it. */
  readonly log?: (line: string) => void;
  /** Something failed that ends the node: it is being stopped. */
  readonly onFailure?: (message: string) => void;
  /** Health checks of the program's own, by the names that monitoring profiles call them. */
  readonly checkFunctions?: ReadonlyMap<string, CheckFunction>;
}

export interface EmbeddedNode {
  /** the configuration that it was started with */
  readonly config: Config;
  /** where penstock show, apply and drain find it */
  readonly socket: string;
  /** What `penstock show` has as JSON, e.g. of route, neighbours, counters. Throws an Error for what there is not. */
  show(what: string, parameters?: Readonly<Record<string, unknown>>): object;
  /**
   * Another configuration, as `penstock apply --json` tells of it: all of it or nothing, and no packet is lost. dryRun: only
   * what would change. confirmSeconds, 1 to 86,400: undone after so long unless confirm() is called. Throws what kept it from being
   * done.
   */
  apply(
    text: string,
    options?: { readonly dryRun?: boolean; readonly confirmSeconds?: number },
  ): ApplyReport | BadConfiguration;
  confirm(): void;
  /** Whether a real service (or `instance/name`) takes new flows. */
  drain(realService: string, drained: boolean): object;
  /** Routers hear first, what is held is sent, threads end. As often as you like; never rejects. */
  stop(): Promise<void>;
}

/**
 * Starts a node by a configuration in YAML. Rejects with ConfigError, or with an Error that says why it cannot start (a
 * port that is not there, a privilege that is missing), and leaves nothing behind then.
 */
export async function startNode(text: string, options: NodeOptions = {}): Promise<EmbeddedNode> {
  const { file = 'configuration', log = () => {}, onFailure = () => {}, checkFunctions } = options;
  const config = loadConfig(text, file, surroundings);
  const run: { daemon: Daemon | null; failed: string | null } = { daemon: null, failed: null };
  const daemon = await Daemon.start({
    config,
    log,
    ...(checkFunctions === undefined ? {} : { checkFunctions }),
    onFailure: (message) => {
      run.failed ??= message;
      onFailure(message);
      void run.daemon?.stop();
    },
  });
  run.daemon = daemon;
  if (run.failed !== null) {
    await daemon.stop();
    throw new Error(run.failed);
  }
  const { control } = daemon;
  return {
    config,
    socket: daemon.socket,
    show: (what, parameters = {}) => control.show(what, parameters),
    apply: (text, { dryRun, confirmSeconds } = {}) =>
      control.apply({
        file,
        text,
        ...(dryRun === undefined ? {} : { dryRun }),
        ...(confirmSeconds === undefined ? {} : { confirmSeconds }),
      }),
    confirm: () => void control.confirm(),
    drain: (realService, drained) => control.drain({ realService, drained }),
    stop: () => daemon.stop(),
  };
}
