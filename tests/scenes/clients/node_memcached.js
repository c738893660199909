// SPDX-License-Identifier: BSD-3-Clause
// What a Node program does with npm's `memcached`; arguments: the folder it was installed to, and
// the server's host:port. The first line that is wrong ends it with its reason.
'use strict';
const [folder, server] = process.argv.slice(2);
const Memcached = require(`${folder}/node_modules/memcached`);
const cache = new Memcached(server, {retries: 0, timeout: 20000, poolSize: 2});

function call(name, ...args) {
  return new Promise((resolve, reject) => cache[name](...args,
    (error, data) => error ? reject(new Error(`${name} ${args[0]}: ${error}`)) : resolve(data)));
}

function same(what, got, wanted) {
  const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${what}: got ${a}, not ${b}`);
}

async function fails(what, promise) {
  const good = await promise.then(() => true, () => false);
  if (good) throw new Error(`${what}: was done`);
}

async function main() {
  same('set', await call('set', 'name', 'value', 0), true);
  same('get', await call('get', 'name'), 'value');
  same('a miss', await call('get', 'nobody'), undefined);
  await fails('add what is there', call('add', 'name', 'x', 0));
  same('replace', await call('replace', 'name', 'other', 0), true);

  // Flags tell text, JSON and bytes apart.
  same('a structure', await call('set', 'list', {of: [1, 2, 3]}, 0), true);
  same('and back', await call('get', 'list'), {of: [1, 2, 3]});
  const bytes = Buffer.alloc(300000, Buffer.from([0, 13, 10, 255, 128, 69, 78, 68, 13, 10]));
  same('bytes', await call('set', 'bytes', bytes, 0), true);
  if (!bytes.equals(await call('get', 'bytes'))) throw new Error('bytes: others came back');

  const keys = Array.from({length: 100}, (_, n) => `many${n}`);
  await Promise.all(keys.map((key, n) => call('set', key, `value ${n}`, 0)));
  const many = await call('getMulti', [...keys, 'nobody']);
  same('of 101 keys', Object.keys(many).length, 100);
  same('one of them', many.many42, 'value 42');

  const seen = await call('gets', 'name');
  same('gets', seen.name, 'other');
  same('cas', await call('cas', 'name', 'mine', seen.cas, 0), true);
  same('cas of what it was', await call('cas', 'name', 'yours', seen.cas, 0), false);

  await call('set', 'count', 40, 0);
  same('incr', await call('incr', 'count', 2), 42);
  same('decr', await call('decr', 'count', 50), 0);
  same('append', await call('append', 'name', '!'), true);
  same('prepend', await call('prepend', 'name', '?'), true);
  same('joined', await call('get', 'name'), '?mine!');
  same('touch', await call('touch', 'name', 60), true);
  same('delete', await call('del', 'name'), true);
  same('delete again', await call('del', 'name'), false);

  const [version] = await call('version');
  same('version', /^\d/.test(version.version), true);
  const [stats] = await call('stats');
  same('stats', stats.curr_items > 100, true);
  const [settings] = await call('settings');
  same('settings', settings.maxconns > 0, true);

  await call('set', 'brief', 'x', 1);
  await new Promise((resolve) => setTimeout(resolve, 2100));
  same('after two seconds', await call('get', 'brief'), undefined);
  await call('flush');
  same('flushed', await call('get', 'many1'), undefined);
  cache.end();
  console.log('right');
}

main().catch((error) => {
  console.log(error.message);
  process.exit(1);
});
