/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/say/json.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

void json_init(struct json *json, FILE *out)
{
    *json = (struct json){.out = out};
}

/* Length of the UTF-8 sequence at `at`, which ends with a zero; 0 where it is none. */
static size_t sequence_bytes(const unsigned char *at)
{
    if (at[0] < 0x80) return 1;
    size_t bytes = at[0] >= 0xc2 && at[0] < 0xe0   ? 2
                   : at[0] >= 0xe0 && at[0] < 0xf0 ? 3
                   : at[0] >= 0xf0 && at[0] < 0xf5 ? 4
                                                   : 0;
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0;
    }
    bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool surrogate = at[0] == 0xed && at[1] >= 0xa0;
    bool beyond = at[0] == 0xf4 && at[1] >= 0x90;
    return bytes > 1 && (overlong || surrogate || beyond) ? 0 : bytes;
}

static void put_string(const struct json *json, const char *text)
{
    putc('"', json->out);
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0';) {
        size_t bytes = sequence_bytes(at);
        if (bytes == 0) {
            fputs("\\ufffd", json->out);
            bytes = 1;
        } else if (*at < 0x20 || *at == 0x7f) {
            fprintf(json->out, "\\u%04x", *at);
        } else {
            if (*at == '"' || *at == '\\') putc('\\', json->out);
            fwrite(at, 1, bytes, json->out);
        }
        at += bytes;
    }
    putc('"', json->out);
}

static void begin_value(struct json *json, const char *key)
{
    if (json->comma) putc(',', json->out);
    json->comma = true;
    if (key == NULL) return;
    put_string(json, key);
    putc(':', json->out);
}

static void open_with(struct json *json, const char *key, char bracket)
{
    begin_value(json, key);
    putc(bracket, json->out);
    json->comma = false;
}

static void close_with(struct json *json, char bracket)
{
    putc(bracket, json->out);
    json->comma = true;
}

void json_object(struct json *json, const char *key)
{
    open_with(json, key, '{');
}

void json_object_end(struct json *json)
{
    close_with(json, '}');
}

void json_array(struct json *json, const char *key)
{
    open_with(json, key, '[');
}

void json_array_end(struct json *json)
{
    close_with(json, ']');
}

void json_text(struct json *json, const char *key, const char *text)
{
    begin_value(json, key);
    put_string(json, text);
}

void json_number(struct json *json, const char *key, uint64_t number)
{
    begin_value(json, key);
    fprintf(json->out, "%" PRIu64, number);
}

void json_real(struct json *json, const char *key, double number)
{
    begin_value(json, key);
    if (isfinite(number))
        fprintf(json->out, "%.9g", number);
    else
        fputs("null", json->out);
}

void json_bool(struct json *json, const char *key, bool value)
{
    begin_value(json, key);
    fputs(value ? "true" : "false", json->out);
}

/* -?(0|[1-9][0-9]*)([.][0-9]+)? */
static bool is_number(const char *text)
{
    if (*text == '-') text++;
    size_t whole = strspn(text, "0123456789");
    if (whole == 0 || (whole > 1 && text[0] == '0')) return false;
    text += whole;
    if (*text != '.') return *text == '\0';
    size_t fraction = strspn(text + 1, "0123456789");
    return fraction > 0 && text[1 + fraction] == '\0';
}

void json_value(struct json *json, const char *key, const char *text)
{
    if (!is_number(text)) {
        json_text(json, key, text);
        return;
    }
    begin_value(json, key);
    fputs(text, json->out);
}
