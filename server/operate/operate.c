/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/operate/operate.h"

#include <stdarg.h>
#include <stdio.h>

#include "protocol/request.h"

enum { LINE_ANSWERED_BYTES = 512 };

/* The allow-list: nothing else that the text dialect knows can be said through COMMAND. */
static const struct operate_row {
    enum command command;
    operate_run *run;
} rows[] = {
    {COMMAND_COMPRESSOR, operate_compressor},
    {COMMAND_CONFIG, operate_config},
    {COMMAND_DICTIONARY, operate_dictionary},
    {COMMAND_EXPORT, operate_export},
    {COMMAND_HEALTH, operate_health},
    {COMMAND_RECOMPRESS, operate_recompress},
    {COMMAND_SCRUB, operate_scrub},
};

enum operate operate(struct shared *shared, struct slice name, struct slice rest,
                     struct answer *answer)
{
    answer->refusal[0] = '\0';
    for (size_t i = 0; i < FP_COUNT_OF(rows); i++)
        if (slice_is(name, command_name(rows[i].command)))
            return rows[i].run(shared, rest, answer);
    return OPERATE_UNKNOWN;
}

void operate_say(struct answer *answer, const char *format, ...)
{
    char line[LINE_ANSWERED_BYTES];
    va_list values;
    va_start(values, format);
    if (vsnprintf(line, sizeof line, format, values) < 0) line[0] = '\0';
    va_end(values);
    output_text(answer->lines, line);
    output_text(answer->lines, "\n");
}

enum operate operate_refuse(struct answer *answer, enum operate how, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    if (vsnprintf(answer->refusal, sizeof answer->refusal, format, values) < 0)
        answer->refusal[0] = '\0';
    va_end(values);
    for (char *at = answer->refusal; *at != '\0'; at++)
        if (*at < 0x20 || *at >= 0x7f) *at = '?';
    return how;
}
