/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the text dialect makes of bytes: a table of sentences, the limits of a line, and every
 * request cut at every byte. */
#include "protocol/request.h"

#include <stdio.h>
#include <stdlib.h>

#include "edge.h"
#include "protocol/limits.h"

enum { ITEM_MAX = 1000, SENT_BYTES_MAX = 2 * MULTIGET_BYTES_MAX };

/* One sentence. What a row leaves out must be 0, empty or false. */
struct row {
    const char *sentence;
    const char *sent;
    enum request_parse parse;
    const char *refusal;
    enum command command;
    const char *key, *more, *value, *rest;
    uint32_t flags;
    int64_t exptime;
    uint64_t cas, delta, swallow_bytes;
    enum request_map mode;
    uint32_t lease_s;
    uint64_t map_id, offset, length;
    bool noreply, has_exptime, drop_old, discard;
    size_t left_bytes; /* of `sent`, not taken */
    size_t more_bytes;
};

#define READY .parse = REQUEST_READY
#define PARTIAL .parse = REQUEST_PARTIAL
#define REFUSED .parse = REQUEST_REFUSED, .refusal
#define LOST .parse = REQUEST_LOST, .refusal
#define BAD_LINE "CLIENT_ERROR bad command line format"
#define BAD_EXPTIME "CLIENT_ERROR invalid exptime argument"
#define BAD_LEASE "CLIENT_ERROR invalid lease argument"
#define BAD_DELTA "CLIENT_ERROR invalid numeric delta argument"
#define BAD_CHUNK "CLIENT_ERROR bad data chunk"
#define TOO_LARGE "SERVER_ERROR object too large for cache"

static const struct row rows[] = {
    /* get, gets, gat, gats */
    {"a get names one key", "get foo\r\n", READY, .command = COMMAND_GET, .key = "foo"},
    {"a line may end with a bare newline", "get a\n", READY, .command = COMMAND_GET, .key = "a"},
    {"a get may name many keys", "get a bb  c\r\n", READY, .command = COMMAND_GET, .key = "a",
     .more = " bb  c"},
    {"blanks at the end are nothing", "get a  \r\n", READY, .command = COMMAND_GET, .key = "a",
     .more = "  "},
    {"blanks before a command are nothing", "  get a\r\n", READY, .command = COMMAND_GET,
     .key = "a"},
    {"gets is a get that shows the cas", "gets a\r\n", READY, .command = COMMAND_GETS, .key = "a"},
    {"a request takes only its own bytes", "get a\r\nget b\r\n", READY, .command = COMMAND_GET,
     .key = "a", .left_bytes = 7},
    {"noreply is a key like another to a get", "get noreply\r\n", READY, .command = COMMAND_GET,
     .key = "noreply"},
    {"a key may hold any byte but blank and newline", "get a\tb\x7f\r\n", READY,
     .command = COMMAND_GET, .key = "a\tb\x7f"},
    {"a get without key is badly formed", "get\r\n", REFUSED = BAD_LINE, .command = COMMAND_GET},
    {"a get of blanks is badly formed", "get   \r\n", REFUSED = BAD_LINE, .command = COMMAND_GET},
    {"gat takes a time and keys", "gat 30 a b\r\n", READY, .command = COMMAND_GAT, .key = "a",
     .more = " b", .exptime = 30},
    {"gats takes a negative time", "gats -1 a\r\n", READY, .command = COMMAND_GATS, .key = "a",
     .exptime = -1},
    {"gat without key is badly formed", "gat 30\r\n", REFUSED = BAD_LINE, .command = COMMAND_GAT},
    {"gat wants its time first", "gat a b\r\n", REFUSED = BAD_EXPTIME, .command = COMMAND_GAT},

    /* set, add, replace, append, prepend */
    {"a set brings its value", "set k 5 60 3\r\nbar\r\n", READY, .command = COMMAND_SET, .key = "k",
     .value = "bar", .flags = 5, .exptime = 60},
    {"a value may be empty", "set k 0 0 0\r\n\r\n", READY, .command = COMMAND_SET, .key = "k",
     .value = ""},
    {"a value may hold line ends", "set k 0 0 6\r\na\r\nb\r\n\r\n", READY, .command = COMMAND_SET,
     .key = "k", .value = "a\r\nb\r\n"},
    {"people with bare newlines end values so too", "set k 0 0 3\nbar\n", READY,
     .command = COMMAND_SET, .key = "k", .value = "bar"},
    {"and may still send both", "set k 0 0 3\nbar\r\n", READY, .command = COMMAND_SET, .key = "k",
     .value = "bar"},
    {"a set may want no reply", "set k 0 0 1 noreply\r\nx\r\n", READY, .command = COMMAND_SET,
     .key = "k", .value = "x", .noreply = true},
    {"flags are 32 bits", "set k 4294967295 0 1\r\nx\r\n", READY, .command = COMMAND_SET,
     .key = "k", .value = "x", .flags = UINT32_MAX},
    {"leading zeros are allowed", "set k 007 01 01\r\nx\r\n", READY, .command = COMMAND_SET,
     .key = "k", .value = "x", .flags = 7, .exptime = 1},
    {"add is stored like set", "add k 0 0 1\r\nx\r\n", READY, .command = COMMAND_ADD, .key = "k",
     .value = "x"},
    {"replace too", "replace k 0 0 1\r\nx\r\n", READY, .command = COMMAND_REPLACE, .key = "k",
     .value = "x"},
    {"append too", "append k 0 0 1\r\nx\r\n", READY, .command = COMMAND_APPEND, .key = "k",
     .value = "x"},
    {"prepend too", "prepend k 0 0 1\r\nx\r\n", READY, .command = COMMAND_PREPEND, .key = "k",
     .value = "x"},
    {"a word too many is ignored", "set k 0 0 1 0 what\r\nx\r\n", READY, .command = COMMAND_SET,
     .key = "k", .value = "x"},

    /* stores that are refused */
    {"a set without length is badly formed and nothing is swallowed", "set k 0 0\r\nx\r\n",
     REFUSED = BAD_LINE, .command = COMMAND_SET, .left_bytes = 3},
    {"a negative length is no length", "set k 0 0 -1\r\n", REFUSED = BAD_LINE,
     .command = COMMAND_SET},
    {"2^31 - 1 is no length", "set k 0 0 2147483647\r\n", REFUSED = BAD_LINE,
     .command = COMMAND_SET},
    {"2^31 is no length", "set k 0 0 2147483648\r\n", REFUSED = BAD_LINE, .command = COMMAND_SET},
    {"2^32 - 1 is no length", "set k 0 0 4294967295\r\n", REFUSED = BAD_LINE,
     .command = COMMAND_SET},
    {"2^64 is no length", "set k 0 0 18446744073709551616\r\n", REFUSED = BAD_LINE,
     .command = COMMAND_SET},
    {"a length that is no number silences nothing", "set k 0 0 x noreply\r\n", REFUSED = BAD_LINE,
     .command = COMMAND_SET},
    {"2^31 - 3 is a length, but too large; the old value goes", "set k 0 0 2147483645\r\n",
     REFUSED = TOO_LARGE, .command = COMMAND_SET, .key = "k", .swallow_bytes = 2147483647,
     .drop_old = true},
    {"one byte above the limit is too large", "set k 0 0 1001\r\n", REFUSED = TOO_LARGE,
     .command = COMMAND_SET, .key = "k", .swallow_bytes = 1003, .drop_old = true},
    {"only a set deletes the old value", "add k 0 0 1001\r\n", REFUSED = TOO_LARGE,
     .command = COMMAND_ADD, .key = "k", .swallow_bytes = 1003},
    {"too large and no reply", "set k 0 0 1001 noreply\r\n", REFUSED = TOO_LARGE,
     .command = COMMAND_SET, .key = "k", .swallow_bytes = 1003, .drop_old = true, .noreply = true},
    {"after a bare newline one byte less is swallowed", "set k 0 0 1001\n", REFUSED = TOO_LARGE,
     .command = COMMAND_SET, .key = "k", .swallow_bytes = 1002, .drop_old = true},
    {"flags above 32 bits are refused and the value swallowed", "set k 4294967296 0 1\r\nx\r\n",
     REFUSED = BAD_LINE, .command = COMMAND_SET, .key = "k", .swallow_bytes = 3, .left_bytes = 3},
    {"negative flags too", "set k -1 0 1\r\nx\r\n", REFUSED = BAD_LINE, .command = COMMAND_SET,
     .key = "k", .swallow_bytes = 3, .left_bytes = 3},
    {"a time that is no number too", "set k 0 soon 1\r\nx\r\n", REFUSED = BAD_LINE,
     .command = COMMAND_SET, .key = "k", .swallow_bytes = 3, .left_bytes = 3},
    {"a time beyond 32 bits too", "set k 0 2147483648 1\r\nx\r\n", REFUSED = BAD_LINE,
     .command = COMMAND_SET, .key = "k", .swallow_bytes = 3, .left_bytes = 3},
    {"noreply silences an error of the command", "set k x 0 1 noreply\r\nx\r\n", REFUSED = BAD_LINE,
     .command = COMMAND_SET, .key = "k", .swallow_bytes = 3, .left_bytes = 3, .noreply = true},
    {"a value longer than announced is a bad chunk", "set k 0 0 3\r\nbarX\r\n", REFUSED = BAD_CHUNK,
     .command = COMMAND_SET, .key = "k", .exptime = 0, .left_bytes = 1},
    {"a value shorter than announced is a bad chunk", "set k 0 0 3\r\nba\r\nget k\r\n",
     REFUSED = BAD_CHUNK, .command = COMMAND_SET, .key = "k", .left_bytes = 6},
    {"a bare newline does not end the value of a line that ended with two bytes",
     "set k 0 0 3\r\nbar\nx", REFUSED = BAD_CHUNK, .command = COMMAND_SET, .key = "k"},
    {"a bad chunk after a bare newline takes as much", "set k 0 0 3\nbarX\n", REFUSED = BAD_CHUNK,
     .command = COMMAND_SET, .key = "k"},

    /* cas */
    {"cas carries the number it compares", "cas k 1 2 1 18446744073709551615\r\nx\r\n", READY,
     .command = COMMAND_CAS, .key = "k", .value = "x", .flags = 1, .exptime = 2, .cas = UINT64_MAX},
    {"cas may want no reply", "cas k 0 0 1 7 noreply\r\nx\r\n", READY, .command = COMMAND_CAS,
     .key = "k", .value = "x", .cas = 7, .noreply = true},
    {"cas without number is refused once and its value swallowed", "cas k 0 0 6 \r\nvalue2\r\n",
     REFUSED = BAD_LINE, .command = COMMAND_CAS, .key = "k", .swallow_bytes = 8, .left_bytes = 8},
    {"cas with junk for a number too", "cas k 0 0 1 -7\r\nx\r\n", REFUSED = BAD_LINE,
     .command = COMMAND_CAS, .key = "k", .swallow_bytes = 3, .left_bytes = 3},
    {"noreply is not the number", "cas k 0 0 1 noreply\r\nx\r\n", REFUSED = BAD_LINE,
     .command = COMMAND_CAS, .key = "k", .swallow_bytes = 3, .left_bytes = 3, .noreply = true},

    /* delete, incr, decr, touch */
    {"delete names a key", "delete k\r\n", READY, .command = COMMAND_DELETE, .key = "k"},
    {"delete tolerates the old 0", "delete k 0\r\n", READY, .command = COMMAND_DELETE, .key = "k"},
    {"and any other number", "delete k 10\r\n", READY, .command = COMMAND_DELETE, .key = "k"},
    {"delete may want no reply", "delete k 0 noreply\r\n", READY, .command = COMMAND_DELETE,
     .key = "k", .noreply = true},
    {"delete of many words is no command", "delete a b c d e\r\n", REFUSED = "ERROR",
     .command = COMMAND_DELETE},
    {"delete without key is badly formed", "delete\r\n", REFUSED = BAD_LINE,
     .command = COMMAND_DELETE},
    {"incr adds 64 bits", "incr k 18446744073709551615\r\n", READY, .command = COMMAND_INCR,
     .key = "k", .delta = UINT64_MAX},
    {"decr may want no reply", "decr k 1 noreply\r\n", READY, .command = COMMAND_DECR, .key = "k",
     .delta = 1, .noreply = true},
    {"incr by junk is refused", "incr k one\r\n", REFUSED = BAD_DELTA, .command = COMMAND_INCR,
     .key = "k"},
    {"incr by a negative number is refused", "incr k -1\r\n", REFUSED = BAD_DELTA,
     .command = COMMAND_INCR, .key = "k"},
    {"decr by 2^64 is refused", "decr k 18446744073709551616\r\n", REFUSED = BAD_DELTA,
     .command = COMMAND_DECR, .key = "k"},
    {"incr without number is badly formed", "incr k\r\n", REFUSED = BAD_LINE,
     .command = COMMAND_INCR},
    {"touch gives a new time", "touch k 100\r\n", READY, .command = COMMAND_TOUCH, .key = "k",
     .exptime = 100},
    {"touch with junk is refused", "touch k 1x noreply\r\n", REFUSED = BAD_EXPTIME,
     .command = COMMAND_TOUCH, .key = "k", .noreply = true},
    {"touch without time is badly formed", "touch k\r\n", REFUSED = BAD_LINE,
     .command = COMMAND_TOUCH},

    /* map and what goes with it */
    {"map takes a key and a mode", "map k ro\r\n", READY, .command = COMMAND_MAP, .key = "k",
     .mode = REQUEST_MAP_RO},
    {"map may ask for a lease", "map k rw lease 007\r\n", READY, .command = COMMAND_MAP,
     .key = "k", .mode = REQUEST_MAP_RW, .lease_s = 7},
    {"the longest lease has 32 bits", "map k wo lease 4294967295\n", READY,
     .command = COMMAND_MAP, .key = "k", .mode = REQUEST_MAP_WO, .lease_s = UINT32_MAX},
    {"map without mode is badly formed", "map k\r\n", REFUSED = BAD_LINE, .command = COMMAND_MAP,
     .key = "k"},
    {"map of no mode is badly formed", "map k RO\r\n", REFUSED = BAD_LINE,
     .command = COMMAND_MAP, .key = "k"},
    {"a lease needs its word", "map k ro 5\r\n", REFUSED = BAD_LINE, .command = COMMAND_MAP,
     .key = "k", .mode = REQUEST_MAP_RO},
    {"a lease of nothing is refused", "map k ro lease 0\r\n", REFUSED = BAD_LEASE,
     .command = COMMAND_MAP, .key = "k", .mode = REQUEST_MAP_RO},
    {"a lease of 2^32 is refused", "map k ro lease 4294967296\r\n", REFUSED = BAD_LEASE,
     .command = COMMAND_MAP, .key = "k", .mode = REQUEST_MAP_RO},
    {"a lease without seconds is refused", "map k ro lease\r\n", REFUSED = BAD_LEASE,
     .command = COMMAND_MAP, .key = "k", .mode = REQUEST_MAP_RO},
    {"mread takes three numbers of 64 bits", "mread 1 18446744073709551615 3\r\n", READY,
     .command = COMMAND_MREAD, .map_id = 1, .offset = UINT64_MAX, .length = 3},
    {"mread of two is badly formed", "mread 1 2\r\n", REFUSED = BAD_LINE,
     .command = COMMAND_MREAD, .map_id = 1, .offset = 2},
    {"mread of a negative place is badly formed", "mread 1 -2 3\r\n", REFUSED = BAD_LINE,
     .command = COMMAND_MREAD, .map_id = 1},
    {"mwrite brings its bytes", "mwrite 5 6 3\r\nbar\r\n", READY, .command = COMMAND_MWRITE,
     .map_id = 5, .offset = 6, .value = "bar"},
    {"mwrite of nothing is one", "mwrite 5 6 0\r\n\r\n", READY, .command = COMMAND_MWRITE,
     .map_id = 5, .offset = 6},
    {"mwrite without end is a bad chunk", "mwrite 5 6 1\r\nbar\r\n", REFUSED = BAD_CHUNK,
     .command = COMMAND_MWRITE, .map_id = 5, .offset = 6, .left_bytes = 2},
    {"mwrite of too much is swallowed", "mwrite 5 6 1001\r\n", REFUSED = TOO_LARGE,
     .command = COMMAND_MWRITE, .map_id = 5, .offset = 6, .swallow_bytes = 1003},
    {"mwrite to no map is swallowed", "mwrite x 6 3\r\n", REFUSED = BAD_LINE,
     .command = COMMAND_MWRITE, .swallow_bytes = 5},
    {"mwrite without length is badly formed", "mwrite 5 6\r\n", REFUSED = BAD_LINE,
     .command = COMMAND_MWRITE},
    {"unmap takes an id", "unmap 9\r\n", READY, .command = COMMAND_UNMAP, .map_id = 9},
    {"unmap may discard", "unmap 9 discard\r\n", READY, .command = COMMAND_UNMAP, .map_id = 9,
     .discard = true},
    {"another word is badly formed", "unmap 9 now\r\n", REFUSED = BAD_LINE,
     .command = COMMAND_UNMAP, .map_id = 9},
    {"unmap alone is badly formed", "unmap\r\n", REFUSED = BAD_LINE, .command = COMMAND_UNMAP},
    {"maps", "maps\r\n", READY, .command = COMMAND_MAPS},

    /* the rest */
    {"flush_all is at once", "flush_all\r\n", READY, .command = COMMAND_FLUSH_ALL},
    {"flush_all may wait", "flush_all 10\r\n", READY, .command = COMMAND_FLUSH_ALL, .exptime = 10,
     .has_exptime = true},
    {"flush_all may want no reply", "flush_all noreply\r\n", READY, .command = COMMAND_FLUSH_ALL,
     .noreply = true},
    {"flush_all may be told 0 and no reply", "flush_all 0 noreply\r\n", READY,
     .command = COMMAND_FLUSH_ALL, .noreply = true, .has_exptime = true},
    {"flush_all with junk is refused", "flush_all now\r\n", REFUSED = BAD_EXPTIME,
     .command = COMMAND_FLUSH_ALL, .has_exptime = true},
    {"stats alone", "stats\r\n", READY, .command = COMMAND_STATS},
    {"stats of a section, blanks trimmed", "stats   areas \r\n", READY, .command = COMMAND_STATS,
     .rest = "areas"},
    {"the rest keeps its inner blanks", "debug corrupt  a 7\r\n", READY, .command = COMMAND_DEBUG,
     .rest = "corrupt  a 7"},
    {"version", "version\r\n", READY, .command = COMMAND_VERSION},
    {"version ignores more words", "version please\n", READY, .command = COMMAND_VERSION},
    {"quit", "quit\r\n", READY, .command = COMMAND_QUIT},
    {"cache_memlimit may want no reply", "cache_memlimit 64 noreply\r\n", READY,
     .command = COMMAND_MEMLIMIT, .rest = "64 noreply", .noreply = true},
    {"verbosity takes a number", "verbosity 1\r\n", READY, .command = COMMAND_VERBOSITY,
     .rest = "1"},
    {"verbosity may want no reply", "verbosity 1 noreply\r\n", READY, .command = COMMAND_VERBOSITY,
     .rest = "1 noreply", .noreply = true},
    {"verbosity with junk is refused", "verbosity loud\r\n", REFUSED = BAD_LINE,
     .command = COMMAND_VERBOSITY, .rest = "loud"},
    {"verbosity alone is refused", "verbosity\r\n", REFUSED = BAD_LINE,
     .command = COMMAND_VERBOSITY},

    /* lines that are none of ours */
    {"an empty line is badly formed", "\r\n", REFUSED = BAD_LINE},
    {"so is a bare newline", "\n", REFUSED = BAD_LINE},
    {"so is a single letter", "x\r\n", REFUSED = BAD_LINE},
    {"a line of blanks is unknown", "    \r\n", REFUSED = "ERROR"},
    {"an unknown command is an error", "bogus\r\n", REFUSED = "ERROR"},
    {"a known one with a letter more is unknown", "getx a\r\n", REFUSED = "ERROR"},
    {"or with a letter less", "flush\r\n", REFUSED = "ERROR"},
    {"commands are in lower case", "GET a\r\n", REFUSED = "ERROR"},
    {"a tab is no blank", "get\ta\r\n", REFUSED = "ERROR"},
    {"an unknown command may want no reply", "bogus noreply\r\n", REFUSED = "ERROR",
     .noreply = true},
    {"a browser is hung up on", "GET / HTTP/1.1\r\nHost: x\r\n", LOST = ""},
    {"whatever its version", "POST /x?set+a HTTP/2\r\n", LOST = ""},
    {"a version alone is no browser", "HTTP/1.1\r\n", REFUSED = "ERROR"},
    {"so is one whose first line was lost", "Host: localhost:11211\r\n", LOST = ""},
    {"two keys of a get are no browser", "get / HTTP/1.1\r\n", READY, .command = COMMAND_GET,
     .key = "/", .more = " HTTP/1.1"},

    /* what is not there yet */
    {"nothing yet", "", PARTIAL, .more_bytes = 1},
    {"half a line", "get fo", PARTIAL, .more_bytes = 1},
    {"half a line end", "get foo\r", PARTIAL, .more_bytes = 1},
    {"a line but no value", "set k 0 0 3\r\n", PARTIAL, .more_bytes = 5},
    {"half a value", "set k 0 0 3\r\nba", PARTIAL, .more_bytes = 3},
    {"a value but half its end", "set k 0 0 3\r\nbar\r", PARTIAL, .more_bytes = 1},
    {"a bare line expects a bare end", "set k 0 0 3\nba", PARTIAL, .more_bytes = 2},
    {"and waits when it turns out not to be", "set k 0 0 3\nbar\r", PARTIAL, .more_bytes = 1},
    {"the largest value is awaited", "set k 0 0 1000\r\n", PARTIAL, .more_bytes = 1002},
};

static const struct request_limits limits = {.item_bytes_max = ITEM_MAX};
static struct edge edge;

static enum request_parse parse(struct slice sent, struct request *request, size_t *more_bytes,
                                const char **refusal)
{
    memset(request, 0xa5, sizeof *request); /* what is not written shows */
    return request_parse(edge_place(&edge, sent), &limits, request, more_bytes, refusal);
}

static void expect_slice(struct slice got, const char *want, const char *what, const char *sentence)
{
    ck_assert_msg(slice_is(got, want ? want : ""), "%s: %s is '%.*s'", sentence, what,
                  (int)got.size_bytes, (const char *)got.bytes);
}

static void expect_request(const struct row *row, const struct request *got, size_t sent_bytes)
{
    const char *s = row->sentence;
    bool refused = row->parse == REQUEST_REFUSED;
    ck_assert_msg(got->command == row->command, "%s: command %d", s, (int)got->command);
    expect_slice(got->key, row->key, "key", s);
    ck_assert_msg(got->noreply == row->noreply, "%s: noreply", s);
    ck_assert_msg(got->swallow_bytes == row->swallow_bytes, "%s: swallow %llu", s,
                  (unsigned long long)got->swallow_bytes);
    ck_assert_msg(got->drop_old == row->drop_old, "%s: drop_old", s);
    ck_assert_msg(got->size_bytes == sent_bytes - row->left_bytes, "%s: took %zu", s,
                  got->size_bytes);
    if (refused) return;
    expect_slice(got->more_keys, row->more, "more keys", s);
    expect_slice(got->value, row->value, "value", s);
    expect_slice(got->rest, row->rest, "rest", s);
    ck_assert_msg(got->flags == row->flags, "%s: flags %u", s, got->flags);
    ck_assert_msg(got->exptime == row->exptime, "%s: exptime %lld", s, (long long)got->exptime);
    ck_assert_msg(got->cas == row->cas, "%s: cas", s);
    ck_assert_msg(got->delta == row->delta, "%s: delta", s);
    ck_assert_msg(got->has_exptime == row->has_exptime, "%s: has_exptime", s);
    ck_assert_msg(got->mode == row->mode && got->lease_s == row->lease_s, "%s: map", s);
    ck_assert_msg(got->map_id == row->map_id && got->discard == row->discard, "%s: id", s);
    ck_assert_msg(got->offset == row->offset && got->length == row->length, "%s: range", s);
}

START_TEST(every_sentence_of_the_table_holds)
{
    const struct row *row = &rows[_i];
    struct request request;
    size_t more_bytes = 0;
    const char *refusal = NULL;
    struct slice sent = slice_text(row->sent);
    enum request_parse got = parse(sent, &request, &more_bytes, &refusal);
    ck_assert_msg(got == row->parse, "%s: answer %d, %s", row->sentence, (int)got, refusal);
    if (got == REQUEST_REFUSED || got == REQUEST_LOST)
        ck_assert_msg(strcmp(refusal, row->refusal) == 0, "%s: %s", row->sentence, refusal);
    if (got == REQUEST_PARTIAL)
        ck_assert_msg(more_bytes == row->more_bytes, "%s: %zu more", row->sentence, more_bytes);
    if (got == REQUEST_READY || got == REQUEST_REFUSED)
        expect_request(row, &request, sent.size_bytes);
}
END_TEST

/* What was asked of the first n bytes is answered the same by more, and before that is PARTIAL. */
START_TEST(every_cut_of_every_sentence_waits)
{
    const struct row *row = &rows[_i];
    struct slice sent = slice_text(row->sent);
    if (row->parse == REQUEST_PARTIAL) return;
    size_t taken = sent.size_bytes - row->left_bytes;
    if (row->parse == REQUEST_LOST) taken = (size_t)(strchr(row->sent, '\n') - row->sent) + 1;
    for (size_t cut = 0; cut < taken; cut++) {
        struct request request;
        size_t more_bytes = 0;
        const char *refusal;
        enum request_parse got =
            parse(slice_of(sent.bytes, cut), &request, &more_bytes, &refusal);
        ck_assert_msg(got == REQUEST_PARTIAL, "%s: cut at %zu answers %d", row->sentence, cut,
                      (int)got);
        ck_assert_msg(more_bytes >= 1 && cut + more_bytes <= taken, "%s: cut at %zu wants %zu",
                      row->sentence, cut, more_bytes);
    }
    for (size_t cut = taken; cut <= sent.size_bytes; cut++) {
        struct request request;
        size_t more_bytes;
        const char *refusal;
        enum request_parse got =
            parse(slice_of(sent.bytes, cut), &request, &more_bytes, &refusal);
        ck_assert_msg(got == row->parse, "%s: cut at %zu answers %d", row->sentence, cut, (int)got);
    }
}
END_TEST

/* "<head><count times 'k'><tail>" in memory of our own. */
static struct slice filled(const char *head, size_t count, const char *tail)
{
    static char text[SENT_BYTES_MAX];
    size_t head_bytes = strlen(head), tail_bytes = strlen(tail);
    ck_assert_uint_le(head_bytes + count + tail_bytes, sizeof text);
    memcpy(text, head, head_bytes);
    memset(text + head_bytes, 'k', count);
    memcpy(text + head_bytes + count, tail, tail_bytes);
    return slice_of(text, head_bytes + count + tail_bytes);
}

static void expect(struct slice sent, enum request_parse want, const char *want_refusal)
{
    struct request request;
    size_t more_bytes;
    const char *refusal = NULL;
    enum request_parse got = parse(sent, &request, &more_bytes, &refusal);
    ck_assert_msg(got == want, "%.20s... (%zu bytes): answer %d", (const char *)sent.bytes,
                  sent.size_bytes, (int)got);
    if (want_refusal != NULL) ck_assert_str_eq(refusal, want_refusal);
}

/* A long value is not awaited: its line, its bytes and its end give the answer of the whole. */
START_TEST(a_value_taken_as_it_comes_gives_the_same_answer)
{
    const struct row *row = &rows[_i];
    static const struct request_limits streaming = {.item_bytes_max = ITEM_MAX,
                                                    .whole_bytes_max = 1};
    struct request whole, line;
    size_t more_bytes, size = strlen(row->sent), end_bytes;
    const char *refusal, *end_refusal = NULL;
    enum request_parse want = parse(slice_text(row->sent), &whole, &more_bytes, &refusal);
    if (want != REQUEST_READY && want != REQUEST_REFUSED) return;
    struct slice sent = edge_place(&edge, slice_text(row->sent));
    enum request_parse got = request_parse(sent, &streaming, &line, &more_bytes, &end_refusal);
    if (got != REQUEST_VALUE) {
        ck_assert(got == want && line.size_bytes == whole.size_bytes);
        return;
    }
    ck_assert(line.command == row->command && line.noreply == row->noreply);
    expect_slice(line.key, row->key, "key", row->sentence);
    size_t at = line.size_bytes + (size_t)line.value_bytes;
    for (size_t there = at; there <= size; there++) {
        struct slice end = edge_place(&edge, slice_of(row->sent + at, there - at));
        got = request_value_end(end, line.bare, &end_bytes, &end_refusal);
        ck_assert((got == REQUEST_PARTIAL) == (there < whole.size_bytes));
        if (got == REQUEST_PARTIAL) continue;
        ck_assert(got == want && at + end_bytes == whole.size_bytes);
        ck_assert(got == REQUEST_READY || strcmp(refusal, end_refusal) == 0);
        ck_assert(got == REQUEST_REFUSED || line.value_bytes == whole.value.size_bytes);
    }
}
END_TEST

START_TEST(a_key_has_at_most_250_bytes)
{
    expect(filled("get ", 250, "\r\n"), REQUEST_READY, NULL);
    expect(filled("get ", 251, "\r\n"), REQUEST_REFUSED, BAD_LINE);
    expect(filled("get a b ", 251, "\r\n"), REQUEST_REFUSED, BAD_LINE);
    expect(filled("gat 0 a ", 251, "\r\n"), REQUEST_REFUSED, BAD_LINE);
    expect(filled("set ", 250, " 0 0 1\r\nx\r\n"), REQUEST_READY, NULL);
    expect(filled("delete ", 251, "\r\n"), REQUEST_REFUSED, BAD_LINE);
    expect(filled("touch ", 251, " 0\r\n"), REQUEST_REFUSED, BAD_LINE);
    expect(filled("incr ", 251, " 1\r\n"), REQUEST_REFUSED, BAD_LINE);

    struct request request;
    size_t more_bytes;
    const char *refusal;
    struct slice sent = filled("set ", 251, " 0 0 5 noreply\r\nvalue\r\n");
    ck_assert_int_eq(parse(sent, &request, &more_bytes, &refusal), REQUEST_REFUSED);
    ck_assert_uint_eq(request.swallow_bytes, 7);
    ck_assert_uint_eq(request.size_bytes + 7, sent.size_bytes);
    ck_assert(request.noreply);
}
END_TEST

START_TEST(a_line_that_does_not_end_is_hung_up_on)
{
    expect(filled("stats ", LINE_BYTES_MAX - 6, ""), REQUEST_PARTIAL, NULL);
    expect(filled("stats ", LINE_BYTES_MAX - 6, "\n"), REQUEST_READY, NULL);
    expect(filled("stats ", LINE_BYTES_MAX - 5, ""), REQUEST_LOST, "");
    expect(filled("stats ", LINE_BYTES_MAX - 5, "\n"), REQUEST_LOST, "");
    expect(filled("stats ", 2 * LINE_BYTES_MAX, "\r\nget a\r\n"), REQUEST_LOST, "");
    expect(filled("getk ", LINE_BYTES_MAX, "\r\n"), REQUEST_LOST, "");
    expect(filled("", LINE_BYTES_MAX + 1, ""), REQUEST_LOST, "");
}
END_TEST

START_TEST(a_get_may_be_long)
{
    expect(filled("get ", 3 * LINE_BYTES_MAX, ""), REQUEST_PARTIAL, NULL);
    expect(filled("gets ", 3 * LINE_BYTES_MAX, ""), REQUEST_PARTIAL, NULL);
    expect(filled("   get ", 3 * LINE_BYTES_MAX, ""), REQUEST_PARTIAL, NULL);
    expect(filled("get ", MULTIGET_BYTES_MAX - 4, ""), REQUEST_PARTIAL, NULL);
    expect(filled("get ", MULTIGET_BYTES_MAX - 3, ""), REQUEST_LOST, "CLIENT_ERROR line too long");
    expect(filled("get ", MULTIGET_BYTES_MAX - 4, "\n"), REQUEST_REFUSED, BAD_LINE);

    char blanks[102];
    memset(blanks, ' ', sizeof blanks);
    memcpy(blanks + 100, "", 1);
    struct slice sent = filled(blanks, 0, "get ");
    ck_assert_uint_eq(sent.size_bytes, 104);
    static char line[LINE_BYTES_MAX + 1];
    memset(line, 'k', sizeof line);
    memcpy(line, sent.bytes, sent.size_bytes);
    expect(slice_of(line, sizeof line), REQUEST_PARTIAL, NULL);
    memmove(line + 1, line, sizeof line - 1);
    line[0] = ' ';
    expect(slice_of(line, sizeof line), REQUEST_LOST, "");
}
END_TEST

START_TEST(ten_thousand_keys_come_out_as_they_went_in)
{
    enum { KEYS = 10000 };
    static char line[KEYS * 8];
    size_t size = (size_t)snprintf(line, sizeof line, "gets");
    for (int i = 0; i < KEYS; i++)
        size += (size_t)snprintf(line + size, sizeof line - size, " k%d", i);
    size += (size_t)snprintf(line + size, sizeof line - size, "\r\n");

    struct request request;
    size_t more_bytes;
    const char *refusal;
    ck_assert_int_eq(parse(slice_of(line, size), &request, &more_bytes, &refusal), REQUEST_READY);
    struct slice key = request.key, rest = request.more_keys;
    int count = 0;
    do {
        char want[16];
        snprintf(want, sizeof want, "k%d", count++);
        ck_assert(slice_is(key, want));
    } while (request_next_key(&rest, &key));
    ck_assert_int_eq(count, KEYS);
}
END_TEST

START_TEST(words_are_cut_at_blanks)
{
    struct slice rest = slice_text("  corrupt area  7 "), word;
    ck_assert(request_next_word(&rest, &word) && slice_is(word, "corrupt"));
    ck_assert(request_next_word(&rest, &word) && slice_is(word, "area"));
    ck_assert(request_next_word(&rest, &word) && slice_is(word, "7"));
    ck_assert(!request_next_word(&rest, &word) && word.size_bytes == 0);
    rest = slice_of(NULL, 0);
    ck_assert(!request_next_word(&rest, &word));
    ck_assert_str_eq(command_name(COMMAND_FLUSH_ALL), "flush_all");
}
END_TEST

/* Bytes at random, mostly of words the parser knows: it must end, and stay inside. */
START_TEST(random_lines_are_answered_within_bounds)
{
    static const char *const pieces[] = {"get ",       "set ",    "cas ",     "incr ", "touch ",
                                         "flush_all ", "noreply", "HTTP/1.1", "gat ",  "key",
                                         "9999",       "\r\n",    "\n",       "\r",    " ",
                                         "0",          "1",       "3",        "-1",    "a"};
    srand(20261121);
    for (int round = 0; round < 200000; round++) {
        char text[256];
        size_t size = 0;
        for (int i = rand() % 12; i >= 0; i--) {
            const char *piece = pieces[(size_t)rand() % (sizeof pieces / sizeof *pieces)];
            memcpy(text + size, piece, strlen(piece));
            size += strlen(piece);
        }
        struct request request;
        size_t more_bytes = 0;
        const char *refusal;
        enum request_parse got = parse(slice_of(text, size), &request, &more_bytes, &refusal);
        if (got == REQUEST_PARTIAL) ck_assert_uint_ge(more_bytes, 1);
        if (got != REQUEST_READY && got != REQUEST_REFUSED) continue;
        ck_assert_uint_ge(request.size_bytes, 1);
        ck_assert_uint_le(request.size_bytes, size);
    }
}
END_TEST

static void setup(void)
{
    edge = edge_create(SENT_BYTES_MAX);
}

static void teardown(void)
{
    edge_destroy(&edge);
}

int main(void)
{
    Suite *suite = suite_create("request");
    TCase *tcase = tcase_create("text");
    tcase_set_timeout(tcase, 60);
    tcase_add_unchecked_fixture(tcase, setup, teardown);
    int count = (int)(sizeof rows / sizeof *rows);
    tcase_add_loop_test(tcase, every_sentence_of_the_table_holds, 0, count);
    tcase_add_loop_test(tcase, every_cut_of_every_sentence_waits, 0, count);
    tcase_add_loop_test(tcase, a_value_taken_as_it_comes_gives_the_same_answer, 0, count);
    tcase_add_test(tcase, a_key_has_at_most_250_bytes);
    tcase_add_test(tcase, a_line_that_does_not_end_is_hung_up_on);
    tcase_add_test(tcase, a_get_may_be_long);
    tcase_add_test(tcase, ten_thousand_keys_come_out_as_they_went_in);
    tcase_add_test(tcase, words_are_cut_at_blanks);
    tcase_add_test(tcase, random_lines_are_answered_within_bounds);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
