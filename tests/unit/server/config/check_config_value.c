/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/config/config_value.h"

#include "base/number.h"
#include "server/config/config_text.h"
#include "codec/codec.h"
#include "codec/compressor_text.h"
#include "tests/unit/base/suite.h"

union value {
    uint32_t count;
    int32_t integer;
    uint64_t size;
    unsigned choice;
    struct config_address address;
    char name[AREA_NAME_BYTES_MAX + 1];
    char path[CONFIG_PATH_BYTES];
};

static bool reads(const struct config_key *key, const char *text)
{
    union value value;
    char why[CONFIG_WHY_BYTES] = "";
    bool good = config_value_read(key, slice_text(text), &value, why);
    ck_assert_msg(good == (why[0] == '\0'), "%s %s: %s", key->path, text, why);
    return good;
}

static void each_key(void (*check)(const struct config_key *key))
{
    struct config_section section;
    size_t rows = 0;
    for (size_t i = 0; config_section_at(i, &section); i++) {
        for (size_t k = 0; k < section.key_count; k++, rows++) {
            ck_assert_uint_eq(config_key_row(&section.keys[k]), rows); /* sections are in order */
            ck_assert_ptr_eq(config_key_find(slice_text(section.keys[k].path)), &section.keys[k]);
            check(&section.keys[k]);
        }
    }
    ck_assert_uint_ge(rows, 19);
}

static void check_never_read(const struct config_key *key)
{
    static const char *const nonsense[] = {
        "",   " ",  "0100", "1e3", "64Q",    "yes",  "~",    "0x10", "1.5",  " 1",
        "1 ", "+1", "--1",  "-0x", "1KiB\n", "1 MiB", "1kib", "-",   "null", "1_000",
    };
    if (key->kind == KIND_NAME) return;
    if (key->kind == KIND_RATIO) {
        ck_assert(reads(key, "1.5") && reads(key, "2") && reads(key, "10.25"));
        ck_assert(!reads(key, "1.") && !reads(key, ".5") && !reads(key, "1.255"));
        ck_assert(!reads(key, "0.9") && !reads(key, "1.5.") && !reads(key, "-1.5"));
        ck_assert(!reads(key, "") && !reads(key, "01.5") && !reads(key, "1e3"));
        return;
    }
    if (key->kind == KIND_PATTERN) {
        ck_assert(reads(key, "a/*") && reads(key, "a-b/c/*") && reads(key, "a"));
        ck_assert(!reads(key, "") && !reads(key, "*") && !reads(key, "/*") && !reads(key, "a*"));
        ck_assert(!reads(key, "a/*b") && !reads(key, "a/**") && !reads(key, "a b"));
        return;
    }
    if (key->kind == KIND_TEXT) {
        ck_assert(reads(key, "") && reads(key, "any words, 1e3") && !reads(key, "two\nlines"));
        return;
    }
    if (key->kind == KIND_PATH) {
        ck_assert(reads(key, "") && reads(key, "/x") && !reads(key, "x") && !reads(key, " /x"));
        return;
    }
    for (size_t i = 0; i < FP_COUNT_OF(nonsense); i++)
        ck_assert_msg(!reads(key, nonsense[i]), "%s took '%s'", key->path, nonsense[i]);
}

START_TEST(nonsense_is_no_value_of_any_key)
{
    each_key(check_never_read);
}
END_TEST

/* The least and the most are taken, one more or less is not. */
static void check_bounds(const struct config_key *key)
{
    bool is_text = key->kind == KIND_ADDRESS || key->kind == KIND_NAME || key->kind == KIND_PATH ||
                   key->kind == KIND_PATTERN || key->kind == KIND_TEXT ||
                   key->kind == KIND_RATIO;
    if (key->choices != NULL || is_text) return;
    const char *unit = key->kind == KIND_SIZE ? "B" : key->kind == KIND_DURATION ? "ns" : "";
    const struct {
        int64_t number;
        bool good;
    } edges[] = {
        {key->least, true},
        {key->least - 1, false},
        {key->most, true},
        {key->most + 1, false},
    };
    for (size_t i = 0; i < FP_COUNT_OF(edges); i++) {
        char text[NUMBER_TEXT_BYTES];
        snprintf(text, sizeof text, "%lld%s", (long long)edges[i].number, unit);
        ck_assert_msg(reads(key, text) == edges[i].good, "%s: %s", key->path, text);
    }
}

START_TEST(bounds_are_inclusive)
{
    each_key(check_bounds);
}
END_TEST

static void check_default(const struct config_key *key)
{
    union value value;
    char why[CONFIG_WHY_BYTES];
    char text[CONFIG_VALUE_BYTES];
    ck_assert(strlen(key->help) > 0 && key->help[strlen(key->help) - 1] == '.');
    if (key->initial == NULL) return;
    ck_assert(config_value_read(key, slice_text(key->initial), &value, why));
    config_value_text(key, &value, text);
    ck_assert_str_eq(text, key->initial);
}

START_TEST(defaults_are_values_and_are_written_as_we_write_them)
{
    each_key(check_default);
}
END_TEST

START_TEST(names_of_choices_are_those_of_their_enums)
{
    const struct config_key *level = config_key_find(slice_text("log.level"));
    const struct config_key *format = config_key_find(slice_text("log.format"));
    for (int i = 0; i < LOG_LEVELS; i++)
        ck_assert_str_eq(level->choices[i], log_level_name((enum log_level)i));
    for (int i = 0; i < LOG_FORMATS; i++)
        ck_assert_str_eq(format->choices[i], log_format_name((enum log_format)i));
    ck_assert_ptr_null(level->choices[LOG_LEVELS]);
    ck_assert_ptr_null(format->choices[LOG_FORMATS]);
    ck_assert_str_eq(config_algorithm_name(CONFIG_LZ4), "lz4");
    ck_assert_str_eq(config_algorithm_name(CONFIG_LZ4HC), "lz4hc");
    ck_assert_str_eq(config_algorithm_name(CONFIG_ZSTD), "zstd");
    ck_assert_str_eq(config_algorithm_name(CONFIG_NONE), "none");
    ck_assert_str_eq(config_allocator_name(CONFIG_ZSMALLOC), "zsmalloc");
    ck_assert_str_eq(config_allocator_name(CONFIG_BLOCKS), "blocks");
}
END_TEST

START_TEST(every_algorithm_of_the_storage_may_be_configured)
{
    const struct config_key *algorithm = config_key_find(slice_text("compressor.algorithm"));
    unsigned count = 0;
    for (; algorithm->choices[count] != NULL; count++) {
        char wrong[COMPRESSOR_WRONG_BYTES];
        ck_assert_int_eq(compressor_check(algorithm->choices[count], 0, wrong), FP_OK);
    }
    ck_assert_uint_eq(count, CODECS);
}
END_TEST

START_TEST(addresses_are_read_and_tidied)
{
    char longest[] = "unix:/2345678911234567892123456789312345678941234567895123456789"
                     "6123456789712345678981234567899123456789a1234567";
    const struct {
        const char *text, *tidy; /* NULL: refused */
    } cases[] = {
        {"127.0.0.1:11211", "127.0.0.1:11211"},
        {"0.0.0.0:0", "0.0.0.0:0"},
        {"localhost:1", "127.0.0.1:1"},
        {"*:65535", "*:65535"},
        {"[::1]:11211", "[::1]:11211"},
        {"[0:0::0:1]:11211", "[::1]:11211"},
        {"[FE80::1]:1", "[fe80::1]:1"},
        {"unix:/a", "unix:/a"},
        {longest, longest},
        {"unix:/a b\"\\:1", "unix:/a b\"\\:1"},
        {"systemd:memcached", "systemd:memcached"},
        {"systemd:", NULL},
        {"systemd:a b", NULL},
        {"systemd:a:b", NULL},
        {"systemd:a\x80", NULL},
        {"unix:/", NULL},
        {"unix:", NULL},
        {"unix:a", NULL},
        {"Unix:/a", NULL},
        {"unix:/a\tb\x7f", NULL},
        {"127.0.0.1", NULL},
        {"127.0.0.1:", NULL},
        {"127.0.0.1:-1", NULL},
        {"127.0.0.1:65536", NULL},
        {"127.0.0.1:1 ", NULL},
        {"127.1:1", NULL},
        {"127.0.0.01:1", NULL},
        {"::1:1", NULL},
        {"[::1", NULL},
        {"[]:1", NULL},
        {"[:1", NULL},
        {"[127.0.0.1]:1", NULL},
        {"[*]:1", NULL},
        {":1", NULL},
        {":", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < FP_COUNT_OF(cases); i++) {
        struct config_address address;
        char why[CONFIG_WHY_BYTES] = "";
        char text[CONFIG_ADDRESS_TEXT_BYTES] = "";
        bool good = config_address_read(slice_text(cases[i].text), &address, why);
        ck_assert_msg(good == (cases[i].tidy != NULL), "%s: %s", cases[i].text, why);
        if (good) config_address_text(&address, text);
        if (good) ck_assert_str_eq(text, cases[i].tidy);
    }
    char too_long[sizeof longest + 1];
    snprintf(too_long, sizeof too_long, "%sx", longest);
    struct config_address address;
    char why[CONFIG_WHY_BYTES];
    ck_assert_uint_eq(strlen(longest), strlen("unix:") + CONFIG_SOCKET_BYTES - 1);
    ck_assert(!config_address_read(slice_text(too_long), &address, why));
    ck_assert(!config_address_read(slice_of("1.2.3.4\0:1", 10), &address, why));
}
END_TEST

START_TEST(what_was_meant_is_guessed_but_not_wildly)
{
    static const char *const words[] = {"threads", "max_connections", "level", "json"};
    static const struct {
        const char *word, *meant;
    } cases[] = {
        {"thraeds", "threads"}, {"thread", "threads"}, {"THREADS", "threads"},
        {"treads", "threads"},  {"max-conections", "max_connections"},
        {"jsn", "json"},        {"lvl", NULL},         {"", NULL},
        {"x", NULL},            {"connections", NULL}, {"yaml", NULL},
    };
    for (size_t i = 0; i < FP_COUNT_OF(cases); i++) {
        struct config_guess guess = config_guess_of(slice_text(cases[i].word));
        for (size_t k = 0; k < FP_COUNT_OF(words); k++) config_guess_offer(&guess, words[k]);
        ck_assert_msg((guess.best == NULL) == (cases[i].meant == NULL), "%s: %s", cases[i].word,
                      guess.best != NULL ? guess.best : "nothing");
        if (guess.best != NULL) ck_assert_str_eq(guess.best, cases[i].meant);
    }
    char endless[CONFIG_WORD_BYTES_MAX * 2];
    memset(endless, 'a', sizeof endless);
    struct config_guess guess = config_guess_of(slice_of(endless, sizeof endless));
    config_guess_offer(&guess, "aaaaaaaaaa");
    ck_assert_ptr_null(guess.best);
}
END_TEST

START_TEST(what_is_quoted_is_one_short_printable_word)
{
    char quoted[CONFIG_QUOTE_BYTES];
    char many[300];
    ck_assert_str_eq(config_text_quote(slice_text("a\tb\nc\x1b\xff"), quoted), "'a?b?c?\?'");
    ck_assert_str_eq(config_text_quote(slice_text("\xc3\xa4"), quoted), "'\xc3\xa4'");
    ck_assert_str_eq(config_text_quote(slice_of("\0", 1), quoted), "'?'");
    for (size_t size = 0; size <= sizeof many; size++) {
        for (size_t i = 0; i < size; i++) many[i] = i % 2 ? '\xa4' : '\xc3';
        config_text_quote(slice_of(many, size), quoted);
        size_t length = strlen(quoted);
        struct config_text_fault fault;
        ck_assert_uint_lt(length, CONFIG_QUOTE_BYTES);
        ck_assert(quoted[0] == '\'' && quoted[length - 1] == '\'');
        ck_assert(config_text_good(slice_text(quoted), &fault)); /* no character cut in two */
    }
}
END_TEST

int main(void)
{
    return suite_run("config_value", nonsense_is_no_value_of_any_key, bounds_are_inclusive,
                     defaults_are_values_and_are_written_as_we_write_them,
                     names_of_choices_are_those_of_their_enums,
                     every_algorithm_of_the_storage_may_be_configured,
                     addresses_are_read_and_tidied,
                     what_was_meant_is_guessed_but_not_wildly,
                     what_is_quoted_is_one_short_printable_word);
}
