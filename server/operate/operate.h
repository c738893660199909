/* SPDX-License-Identifier: BSD-3-Clause
 * operate - what an operator tells a running server, one line each: "compressor set zstd:3".
 *
 * Both doors lead here, the text dialect and the frame COMMAND, and say the same. What may be said
 * is the table in operate.c: a command is a row there, a row in protocol/command_tbl.h and a
 * function in operate_NAME.c, which reads its words, acts, and answers in lines or refuses in one
 * sentence. A refused command has changed nothing.
 *
 * Threads: any, each with an answer of its own. Blocks: never, but for short locks, and `export`
 *          and `config` for small files; what takes long is only begun here.
 */
#ifndef FARPAGE_SERVER_OPERATE_H
#define FARPAGE_SERVER_OPERATE_H
#include "base/slice.h"
#include "protocol/limits.h"
#include "server/peer/output.h"
#include "server/shared.h"

enum operate {
    OPERATE_DONE,
    OPERATE_UNKNOWN, /* no such command */
    OPERATE_WRONG,   /* refused: the line makes no sense, and will not the next time */
    OPERATE_FAILED,  /* refused: not now, as things are */
};

struct answer {
    bool local; /* who asks is on this machine */
    struct output *lines;            /* the caller's; each line ended by "\n" */
    char refusal[REFUSAL_BYTES_MAX]; /* a sentence, without an end */
};

/* `rest` is the line behind the command's name, blank separated words; both may be any bytes. The
 * answer is answer->lines where DONE, answer->refusal where WRONG or FAILED. */
enum operate operate(struct shared *shared, struct slice name, struct slice rest,
                     struct answer *answer) FP_MUST_CHECK FP_NONNULL(1, 4);

/* --- for operate_*.c ------------------------------------------------------------------------- */

/* Adds a line to the answer. */
void operate_say(struct answer *answer, const char *format, ...)
    __attribute__((format(printf, 2, 3))) FP_NONNULL(1, 2);
/* Refuses; bytes of the client's that are no printable ASCII become '?'. Returns `how`. */
enum operate operate_refuse(struct answer *answer, enum operate how, const char *format, ...)
    __attribute__((format(printf, 3, 4))) FP_NONNULL(1, 3);

typedef enum operate operate_run(struct shared *shared, struct slice rest, struct answer *answer);
operate_run operate_compressor, operate_config, operate_dictionary, operate_export, operate_health,
    operate_recompress, operate_scrub;

#endif
