import Table from 'cli-table3';
import picocolors from 'picocolors';

type Colours = ReturnType<typeof picocolors.createColors>;

interface Stream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
}

/** Where a command prints: data to standard output, messages to standard error, colour only on a terminal. */
export interface Output {
  /** Lines of data; a newline is added. */
  data(text: string): void;
  /** One JSON object with its schemaVersion; bigints become numbers where they fit, else strings. */
  json(value: object): void;
  /** A line for people, `penstock: …`. */
  message(text: string): void;
  /** For data(). */
  readonly colours: Colours;
  /** Whether people watch: a live display may redraw itself. */
  readonly isTerminal: boolean;
}

/** Version of what `--json` prints; grows when a field changes its meaning or goes. */
export const schemaVersion = 1;

export function createOutput(
  stdout: Stream = process.stdout,
  stderr: Stream = process.stderr,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Output {
  const isTerminal = stdout.isTTY === true && env.TERM !== 'dumb';
  return {
    data: (text) => void stdout.write(`${text}\n`),
    json: (value) => void stdout.write(`${jsonText({ schemaVersion, ...value })}\n`),
    message: (text) => void stderr.write(`penstock: ${text}\n`),
    // no-color.org: any value but the empty one
    colours: picocolors.createColors(isTerminal && !env.NO_COLOR),
    isTerminal,
  };
}

export function jsonText(value: unknown): string {
  return JSON.stringify(value, (_key, entry: unknown) => {
    if (typeof entry !== 'bigint') return entry;
    return Number.isSafeInteger(Number(entry)) ? Number(entry) : String(entry);
  });
}

export interface Column {
  readonly head: string;
  readonly align?: 'left' | 'right';
}

/** Rows under a heading, in columns two blanks apart, without rules: the reference documents' look. */
export function tableText(
  columns: readonly Column[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const none = {
    top: '',
    'top-mid': '',
    'top-left': '',
    'top-right': '',
    bottom: '',
    'bottom-mid': '',
    'bottom-left': '',
    'bottom-right': '',
    left: '',
    'left-mid': '',
    mid: '',
    'mid-mid': '',
    right: '',
    'right-mid': '',
    middle: '  ',
  };
  const table = new Table({
    chars: none,
    colAligns: columns.map(({ align }) => align ?? 'left'),
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
  table.push(
    columns.map(({ head }) => head),
    ...rows.map((row) => row.map(String)),
  );
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}
