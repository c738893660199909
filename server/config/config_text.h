/* SPDX-License-Identifier: BSD-3-Clause
 * config_text - text from outside: is it text, how is it quoted, what was probably meant.
 *
 * Pure; any thread. */
#ifndef FARPAGE_SERVER_CONFIG_TEXT_H
#define FARPAGE_SERVER_CONFIG_TEXT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"

enum { CONFIG_QUOTE_BYTES = 80, CONFIG_WORD_BYTES_MAX = 64 };

/* The first character of UTF-8 text and its bytes; 0 where it is not valid or there is none. */
size_t config_text_decode(struct slice text, uint32_t *code) FP_MUST_CHECK FP_NONNULL(2);

/* Characters that end a line for YAML but not for people, or that move a terminal's cursor. Tabs
 * and line feeds are not among them. */
bool config_text_is_control(uint32_t code);

/* Where `text` is not text: the first byte that is not UTF-8, or a control character. */
struct config_text_fault {
    uint32_t line, column; /* from 1 */
    bool is_utf8;          /* then `code` says which character it is */
    uint32_t code;
};
bool config_text_good(struct slice text, struct config_text_fault *fault)
    FP_MUST_CHECK FP_NONNULL(2);

/* The text within single quotes, printable, cut to fit. Returns `quoted`. */
const char *config_text_quote(struct slice text, char quoted[CONFIG_QUOTE_BYTES]);

/* The candidate nearest to a misspelt word, by insertions, deletions, replacements and swaps of
 * neighbours; letters' case is free. `best` is NULL while none is near enough to be meant. */
struct config_guess {
    struct slice word;
    const char *best;
    size_t distance;
};
struct config_guess config_guess_of(struct slice word);
void config_guess_offer(struct config_guess *guess, const char *candidate) FP_NONNULL(1, 2);

#endif
