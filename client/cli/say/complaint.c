/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/say/complaint.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void complain(struct complaint *complaint, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    if (vsnprintf(complaint->text, COMPLAINT_BYTES, format, values) < 0) complaint->text[0] = '\0';
    va_end(values);
}

void complain_errno(struct complaint *complaint, int error, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    int used = vsnprintf(complaint->text, COMPLAINT_BYTES, format, values);
    va_end(values);
    if (used < 0 || used >= COMPLAINT_BYTES) return;
    char words[96];
    snprintf(complaint->text + used, (size_t)(COMPLAINT_BYTES - used), ": %s",
             strerror_r(error, words, sizeof words));
}
