import { type Effort, nativeBench } from './native-bench.js';
import type { Question } from './question.js';
import type { Series } from './series.js';

/** The sizes of SECGW-IMIX, each once. */
const isOfTheMix = (id: string) =>
  /^crypto\.aes(128|256)\.(encrypt|decrypt)\.(64|127|255|511|1024|1518)$/.test(id);
const ofTheMix = 2 * 2 * 6;

/** Round by round; the lists are equally long. */
function geometricMeans(lists: readonly Series['ours'][]): number[] {
  const [first = []] = lists;
  return first.map((_, round) => {
    const logarithms = lists.map((values) => Math.log(values[round] as number));
    return Math.exp(logarithms.reduce((sum, one) => sum + one, 0) / lists.length);
  });
}

async function* everySizeAndTheirMean(effort: Effort): AsyncGenerator<Series> {
  const parts: Series[] = [];
  for await (const series of nativeBench('crypto', ['--ipsec-mb', effort.ipsecMb], effort)) {
    if (isOfTheMix(series.id)) parts.push(series);
    yield series;
  }
  if (parts.length < ofTheMix) return;
  const peers = Object.keys(parts[0]?.peers ?? {});
  yield {
    id: 'crypto.imix.mean',
    unit: 'Gbit/s',
    ours: geometricMeans(parts.map(({ ours }) => ours)),
    peers: Object.fromEntries(
      peers.map((name) => [name, geometricMeans(parts.map((part) => part.peers[name] ?? []))]),
    ),
  };
}

export const crypto: Question = {
  name: 'crypto',
  title: 'AES-GCM: how fast is the cipher alone?',
  method:
    'Bursts of 32 packets over one key, 1,000 keys at random where the id says so. Penstock, libipsec-mb and OpenSSL take turns within each round; OpenSSL reuses one context, libipsec-mb has its keys expanded before. crypto.imix.mean: the geometric mean over the sizes of SECGW-IMIX, both key lengths and both directions.',
  run: everySizeAndTheirMean,
};
