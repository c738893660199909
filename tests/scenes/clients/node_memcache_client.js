// SPDX-License-Identifier: BSD-3-Clause
// What a Node program does with npm's `memcache-client`, over TLS where a certificate authority is
// named; arguments: the folder it was installed to, the server's host:port, the authority's file.
'use strict';
const fs = require('fs');
const [folder, server, authority] = process.argv.slice(2);
const {MemcacheClient} = require(`${folder}/node_modules/memcache-client`);
const tls = authority && {ca: fs.readFileSync(authority)};
const cache = new MemcacheClient({server, cmdTimeout: 20000, ...(tls && {tls})});

function same(what, got, wanted) {
  const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${what}: got ${a}, not ${b}`);
}

async function main() {
  same('set', await cache.set('name', 'value'), ['STORED']);
  same('get', (await cache.get('name')).value, 'value');
  same('a miss', await cache.get('nobody'), undefined);
  same('a structure', await cache.set('list', {of: [1, 2, 3]}), ['STORED']);
  same('and back', (await cache.get('list')).value, {of: [1, 2, 3]});
  const bytes = Buffer.alloc(300000, Buffer.from([0, 13, 10, 255, 128, 69, 78, 68, 13, 10]));
  await cache.set('bytes', bytes);
  if (!bytes.equals((await cache.get('bytes')).value)) throw new Error('bytes: others came back');
  const keys = Array.from({length: 50}, (_, n) => `many${n}`);
  await Promise.all(keys.map((key, n) => cache.set(key, `value ${n}`)));
  same('of many', Object.keys(await cache.get(keys)).length, 50);
  const seen = await cache.gets('name');
  same('cas', await cache.cas('name', 'mine', {casUniq: seen.casUniq}), ['STORED']);
  same('incr', [await cache.set('count', '40'), await cache.incr('count', 2)][1], '42');
  same('delete', await cache.delete('name'), ['DELETED']);
  cache.shutdown();
  console.log('right');
}

main().catch((error) => {
  console.log(error.message);
  process.exit(1);
});
