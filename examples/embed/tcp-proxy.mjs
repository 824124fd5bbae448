#!/usr/bin/env node
/**
 * A TCP proxy with health checks: connections go to the member that consistent hashing picks for the client's address
 * and port; a member that answers its check with 500 takes no new ones until it is well again, and the connections of
 * the others never notice.
 *
 *   node examples/embed/tcp-proxy.mjs            runs three web servers, the proxy and its clients on loopback
 */
import { once } from 'node:events';
import { createServer as createHttpServer, get } from 'node:http';
import { connect, createServer } from 'node:net';
import { LoadBalancer, watchHealth } from 'penstock';

// Members answer with their name; /health says how they are.
const members = new Map();
for (const name of ['alpha', 'beta', 'gamma']) {
  const member = { name, well: true, port: 0 };
  const server = createHttpServer((request, response) => {
    response.statusCode = request.url === '/health' && !member.well ? 500 : 200;
    response.end(name);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  members.set(name, Object.assign(member, { server, port: server.address().port }));
}

const lb = new LoadBalancer({
  members: [...members.keys()].map((name) => ({ name })),
  key: '5-tuple',
});
lb.on('down', (name, why) => console.log(`${name} is down: ${why}`));
lb.on('up', (name) => console.log(`${name} is up`));
const health = watchHealth(lb, {
  check: { kind: 'http', url: '/health' },
  target: (name) => `127.0.0.1:${members.get(name).port}`,
  intervalMs: 100,
  failureRetries: 2,
  recoveryRetries: 2,
});

const proxy = createServer((client) => {
  const name = lb.pick({
    source: client.remoteAddress,
    destination: client.localAddress,
    protocol: 6,
    sourcePort: client.remotePort,
    destinationPort: client.localPort,
  });
  if (name === undefined) return client.destroy(); // nobody is up
  const server = connect(members.get(name).port, '127.0.0.1');
  client.pipe(server).pipe(client);
  for (const [one, other] of [
    [client, server],
    [server, client],
  ])
    one.on('error', () => other.destroy());
});
proxy.listen(0, '127.0.0.1');
await once(proxy, 'listening');

async function ask() {
  const [response] = await once(get({ port: proxy.address().port, agent: false }), 'response');
  return (await response.toArray()).join('');
}
async function whoAnswers() {
  const names = await Promise.all(Array.from({ length: 60 }, ask));
  return [...new Set(names)].sort().join(', ');
}

console.log('answering:', await whoAnswers());
members.get('beta').well = false;
await once(lb, 'down');
console.log('answering:', await whoAnswers());
members.get('beta').well = true;
await once(lb, 'up');
console.log('answering:', await whoAnswers());

health.stop();
proxy.close();
for (const { server } of members.values()) {
  server.close();
  server.closeAllConnections();
}
