/* SPDX-License-Identifier: BSD-3-Clause
 * json - writes one JSON document, commas and escapes included.
 *
 * Objects are opened with a key inside another object, and with NULL at the top or in an array.
 * Bytes that are not UTF-8 become U+FFFD, so that the document is always valid. */
#ifndef FARPAGE_CLIENT_CLI_JSON_H
#define FARPAGE_CLIENT_CLI_JSON_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
    FILE *out;
    bool comma; /* something stands before the next value in its object or array */
};

void json_init(struct json *json, FILE *out);
void json_object(struct json *json, const char *key);
void json_object_end(struct json *json);
void json_array(struct json *json, const char *key);
void json_array_end(struct json *json);
void json_text(struct json *json, const char *key, const char *text);
void json_number(struct json *json, const char *key, uint64_t number);
void json_real(struct json *json, const char *key, double number); /* finite, or null */
void json_bool(struct json *json, const char *key, bool value);

/* A number where the text is one as JSON writes it, else a text. */
void json_value(struct json *json, const char *key, const char *text);

#endif
