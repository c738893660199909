<?php
// SPDX-License-Identifier: BSD-3-Clause
// What a PHP program does with php-memcached; arguments: host, port (0: host is a socket's path).
// The first line that is wrong ends it with its reason.
if (!class_exists('Memcached')) {
    echo "no class Memcached: the extension is not loaded\n";
    exit(77);
}

function same($what, $got, $wanted)
{
    if ($got === $wanted) return;
    echo "$what: got ", json_encode($got), ', not ', json_encode($wanted), "\n";
    exit(1);
}

$cache = new Memcached();
$cache->addServer($argv[1], (int) $argv[2]);
$cache->setOption(Memcached::OPT_BINARY_PROTOCOL, false);

same('set', $cache->set('name', 'value'), true);
same('get', $cache->get('name'), 'value');
same('a miss', $cache->get('nobody'), false);
same('is told as one', $cache->getResultCode(), Memcached::RES_NOTFOUND);
same('add what is there', $cache->add('name', 'x'), false);
same('replace', $cache->replace('name', 'other'), true);

// Flags carry the type; a long text is packed by the client.
foreach ([7, 1.5, true, ['a' => [1, 2]], str_repeat('long ', 50000)] as $n => $value) {
    same("set of type $n", $cache->set("type$n", $value), true);
    same("get of type $n", $cache->get("type$n"), $value);
}
$bytes = implode('', array_map('chr', range(0, 255))) . "\r\n\0";
same('every byte', $cache->set('bytes', $bytes), true);
same('and back', $cache->get('bytes'), $bytes);

$many = [];
for ($n = 0; $n < 200; $n++) $many["many$n"] = "value $n";
same('setMulti', $cache->setMulti($many), true);
same('getMulti', $cache->getMulti(array_keys($many), Memcached::GET_PRESERVE_ORDER), $many);

$seen = $cache->get('name', null, Memcached::GET_EXTENDED);
same('get with cas', $seen['value'], 'other');
same('cas', $cache->cas($seen['cas'], 'name', 'mine'), true);
same('cas of what it was', $cache->cas($seen['cas'], 'name', 'yours'), false);
same('is told as that', $cache->getResultCode(), Memcached::RES_DATA_EXISTS);

$cache->set('count', 40);
same('increment', $cache->increment('count', 2), 42);
same('decrement', $cache->decrement('count', 50), 0);
$cache->setOption(Memcached::OPT_COMPRESSION, false);
$cache->set('text', 'b');
same('append', $cache->append('text', 'c'), true);
same('prepend', $cache->prepend('text', 'a'), true);
same('joined', $cache->get('text'), 'abc');
same('touch', $cache->touch('text', 60), true);

same('delete', $cache->delete('text'), true);
same('delete again', $cache->delete('text'), false);

same('versions', preg_match('/^\d+\.\d+/', array_values($cache->getVersion())[0]), 1);
$stats = array_values($cache->getStats())[0];
same('stats', $stats['curr_items'] > 200, true);

same('for a second', $cache->set('brief', 'x', 1), true);
if ($argv[2] > 0) {
    usleep(2100000);
    same('after two', $cache->get('brief'), false);
}
same('a date long ago', $cache->set('past', 'x', 1000000000), true);
same('is over', $cache->get('past'), false);
same('flush', $cache->flush(), true);
same('flushed', $cache->get('many1'), false);
echo "right\n";
