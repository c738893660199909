#!/usr/bin/perl
# SPDX-License-Identifier: BSD-3-Clause
# What a Perl program does with Cache::Memcached or Cache::Memcached::Fast, whose name is the first
# argument; then the server's host:port. The first line that is wrong ends it with its reason.
use strict;
use warnings;

my ($module, $server) = @ARGV;
eval "require $module; 1" or do { print "no $module: $@"; exit 77 };

sub same {
    my ($what, $got, $wanted) = @_;
    $_ = defined $_ ? $_ : '(undef)' for $got, $wanted;
    die "$what: got '$got', not '$wanted'\n" if $got ne $wanted;
}

my $fast = $module =~ /Fast/;
my $cache = $module->new({servers => [$server], compress_threshold => 10_000});

same('set', $cache->set('name', 'value'), 1);
same('get', $cache->get('name'), 'value');
same('a miss', $cache->get('nobody'), undef);
same('add what is there', $cache->add('name', 'x') ? 1 : 0, 0);
same('replace what is not', $cache->replace('nobody', 'x') ? 1 : 0, 0);
same('replace', $cache->replace('name', 'other') ? 1 : 0, 1);
same('get again', $cache->get('name'), 'other');

# Flags: a structure is frozen with one of its own, a long text packed with another.
same('a structure', $cache->set('list', {of => [1, 2, 3]}), 1);
same('and back', $cache->get('list')->{of}[2], 3);
my $long = 'a long text ' x 20_000;
same('a long text', $cache->set('long', $long), 1);
same('and back', $cache->get('long'), $long);
my $bytes = join '', map chr, (0 .. 255), 13, 10, 0;
same('every byte', $cache->set('bytes', $bytes), 1);
same('and back', $cache->get('bytes'), $bytes);

$cache->set("many$_", $_ * $_) for 1 .. 60;
my $many = $cache->get_multi(map "many$_", 1 .. 70);
same('of 70 keys', scalar keys %$many, 60);
same('the last', $many->{many60}, 3600);

same('counter', $cache->set('count', 40), 1);
same('incr', $cache->incr('count', 2), 42);
same('decr', $cache->decr('count', 50) + 0, 0); # "0E0": a zero that is true
same('incr of nothing', $cache->incr('nobody') ? 1 : 0, 0);

if ($fast) {
    same('append', $cache->append('name', '!'), 1);
    same('prepend', $cache->prepend('name', '?'), 1);
    my $seen = $cache->gets('name');
    same('gets', $seen->[1], '?other!');
    same('cas', $cache->cas('name', $seen->[0], 'mine') ? 1 : 0, 1);
    same('cas of what it was', $cache->cas('name', $seen->[0], 'yours') ? 1 : 0, 0);
    same('touch', $cache->touch('name', 60) ? 1 : 0, 1);
    same('get and touch', $cache->gat(60, 'name'), 'mine') if $cache->can('gat');
    my ($version) = values %{$cache->server_versions};
    same('version', $version =~ /^\d+\.\d+/ ? 1 : 0, 1);
} else {
    my $stats = $cache->stats(['misc']);
    my $of = $stats->{hosts}{$server}{misc};
    same('stats', $of->{curr_items} > 60 ? 1 : 0, 1);
}

same('delete', $cache->delete('name') ? 1 : 0, 1);
same('delete again', $cache->delete('name') ? 1 : 0, 0);

same('for a second', $cache->set('brief', 'x', 1), 1);
same('a date long ago', $cache->set('past', 'x', 1_000_000_000), 1);
same('is over', $cache->get('past'), undef);
select undef, undef, undef, 2.1;
same('after two', $cache->get('brief'), undef);

$cache->flush_all;
same('flushed', $cache->get('long'), undef);
print "right\n";
