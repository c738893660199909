/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is made of the meta commands: a table of sentences, each also cut at every byte. */
#include "protocol/request.h"

#include <stdio.h>

#include "edge.h"
#include "tests/unit/base/suite.h"

enum { ITEM_MAX = 1000, SENT_BYTES_MAX = 4096 };

#define BAD_LINE "CLIENT_ERROR bad command line format"
#define BAD_TOKEN "CLIENT_ERROR bad token in command line format"
#define BAD_KEY "CLIENT_ERROR error decoding key"
#define BAD_FLAGS "CLIENT_ERROR invalid or duplicate flag"
#define DUPLICATE "CLIENT_ERROR duplicate flag"
#define NO_FLAG "CLIENT_ERROR invalid flag"
#define TOO_MANY "CLIENT_ERROR options flags are too long"
#define OPAQUE "CLIENT_ERROR opaque token too long"
#define BAD_MODE(command) "CLIENT_ERROR invalid mode for " command " M token"
#define TOO_LARGE "SERVER_ERROR object too large for cache"

/* 18 flags are as many as there may be behind a key; of ms one less, for its length. */
#define FLAGS_17 "c f h k l q s t u v x I L O1 P1 F1 D1"
#define OPAQUE_32 "O1234567890123456789012345678901"

/* One sentence. What a row leaves out must be 0, empty or false, or 1 for a delta. */
static const struct row {
    const char *sentence;
    const char *sent;
    const char *refusal; /* NULL: it is ready */
    const char *key, *value, *flags, *asked; /* asked: the letters */
    uint64_t cas, delta, new_cas, initial, swallow_bytes;
    int64_t exptime, create_exptime, recache_exptime;
    uint32_t client_flags;
    char mode;
    bool touch_last, recache_last, drop_old;
    size_t left_bytes;
} rows[] = {
    {"mg names a key", "mg foo\r\n", .key = "foo"},
    {"a line may end with a bare newline", "mg foo v\n", .key = "foo", .flags = " v", .asked = "v"},
    {"blanks may be many", "mg  foo   v   k  \r\n", .key = "foo", .flags = "   v   k  ",
     .asked = "kv"},
    {"flags keep their order", "mg k t c v\r\n", .key = "k", .flags = " t c v", .asked = "ctv"},
    {"a flag's argument follows it", "mg k O123 T30 N60 R90 E5 C6\r\n", .key = "k",
     .flags = " O123 T30 N60 R90 E5 C6", .asked = "CENORT", .exptime = 30, .create_exptime = 60,
     .recache_exptime = 90, .new_cas = 5, .cas = 6, .touch_last = false, .recache_last = true},
    {"T behind N counts for a new item", "mg k N60 T30\r\n", .key = "k", .flags = " N60 T30",
     .asked = "NT", .exptime = 30, .create_exptime = 60, .touch_last = true},
    {"R before T looks at the time that was", "mg k R60 T30\r\n", .key = "k", .flags = " R60 T30",
     .asked = "RT", .exptime = 30, .recache_exptime = 60},
    {"a time may be negative", "mg k T-1\r\n", .key = "k", .flags = " T-1", .asked = "T",
     .exptime = -1},
    {"a time is a number of 32 bits", "mg k T2147483648\r\n", BAD_TOKEN, .key = "k", .asked = "T"},
    {"md and ma take the same flags", "md k I x q\r\n", .key = "k", .flags = " I x q",
     .asked = "Iqx"},
    {"ma counts", "ma k D5 J13 MD\r\n", .key = "k", .flags = " D5 J13 MD", .asked = "DJM",
     .delta = 5, .initial = 13, .mode = 'D'},
    {"what follows the letter of a mode is passed over", "ma k MDECR\r\n", .key = "k",
     .flags = " MDECR", .asked = "M", .mode = 'D'},
    {"a flag without argument may have one", "mg k vvv P123 L\r\n", .key = "k",
     .flags = " vvv P123 L", .asked = "LPv"},
    {"mn is nothing", "mn\r\n"},
    {"mn takes any words", "mn x y\r\n"},

    {"ms announces its value", "ms k 2\r\nhi\r\n", .key = "k", .value = "hi"},
    {"ms has its flags behind the length", "ms k 2 T30 F7\r\nhi\r\n", .key = "k", .value = "hi",
     .flags = " T30 F7", .asked = "FT", .exptime = 30, .client_flags = 7},
    {"a value may be empty", "ms k 0\r\n\r\n", .key = "k", .value = ""},
    {"what follows is another request", "ms k 2\r\nhi\r\nmn\r\n", .key = "k", .value = "hi",
     .left_bytes = 4},
    {"each mode of ms is one", "ms k 1 MA\r\nx\r\n", .key = "k", .value = "x", .flags = " MA",
     .asked = "M", .mode = 'A'},
    {"a bad end of a value is a bad chunk", "ms k 1\r\nxyz\r\n", "CLIENT_ERROR bad data chunk",
     .key = "k", .left_bytes = 2},
    {"a value too large takes the old one along", "ms k 1001\r\n", TOO_LARGE, .key = "k",
     .swallow_bytes = 1003, .drop_old = true},
    {"so it does in every mode", "ms k 1001 ME\r\n", TOO_LARGE, .key = "k", .asked = "M",
     .mode = 'E', .swallow_bytes = 1003, .drop_old = true},

    {"b says that the key is base64", "mg Zm9v b\r\n", .key = "Zm9v", .flags = " b", .asked = "b"},
    {"what is not base64 is no key", "mg Zm9 b\r\n", BAD_KEY, .key = "Zm9", .asked = "b"},
    {"a wrong key costs the value of an ms", "ms Zm9 2 b\r\n", BAD_KEY, .key = "Zm9",
     .asked = "b", .swallow_bytes = 4},
    {"me looks at just one flag", "me Zm9v b v\r\n", .key = "Zm9v", .flags = " b v",
     .asked = "b"},
    {"me passes over others", "me k v v y\r\n", .key = "k", .flags = " v v y"},
    {"a wrong key of me has its own text", "me Zm9 b\r\n", BAD_LINE, .key = "Zm9", .asked = "b"},

    {"mg wants a key", "mg\r\n", BAD_LINE},
    {"blanks are no key", "mg   \r\n", BAD_LINE},
    {"ms wants a length", "ms k\r\n", BAD_LINE, .key = "k"},
    {"a length is a number", "ms k x\r\n", BAD_LINE, .key = "k"},
    {"a length is not negative", "ms k -1\r\n", BAD_LINE, .key = "k"},
    {"a length of 2 GiB is none, and nothing is swallowed", "ms k 2147483646\r\n", BAD_LINE,
     .key = "k"},
    {"no flag may come twice", "mg k v v\r\n", DUPLICATE, .key = "k", .asked = "v"},
    {"nor one that takes an argument", "mg k O1 O2\r\n", DUPLICATE, .key = "k", .asked = "O"},
    {"no letter but those there are", "mg k y\r\n", NO_FLAG, .key = "k"},
    {"no sign either", "mg k !\r\n", NO_FLAG, .key = "k"},
    {"what is no letter at all came twice, to memcached", "mg k \x80\r\n", DUPLICATE, .key = "k"},
    {"a number must be one", "mg k Tx\r\n", BAD_TOKEN, .key = "k", .asked = "T"},
    {"a number must be there", "mg k C\r\n", BAD_TOKEN, .key = "k", .asked = "C"},
    {"a delta has its own text", "mg k Dx\r\n", "CLIENT_ERROR invalid numeric delta value",
     .key = "k", .asked = "D"},
    {"an initial value has its own text", "mg k Jx\r\n",
     "CLIENT_ERROR invalid numeric initial value", .key = "k", .asked = "J"},
    {"client flags have none", "mg k Fx\r\n", BAD_LINE, .key = "k", .asked = "F"},
    {"client flags have 32 bits", "mg k F4294967296\r\n", BAD_LINE, .key = "k", .asked = "F"},
    {"of two wrong arguments the last is told", "mg k Tx Dx\r\n",
     "CLIENT_ERROR invalid numeric delta value", .key = "k", .asked = "DT"},
    {"but client flags leave another's text", "mg k Tx Fx\r\n", BAD_TOKEN, .key = "k",
     .asked = "FT"},
    {"an unknown flag is told first", "mg k Tx y\r\n", NO_FLAG, .key = "k", .asked = "T"},
    {"ma has one text for all", "ma k Dx\r\n", BAD_FLAGS, .key = "k", .asked = "D"},
    {"a mode of ms must be one", "ms k 1 MX\r\n", BAD_MODE("ms"), .key = "k", .asked = "M",
     .mode = 'X', .swallow_bytes = 3},
    {"a mode must be there", "ms k 1 M\r\n", BAD_MODE("ms"), .key = "k", .asked = "M",
     .mode = ' ', .swallow_bytes = 3},
    {"a mode of ma must be one", "ma k MA\r\n", BAD_MODE("ma"), .key = "k", .asked = "M",
     .mode = 'A'},
    {"to others a mode means nothing", "mg k MX\r\n", .key = "k", .flags = " MX", .asked = "M",
     .mode = 'X'},
    {"an opaque has 32 bytes", "mg k " OPAQUE_32 "\r\n", .key = "k", .flags = " " OPAQUE_32,
     .asked = "O"},
    {"and no more", "mg k " OPAQUE_32 "x\r\n", OPAQUE, .key = "k", .asked = "O"},
    {"twenty words are a line", "mg k " FLAGS_17 " C1\r\n", .key = "k", .flags = " " FLAGS_17 " C1",
     .asked = "CDFILOPcfhklqstuvx", .client_flags = 1, .delta = 1, .cas = 1},
    {"more are not", "mg k " FLAGS_17 " C1 E1\r\n", TOO_MANY, .key = "k"},
    {"of ms the length counts along", "ms k 1 " FLAGS_17 " C1\r\n", TOO_MANY, .key = "k",
     .swallow_bytes = 3},
    {"upper case is no command", "MG k\r\n", "ERROR"},
};

static struct edge edge;

static enum request_parse parse(struct slice bytes, struct request *request, const char **refusal)
{
    static const struct request_limits limits = {.item_bytes_max = ITEM_MAX};
    size_t more_bytes = 0;
    memset(request, 0xa5, sizeof *request); /* what is not written shows */
    return request_parse(edge_place(&edge, bytes), &limits, request, &more_bytes, refusal);
}

static bool is(struct slice got, const char *want)
{
    return slice_is(got, want == NULL ? "" : want);
}

static uint64_t asked(const char *letters)
{
    uint64_t bits = 0;
    for (; letters != NULL && *letters != '\0'; letters++) bits |= REQUEST_META_BIT(*letters);
    return bits;
}

static void expect_meta(const struct row *row, const struct request *got)
{
    const char *s = row->sentence;
    bool counts = row->delta != 0 || (row->key != NULL && got->command != COMMAND_MN);
    uint64_t delta = row->delta != 0 ? row->delta : counts;
    ck_assert_msg(is(got->value, row->value), "%s: value", s);
    ck_assert_msg(is(got->meta.flags, row->flags), "%s: flags", s);
    ck_assert_msg(got->cas == row->cas && got->meta.new_cas == row->new_cas, "%s: cas", s);
    ck_assert_msg(got->delta == delta && got->meta.initial == row->initial, "%s: delta", s);
    ck_assert_msg(got->exptime == row->exptime, "%s: exptime", s);
    ck_assert_msg(got->meta.create_exptime == row->create_exptime, "%s: create_exptime", s);
    ck_assert_msg(got->meta.recache_exptime == row->recache_exptime, "%s: recache_exptime", s);
    ck_assert_msg(got->flags == row->client_flags, "%s: client flags", s);
    ck_assert_msg(got->meta.touch_last == row->touch_last, "%s: touch_last", s);
    ck_assert_msg(got->meta.recache_last == row->recache_last, "%s: recache_last", s);
    ck_assert_msg(got->meta.mode == (uint8_t)row->mode, "%s: mode", s);
}

START_TEST(every_sentence_of_the_table_holds)
{
    edge = edge_create(SENT_BYTES_MAX);
    for (size_t i = 0; i < FP_COUNT_OF(rows); i++) {
        const struct row *row = &rows[i];
        struct request request;
        const char *refusal = NULL;
        struct slice sent = slice_text(row->sent);
        enum request_parse got = parse(sent, &request, &refusal);
        bool ready = row->refusal == NULL;
        ck_assert_msg(got == (ready ? REQUEST_READY : REQUEST_REFUSED), "%s: answer %d, %s",
                      row->sentence, (int)got, refusal);
        ck_assert_msg(ready || strcmp(refusal, row->refusal) == 0, "%s: %s", row->sentence,
                      refusal);
        ck_assert_msg(is(request.key, row->key), "%s: key", row->sentence);
        ck_assert_msg(!request.noreply, "%s: no meta command is silenced", row->sentence);
        ck_assert_msg(request.meta.asked == asked(row->asked), "%s: asked", row->sentence);
        ck_assert_msg(request.swallow_bytes == row->swallow_bytes, "%s: swallow", row->sentence);
        ck_assert_msg(request.drop_old == row->drop_old, "%s: drop_old", row->sentence);
        ck_assert_msg(request.size_bytes == sent.size_bytes - row->left_bytes, "%s: took %zu",
                      row->sentence, request.size_bytes);
        if (ready) expect_meta(row, &request);
    }
    edge_destroy(&edge);
}
END_TEST

START_TEST(every_cut_of_every_sentence_waits)
{
    edge = edge_create(SENT_BYTES_MAX);
    for (size_t i = 0; i < FP_COUNT_OF(rows); i++) {
        struct request request;
        const char *refusal;
        struct slice sent = slice_text(rows[i].sent);
        for (size_t cut = 0; cut < sent.size_bytes - rows[i].left_bytes; cut++)
            ck_assert_msg(parse(slice_of(sent.bytes, cut), &request, &refusal) == REQUEST_PARTIAL,
                          "%s: cut at %zu", rows[i].sentence, cut);
    }
    edge_destroy(&edge);
}
END_TEST

static void expect_key(const char *head, size_t key_bytes, const char *tail, const char *refusal)
{
    char text[SENT_BYTES_MAX];
    int size = snprintf(text, sizeof text, "%s%0*d%s", head, (int)key_bytes, 0, tail);
    struct request request;
    const char *got = NULL;
    enum request_parse parsed = parse(slice_of(text, (size_t)size), &request, &got);
    ck_assert_msg((parsed == REQUEST_READY) == (refusal == NULL), "%s: %s", text, got);
    if (refusal != NULL) ck_assert_str_eq(got, refusal);
}

START_TEST(a_key_has_at_most_250_bytes_as_it_is_sent)
{
    edge = edge_create(SENT_BYTES_MAX);
    expect_key("mg ", 250, " v\r\n", NULL);
    expect_key("mg ", 251, " v\r\n", BAD_LINE);
    expect_key("md ", 251, "\r\n", BAD_LINE);
    expect_key("ma ", 251, "\r\n", BAD_FLAGS);
    expect_key("me ", 250, "\r\n", NULL);
    expect_key("me ", 251, "\r\n", BAD_LINE);
    expect_key("ms ", 251, " 1\r\n", BAD_LINE);
    expect_key("mg ", 248, " b\r\n", NULL);
    expect_key("mg ", 252, " b\r\n", BAD_LINE);
    edge_destroy(&edge);
}
END_TEST

START_TEST(the_key_is_made_plain_where_it_is_base64)
{
    edge = edge_create(SENT_BYTES_MAX);
    struct request request;
    const char *refusal;
    uint8_t room[KEY_BYTES_MAX];
    ck_assert_int_eq(parse(slice_text("mg AAEC b\r\n"), &request, &refusal), REQUEST_READY);
    ck_assert(slice_equal(request_key(&request, room), slice_of("\0\1\2", 3)));
    ck_assert_int_eq(parse(slice_text("mg AAEC v\r\n"), &request, &refusal), REQUEST_READY);
    ck_assert(slice_is(request_key(&request, room), "AAEC"));
    edge_destroy(&edge);
}
END_TEST

int main(void)
{
    return suite_run("dialect_meta", every_sentence_of_the_table_holds,
                     every_cut_of_every_sentence_waits, a_key_has_at_most_250_bytes_as_it_is_sent,
                     the_key_is_made_plain_where_it_is_base64);
}
