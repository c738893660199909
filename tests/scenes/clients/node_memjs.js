// SPDX-License-Identifier: BSD-3-Clause
// What a Node program sees that uses npm's `memjs`, which speaks the binary protocol alone;
// arguments: the folder it was installed to, and the server's host:port.
'use strict';
const [folder, server] = process.argv.slice(2);
const memjs = require(`${folder}/node_modules/memjs`);
const quiet = {log() {}};
const cache = memjs.Client.create(server, {retries: 1, timeout: 30, logger: quiet});

const late = setTimeout(() => {
  console.log('no answer after 10 seconds');
  process.exit(1);
}, 10000);
cache.set('name', 'value', {}, (error) => {
  clearTimeout(late);
  cache.close();
  console.log(error ? 'right' : 'it says that it was stored');
});
