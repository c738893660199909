/* SPDX-License-Identifier: BSD-3-Clause
 * compressors - what each algorithm and level makes of real pages, with and without a dictionary:
 * the ratio, the time to pack and to unpack a page, and the memory it takes.
 *
 * Each file is the memory of one program. Runs of 16 neighbouring pages go in turn to training and
 * to measuring, so every column is of pages that the dictionary has not seen, and the columns
 * without a dictionary are of the same pages. Same-filled pages are left out: none is packed. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/number.h"
#include "storage/compress/compressor.h"
#include "codec/compressor_text.h"
#include "codec/dictionary.h"
#include "tests/bench/meter.h"
#include "tests/bench/pageset.h"

enum { RUN_PAGES = 16, PROGRAMS_MAX = 64, CONFIGS_MAX = 32, PAGE_BYTES_MAX = 64 << 10 };

static const char *const usual[] = {"lz4",    "lz4:4",  "lz4hc:4", "lz4hc:9", "lz4hc:12",
                                    "zstd:-3", "zstd:1", "zstd:3",  "zstd:9",  "zstd:19"};

struct program {
    struct dictionary_samples trained, held_out; /* each with bytes of its own */
    struct dictionary *dictionary;
};

struct bench {
    struct program programs[PROGRAMS_MAX];
    unsigned program_count;
    struct compressor_config configs[CONFIGS_MAX];
    unsigned config_count;
    uint64_t page_bytes, dictionary_bytes, rounds;
    bool one_dictionary;
};

struct record { /* of one configuration, over all programs */
    uint64_t pages, plain_bytes, packed_bytes, plain_pages;
    double pack_us, unpack_us; /* of the fastest round */
    size_t scratch_bytes, dictionary_bytes;
};

struct run { /* one configuration on one program */
    struct compressor_pool *pool;
    struct compressor *seat;
    struct codec_scratch *scratch;
    const struct dictionary_samples *pages;
    uint8_t *packed; /* page_bytes for each page */
    size_t *sizes;   /* 0: kept plain */
    size_t empty_bytes;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "compressors: %s: %s\n", what, why);
    exit(1);
}

static void *room(size_t bytes)
{
    void *memory = malloc(bytes > 0 ? bytes : 1);
    if (memory == NULL) die("memory", "there is none left");
    return memory;
}

/* --- the pages -------------------------------------------------------------------------------- */

static void take(struct dictionary_samples *samples, const uint8_t *page)
{
    uint8_t *bytes = (uint8_t *)(uintptr_t)samples->bytes; /* our own */
    memcpy(bytes + samples->count++ * samples->page_bytes, page, samples->page_bytes);
}

static void read_program(struct bench *bench, char *path)
{
    struct program *program = &bench->programs[bench->program_count++];
    struct pageset set;
    char *paths[] = {path};
    size_t size = bench->page_bytes;
    if (!pageset_read(paths, 1, &set)) exit(1);
    size_t count = (size_t)set.count * PAGESET_PAGE_BYTES / size;
    program->trained = (struct dictionary_samples){room(count * size), size, 0};
    program->held_out = (struct dictionary_samples){room(count * size), size, 0};
    for (size_t i = 0; i < count; i++) {
        const uint8_t *page = set.bytes + i * size;
        if (memcmp(page, page + sizeof(uint64_t), size - sizeof(uint64_t)) == 0) continue;
        take(i / RUN_PAGES % 2 == 0 ? &program->trained : &program->held_out, page);
    }
    pageset_free(&set);
    if (program->held_out.count == 0) die(path, "fewer than 17 pages with something in them");
}

/* One for each program, or one of them all, which each then has a use of. */
static void train(struct bench *bench)
{
    const char *reason = "";
    struct dictionary_samples all = {NULL, bench->page_bytes, 0};
    for (unsigned i = 0; i < bench->program_count; i++)
        all.count += bench->programs[i].trained.count;
    uint8_t *bytes = room(all.count * all.page_bytes);
    size_t at = 0;
    for (unsigned i = 0; i < bench->program_count; i++) {
        const struct dictionary_samples *trained = &bench->programs[i].trained;
        memcpy(bytes + at, trained->bytes, trained->count * trained->page_bytes);
        at += trained->count * trained->page_bytes;
    }
    all.bytes = bytes;
    for (unsigned i = 0; i < bench->program_count; i++) {
        struct program *program = &bench->programs[i];
        if (bench->one_dictionary && i > 0)
            program->dictionary = dictionary_acquire(bench->programs[0].dictionary);
        else if (dictionary_train(bench->one_dictionary ? &all : &program->trained,
                                  bench->dictionary_bytes, &program->dictionary,
                                  &reason) != FP_OK)
            die("training", reason);
    }
    free(bytes);
}

/* --- measuring -------------------------------------------------------------------------------- */

static double pack_all(struct run *run)
{
    size_t size = run->pages->page_bytes;
    uint64_t start_ns = clock_monotonic_ns();
    for (size_t i = 0; i < run->pages->count; i++) {
        struct plain plain = {run->pages->bytes + i * size, size};
        struct space space = {run->packed + i * size, size - 1};
        struct packed packed = {.size_bytes = 0};
        enum fp_status status = compressor_pack(run->seat, run->scratch, plain, space, &packed);
        if (status == FP_NO_MEMORY) die("packing", fp_status_text(status));
        run->sizes[i] = packed.size_bytes;
    }
    return (double)(clock_monotonic_ns() - start_ns) / 1e3;
}

static double unpack_all(struct run *run)
{
    static uint8_t out[PAGE_BYTES_MAX];
    size_t size = run->pages->page_bytes;
    uint64_t took_ns = 0;
    for (size_t i = 0; i < run->pages->count; i++) {
        if (run->sizes[i] == 0) continue;
        struct packed packed = {run->packed + i * size, run->sizes[i]};
        uint64_t start_ns = clock_monotonic_ns();
        enum fp_status status =
            compressor_unpack(run->seat, run->scratch, packed, (struct space){out, size});
        took_ns += clock_monotonic_ns() - start_ns;
        if (status != FP_OK || memcmp(out, run->pages->bytes + i * size, size) != 0)
            die("unpacking", "other bytes came back");
    }
    return (double)took_ns / 1e3;
}

static void run_begin(struct run *run, const struct compressor_config *config,
                      const struct dictionary_samples *pages)
{
    run->pages = pages;
    run->packed = room(pages->count * pages->page_bytes);
    run->sizes = room(pages->count * sizeof *run->sizes);
    if (compressor_pool_create(config, NULL, &run->pool) != FP_OK ||
        codec_scratch_create(run->pool, &run->scratch) != FP_OK)
        die("compressor", "cannot be made");
    run->seat = compressor_acquire(run->pool, run->scratch);
    run->empty_bytes = codec_scratch_bytes(run->scratch);
}

static void run_end(struct run *run)
{
    compressor_release(&run->seat, run->scratch);
    codec_scratch_destroy(&run->scratch);
    compressor_pool_destroy(&run->pool);
    free(run->packed);
    free(run->sizes);
}

static void measure(const struct bench *bench, const struct program *program,
                    struct compressor_config config, struct record *record)
{
    struct run run;
    struct compressor_row row;
    double pack_us = 0, unpack_us = 0;
    run_begin(&run, &config, &program->held_out);
    for (uint64_t round = 0; round < bench->rounds; round++) {
        double packed_us = pack_all(&run), unpacked_us = unpack_all(&run);
        if (round == 0 || packed_us < pack_us) pack_us = packed_us;
        if (round == 0 || unpacked_us < unpack_us) unpack_us = unpacked_us;
    }
    compressor_row(run.pool, 0, &row);
    record->pack_us += pack_us;
    record->unpack_us += unpack_us;
    record->pages += run.pages->count;
    record->plain_bytes += run.pages->count * bench->page_bytes;
    for (size_t i = 0; i < run.pages->count; i++) {
        record->packed_bytes += run.sizes[i] != 0 ? run.sizes[i] : bench->page_bytes;
        record->plain_pages += run.sizes[i] == 0;
    }
    size_t grown = codec_scratch_bytes(run.scratch) - run.empty_bytes;
    if (grown > record->scratch_bytes) record->scratch_bytes = grown;
    if (row.dictionary_bytes > record->dictionary_bytes)
        record->dictionary_bytes = row.dictionary_bytes;
    run_end(&run);
}

/* --- printing --------------------------------------------------------------------------------- */

static void print_head(const struct bench *bench, char *const *paths)
{
    uint64_t pages = 0;
    struct codec_scratch *scratch = NULL;
    if (codec_scratch_create(NULL, &scratch) != FP_OK) die("memory", "there is none left");
    for (unsigned i = 0; i < bench->program_count; i++) pages += bench->programs[i].held_out.count;
    printf("## Compressors: packing and unpacking alone, one thread\n\n");
    printf("%" PRIu64 " pages of %" PRIu64 " bytes of", pages, bench->page_bytes);
    for (unsigned i = 0; i < bench->program_count; i++)
        printf(" %s", strrchr(paths[i], '/') != NULL ? strrchr(paths[i], '/') + 1 : paths[i]);
    printf(", as many others trained %s of at most %" PRIu64 " bytes. Fastest of %" PRIu64
           " rounds; load average %.2f. Each thread also has %zu KiB for unpacking.\n\n"
           "| algorithm | dictionary | ratio | kept plain | pack us | unpack us | packer KiB | "
           "dictionary KiB |\n|---|---|--:|--:|--:|--:|--:|--:|\n",
           bench->one_dictionary ? "one dictionary" : "a dictionary for each program",
           bench->dictionary_bytes, bench->rounds, meter_load_average(),
           codec_scratch_bytes(scratch) >> 10);
    codec_scratch_destroy(&scratch);
}

static void print_row(const struct compressor_config *config, bool with,
                      const struct record *record)
{
    char text[COMPRESSOR_TEXT_BYTES];
    compressor_text(config, text);
    printf("| %-8s | %-3s | %.3f | %" PRIu64 " | %.2f | %.2f | %zu | %zu |\n", text,
           with ? "yes" : "no", (double)record->plain_bytes / (double)record->packed_bytes,
           record->plain_pages, record->pack_us / (double)record->pages,
           record->unpack_us / (double)(record->pages - record->plain_pages),
           record->scratch_bytes >> 10, record->dictionary_bytes >> 10);
    (void)fflush(stdout);
}

static void measure_all(const struct bench *bench)
{
    for (unsigned c = 0; c < bench->config_count; c++)
        for (int with = 0; with < 2; with++) {
            struct record record = {0};
            for (unsigned i = 0; i < bench->program_count; i++) {
                struct compressor_config config = bench->configs[c];
                config.dictionary = with ? bench->programs[i].dictionary : NULL;
                measure(bench, &bench->programs[i], config, &record);
            }
            print_row(&bench->configs[c], with, &record);
        }
}

/* --- the command line ------------------------------------------------------------------------- */

static const char usage[] =
    "usage: compressors [OPTION...] PAGES...\n\n"
    "PAGES are files of 4096-byte pages, each the memory of one program.\n\n"
    "  --compressors LIST   such as lz4,lz4hc:9,zstd:-3\n"
    "  --dictionary BYTES   of a dictionary, at most (64KiB)\n"
    "  --one-dictionary     one for all programs instead of one for each\n"
    "  --page-size BYTES    4KiB, 16KiB or 64KiB (4KiB)\n"
    "  --rounds N           the fastest of which counts (3)\n";

static uint64_t number(const char *name, const char *text, uint64_t least, uint64_t most)
{
    uint64_t value;
    if (number_size(slice_text(text), &value) && value >= least && value <= most) return value;
    fprintf(stderr, "compressors: --%s: %s is not within %" PRIu64 " to %" PRIu64 "\n", name, text,
            least, most);
    exit(2);
}

static void add_config(struct bench *bench, struct slice text)
{
    char wrong[COMPRESSOR_WRONG_BYTES] = "too many of them";
    if (bench->config_count < CONFIGS_MAX &&
        compressor_parse(text, &bench->configs[bench->config_count], wrong) == FP_OK) {
        bench->config_count++;
        return;
    }
    fprintf(stderr, "compressors: --compressors: %s\n", wrong);
    exit(2);
}

static void add_configs(struct bench *bench, const char *list)
{
    for (const char *at = list;; at++) {
        size_t size = strcspn(at, ",");
        add_config(bench, slice_of(at, size));
        at += size;
        if (*at == '\0') return;
    }
}

static void read_options(int argc, char **argv, struct bench *bench)
{
    static const struct option options[] = {
        {"compressors", required_argument, NULL, 'c'}, {"dictionary", required_argument, NULL, 'd'},
        {"one-dictionary", no_argument, NULL, 'o'},    {"page-size", required_argument, NULL, 'p'},
        {"rounds", required_argument, NULL, 'r'},      {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    *bench = (struct bench){.page_bytes = PAGESET_PAGE_BYTES, .rounds = 3,
                            .dictionary_bytes = DICTIONARY_BYTES_USUAL};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'c') add_configs(bench, optarg);
        if (option == 'd')
            bench->dictionary_bytes =
                number("dictionary", optarg, DICTIONARY_BYTES_MIN, DICTIONARY_BYTES_MAX);
        if (option == 'o') bench->one_dictionary = true;
        if (option == 'p')
            bench->page_bytes = number("page-size", optarg, PAGESET_PAGE_BYTES, PAGE_BYTES_MAX);
        if (option == 'r') bench->rounds = number("rounds", optarg, 1, 1000);
        if (option == 'h') printf("%s", usage);
        if (option == 'h') exit(0);
        if (option == '?') exit(2);
    }
    if (bench->config_count == 0)
        for (size_t i = 0; i < FP_COUNT_OF(usual); i++) add_config(bench, slice_text(usual[i]));
    if (argc - optind >= 1 && argc - optind <= PROGRAMS_MAX) return;
    fprintf(stderr, "%s", usage);
    exit(2);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    read_options(argc, argv, &bench);
    for (int i = optind; i < argc; i++) read_program(&bench, argv[i]);
    train(&bench);
    print_head(&bench, argv + optind);
    measure_all(&bench);
    for (unsigned i = 0; i < bench.program_count; i++) {
        dictionary_release(&bench.programs[i].dictionary);
        free((void *)(uintptr_t)bench.programs[i].trained.bytes);
        free((void *)(uintptr_t)bench.programs[i].held_out.bytes);
    }
    return 0;
}
