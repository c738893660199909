/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/reason.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void reason_set(struct reason *reason, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(reason->text, sizeof reason->text, format, arguments) < 0) reason->text[0] = '\0';
    va_end(arguments);
}

void reason_set_errno(struct reason *reason, int error, const char *format, ...)
{
    char sentence[REASON_BYTES / 2];
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(sentence, sizeof sentence, format, arguments) < 0) sentence[0] = '\0';
    va_end(arguments);
    char words[96]; /* GNU's strerror_r answers a pointer, which may or may not be into `words` */
    reason_set(reason, "%s: %s", sentence, strerror_r(error, words, sizeof words));
}

static void copy_printable(struct slice bytes, char *text, size_t text_bytes)
{
    size_t i = 0;
    for (; i < bytes.size_bytes && i < text_bytes - 1; i++) {
        uint8_t c = bytes.bytes[i];
        if (c == '\r' || c == '\n') break;
        text[i] = c >= 0x20 && c < 0x7f ? (char)c : '?';
    }
    text[i] = '\0';
}

void reason_set_bytes(struct reason *reason, struct slice sentence)
{
    copy_printable(sentence, reason->text, sizeof reason->text);
}

void reason_quote(struct slice bytes, char quoted[REASON_QUOTE_BYTES])
{
    copy_printable(bytes, quoted, REASON_QUOTE_BYTES);
}

void reason_duration(uint64_t nanoseconds, char text[REASON_DURATION_BYTES])
{
    uint64_t ms = nanoseconds / 1000000 + (nanoseconds % 1000000 != 0);
    bool whole = ms % 1000 == 0;
    snprintf(text, REASON_DURATION_BYTES, "%llu %s", (unsigned long long)(whole ? ms / 1000 : ms),
             whole ? "s" : "ms");
}
