// A process with a dataplane under traffic, which ends in the way that its argument says.
import { Dataplane } from '../../../dist/pipeline/dataplane.js';

const mac = (last) => Uint8Array.of(2, 0, 0, 0, 0, last);
const timers = {
  every(ms, run) {
    const timer = setInterval(run, ms).unref();
    return () => clearInterval(timer);
  },
  after(ms, run) {
    const timer = setTimeout(run, ms).unref();
    return () => clearTimeout(timer);
  },
};
const plane = new Dataplane({
  workers: 2,
  framesPerWorker: 512,
  controlFrames: 64,
  handOverRing: 64,
  timers,
});
const flows = [1, 2, 3, 4].map((i) => ({
  source: Uint8Array.of(10, 1, 0, i),
  destination: Uint8Array.of(10, 2, 0, i),
  sourcePort: i,
  destinationPort: i,
}));
const host = { flows, sizes: [100], credit: 32, seed: 1 };
const client = plane.native.addHost({
  ...host,
  name: 'client',
  server: false,
  mac: mac(1),
  gatewayMac: mac(2),
});
const server = plane.native.addHost({
  ...host,
  name: 'server',
  server: true,
  mac: mac(2),
  gatewayMac: mac(1),
});
plane.native.addWire(client, server, 64);
await plane.start();
plane.native.setSending(client, true);
while (plane.counters(client).delivered < 1000) await new Promise((resolve) => setTimeout(resolve, 5));

const ends = {
  stop: async () => {
    await plane.stop();
    plane.close();
  },
  exit: () => process.exit(5),
  throw: () => {
    throw new Error('unforeseen');
  },
  wait: () => process.stdout.write('running\n'),
  reject: () => Promise.reject(new Error('unforeseen')),
  destroy: () => process.reallyExit(6),
};
await ends[process.argv[2]]();
