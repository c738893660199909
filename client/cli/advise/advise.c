/* SPDX-License-Identifier: BSD-3-Clause
 *
 *   stats areas -> pages of each area -> advice -> a table, and a line for each of the two advices
 *   stats compressors -> what is in use now ------^ */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "client/cli/advise/advice.h"
#include "client/cli/advise/sampling.h"
#include "client/cli/cli.h"
#include "client/cli/say/human.h"
#include "client/cli/say/json.h"
#include "client/cli/say/table.h"

enum { SAMPLE_BYTES = 16 << 20, AREA_PAGES_MIN = ADVICE_PAGES_MIN, NAME_BYTES = 128 };
#define LOOKS_NS 1500000000ull /* of all areas together, for each of the two looks */

struct inquiry {
    struct farpage *client;
    struct statlines area_lines, seat_lines, dictionary_lines;
    struct table areas, seats;
    struct sampling *samplings;   /* owned; for each row of areas, as the next */
    struct advice_group *groups;  /* owned */
    uint64_t stored, same_filled, stored_bytes; /* of the areas that are asked about */
    unsigned area_count;          /* of those, areas that hold pages */
    struct advice advice;
};

static bool is_asked(const struct cli *cli, const struct table_row *row)
{
    return cli->operand_count == 0 || slice_is(row->name, cli->operands[0]);
}

/* --- what the server says ------------------------------------------------------------------- */

static bool fetch(struct inquiry *inquiry, struct complaint *complaint)
{
    enum farpage_status status = statlines_fetch(&inquiry->area_lines, inquiry->client, "areas");
    if (status == FARPAGE_OK)
        status = statlines_fetch(&inquiry->seat_lines, inquiry->client, "compressors");
    /* A server that does not know the section has no dictionaries. */
    if (status == FARPAGE_OK &&
        statlines_fetch(&inquiry->dictionary_lines, inquiry->client, "dictionaries") != FARPAGE_OK)
        statlines_fini(&inquiry->dictionary_lines);
    bool here = inquiry->area_lines.no_memory || inquiry->seat_lines.no_memory;
    if (status != FARPAGE_OK) {
        complain(complaint, "%s", here ? "out of memory" : farpage_error(inquiry->client));
        return false;
    }
    complain(complaint, "out of memory");
    if (!table_init(&inquiry->areas, &inquiry->area_lines)) return false;
    if (!table_init(&inquiry->seats, &inquiry->seat_lines)) return false;
    inquiry->samplings = calloc(inquiry->areas.row_count + 1, sizeof *inquiry->samplings);
    inquiry->groups = calloc(inquiry->areas.row_count + 1, sizeof *inquiry->groups);
    return inquiry->samplings != NULL && inquiry->groups != NULL;
}

static const char *cell(const struct table *table, size_t row, const char *column)
{
    for (size_t c = 0; c < table->column_count; c++)
        if (slice_is(table->columns[c], column)) return table->rows[row].cells[c];
    return NULL;
}

/* Whether every area that is asked about and holds pages packs with a dictionary of its own. */
static bool all_have_dictionaries(const struct inquiry *inquiry)
{
    unsigned count = 0;
    char name[NAME_BYTES];
    for (size_t r = 0; r < inquiry->areas.row_count; r++) {
        struct slice area = inquiry->areas.rows[r].name;
        if (inquiry->groups[r].stored == 0) continue;
        snprintf(name, sizeof name, "%.*s:packs", (int)area.size_bytes, (const char *)area.bytes);
        for (size_t i = 0; i < inquiry->dictionary_lines.count; i++) {
            const struct statline *line = &inquiry->dictionary_lines.lines[i];
            count += strcmp(line->name, name) == 0 && strcmp(line->value, "yes") == 0;
        }
    }
    return count > 0 && count == inquiry->area_count;
}

static void find_use(const struct inquiry *inquiry, struct advice_use *use)
{
    *use = (struct advice_use){.known = false};
    for (size_t r = 0; r < inquiry->seats.row_count && !use->known; r++) {
        const char *state = cell(&inquiry->seats, r, "state");
        const char *algorithm = cell(&inquiry->seats, r, "algorithm");
        const char *level = cell(&inquiry->seats, r, "level");
        if (state == NULL || strcmp(state, "current") != 0 || algorithm == NULL) continue;
        char text[COMPRESSOR_TEXT_BYTES], wrong[COMPRESSOR_WRONG_BYTES];
        bool bare = level == NULL || strcmp(level, "0") == 0;
        snprintf(text, sizeof text, bare ? "%s" : "%s:%s", algorithm, level);
        use->known = compressor_parse(slice_text(text), &use->config, wrong) == FP_OK;
        use->dictionary = all_have_dictionaries(inquiry);
    }
}

static bool count_pages(const struct cli *cli, struct inquiry *inquiry,
                        struct complaint *complaint)
{
    bool named = cli->operand_count == 0;
    for (size_t r = 0; r < inquiry->areas.row_count; r++) {
        struct advice_group *group = &inquiry->groups[r];
        uint64_t page_bytes;
        if (!is_asked(cli, &inquiry->areas.rows[r])) continue;
        named = true;
        if (!table_number(&inquiry->areas, r, "stored", &group->stored)) continue;
        if (!table_number(&inquiry->areas, r, "same_filled", &group->same_filled)) continue;
        if (!table_number(&inquiry->areas, r, "page_bytes", &page_bytes)) continue;
        inquiry->stored_bytes += group->stored * page_bytes;
        inquiry->stored += group->stored;
        inquiry->same_filled += group->same_filled;
        inquiry->area_count += group->stored > 0;
    }
    if (!named) complain(complaint, "no area '%.100s'", cli->operands[0]);
    return named;
}

/* --- the pages -------------------------------------------------------------------------------- */

static bool sample_area(struct inquiry *inquiry, size_t r, uint64_t wanted,
                        struct complaint *complaint)
{
    char name[NAME_BYTES];
    struct advice_group *group = &inquiry->groups[r];
    struct slice text = inquiry->areas.rows[r].name;
    snprintf(name, sizeof name, "%.*s", (int)text.size_bytes, (const char *)text.bytes);
    uint64_t share = (uint64_t)((double)wanted * ((double)group->stored / (double)inquiry->stored));
    struct sampling_wish wish = {
        .area = name,
        .pages = (size_t)min_u64(max_u64(share, AREA_PAGES_MIN), group->stored),
        .look_ns = LOOKS_NS / inquiry->area_count,
    };
    struct sampling *sampling = &inquiry->samplings[r];
    if (!sampling_take(sampling, inquiry->client, &wish, complaint)) return false;
    group->pages =
        (struct dictionary_samples){sampling->pages, sampling->page_bytes, sampling->count};
    return true;
}

static bool sample(const struct cli *cli, struct inquiry *inquiry, struct complaint *complaint)
{
    uint64_t page_bytes = inquiry->stored > 0 ? inquiry->stored_bytes / inquiry->stored : 1;
    uint64_t wanted = SAMPLE_BYTES / page_bytes;
    if (cli->has_pages) wanted = cli->pages;
    for (size_t r = 0; r < inquiry->areas.row_count; r++)
        if (inquiry->groups[r].stored > 0 && !sample_area(inquiry, r, wanted, complaint))
            return false;
    return true;
}

/* --- what nothing can be said about ----------------------------------------------------------- */

static void say_too_few(const struct cli *cli, const struct inquiry *inquiry,
                        struct complaint *complaint)
{
    char where[NAME_BYTES];
    const struct advice *advice = &inquiry->advice;
    snprintf(where, sizeof where, cli->operand_count > 0 ? "area '%.100s'" : "the server",
             cli->operand_count > 0 ? cli->operands[0] : "");
    uint64_t filled = advice->found_pages - advice->same_filled_pages;
    if (inquiry->stored == 0)
        complain(complaint, "%s holds no pages: nothing to advise on", where);
    else if (inquiry->stored == inquiry->same_filled)
        complain(complaint, "all %s pages of %s are same-filled: they cost a slot each, with any "
                 "compressor", human_count(inquiry->stored).text, where);
    else if (filled + inquiry->same_filled < inquiry->stored && !cli->has_pages)
        complain(complaint, "only %s of the %s pages of %s were found in time; give one AREA",
                 human_count(advice->found_pages).text, human_count(inquiry->stored).text, where);
    else
        complain(complaint, "only %s pages that are not same-filled were sampled from %s: advice "
                 "needs %d", human_count(filled).text, where, ADVICE_PAGES_MIN);
}

static bool compute(const struct cli *cli, struct inquiry *inquiry, struct complaint *complaint)
{
    struct advice_use use;
    find_use(inquiry, &use);
    enum fp_status status = advice_make(inquiry->groups, (unsigned)inquiry->areas.row_count, &use,
                                        &inquiry->advice);
    if (status == FP_OK) return true;
    if (status == FP_INVALID)
        say_too_few(cli, inquiry, complaint);
    else
        complain(complaint, "%s", status == FP_NO_MEMORY ? "out of memory"
                                                         : "other bytes came back from a codec");
    return false;
}

/* --- output ----------------------------------------------------------------------------------- */

static double ratio_of(const struct advice_row *row)
{
    return (double)row->plain_bytes / (double)row->packed_bytes;
}

static const char *advised(const struct advice *advice, unsigned row)
{
    if (row == advice->fast) return row == advice->dense ? "fast, dense" : "fast";
    return row == advice->dense ? "dense" : "";
}

static void print_rows(const struct advice *advice)
{
    printf("%-9s  %-10s  %6s  %8s  %9s  %9s\n", "packs", "dictionary", "ratio", "pack us",
           "unpack us", "memory");
    for (unsigned i = 0; i < advice->row_count; i++) {
        const struct advice_row *row = &advice->rows[i];
        const char *mark = advised(advice, i), *now = row->in_use ? "in use now" : "";
        bool both = mark[0] != '\0' && now[0] != '\0', any = mark[0] != '\0' || now[0] != '\0';
        const char *dictionary = !row->dictionary ? "no" : row->worth_it ? "yes" : "no gain";
        printf("%-9s  %-10s  %6.2f  %8.2f  %9.2f  %9s%s%s%s%s\n", row->compressor, dictionary,
               ratio_of(row), row->pack_us, row->unpack_us, human_size(row->memory_bytes).text,
               any ? "  " : "", now, both ? ", " : "", mark);
    }
}

static void print_advice(const char *word, const struct advice_row *row)
{
    printf("%-6s %s%s, %s, %.1f us to pack and %.1f us to unpack a page\n", word, row->compressor,
           row->dictionary ? " with a dictionary" : "", human_size(row->memory_bytes).text,
           row->pack_us, row->unpack_us);
}

static void print_text(const struct inquiry *inquiry)
{
    const struct advice *advice = &inquiry->advice;
    printf("%s pages stored in %u area%s (%s), %s of them same-filled; %s sampled, %s measured\n\n",
           human_count(inquiry->stored).text, inquiry->area_count,
           inquiry->area_count == 1 ? "" : "s", human_size(inquiry->stored_bytes).text,
           human_count(inquiry->same_filled).text, human_count(advice->found_pages).text,
           human_count(advice->measured_pages).text);
    print_rows(advice);
    putchar('\n');
    if (advice->no_dictionary != NULL) printf("No dictionary: %s.\n", advice->no_dictionary);
    print_advice("fast:", &advice->rows[advice->fast]);
    print_advice("dense:", &advice->rows[advice->dense]);
}

static void print_json_row(struct json *json, const char *key, const struct advice_row *row)
{
    json_object(json, key);
    json_text(json, "compressor", row->compressor);
    json_bool(json, "dictionary", row->dictionary);
    json_real(json, "ratio", ratio_of(row));
    json_real(json, "pack_us", row->pack_us);
    json_real(json, "unpack_us", row->unpack_us);
    json_number(json, "memory_bytes", row->memory_bytes);
    json_number(json, "dictionary_bytes", row->dictionary_bytes);
    json_bool(json, "in_use", row->in_use);
    json_bool(json, "worth_it", row->worth_it);
    json_object_end(json);
}

static void print_json(const struct inquiry *inquiry)
{
    const struct advice *advice = &inquiry->advice;
    struct json json;
    json_init(&json, stdout);
    json_object(&json, NULL);
    json_number(&json, "areas", inquiry->area_count);
    json_number(&json, "stored_bytes", inquiry->stored_bytes);
    json_number(&json, "stored_pages", inquiry->stored);
    json_number(&json, "same_filled_pages", inquiry->same_filled);
    json_number(&json, "sampled_pages", advice->found_pages);
    json_number(&json, "trained_pages", advice->trained_pages);
    json_number(&json, "measured_pages", advice->measured_pages);
    if (advice->no_dictionary != NULL) json_text(&json, "no_dictionary", advice->no_dictionary);
    json_array(&json, "compressors");
    for (unsigned i = 0; i < advice->row_count; i++)
        print_json_row(&json, NULL, &advice->rows[i]);
    json_array_end(&json);
    print_json_row(&json, "fast", &advice->rows[advice->fast]);
    print_json_row(&json, "dense", &advice->rows[advice->dense]);
    json_object_end(&json);
    putchar('\n');
}

static void inquiry_fini(struct inquiry *inquiry)
{
    for (size_t r = 0; inquiry->samplings != NULL && r < inquiry->areas.row_count; r++)
        sampling_fini(&inquiry->samplings[r]);
    free(inquiry->samplings);
    free(inquiry->groups);
    table_fini(&inquiry->areas);
    table_fini(&inquiry->seats);
    statlines_fini(&inquiry->area_lines);
    statlines_fini(&inquiry->seat_lines);
    statlines_fini(&inquiry->dictionary_lines);
    farpage_disconnect(&inquiry->client);
}

int cli_advise(const struct cli *cli)
{
    struct inquiry inquiry = {.client = NULL};
    struct complaint complaint;
    int code = CLI_GOOD;
    if (!cli_connect(cli, &inquiry.client, &code)) return code;
    bool good = fetch(&inquiry, &complaint) && count_pages(cli, &inquiry, &complaint) &&
                sample(cli, &inquiry, &complaint) && compute(cli, &inquiry, &complaint);
    if (!good)
        code = cli_fail(cli, CLI_FAILED, "%s", complaint.text);
    else if (cli->json)
        print_json(&inquiry);
    else
        print_text(&inquiry);
    inquiry_fini(&inquiry);
    return code;
}
