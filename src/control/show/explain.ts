/** Answers `explain`: where the node sends a flow now, and the neighbour that it goes to. */
import type { GivenFlow } from '../../lb/explain.js';
import { type Explanation, explainFlow } from '../../node/explain.js';
import type { NodeView } from './node-view.js';

export interface NodeExplanation extends Explanation {
  readonly hostName: string;
  /** of the next hop; null: not known, or it does not answer */
  readonly mac: string | null;
}

/** Throws Error for a flow of which it is not clear where it comes in. */
export function explain(view: NodeView, flow: GivenFlow, interfaceName: string | null): NodeExplanation {
  const explanation = explainFlow(view.state, flow, interfaceName);
  return {
    hostName: view.state.config?.system.hostName ?? '',
    ...explanation,
    mac: macOf(view, explanation),
  };
}

function macOf({ state, dataplane, node }: NodeView, { nextHop }: Explanation): string | null {
  if (nextHop === null) return null;
  const number = state.numberings.interfaces.of(nextHop.interface);
  const wanted = nextHop.address.bytes.join();
  const found = dataplane.native
    .neighbours(node)
    .find((neighbour) => neighbour.interface === number && neighbour.address.join() === wanted);
  return found?.mac == null
    ? null
    : Buffer.from(found.mac)
        .toString('hex')
        .replace(/..(?=.)/g, '$&:');
}
