/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/replay/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "protocol/limits.h"

enum { FIELDS_MAX = 8, WAIT_MS_MAX = 3600000 };

/* A line's words; one blank between two of them. */
struct fields {
    char *words[FIELDS_MAX];
    unsigned count;
};

static bool wrong(const struct trace *trace, struct complaint *complaint, const char *what)
{
    complain(complaint, "%.160s:%llu: %s", trace->path, (unsigned long long)trace->line, what);
    return false;
}

static void split(char *line, struct fields *fields)
{
    fields->count = 0;
    for (char *at = line; at != NULL && fields->count < FIELDS_MAX;) {
        fields->words[fields->count++] = at;
        at = strchr(at, ' ');
        if (at != NULL) *at++ = '\0';
    }
}

/* The word as a number below `end`. */
static bool number_below(const char *word, uint64_t end, uint64_t *number)
{
    return number_u64(slice_text(word), number) && *number < end;
}

/* The array with room for one more item, or NULL where memory ran out; then it stays as it is. */
static void *grow(void *items, size_t *room, size_t count, size_t item_bytes)
{
    if (count < *room) return items;
    size_t more = *room == 0 ? 1024 : *room * 2;
    void *grown = realloc(items, more * item_bytes);
    if (grown != NULL) *room = more;
    return grown;
}

static bool add_op(struct trace *trace, struct trace_op op, struct complaint *complaint)
{
    struct trace_op *ops = grow(trace->ops, &trace->room, trace->count, sizeof op);
    if (ops == NULL) return wrong(trace, complaint, "out of memory");
    trace->ops = ops;
    op.line = (uint32_t)trace->line;
    trace->ops[trace->count++] = op;
    return true;
}

/* --- the header ----------------------------------------------------------------------------- */

static bool take_slots(struct trace *trace, const struct fields *fields,
                       struct complaint *complaint)
{
    if (trace->slots != 0) return wrong(trace, complaint, "the slots are told twice");
    bool good = fields->count == 3 &&
                number_below(fields->words[2], AREA_SLOTS_MAX + 1, &trace->slots) &&
                trace->slots > 0;
    return good || wrong(trace, complaint, "'# slots N' needs a number from 1 to 2^34");
}

static bool take_corpus(struct trace *trace, const struct fields *fields,
                        struct complaint *complaint)
{
    uint64_t index, pages;
    bool good = fields->count >= 5 && number_below(fields->words[2], TRACE_CORPORA_MAX, &index) &&
                number_below(fields->words[4], UINT32_MAX, &pages) && pages > 0;
    if (!good) return wrong(trace, complaint, "this is not '# corpus K NAME PAGES SHA256'");
    if (index != trace->corpora) {
        return wrong(trace, complaint, "the corpora are not numbered 0, 1, 2 and so on");
    }
    trace->corpus_pages[trace->corpora++] = (uint32_t)pages;
    return true;
}

static bool take_comment(struct trace *trace, const struct fields *fields,
                         struct complaint *complaint)
{
    const char *word = fields->count > 1 ? fields->words[1] : "";
    if (strcmp(word, "slots") == 0) return take_slots(trace, fields, complaint);
    if (strcmp(word, "corpus") == 0) return take_corpus(trace, fields, complaint);
    uint64_t milliseconds;
    bool pause = strcmp(word, "wait") == 0 && fields->count == 3 &&
                 number_below(fields->words[2], WAIT_MS_MAX + 1, &milliseconds);
    if (!pause) return true;
    return add_op(trace, (struct trace_op){.kind = TRACE_WAIT, .slot = milliseconds}, complaint);
}

/* --- the records ---------------------------------------------------------------------------- */

static bool take_slot(struct trace *trace, const struct fields *fields, uint64_t *slot,
                      struct complaint *complaint)
{
    if (trace->slots == 0) return wrong(trace, complaint, "'# slots N' must come first");
    if (fields->count > 1 && number_below(fields->words[1], trace->slots, slot)) return true;
    return wrong(trace, complaint, "the slot is not a number below that of '# slots'");
}

static bool take_store(struct trace *trace, const struct fields *fields,
                       struct complaint *complaint)
{
    uint64_t corpus, page;
    struct trace_op op = {.kind = TRACE_STORE};
    if (fields->count != 4) return wrong(trace, complaint, "this is not 'w SLOT K J'");
    if (!take_slot(trace, fields, &op.slot, complaint)) return false;
    if (!number_below(fields->words[2], trace->corpora, &corpus)) {
        return wrong(trace, complaint, "there is no '# corpus' of that number before it");
    }
    if (!number_below(fields->words[3], trace->corpus_pages[corpus], &page)) {
        return wrong(trace, complaint, "the corpus has no page of that number");
    }
    op.corpus = (uint16_t)corpus;
    op.page = (uint32_t)page;
    return add_op(trace, op, complaint);
}

static bool take_discard(struct trace *trace, const struct fields *fields,
                         struct complaint *complaint)
{
    struct trace_op op = {.kind = TRACE_DISCARD};
    if (fields->count != 2) return wrong(trace, complaint, "this is not 'd SLOT'");
    return take_slot(trace, fields, &op.slot, complaint) && add_op(trace, op, complaint);
}

static bool take_snapshot(struct trace *trace, const struct fields *fields,
                          struct complaint *complaint)
{
    bool good = fields->count == 2 && fields->words[1][0] != '\0';
    if (!good) return wrong(trace, complaint, "this is not 's LABEL'");
    char **labels = grow(trace->labels, &trace->label_room, trace->label_count, sizeof *labels);
    if (labels != NULL) trace->labels = labels;
    char *label = labels != NULL ? strdup(fields->words[1]) : NULL;
    if (label == NULL) return wrong(trace, complaint, "out of memory");
    struct trace_op op = {.kind = TRACE_SNAPSHOT, .slot = trace->label_count};
    trace->labels[trace->label_count++] = label;
    return add_op(trace, op, complaint);
}

static bool take_line(struct trace *trace, char *line, struct complaint *complaint)
{
    if (trace->line == 1) {
        bool good = strcmp(line, "# farpage-trace 1") == 0;
        return good || wrong(trace, complaint, "the first line is not '# farpage-trace 1'");
    }
    struct fields fields;
    split(line, &fields);
    const char *word = fields.words[0];
    if (word[0] == '#') return take_comment(trace, &fields, complaint);
    if (strcmp(word, "w") == 0) return take_store(trace, &fields, complaint);
    if (strcmp(word, "d") == 0) return take_discard(trace, &fields, complaint);
    if (strcmp(word, "s") == 0) return take_snapshot(trace, &fields, complaint);
    if (strcmp(word, "c") != 0) {
        return wrong(trace, complaint, "a record begins with w, d, c, s or #");
    }
    if (fields.count != 1) return wrong(trace, complaint, "nothing belongs behind 'c'");
    return add_op(trace, (struct trace_op){.kind = TRACE_COMPACT}, complaint);
}

/* --- the whole file ------------------------------------------------------------------------- */

static bool take_file(struct trace *trace, FILE *file, struct complaint *complaint)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t bytes = 0;
    bool good = true;
    while (good && (bytes = getline(&line, &room, file)) >= 0) {
        trace->line++;
        if (bytes > 0 && line[bytes - 1] == '\n') line[--bytes] = '\0';
        if (strlen(line) != (size_t)bytes)
            good = wrong(trace, complaint, "there is a zero byte in it");
        else if (trace->line == UINT32_MAX)
            good = wrong(trace, complaint, "too many lines");
        else
            good = take_line(trace, line, complaint);
    }
    free(line);
    if (!good) return false;
    if (ferror(file)) {
        complain_errno(complaint, errno, "reading '%.160s'", trace->path);
        return false;
    }
    if (trace->line == 0) {
        trace->line = 1; /* where something should be */
        return wrong(trace, complaint, "it is empty");
    }
    return trace->slots > 0 || wrong(trace, complaint, "it ends without '# slots N'");
}

bool trace_init(struct trace *trace, const char *path, struct complaint *complaint)
{
    *trace = (struct trace){.path = path};
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        complain_errno(complaint, errno, "cannot open '%.160s'", path);
        return false;
    }
    bool good = take_file(trace, file, complaint);
    fclose(file);
    return good;
}

void trace_fini(struct trace *trace)
{
    for (size_t i = 0; i < trace->label_count; i++) free(trace->labels[i]);
    free(trace->labels);
    free(trace->ops);
    trace->labels = NULL;
    trace->ops = NULL;
    trace->label_count = trace->count = 0;
}
