#!/usr/bin/env node
import { readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError } from 'commander';
import { ConfigError, nearest, problemText } from '../config/problem.js';
import { Exit, exitCodes } from './exit-codes.js';
import { createOutput, type Output } from './output.js';

interface Verb {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

/** Every verb; its file is read only when it is called. */
const verbs: readonly Verb[] = [
  {
    name: 'bench',
    summary: 'measure what this host can do, against the peers there are',
    load: async () => (await import('./bench.js')).benchCommand(),
  },
  {
    name: 'check',
    summary: 'say what is wrong with a configuration, and what to write',
    load: async () => (await import('./check.js')).checkCommand(),
  },
  {
    name: 'apply',
    summary: 'give a running node another configuration, without losing a packet',
    load: async () => (await import('./apply.js')).applyCommand(),
  },
  {
    name: 'capture',
    summary: 'write what passes a running node as pcapng: which worker, which verdict, why dropped',
    load: async () => (await import('./capture.js')).captureCommand(),
  },
  {
    name: 'doctor',
    summary: 'say what of this host and its interfaces is in the way, and how to mend it',
    load: async () => (await import('./doctor.js')).doctorCommand(),
  },
  {
    name: 'clear',
    summary: 'delete IKE SAs of a running node, with their tunnels',
    load: async () => (await import('./clear.js')).clearCommand(),
  },
  {
    name: 'monitor',
    summary: 'what IKE does on a running node, one JSON object a line',
    load: async () => (await import('./monitor.js')).monitorCommand(),
  },
  {
    name: 'drain',
    summary: 'take a real service out of the choice for new flows',
    load: async () => (await import('./drain.js')).drainCommand('drain'),
  },
  {
    name: 'undrain',
    summary: 'put a drained real service back',
    load: async () => (await import('./drain.js')).drainCommand('undrain'),
  },
  {
    name: 'failover',
    summary: 'hand a services redundancy group over to the peer',
    load: async () => (await import('./failover.js')).failoverCommand('failover'),
  },
  {
    name: 'failback',
    summary: 'give a services redundancy group back to the node with the higher priority',
    load: async () => (await import('./failover.js')).failoverCommand('failback'),
  },
  {
    name: 'ha-group',
    summary: 'say whether this node has an ha-group: for VRRP',
    load: async () => (await import('./failover.js')).haGroupCommand(),
  },
  {
    name: 'run',
    summary: 'run a node: router, gateway or both, by its configuration',
    load: async () => (await import('./run.js')).runCommand(),
  },
  {
    name: 'show',
    summary: 'show what a running node knows: sessions, SAs, load balancing, routes, drops',
    load: async () => (await import('./show.js')).showCommand(),
  },
  {
    name: 'plan',
    summary: 'say before a change which flows will move',
    load: async () => (await import('./plan.js')).planCommand(),
  },
  {
    name: 'explain',
    summary: 'say where a flow goes, and why',
    load: async () => (await import('./explain.js')).explainCommand(),
  },
  {
    name: 'demo',
    summary: 'run the main job on memory ports: tunnels, router, gateways, a failure',
    load: async () => (await import('./demo.js')).demoCommand(),
  },
  {
    name: 'simulate',
    summary: 'try scenarios, or thousands of random failures, in virtual time',
    load: async () => (await import('./simulate.js')).simulateCommand(),
  },
  {
    name: 'emulate',
    summary: 'run a scenario in real time and tell what happens',
    load: async () => (await import('./emulate.js')).emulateCommand(),
  },
  {
    name: 'esp',
    summary: 'open or seal the packets of a capture with the keys of an SA file',
    load: async () => (await import('./esp.js')).espCommand(),
  },
];

/** Runs one command line, without the program's name; the code to exit with. */
export async function main(args: readonly string[], output: Output = createOutput()): Promise<number> {
  const program = new Command('penstock')
    .description('Scale-out IPsec security gateway and load balancer in user space')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .exitOverride();
  const given = args[0] === 'help' ? [...args.slice(1), '--help'] : [...args];
  const called = given.find((arg) => !arg.startsWith('-'));
  const verb = verbs.find(({ name }) => name === called);
  if (called !== undefined && verb === undefined) {
    const meant = nearest(
      called,
      verbs.map(({ name }) => name),
    );
    output.message(
      `unknown verb ${called}${meant === undefined ? '; try penstock --help' : `; did you mean ${meant}?`}`,
    );
    return exitCodes.usage;
  }
  for (const { name, summary, load } of verbs) {
    program.addCommand(
      verb?.name === name ? inherit(await load()) : new Command(name).summary(summary).description(summary),
    );
  }
  if (given.length === 0) {
    program.outputHelp({ error: true });
    return exitCodes.usage;
  }
  try {
    await program.parseAsync(given, { from: 'user' });
    return Number(process.exitCode ?? exitCodes.ok);
  } catch (error) {
    return failed(error, output);
  }
}

/** Every command ends by throwing, never by process.exit, so that what it has printed arrives. */
function inherit(command: Command): Command {
  command.exitOverride();
  for (const sub of command.commands) inherit(sub);
  return command;
}

function failed(error: unknown, output: Output): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  if (error instanceof Exit) {
    if (error.message !== '') output.message(error.message);
    return error.code;
  }
  if (error instanceof ConfigError) {
    for (const problem of error.problems) output.message(problemText(problem));
    return exitCodes.badConfiguration;
  }
  const text = error instanceof Error ? error.message : String(error);
  output.message(text);
  if (process.env.PENSTOCK_DEBUG && error instanceof Error) output.message(error.stack ?? '');
  return exitCodes.failure;
}

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function isProgram(): boolean {
  const script = process.argv[1];
  return script !== undefined && realpathSync(script) === fileURLToPath(import.meta.url);
}

if (isProgram()) {
  // whoever reads our output may have seen enough (`penstock show … | head`)
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  process.exitCode = await main(process.argv.slice(2));
  // a thread that is stuck in native code does not keep the process
  setTimeout(() => process.exit(), 10_000).unref();
}
