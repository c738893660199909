/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/say/nearest.h"

#include <stddef.h>
#include <string.h>

enum { WORD_BYTES_MAX = 31, FAR = 1000 };

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Optimal string alignment: rows of edits[i][j] between the first i and j letters. */
static unsigned edits_between(const char *a, const char *b)
{
    unsigned edits[WORD_BYTES_MAX + 1][WORD_BYTES_MAX + 1];
    size_t a_bytes = strlen(a), b_bytes = strlen(b);
    if (a_bytes > WORD_BYTES_MAX || b_bytes > WORD_BYTES_MAX) return FAR;
    for (unsigned i = 0; i <= a_bytes; i++) edits[i][0] = i;
    for (unsigned j = 0; j <= b_bytes; j++) edits[0][j] = j;
    for (size_t i = 1; i <= a_bytes; i++) {
        for (size_t j = 1; j <= b_bytes; j++) {
            unsigned same = a[i - 1] == b[j - 1] ? 0 : 1;
            edits[i][j] =
                least(edits[i - 1][j] + 1, edits[i][j - 1] + 1, edits[i - 1][j - 1] + same);
            if (i < 2 || j < 2 || a[i - 1] != b[j - 2] || a[i - 2] != b[j - 1]) continue;
            if (edits[i - 2][j - 2] + 1 < edits[i][j]) edits[i][j] = edits[i - 2][j - 2] + 1;
        }
    }
    return edits[a_bytes][b_bytes];
}

void nearest_init(struct nearest *nearest, const char *word)
{
    /* A third of the letters may be wrong, and never fewer than one. */
    *nearest = (struct nearest){.word = word};
    nearest->best_edits = (unsigned)(strlen(word) / 3) + 1;
}

void nearest_offer(struct nearest *nearest, const char *candidate)
{
    unsigned edits = edits_between(nearest->word, candidate);
    if (edits > nearest->best_edits || (nearest->best != NULL && edits == nearest->best_edits)) {
        return;
    }
    nearest->best = candidate;
    nearest->best_edits = edits;
}
