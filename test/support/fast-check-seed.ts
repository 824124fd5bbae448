/** Properties are drawn from one seed, so that a run is the next one's twin; PENSTOCK_SEED tries another. */
import fc from 'fast-check';

fc.configureGlobal({ seed: Number(process.env.PENSTOCK_SEED ?? 1) });
