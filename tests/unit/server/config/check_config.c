/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <fcntl.h>

#include "base/clock.h"
#include "server/config/config_dump.h"
#include "server/config/config_compare.h"
#include "tests/unit/server/config/loading.h"

enum { MANY_BYTES = CONFIG_FILE_BYTES_MAX, SECOND_NS = 1000000000 };

#define expect_said(loading, text)                                                                 \
    ck_assert_msg(strstr((loading).said, text) != NULL, "said:\n%s\nnot: %s", (loading).said, text)

static void write_dump(const void *config, FILE *out)
{
    config_dump(config, out);
}

static void write_annotated(const void *nothing, FILE *out)
{
    (void)nothing;
    config_write_annotated(out);
}

/* A dump without its origins: what two configurations that mean the same have in common. */
static char *meaning(const struct config *config)
{
    char *text = written(write_dump, config);
    char *to = text;
    for (const char *from = text; *from;) {
        size_t line = strcspn(from, "\n");
        size_t kept = (size_t)(strstr(from, " # ") - from);
        if (kept > line) kept = line;
        while (kept > 0 && from[kept - 1] == ' ') kept--;
        memmove(to, from, kept);
        to += kept;
        *to++ = '\n';
        from += line + 1;
    }
    *to = '\0';
    return text;
}

static void expect_same(const struct config *a, const struct config *b)
{
    char *meaning_a = meaning(a);
    char *meaning_b = meaning(b);
    ck_assert_str_eq(meaning_a, meaning_b);
    free(meaning_a);
    free(meaning_b);
}

START_TEST(without_a_file_all_is_default)
{
    struct loading loading = load(NULL, NULL, 0);
    const struct config *config = loading.config;
    ck_assert_int_eq(loading.status, FP_OK);
    ck_assert_uint_eq(config->server.threads, 0);
    ck_assert_uint_eq(config->server.max_connections, 1024);
    ck_assert_uint_eq(config->server.request_timeout_ns, 30ull * SECOND_NS);
    ck_assert_uint_eq(config->server.idle_timeout_ns, 0);
    ck_assert_uint_eq(config->server.stop_timeout_ns, 10ull * SECOND_NS);
    ck_assert_uint_eq(config->server.output_buffer_max_bytes, 4 << 20);
    ck_assert_uint_eq(config->server.requests_per_turn, 64);
    ck_assert_uint_eq(config->storage.memory_limit_bytes, 1 << 30);
    ck_assert_uint_eq(config->storage.page_bytes, 4096);
    ck_assert_int_eq(config->storage.allocator, CONFIG_BLOCKS);
    ck_assert_uint_eq(config->storage.item_bytes_max, 1 << 20);
    ck_assert_int_eq(config->compressor.algorithm, CONFIG_LZ4);
    ck_assert_int_eq(config->compressor.level, 0);
    ck_assert_int_eq(config->log.level, LOG_INFO);
    ck_assert_int_eq(config->log.format, LOG_TEXT);
    ck_assert_uint_eq(config->listeners_count, 1);
    ck_assert_int_eq(config->listeners[0].address.kind, CONFIG_IPV4);
    ck_assert_str_eq(config->listeners[0].address.host, "127.0.0.1");
    ck_assert_uint_eq(config->listeners[0].address.port, 11211);
    ck_assert_uint_eq(config->areas_count, 0);
    unload(&loading);
}
END_TEST

START_TEST(the_shipped_file_is_what_the_table_says)
{
    char path[4096];
    char *generated = written(write_annotated, NULL);
    char *shipped = read_whole(in_source("conf/farpaged.yaml", path));
    ck_assert_str_eq(generated, shipped);
    struct loading defaults = load(NULL, NULL, 0);
    struct loading loading = load(path, NULL, 0);
    ck_assert_msg(loading.status == FP_OK, "%s", loading.said);
    expect_same(loading.config, defaults.config);
    unload(&loading);
    unload(&defaults);
    free(generated);
    free(shipped);
}
END_TEST

/* Every file of a folder; how many there were. */
static unsigned each_yaml(const char *folder, void (*check)(const char *name))
{
    char path[4096];
    unsigned count = 0;
    int before = open(".", O_RDONLY | O_DIRECTORY);
    ck_assert_int_eq(chdir(in_source(folder, path)), 0); /* so that headlines have short names */
    DIR *entries = opendir(".");
    ck_assert_ptr_nonnull(entries);
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot == NULL || strcmp(dot, ".yaml") != 0) continue;
        check(entry->d_name);
        count++;
    }
    closedir(entries);
    ck_assert_int_eq(fchdir(before), 0);
    close(before);
    return count;
}

static void check_bad(const char *name)
{
    char expected_name[300];
    struct loading loading = load(name, NULL, 0);
    snprintf(expected_name, sizeof expected_name, "%.*s.expected", (int)(strlen(name) - 5), name);
    char *expected = read_whole(expected_name);
    ck_assert_int_eq(loading.status, FP_INVALID);
    ck_assert_str_eq(loading.said, expected);
    free(expected);
    unload(&loading);
}

START_TEST(bad_files_say_what_is_expected)
{
    ck_assert_uint_ge(each_yaml("tests/data/config/bad", check_bad), 15);
}
END_TEST

/* What it dumps loads to the same; this also holds where every key has another value. */
static void check_good(const char *name)
{
    struct loading loading = load(name, NULL, 0);
    ck_assert_msg(loading.status == FP_OK, "%s", loading.said);
    char *dump = written(write_dump, loading.config);
    struct loading again = load_text(dump);
    ck_assert_msg(again.status == FP_OK, "%s\n%s", again.said, dump);
    expect_same(loading.config, again.config);
    free(dump);
    unload(&again);
    unload(&loading);
}

START_TEST(good_files_load_and_so_do_their_dumps)
{
    ck_assert_uint_ge(each_yaml("tests/data/config/good", check_good), 3);
}
END_TEST

START_TEST(every_value_of_a_file_arrives)
{
    char path[4096];
    in_source("tests/data/config/good/every-key.yaml", path);
    struct loading loading = load(path, NULL, 0);
    const struct config *config = loading.config;
    ck_assert_msg(loading.status == FP_OK, "%s", loading.said);
    ck_assert_uint_eq(config->server.threads, 256);
    ck_assert_uint_eq(config->server.request_timeout_ns, 100000000);
    ck_assert_uint_eq(config->server.idle_timeout_ns, 7ull * 24 * 3600 * SECOND_NS);
    ck_assert_uint_eq(config->server.stop_timeout_ns, 0);
    ck_assert_uint_eq(config->storage.memory_limit_bytes, 64ull << 40);
    ck_assert_uint_eq(config->storage.page_bytes, 16384);
    ck_assert_int_eq(config->storage.eviction, CONFIG_SWITCH_OFF);
    ck_assert_int_eq(config->storage.huge_pages, CONFIG_SWITCH_ON);
    ck_assert_int_eq(config->storage.lock_memory, CONFIG_SWITCH_ON);
    ck_assert_int_eq(config->compressor.algorithm, CONFIG_ZSTD);
    ck_assert_int_eq(config->compressor.level, -50);
    ck_assert_int_eq(config->log.level, LOG_DEBUG);
    ck_assert_int_eq(config->log.format, LOG_JSON);
    ck_assert_uint_eq(config->listeners_count, 6);
    ck_assert_int_eq(config->listeners[0].address.kind, CONFIG_ANY);
    ck_assert_str_eq(config->listeners[1].address.host, "::1");
    ck_assert_str_eq(config->listeners[3].address.path, "/run/farpage/farpage.sock");
    ck_assert_str_eq(config->listeners[4].address.path, "/run/with \"quotes\", \\ and \xc3\xa4");
    ck_assert_uint_eq(config->areas_count, 2);
    ck_assert_str_eq(config->areas[0].name, "swap/one");
    ck_assert_uint_eq(config->areas[0].size_bytes, 64 << 20);
    ck_assert_uint_eq(config->areas[0].page_bytes, 64 << 10);
    ck_assert_uint_eq(config->areas[0].quota_pages, 1000);
    ck_assert_uint_eq(config->areas[0].quota_bytes, 16 << 20);
    ck_assert_uint_eq(config_area_page_bytes(config, &config->areas[0]), 64 << 10);
    ck_assert_uint_eq(config->areas[1].size_bytes, 16 << 10);
    ck_assert_uint_eq(config->areas[1].quota_pages, 0);
    ck_assert_uint_eq(config_area_page_bytes(config, &config->areas[1]), 16 << 10);
    unload(&loading);
}
END_TEST

START_TEST(set_wins_over_the_file_and_the_last_over_the_first)
{
    char path[4096];
    static const char *const sets[] = {
        "server.threads=3",  "log.level=warn", "server.threads=5",
        "areas=[{name: a, size: 1MiB}, {size: 2MiB, name: b}]",
        "listeners=[{address: unix:/tmp/a=b}]",
    };
    struct loading loading = load(in_source("tests/data/config/good/every-key.yaml", path), sets,
                                  FP_COUNT_OF(sets));
    ck_assert_msg(loading.status == FP_OK, "%s", loading.said);
    ck_assert_uint_eq(loading.config->server.threads, 5);
    ck_assert_uint_eq(loading.config->server.requests_per_turn, 1);
    ck_assert_int_eq(loading.config->log.level, LOG_WARN);
    ck_assert_uint_eq(loading.config->areas_count, 2);
    ck_assert_str_eq(loading.config->areas[1].name, "b");
    ck_assert_uint_eq(loading.config->listeners_count, 1);
    ck_assert_str_eq(loading.config->listeners[0].address.path, "/tmp/a=b");
    unload(&loading);
}
END_TEST

START_TEST(a_dump_tells_where_each_value_is_from)
{
    char path[4096];
    static const char *const sets[] = {"log.format=json", "areas=[{name: a, size: 1MiB}]"};
    struct loading loading =
        load(in_source("tests/data/config/good/minimal.yaml", path), sets, FP_COUNT_OF(sets));
    char *dump = written(write_dump, loading.config);
    const char *limit = strstr(dump, "  memory_limit: 256MiB ");
    ck_assert_ptr_nonnull(limit);
    ck_assert_ptr_nonnull(strstr(limit, "/minimal.yaml:2\n"));
    ck_assert_ptr_nonnull(strstr(dump, "  threads: 0                                # default\n"));
    ck_assert_ptr_nonnull(strstr(dump, "  format: json                              # --set:1\n"));
    ck_assert_ptr_nonnull(strstr(dump, "    size: 1MiB                              # --set:2\n"));
    free(dump);
    unload(&loading);
}
END_TEST

START_TEST(errors_of_set_are_named_by_its_place)
{
    static const char *const sets[] = {
        "server.threads=4",
        "server.threads=yes",
        "threads=4",
        "log=debug",
        "areas[0].size=1MiB",
        "areas[].size=1MiB",
        "areas=[{name: a, syze: 1MiB}]",
        "areas=",
        "areas=[{name: a",
        "server.threads",
        "log.level=in\nfo",
        "=4",
        "",
    };
    struct loading loading = load(NULL, sets, FP_COUNT_OF(sets));
    ck_assert_int_eq(loading.status, FP_INVALID);
    ck_assert_uint_eq(loading.errors, 13); /* two about sets[6] */
    expect_said(loading, "--set:2:16: error: server.threads: 'yes' is not a whole number");
    expect_said(loading, "    2 | server.threads=yes\n      |                ^~~\n");
    expect_said(loading, "--set:3:1: error: unknown key 'threads'; did you mean 'server.threads'?");
    expect_said(loading, "--set:4:1: error: 'log' is a section; name a key of it, as in log.level");
    expect_said(loading, "--set:5:1: error: a list is set whole");
    expect_said(loading, "--set:6:1: error: a list is set whole");
    expect_said(loading, "--set:7:18: error: unknown key 'syze' in areas[0]; did you mean");
    expect_said(loading, "--set:8:7: error: areas: no value is given");
    expect_said(loading, "--set:9:16: error: not YAML: ");
    expect_said(loading, "--set:10:1: error: no '='; --set takes KEY=VALUE");
    expect_said(loading, "--set:11:1: error: a control character (U+000A)");
    expect_said(loading, "--set:12:1: error: unknown key ''");
    unload(&loading);
}
END_TEST

START_TEST(values_of_two_sources_are_checked_together)
{
    static const struct {
        const char *sets[2];
        const char *error;
    } cases[] = {
        {{"storage.memory_limit=16MiB", "session.mapped_total_max=9MiB"}, "--set:2:26: error: "},
        {{"session.mapped_total_max=128MiB", "storage.memory_limit=255MiB"},
         "--set:1:26: error: "},
        {{"storage.watermark_low=95", "storage.watermark_accept=100"},
         "storage.watermark_low: 95 is more than storage.watermark_high (94)"},
        {{"storage.watermark_accept=89", "log.level=info"},
         "storage.watermark_accept: 89 is less than storage.watermark_low (90)"},
        {{"tenants=[{name: a}, {name: a}]", "log.level=info"}, "\"a\" is tenants[0]'s already"},
        {{"tenants=[{name: a, members: \"user:x uid:1\"}, {name: b, members: \"uid:1\"}]",
          "log.level=info"}, "tenants[1].members: '1' is in tenants[0] already"},
        {{"tenants=[{name: a, members: \"user:x uid:-1\"}]", "log.level=info"},
         "'uid:-1' is none of user:NAME, uid:NUMBER and cert:NAME"},
        {{"tenants=[{name: default, members: \"uid:1\"}]", "log.level=info"},
         "whoever is in no other is in \"default\""},
        {{"tenants=[{name: a, guaranteed: 2MiB, quota_bytes: 1MiB}]", "log.level=info"},
         "guaranteed: it is more than its quota_bytes"},
        {{"tenants=[{name: a, guaranteed: 400MiB}, {name: b, guaranteed: 400MiB}]",
          "storage.memory_limit=1GiB"},
         "tenants[1].guaranteed: with those before it more than 75 % of"},
        {{"areas=[{name: a, size: 4KiB, tenant: b}]", "tenants=[{name: a}]"},
         "areas[0].tenant: there is no tenant \"b\""},
        {{"exports=[{name: a, size: 4KiB, tenant: b, recreate: always}]", "tenants=[{name: a}]"},
         "exports[0].tenant: there is no tenant \"b\""},
        {{"compressor.level=-1", "log.level=info"}, "is not within 1 to 65537, the levels of lz4"},
        {{"compressor.level=1", "compressor.algorithm=none"}, "none has no levels, only 0"},
        {{"compressor.algorithm=zstd", "compressor.level=20"}, "-50 to 19, the levels of zstd"},
        {{"compressor.algorithm=lz4hc", "compressor.level=13"}, "1 to 12, the levels of lz4hc"},
        {{"areas=[{name: a, size: 4KiB}]", "storage.page_size=64KiB"}, "not a multiple of"},
        {{"areas=[{name: a, size: 128TiB}]", "log.level=info"}, "more than 17179869184 pages"},
        {{"areas=[{name: a, size: 68KiB, page_size: 16KiB}]", "log.level=info"},
         "68KiB is not a multiple of its page_size (16KiB)"},
        {{"areas=[{name: a, size: 64KiB, page_size: 8KiB}]", "log.level=info"},
         "'8KiB' is not 0B, 4KiB, 16KiB or 64KiB"},
        {{"areas=[{name: a, size: 64KiB, quota_pages: 17}]", "log.level=info"},
         "quota_pages: 17 is more than the 16 pages it has"},
        {{"areas=[{name: a, size: 64KiB, quota_bytes: 1MiB}]", "log.level=info"},
         "quota_bytes: 1MiB is more than its size (64KiB)"},
    };
    for (size_t i = 0; i < FP_COUNT_OF(cases); i++) {
        struct loading loading = load(NULL, cases[i].sets, 2);
        ck_assert_uint_eq(loading.errors, 1);
        expect_said(loading, cases[i].error);
        unload(&loading);
    }
    struct loading loading = load_set("areas=[{name: a, size: 64TiB}]");
    ck_assert_msg(loading.status == FP_OK, "%s", loading.said);
    unload(&loading);
}
END_TEST

START_TEST(what_is_no_text_is_refused_in_one_line)
{
    static const struct {
        const char *bytes;
        size_t size_bytes;
        const char *error;
    } cases[] = {
        {"log:\n  level: in\0fo\n", 20, ":2:12: error: a control character (U+0000)"},
        {"log:\n  level: in\xff""fo\n", 20, ":2:12: error: not UTF-8 text"},
        {"log: {}\n# \xc0\xaf\n", 13, ":2:3: error: not UTF-8 text"},
        {"# \xed\xa0\x80\n", 6, ":1:3: error: not UTF-8 text"},
        {"# \xe2\x80\xa8 log\n", 10, ":1:3: error: a control character (U+2028)"},
        {"log: {}\r# a\n", 12, ":1:8: error: a control character (U+000D)"},
        {"# \x1b[2J\n", 7, ":1:3: error: a control character (U+001B)"},
        {"\xff\xfel\0o\0g\0", 8, ":1:1: error: not UTF-8 text"},
    };
    for (size_t i = 0; i < FP_COUNT_OF(cases); i++) {
        struct loading loading = load_bytes(cases[i].bytes, cases[i].size_bytes);
        ck_assert_uint_eq(loading.errors, 1);
        expect_said(loading, cases[i].error);
        unload(&loading);
    }
    struct loading loading = load_text("\xef\xbb\xbflog:\r\n  level: debug # \xc3\xa4\r\n");
    ck_assert_msg(loading.status == FP_OK, "%s", loading.said);
    unload(&loading);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_one_line)
{
    struct loading loading = load("/nonexistent/farpaged.yaml", NULL, 0);
    ck_assert_str_eq(loading.said,
                     "/nonexistent/farpaged.yaml: error: cannot be read: No such file or "
                     "directory\n1 error; nothing was started (exit 78)\n");
    unload(&loading);
    loading = load("/", NULL, 0);
    expect_said(loading, "/: error: cannot be read: Is a directory\n");
    unload(&loading);
    loading = load("", NULL, 0);
    expect_said(loading, ": error: cannot be read: ");
    unload(&loading);
    loading = load("/dev/zero", NULL, 0);
    expect_said(loading, "/dev/zero: error: larger than 64 KiB, the most a configuration may be\n");
    unload(&loading);
}
END_TEST

START_TEST(a_file_has_a_largest_size)
{
    char *many = malloc(MANY_BYTES + 1);
    ck_assert_ptr_nonnull(many);
    memset(many, '#', MANY_BYTES + 1);
    struct loading loading = load_bytes(many, MANY_BYTES);
    ck_assert_msg(loading.status == FP_OK, "%s", loading.said);
    unload(&loading);
    loading = load_bytes(many, MANY_BYTES + 1);
    ck_assert_uint_eq(loading.errors, 1);
    expect_said(loading, "larger than 64 KiB");
    unload(&loading);
    free(many);
}
END_TEST

/* libyaml alone takes seconds to minutes for these. */
START_TEST(nesting_bombs_go_off_at_once)
{
    static const char *const parts[] = {"[", "{a: ", "- ", "? ", "[{a: ", "\"", "&a ", "a: b, "};
    char *bomb = malloc(MANY_BYTES + 1);
    ck_assert_ptr_nonnull(bomb);
    for (size_t i = 0; i < FP_COUNT_OF(parts); i++) {
        size_t used = (size_t)snprintf(bomb, MANY_BYTES, i == 7 ? "log: {" : "log:\n ");
        while (used + strlen(parts[i]) <= MANY_BYTES)
            used += (size_t)snprintf(bomb + used, MANY_BYTES + 1 - used, "%s", parts[i]);
        uint64_t start_ns = clock_monotonic_ns();
        struct loading loading = load_bytes(bomb, used);
        uint64_t took_ns = clock_monotonic_ns() - start_ns;
        ck_assert_int_eq(loading.status, FP_INVALID);
        ck_assert_msg(took_ns < 2ull * SECOND_NS, "%s: %llu ms", parts[i],
                      (unsigned long long)(took_ns / 1000000));
        ck_assert_uint_lt(loading.said_bytes, 128 << 10);
        unload(&loading);
    }
    free(bomb);
}
END_TEST

START_TEST(nesting_is_counted)
{
    struct loading loading = load_text("x: [[[[[[[[[[[[[[[]]]]]]]]]]]]]]]\n"); /* 16 with the top */
    ck_assert_uint_eq(loading.errors, 1);
    expect_said(loading, ":1:1: error: unknown key 'x'");
    unload(&loading);
    loading = load_text("x: [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]\n");
    ck_assert_uint_eq(loading.errors, 2);
    expect_said(loading, ":1:19: error: nested deeper than 16");
    unload(&loading);
}
END_TEST

START_TEST(more_errors_than_anyone_reads_are_counted)
{
    char *many = malloc(MANY_BYTES);
    ck_assert_ptr_nonnull(many);
    for (size_t i = 0; i + 5 <= MANY_BYTES; i += 5) memcpy(many + i, "a: 1\n", 5);
    struct loading loading = load_bytes(many, MANY_BYTES / 5 * 5);
    ck_assert_uint_eq(loading.errors, MANY_BYTES / 5);
    expect_said(loading, "... and 12851 more\n13107 errors; nothing was started (exit 78)\n");
    unload(&loading);
    free(many);
}
END_TEST

START_TEST(lists_have_a_largest_length)
{
    char text[256 * 40] = "areas:\n";
    size_t used = strlen(text);
    for (int i = 0; i < CONFIG_AREAS_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, " - {name: a%d, size: 4KiB}\n",
                                 i);
    struct loading loading = load_text(text);
    ck_assert_msg(loading.status == FP_OK, "%s", loading.said);
    ck_assert_uint_eq(loading.config->areas_count, CONFIG_AREAS_MAX);
    ck_assert_str_eq(loading.config->areas[255].name, "a255");
    unload(&loading);
    snprintf(text + used, sizeof text - used, " - {name: b, size: 4KiB}\n - {name: b}\n");
    loading = load_text(text);
    ck_assert_uint_eq(loading.errors, 2);
    expect_said(loading, ":258:4: error: areas has more than 256 items");
    unload(&loading);
}
END_TEST

/* Differences as "key running next reloadable\n". */
static void note_difference(void *context, const struct config_difference *difference)
{
    char *text = context;
    size_t used = strlen(text);
    snprintf(text + used, 1024 - used, "%s %s %s %d\n", difference->key, difference->running,
             difference->next, difference->reloadable);
}

static bool differences(const char *set, char text[1024])
{
    struct loading running = load(NULL, NULL, 0);
    struct loading next = load_set(set);
    ck_assert_msg(next.status == FP_OK, "%s", next.said);
    text[0] = '\0';
    bool all = config_differences(running.config, next.config, note_difference, text);
    unload(&running);
    unload(&next);
    return all;
}

START_TEST(a_reload_is_told_what_differs)
{
    char text[1024];
    ck_assert(differences("log.level=info", text));
    ck_assert_str_eq(text, "");
    ck_assert(differences("log.level=debug", text));
    ck_assert_str_eq(text, "log.level info debug 1\n");
    ck_assert(!differences("server.threads=4", text));
    ck_assert_str_eq(text, "server.threads 0 4 0\n");
    ck_assert(!differences("areas=[{name: a, size: 4KiB}]", text));
    ck_assert_str_eq(text, "areas 0 1 0\n");
    ck_assert(!differences("listeners=[{address: \"*:0\", insecure: true}, "
                           "{address: \"*:1\", insecure: true}]", text));
    ck_assert_str_eq(text, "listeners 1 2 0\nlisteners[0].address 127.0.0.1:11211 *:0 0\n"
                     "listeners[0].insecure off on 0\n");
}
END_TEST

static void note_value(void *context, const char *key, const char *value,
                       const struct config_origin *origin)
{
    (void)origin;
    char *text = context;
    size_t used = strlen(text);
    snprintf(text + used, 4096 - used, "%s %s\n", key, value);
}

START_TEST(every_value_can_be_visited)
{
    char text[4096] = "";
    struct loading loading = load_set("areas=[{name: a, size: 4KiB}]");
    config_visit(loading.config, note_value, text);
    ck_assert_ptr_nonnull(strstr(text, "server.threads 0\nserver.max_connections 1024\n"));
    ck_assert_ptr_nonnull(strstr(text, "listeners[0].protocol memcached\n"));
    ck_assert_ptr_nonnull(strstr(text, "areas[0].name a\nareas[0].size 4KiB\n"));
    unload(&loading);
}
END_TEST

START_TEST(a_running_configuration_is_changed_in_a_copy)
{
    static const struct {
        const char *pair, *why; /* NULL: it is good */
    } rows[] = {
        {"log.level=debug", NULL},
        {"server.threads=2", NULL}, /* whether that needs a restart is not asked here */
        {"log.level=loud", "log.level: 'loud' is not error, warn, info or debug"},
        {"log.levle=debug", "unknown key 'log.levle'; did you mean 'log.level'?"},
        {"storage.item_size_max=1GiB", NULL},
        {"session.mapped_total_max=1GiB",
         "session.mapped_total_max: 1GiB is more than half of storage.memory_limit (1GiB)"},
        {"areas=[{name: b}]", "areas[0] has no 'size', which every item needs"},
        {"nothing", "no '='; --set takes KEY=VALUE"},
    };
    struct loading loading = load_set("areas=[{name: a, size: 4KiB}]");
    for (size_t i = 0; i < FP_COUNT_OF(rows); i++) {
        struct config_errors errors;
        struct config *next;
        config_errors_init(&errors);
        enum fp_status status = config_change(loading.config, rows[i].pair, &next, &errors);
        ck_assert_msg(status == (rows[i].why != NULL ? FP_INVALID : FP_OK), "%s", rows[i].pair);
        if (rows[i].why != NULL)
            ck_assert_str_eq(config_error_message(config_errors_at(&errors, 0)), rows[i].why);
        config_errors_fini(&errors);
        config_destroy(&next);
    }
    ck_assert_int_eq(loading.config->log.level, LOG_INFO);
    unload(&loading);
}
END_TEST

int main(void)
{
    return suite_run("config", a_running_configuration_is_changed_in_a_copy,
                     without_a_file_all_is_default,
                     the_shipped_file_is_what_the_table_says, bad_files_say_what_is_expected,
                     good_files_load_and_so_do_their_dumps, every_value_of_a_file_arrives,
                     set_wins_over_the_file_and_the_last_over_the_first,
                     a_dump_tells_where_each_value_is_from, errors_of_set_are_named_by_its_place,
                     values_of_two_sources_are_checked_together,
                     what_is_no_text_is_refused_in_one_line, a_file_that_cannot_be_read_is_one_line,
                     a_file_has_a_largest_size, nesting_bombs_go_off_at_once, nesting_is_counted,
                     more_errors_than_anyone_reads_are_counted, lists_have_a_largest_length,
                     a_reload_is_told_what_differs, every_value_can_be_visited);
}
