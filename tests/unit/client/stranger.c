/* SPDX-License-Identifier: BSD-3-Clause
 * A program that has only farpage.h and the library: it compiles, links, and is told politely that
 * no one is there. Its own functions are named like some inside the library. */
#include <farpage.h>
#include <stdio.h>
#include <string.h>

unsigned crc32c(const char *text);
void reason_set(char *text);

unsigned crc32c(const char *text)
{
    return (unsigned)strlen(text);
}

void reason_set(char *text)
{
    text[0] = '\0';
}

int main(void)
{
    struct farpage *client = NULL;
    struct farpage_options options = {.server = "unix:/nonexistent/farpage", .timeout_ms = 500};
    enum farpage_status status = farpage_connect(&options, &client);
    char text[4] = "abc";
    reason_set(text);
    printf("%s: %s\n", farpage_status_text(status), farpage_error(client));
    int good = status == FARPAGE_UNREACHABLE && client != NULL && crc32c(text) == 0;
    good = good && farpage_ping(client, NULL) == FARPAGE_DISCONNECTED;
    farpage_disconnect(&client);
    return good && client == NULL ? 0 : 1;
}
