/** What of a change a running node can take, and what wants a restart. */
import type { KernelRoutesConfig } from './config.js';
import type { Change, Sections } from './diff.js';

export interface Refusal {
  /** as the file has it, e.g. system.node-id */
  readonly path: string;
  /** why, and what to do */
  readonly message: string;
}

const restart = 'stop the node and start it with the new file';

/** What each field of system is in the file, and why it stays while the node runs. */
const system: { readonly [F in keyof Sections['system']]: readonly [path: string, why: string] | null } = {
  hostName: ['system.host-name', 'the control socket, MAC addresses and other nodes go by it'],
  nodeId: ['system.node-id', 'it is part of every IV that was made of its keys'],
  workers: null, // workersRefusal
  maximumWorkers: ['system.maximum-workers', 'memory was laid out for it'],
  stateDirectory: ['system.state-directory', 'it holds what the IVs of this run were made of'],
  controlSocket: ['system.control-socket', 'this request came over it'],
};

/** Empty: the whole change can be made while the node runs. mostWorkers: that it was started with room for. */
export function refusals(changes: readonly Change[], mostWorkers = 0): Refusal[] {
  return changes.flatMap((change): Refusal[] => {
    switch (change.section) {
      case 'system':
        return [...systemRefusals(change), ...workersRefusal(change, mostWorkers)];
      case 'flow':
        return [
          limitRefusal(
            'security.flow.session-limit',
            change.before?.sessionLimit,
            change.after?.sessionLimit,
            'sessions',
          ),
          limitRefusal(
            'services.traffic-load-balance.flow-limit',
            change.before?.flowLimit,
            change.after?.flowLimit,
            'flows',
          ),
        ].flat();
      case 'vpn':
        return vpnRefusals(change);
      case 'kernel-routes':
        return kernelRefusals(change);
      default:
        return [];
    }
  });
}

function limitRefusal(path: string, before = 0, after = 0, what = ''): Refusal[] {
  if (before === after) return [];
  return [
    {
      path,
      message: `cannot change while the node runs: its table was made for ${before} ${what}; ${restart}`,
    },
  ];
}

function systemRefusals({ before, after }: Change & { section: 'system' }): Refusal[] {
  if (before === null || after === null) return [];
  return (Object.keys(system) as (keyof Sections['system'])[]).flatMap((field) => {
    const fixed = system[field];
    if (fixed === null || Object.is(before[field], after[field])) return [];
    const [path, why] = fixed;
    return [{ path, message: `cannot change while the node runs: ${why}; ${restart}` }];
  });
}

function workersRefusal({ before, after }: Change & { section: 'system' }, most: number): Refusal[] {
  const path = 'system.workers';
  if (before === null || after === null || before.workers === after.workers) return [];
  if (after.workers < before.workers) {
    const why = 'tunnels and sessions live with the workers that there are';
    return [{ path, message: `cannot become fewer while the node runs: ${why}; ${restart}` }];
  }
  if (after.workers <= most) return [];
  const why =
    most === before.workers
      ? 'a node of a pair, or with as many as system.maximum-workers, stays as it is'
      : `it was started with room for ${most} (system.maximum-workers)`;
  return [{ path, message: `cannot become more than ${most} while the node runs: ${why}; ${restart}` }];
}

/** The interface that routes lead into, and what listens to the kernel, are there from the start. Which routes go may change. */
function kernelRefusals({ before, after }: Change & { section: 'kernel-routes' }): Refusal[] {
  const fixed = (of: KernelRoutesConfig | null) =>
    of === null ? '' : [of.import, of.interface, of.table, of.protocol, of.export.length > 0].join(' ');
  if (fixed(before) === fixed(after)) return [];
  const message = `only which routes are exported can change while the node runs; ${restart}`;
  return [{ path: 'routing-options.kernel', message }];
}

/** Numbers of 32 and of 64 bits are not one sequence, so keys do not go from one to the other. */
function vpnRefusals({ name, before, after }: Change & { section: 'vpn' }): Refusal[] {
  if (before === null || after === null) return [];
  if (before.extendedSequenceNumber === after.extendedSequenceNumber) return [];
  const spis = new Set(before.manual.inbound.map(({ spi }) => spi));
  const keeps =
    before.manual.outbound.key.equals(after.manual.outbound.key) ||
    after.manual.inbound.some(({ spi }) => spis.has(spi));
  if (!keeps) return [];
  return [
    {
      path: `security.ipsec.vpn.${name}.extended-sequence-number`,
      message: 'cannot change for keys that are in use; write new SPIs and keys with it',
    },
  ];
}
