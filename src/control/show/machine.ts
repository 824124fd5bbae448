import { Address } from '../../model/address.js';
import { termStatistic } from '../../node/state.js';
import { counterIndex, counters as definitions } from '../../pipeline/counters.js';
import { native } from '../../pipeline/native.js';
import type { NodeView } from './node-view.js';
import type { CountersView, Views, WorkersView } from './views.js';

/** Counters of the node, summed over workers, and those of firewall filters. params.all: those at 0, too. */
export function showCounters(
  { dataplane, node, state }: NodeView,
  params: { all?: boolean | undefined },
): CountersView {
  // values, not a live view: that would keep the plane's memory until the next collection of garbage
  const totals = dataplane.native.counterTotals(node);
  const { statistics } = state.numberings;
  const terms = (state.config?.filters ?? []).flatMap((filter) => {
    const names = new Set(filter.terms.flatMap(({ count }) => (count === null ? [] : [count])));
    return [...names].map((counter) => ({ filter, counter }));
  });
  const counted = dataplane.native.statistics(
    node,
    terms.map(({ filter, counter }) => statistics.of(termStatistic(filter, counter))),
  );
  return {
    counters: definitions
      .map(({ camelName, unit, words, meaning, isDrop }) => ({
        name: camelName,
        value: totals[counterIndex[camelName]]!,
        unit,
        words,
        meaning,
        isDrop,
      }))
      .filter(({ value }) => params.all === true || value > 0),
    filters: terms.map(({ filter, counter }, i) => ({
      family: filter.family,
      filter: filter.name,
      counter,
      ...counted[i]!,
    })),
  };
}

export function showWorkers({ dataplane, nowMs, startedMs, busyPercent }: NodeView): WorkersView {
  const { active, available } = native().crypto();
  return {
    workers: dataplane.workerStatus().map(({ worker, state, turns }) => ({
      worker,
      state,
      turns,
      busyPercent: busyPercent[worker] ?? 0,
    })),
    kernel: active,
    kernels: available,
    framesInUse: dataplane.native.framesInUse(),
    upSeconds: Math.floor((nowMs - startedMs) / 1000),
  };
}

export function showNeighbours({ dataplane, node, state }: NodeView): Views['neighbours'] {
  const names = [...state.numberings.interfaces.names()];
  const neighbours = dataplane.native
    .neighbours(node)
    .map(({ interface: number, address, mac, state: of }) => ({
      address: String(new Address(address)),
      mac: mac === null ? null : [...mac].map((byte) => byte.toString(16).padStart(2, '0')).join(':'),
      interface: names[number] ?? String(number),
      state: of,
    }));
  return { neighbours };
}

export function showPorts({ dataplane, node, portNames }: NodeView): Views['ports'] {
  const ports = portNames.flatMap((name, index) => {
    if (name === '') return [];
    const { open, fault } = dataplane.native.portStatus(node, index);
    return [{ name, open, fault }];
  });
  return { ports };
}
