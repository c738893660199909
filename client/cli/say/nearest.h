/* SPDX-License-Identifier: BSD-3-Clause
 * nearest - which known word was probably meant. Pure. */
#ifndef FARPAGE_CLIENT_CLI_NEAREST_H
#define FARPAGE_CLIENT_CLI_NEAREST_H

struct nearest {
    const char *word;    /* as typed, borrowed */
    const char *best;    /* NULL: nothing near yet */
    unsigned best_edits; /* letters to insert, drop, replace or swap */
};

void nearest_init(struct nearest *nearest, const char *word);
void nearest_offer(struct nearest *nearest, const char *candidate);

#endif
