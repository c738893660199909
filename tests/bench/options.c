/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/bench/options.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"

enum {
    TIMED = BENCH_ITEMS | BENCH_PAGES | BENCH_STORE, /* phases that end after a time */
    COUNTED = TIMED | BENCH_INPROCESS | BENCH_PERCPU_REF, /* or after so many operations */
    PEERS = BENCH_ITEMS | BENCH_PAGES | BENCH_WIRE | BENCH_BESIDE, /* with memcached beside it */
    SERVERS = PEERS | BENCH_COMPACTION | BENCH_SWAPS | BENCH_NBD,
    THREADED = SERVERS & ~(BENCH_WIRE | BENCH_BESIDE), /* with a number of threads to choose */
    PACKED = TIMED | BENCH_INPROCESS | BENCH_COMPACTION | BENCH_BESIDE, /* with compressors */
    PAGED = PACKED | BENCH_SWAPS | BENCH_WIRE | BENCH_NBD,       /* takes files of pages */
    ALL = PAGED | BENCH_PERCPU_REF,
};
enum kind { NUMBER, SIZE, TEXT, FLAG, HELP };

struct row {
    const char *name;
    enum kind kind;
    unsigned users;
    size_t offset;
    uint64_t least, most;
    const char *help;
};

#define AT(member) offsetof(struct options, member)
static const struct row rows[] = {
    {"rounds", NUMBER, ALL, AT(rounds), 1, 31, "times each is measured, taking turns"},
    {"seconds", NUMBER, TIMED | BENCH_NBD, AT(seconds), 1, 3600,
     "the longest that a phase may last"},
    {"milliseconds", NUMBER, BENCH_WIRE | BENCH_BESIDE | BENCH_NBD, AT(milliseconds), 1, 60000,
     "how long each figure takes"},
    {"ops", NUMBER, COUNTED, AT(ops), 1, UINT32_MAX, "operations of a phase"},
    {"keys", NUMBER, PAGED, AT(keys), 0, 1u << 28, "keys or slots in use; 0: one for each page"},
    {"threads", NUMBER, THREADED, AT(threads), 1, 256, "threads of each server"},
    {"memory", SIZE, PAGED, AT(memory), 16 << 20, UINT64_C(1) << 40, "memory limit of each server"},
    {"connections", NUMBER, BENCH_ITEMS, AT(connections), 1, 1000, "connections of the client"},
    {"depth", NUMBER, BENCH_ITEMS, AT(depth), 1, 1024, "requests on the way on each connection"},
    {"get-percent", NUMBER, BENCH_ITEMS | BENCH_BESIDE, AT(get_percent), 0, 100,
     "gets in the mixed phase"},
    {"keys-by", TEXT, BENCH_ITEMS | BENCH_BESIDE, AT(keys_by), 0, 0, "zipf or uniform"},
    {"algorithms", TEXT, PACKED, AT(algorithms), 0, 0, "compressors, separated by commas"},
    {"value-bytes", NUMBER, BENCH_BESIDE, AT(value_bytes), 16, 1 << 20, "of each value"},
    {"shapes", TEXT, BENCH_BESIDE, AT(shapes), 0, 0, "CONNECTIONSxDEPTH, separated by commas"},
    {"ways", TEXT, BENCH_WIRE, AT(ways), 0, 0, "only rows with all of these: unix,load,depth 32"},
    {"seed", NUMBER, PAGED, AT(seed), 0, UINT64_MAX, "the same seed asks for the same keys"},
    {"farpaged", TEXT, SERVERS, AT(farpaged), 0, 0, "the server to measure"},
    {"set", TEXT, SERVERS, AT(set), 0, 0, "KEY=VALUE for it, as its own --set"},
    {"memcached", TEXT, PEERS, AT(memcached), 0, 0, "the server to compare it with"},
    {"json", FLAG, ALL & ~BENCH_BESIDE, AT(json), 0, 0,
     "print every figure of every round, for programs"},
    {"help", HELP, ALL, 0, 0, 0, "print this"},
};

static const struct options defaults = {
    .rounds = 3,
    .seconds = 20,
    .milliseconds = 200,
    .ops = 100000,
    .threads = 2,
    .memory = UINT64_C(1) << 30,
    .connections = 16,
    .depth = 4,
    .get_percent = 90,
    .seed = 1,
    .keys_by = "zipf",
    .algorithms = "lz4,zstd,none",
    .farpaged = FARPAGE_BENCH_FARPAGED,
    .memcached = "memcached",
    .value_bytes = 4096,
    .shapes = "1x1,1x8,16x1,16x8,64x1,64x8",
    .ways = "",
};
static char sample[] = FARPAGE_BENCH_SAMPLE;
static char *const sample_files[] = {sample};

static void print_help(const char *program, enum options_user user)
{
    if ((user & PAGED) != 0)
        printf("usage: %s [option...] [PAGES...]\n\nPAGES: files of 4096-byte pages; without one, "
               "the sample in tests/data.\n\n", program);
    else
        printf("usage: %s [option...]\n\n", program);
    for (unsigned i = 0; i < FP_COUNT_OF(rows); i++) {
        const char *word = rows[i].kind == FLAG || rows[i].kind == HELP ? "" : "=VALUE";
        if ((rows[i].users & user) != 0)
            printf("  --%s%s%*s %s\n", rows[i].name, word,
                   (int)(20 - strlen(rows[i].name) - strlen(word)), "", rows[i].help);
    }
}

static FP_NORETURN void refuse(const char *name, const char *value, const char *why)
{
    fprintf(stderr, "bench: --%s=%s: %s\n", name, value, why);
    exit(2);
}

static void take(struct options *options, const struct row *row, const char *value)
{
    char *member = (char *)options + row->offset;
    uint64_t number;
    if (row->kind == FLAG) *(bool *)member = true;
    if (row->kind == TEXT) *(const char **)(void *)member = value;
    if (row->kind == NUMBER || row->kind == SIZE) {
        struct slice text = slice_text(value);
        if (!(row->kind == SIZE ? number_size(text, &number) : number_u64(text, &number)))
            refuse(row->name, value, row->kind == SIZE ? "not a size" : "not a number");
        if (number < row->least || number > row->most) refuse(row->name, value, "out of range");
        *(uint64_t *)(void *)member = number;
    }
}

void options_read(int argc, char **argv, enum options_user user, struct options *options)
{
    struct option known[FP_COUNT_OF(rows) + 1] = {{0}};
    int places[FP_COUNT_OF(rows)], count = 0, place = 0, letter;
    for (int i = 0; i < (int)FP_COUNT_OF(rows); i++) {
        if ((rows[i].users & user) == 0) continue;
        bool alone = rows[i].kind == FLAG || rows[i].kind == HELP;
        known[count] = (struct option){rows[i].name, alone ? no_argument : required_argument, 0, 0};
        places[count++] = i;
    }
    *options = defaults;
    while ((letter = getopt_long(argc, argv, "", known, &place)) != -1) {
        if (letter != 0) exit(2); /* getopt has said why */
        if (rows[places[place]].kind == HELP) {
            print_help(argv[0], user);
            exit(0);
        }
        take(options, &rows[places[place]], optarg);
    }
    if (strcmp(options->keys_by, "zipf") != 0 && strcmp(options->keys_by, "uniform") != 0)
        refuse("keys-by", options->keys_by, "neither zipf nor uniform");
    options->files = argc > optind ? argv + optind : sample_files;
    options->file_count = argc > optind ? argc - optind : 1;
}

unsigned options_algorithms(const struct options *options,
                            char names[ALGORITHMS_MAX][ALGORITHM_BYTES])
{
    unsigned count = 0;
    for (const char *name = options->algorithms; *name != '\0';) {
        size_t size = strcspn(name, ",");
        if (size == 0 || size >= ALGORITHM_BYTES || count == ALGORITHMS_MAX)
            refuse("algorithms", options->algorithms, "not a list of compressors");
        snprintf(names[count++], ALGORITHM_BYTES, "%.*s", (int)size, name);
        name += size + (name[size] == ',');
    }
    return count;
}
