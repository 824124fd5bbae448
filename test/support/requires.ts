/**
 * Tests that need more than the repository brings: a tool, a package, privilege. Where it is missing, such a test is skipped
 * and says what to install; in CI (CI=true) it fails instead, so that nothing is left out unseen.
 *
 *     const scapy = requirePython('scapy');
 *     it.skipIf(scapy.missing)(`opens what scapy made${scapy.note}`, () => { … });
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface Requirement {
  /** skip the test; never true in CI */
  readonly missing: boolean;
  /** '' or ' (skipped: …)', for the test's name */
  readonly note: string;
}

const isCi = process.env.CI === 'true' || process.env.CI === '1';

/** A condition of any kind; `mend` says how to meet it. In CI an unmet one throws, which fails the whole test file. */
export function requireThat(isMet: boolean, mend: string): Requirement {
  if (isMet) return { missing: false, note: '' };
  if (isCi) throw new Error(`a test needs what is not there: ${mend}`);
  return { missing: true, note: ` (skipped: ${mend})` };
}

/** A program on the PATH. */
export function requireTool(name: string, debianPackage = name): Requirement {
  const found = (process.env.PATH ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  return requireThat(found, `no ${name}: apt-get install ${debianPackage}`);
}

/** The interpreter that Debian's python3-… packages belong to. */
export const python = '/usr/bin/python3';

/** Modules of Debian's Python. */
export function requirePython(...modules: readonly string[]): Requirement {
  const { status } = spawnSync(python, ['-c', modules.map((name) => `import ${name}`).join('\n')], {
    stdio: 'ignore',
    timeout: 60_000,
  });
  const packages = modules.map((name) => `python3-${name.split('.')[0]}`).join(' ');
  return requireThat(status === 0, `Python has no ${modules.join(' or no ')}: apt-get install ${packages}`);
}
