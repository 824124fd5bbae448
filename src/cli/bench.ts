import type { Command } from 'commander';

/** The bench lives in bench/, beside the product: its command is loaded only when it is called. */
export async function benchCommand(): Promise<Command> {
  const { benchCommand } = (await import(new URL('../bench/command.js', import.meta.url).href)) as {
    benchCommand: () => Command;
  };
  return benchCommand();
}
