/** `--flows`: a file, or flows that are generated. */
import { parsePrefix } from '../../config/address.js';
import { showValue } from '../../config/problem.js';
import type { Prefix } from '../../model/prefix.js';
import { PlanError } from './events.js';

export type FlowSpec =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'uniform'; readonly flows: number }
  | { readonly kind: 'zipf'; readonly flows: number; readonly exponent: number }
  | { readonly kind: 'subnet'; readonly flows: number; readonly prefix: Prefix };

const mostFlows = 2 ** 32;
const units: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6, G: 1e9 };

/** Throws PlanError. What begins with no known word is a file's path. */
export function parseFlowSpec(text: string): FlowSpec {
  const word = /^(uniform|zipf|subnet):/.exec(text)?.[1];
  if (word === undefined) {
    const bare = ['uniform', 'zipf', 'subnet'].includes(text);
    if (text === '' || bare) throw new PlanError(`--flows ${text}: ${wanted}`);
    return { kind: 'file', path: text };
  }
  const rest = text.slice(word.length + 1);
  if (word === 'uniform') return { kind: 'uniform', flows: flowsOf(text, rest) };
  if (word === 'zipf') {
    const [flows = '', exponent, ...more] = rest.split(':');
    const s = exponent === undefined ? 1 : /^\d+(\.\d+)?$/.test(exponent) ? Number(exponent) : Number.NaN;
    if (more.length > 0 || !(s <= 4)) {
      throw new PlanError(`--flows ${text}: the exponent is a number from 0 to 4, e.g. zipf:1M:1.1`);
    }
    return { kind: 'zipf', flows: flowsOf(text, flows), exponent: s };
  }
  const at = rest.lastIndexOf(':');
  const prefix = parsePrefix(rest.slice(0, at));
  if (at < 0 || prefix === undefined) {
    const given = showValue(at < 0 ? rest : rest.slice(0, at));
    throw new PlanError(`--flows ${text}: ${given} is not a prefix, e.g. subnet:10.20.0.0/16:1M`);
  }
  return { kind: 'subnet', flows: flowsOf(text, rest.slice(at + 1)), prefix: prefix.network() };
}

const wanted =
  'write a pcap, pcapng or CSV file, uniform:N, zipf:N[:EXPONENT] or subnet:PREFIX:N, e.g. uniform:1M';

function flowsOf(text: string, given: string): number {
  const match = /^(\d{1,12}(?:\.\d{1,6})?|\d{1,12}e\d{1,2})([kMG]?)$/.exec(given);
  const flows = match === null ? Number.NaN : Number(match[1]) * units[match[2]!]!;
  if (Number.isInteger(flows) && flows >= 1 && flows <= mostFlows) return flows;
  throw new PlanError(
    `--flows ${text}: ${showValue(given)} is not a number of flows from 1 to 2^32, e.g. 100M`,
  );
}
