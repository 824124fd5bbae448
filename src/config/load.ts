import type { z } from 'zod';
import { Context, type Surroundings } from './compile/context.js';
import { compileFilters } from './compile/filters.js';
import { compileHighAvailability } from './compile/high-availability.js';
import { compileIkeGateways } from './compile/ike.js';
import { compileInterfaces, Reach } from './compile/interfaces.js';
import { compileKernelRoutes } from './compile/kernel-routes.js';
import { compileProfiles } from './compile/monitoring.js';
import { compilePolicyOptions } from './compile/policy-options.js';
import {
  compileAutoRouteInjection,
  compileRoutingInstances,
  instancesOfInterfaces,
} from './compile/routing.js';
import {
  checkEveryInterfaceHasAZone,
  compileFlow,
  compilePolicies,
  compileZones,
} from './compile/security.js';
import { compileTlb } from './compile/services.js';
import { compileVpns, nodeId } from './compile/vpns.js';
import type { Config } from './config.js';
import { limits } from './limits.js';
import { ConfigError, type Path, type Problem, pathText } from './problem.js';
import { type ConfigDocument, schema } from './schema.js';
import { type Finding, normalise, prune, valueAt } from './walk.js';
import { readYaml } from './yaml.js';

export type { Surroundings } from './compile/context.js';

/** What a check finds: a configuration when nothing is wrong, and every problem otherwise, in the file's order. */
export interface Checked {
  readonly config: Config | null;
  readonly problems: readonly Problem[];
  /** what can run, but may not do what is wanted */
  readonly warnings: readonly Problem[];
}

/** Reads and checks a configuration's text. Never throws. */
export function checkConfig(text: string, file: string, surroundings: Surroundings): Checked {
  const yaml = readYaml(text, file);
  if (yaml.problems.length > 0) return { config: null, problems: inOrder(yaml.problems), warnings: [] };
  if (yaml.value === undefined) {
    const problems = [yaml.problem([], 'empty; write at least system.host-name')];
    return { config: null, problems, warnings: [] };
  }
  return check(yaml.value, file, surroundings, yaml.problem);
}

/** The same for a configuration that a program has made; problems have a path and no line. */
export function checkDocument(document: ConfigDocument, name: string, surroundings: Surroundings): Checked {
  return check(document, name, surroundings, (path, message) => ({
    file: name,
    line: 0,
    column: 0,
    path: pathText(path),
    message,
  }));
}

/** The configuration in the text. Throws ConfigError with every problem. */
export function loadConfig(text: string, file: string, surroundings: Surroundings): Config {
  const { config, problems } = checkConfig(text, file, surroundings);
  if (config === null) throw new ConfigError(problems);
  return config;
}

/** The configuration of a document. Throws ConfigError with every problem. */
export function makeConfig(document: ConfigDocument, name: string, surroundings: Surroundings): Config {
  const { config, problems } = checkDocument(document, name, surroundings);
  if (config === null) throw new ConfigError(problems);
  return config;
}

function check(
  given: unknown,
  file: string,
  surroundings: Surroundings,
  problemAt: (path: Path, message: string, at?: 'key' | 'value') => Problem,
): Checked {
  const findings: Finding[] = [];
  const declared = normalise(given, findings);
  const document = fitting(schema, declared, findings);
  const problems = findings.map(({ path, message, at }) => problemAt(path, message, at));
  if (document === undefined) return { config: null, problems: inOrder(problems), warnings: [] };
  const warnings: Problem[] = [];
  const into =
    (list: Problem[]) =>
    (path: Path, message: string, at?: 'key' | 'value'): void => {
      list.push(problemAt(path, message, at));
    };
  const context = new Context(
    file,
    document,
    declared,
    findings,
    surroundings,
    into(problems),
    into(warnings),
  );
  const config = compile(context, file);
  return {
    config: problems.length > 0 ? null : config,
    problems: inOrder(problems),
    warnings: inOrder(warnings),
  };
}

/** What of the document has the schema's shape; findings gets the rest. */
export function fitting<T extends z.ZodType>(
  type: T,
  declared: unknown,
  findings: Finding[],
): z.infer<T> | undefined {
  const document = structuredClone(declared);
  const seen = new Set<string>();
  for (;;) {
    const result = type.safeParse(document);
    if (result.success) return result.data;
    const paths = result.error.issues.map((issue) => {
      const path = issue.path as (string | number)[];
      // what is missing only because its wrong value was taken out has been said
      const missing = valueAt(document, path) === undefined;
      const said = missing && valueAt(declared, path) !== undefined;
      if (!said && !seen.has(path.join('\0'))) {
        const isKey = issue.code === 'invalid_key';
        const message = isKey ? (issue.issues[0]?.message ?? issue.message) : issue.message;
        findings.push({ path, message, at: isKey || missing ? 'key' : 'value' });
      }
      seen.add(path.join('\0'));
      return path;
    });
    const pruned = paths.map((path) => prune(document, path)).includes(true);
    if (!pruned) return undefined;
  }
}

function compile(context: Context, file: string): Config {
  const { document } = context;
  const { system } = document;
  const instanceOf = instancesOfInterfaces(context);
  const { zones, zoneOf } = compileZones(context);
  const { ports, interfaces } = compileInterfaces(context, instanceOf, zoneOf);
  checkEveryInterfaceHasAZone(context, interfaces);
  const reach = new Reach(interfaces);
  const routingInstances = compileRoutingInstances(context, reach);
  const ikeGateways = compileIkeGateways(context, reach);
  const { vpns, ikeVpns, linkEncryption } = compileVpns(context, instanceOf, reach, ikeGateways);
  const tunnelEnds = [
    ...vpns.map(({ manual }) => manual.localAddress),
    ...ikeVpns.flatMap(({ gateway }) => ikeGateways.find(({ name }) => name === gateway)?.localAddress ?? []),
  ];
  return {
    file,
    system: {
      hostName: system['host-name'],
      nodeId: nodeId(document) ?? null,
      workers: system.workers ?? limits.workers.fallback,
      maximumWorkers: maximumWorkers(context),
      stateDirectory:
        system['state-directory'] === undefined ? null : context.path(system['state-directory']),
      controlSocket: context.socketPath(['system', 'control-socket'], system['control-socket']),
    },
    ports,
    interfaces,
    routingInstances,
    policyOptions: compilePolicyOptions(context),
    autoRouteInjection: compileAutoRouteInjection(context),
    kernelRoutes: compileKernelRoutes(context, { ports, interfaces, tunnelEnds }),
    filters: compileFilters(context),
    networkMonitoring: compileProfiles(context, interfaces),
    trafficLoadBalance: compileTlb(context, interfaces, reach),
    vpns,
    ikeGateways,
    ikeVpns,
    zones,
    policies: compilePolicies(context),
    defaultPolicy: document.security?.policies?.['default-policy'] ?? 'deny-all',
    flow: compileFlow(context),
    highAvailability: compileHighAvailability(context, {
      interfaces,
      routingInstances,
      vpns,
      linkEncryption,
      reach,
    }),
  };
}

function maximumWorkers(context: Context): number | null {
  const { system } = context.document;
  const workers = system.workers ?? limits.workers.fallback;
  const most = system['maximum-workers'];
  if (most !== undefined && most < workers)
    context.report(['system', 'maximum-workers'], `less than system.workers, ${workers}`);
  return most ?? null;
}

export function inOrder(problems: readonly Problem[]): Problem[] {
  return problems
    .map((problem, i) => ({ problem, i }))
    .sort((a, b) => a.problem.line - b.problem.line || a.problem.column - b.problem.column || a.i - b.i)
    .map(({ problem }) => problem);
}
