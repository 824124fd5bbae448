#!/usr/bin/env node
/**
 * A UDP balancer in sixty lines: datagrams to one port go to the member that consistent hashing picks for
 * their source, answers go back; a member that fails keeps everybody else's flows where they are.
 *
 *   node examples/embed/udp-balancer.mjs            runs a client, the balancer and three members on loopback
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { LoadBalancer } from 'penstock';

async function socket(handler) {
  const made = createSocket('udp4');
  if (handler) made.on('message', (data, from) => handler(data, from, made));
  made.bind(0, '127.0.0.1');
  await once(made, 'listening');
  return made;
}

// Members answer with their name.
const names = ['alpha', 'beta', 'gamma'];
const members = new Map();
for (const name of names) {
  members.set(name, await socket((_, from, self) => self.send(name, from.port, from.address)));
}

const lb = new LoadBalancer({ members: names.map((name) => ({ name })), key: '5-tuple', seed: 7 });

/** The member for a client, by address and port: here every client is on 127.0.0.1. */
const pick = ({ address, port }) =>
  lb.pick({
    source: address,
    destination: '127.0.0.1',
    protocol: 17,
    sourcePort: port,
    destinationPort: balancer.address().port,
  });

// One socket towards the members for each client, so that answers find their way.
const flows = new Map();
const balancer = await socket(async (data, client) => {
  const id = `${client.address}:${client.port}`;
  if (!flows.has(id)) {
    flows.set(
      id,
      socket((answer) => balancer.send(answer, client.port, client.address)),
    );
  }
  (await flows.get(id)).send(data, members.get(pick(client)).address().port, '127.0.0.1');
});

const clients = await Promise.all(Array.from({ length: 60 }, () => socket()));
async function ask(client) {
  const answer = once(client, 'message');
  client.send('which?', balancer.address().port, '127.0.0.1');
  return String((await answer)[0]);
}

const before = await Promise.all(clients.map(ask));
lb.setDown('beta');
const after = await Promise.all(clients.map(ask));
const moved = before.filter((name, i) => name !== after[i]);
console.log(
  `60 clients over ${names.join(', ')}; beta failed: ${moved.length} moved, all of them beta's:`,
  moved.every((name) => name === 'beta'),
);

for (const open of [balancer, ...members.values(), ...clients]) open.close();
for (const open of flows.values()) (await open).close();
