/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/door.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/slice.h"

enum { FILE_BYTES_MAX = 4096 };

/* --- the user --------------------------------------------------------------------------------- */

static bool has_control_or_blank(struct slice text, bool blank_too)
{
    for (size_t i = 0; i < text.size_bytes; i++)
        if (text.bytes[i] < 0x20 || text.bytes[i] == 0x7f || (blank_too && text.bytes[i] == ' '))
            return true;
    return false;
}

/* The time is long over: a server that wants no login would else keep this as an item. */
static enum farpage_status compose(struct door *door, struct slice user, struct slice secret,
                                   struct reason *reason)
{
    bool good = user.size_bytes > 0 && user.size_bytes <= DOOR_USER_BYTES_MAX &&
                secret.size_bytes > 0 && secret.size_bytes <= DOOR_SECRET_BYTES_MAX &&
                !has_control_or_blank(user, true) && !has_control_or_blank(secret, false);
    if (!good) {
        reason_set(reason, "a user is 1 to %d bytes without blanks, a password 1 to %d",
                   DOOR_USER_BYTES_MAX, DOOR_SECRET_BYTES_MAX);
        return FARPAGE_DENIED;
    }
    memcpy(door->user, user.bytes, user.size_bytes);
    int size = snprintf((char *)door->login, sizeof door->login, "set auth 0 -1 %zu\r\n%s %.*s\r\n",
                        user.size_bytes + 1 + secret.size_bytes, door->user,
                        (int)secret.size_bytes, (const char *)secret.bytes);
    door->login_bytes = (size_t)size;
    return FARPAGE_OK;
}

static enum farpage_status wrong_file(struct reason *reason, const char *path, const char *why)
{
    reason_set(reason, "the file of the user %.200s: %s", path, why);
    return FARPAGE_DENIED;
}

/* The first line that is neither empty nor a remark. */
static struct slice first_line(struct slice text)
{
    while (text.size_bytes > 0) {
        const uint8_t *end = memchr(text.bytes, '\n', text.size_bytes);
        size_t size = end != NULL ? (size_t)(end - text.bytes) : text.size_bytes;
        struct slice line = slice_of(text.bytes, size);
        if (size > 0 && line.bytes[size - 1] == '\r') line.size_bytes--;
        if (line.size_bytes > 0 && line.bytes[0] != '#') return line;
        size_t used = end != NULL ? size + 1 : size;
        text = slice_of(text.bytes + used, text.size_bytes - used);
    }
    return text;
}

static enum farpage_status take_text(struct door *door, struct slice text, const char *path,
                                     struct reason *reason)
{
    struct slice line = first_line(text);
    const uint8_t *colon = line.size_bytes > 0 ? memchr(line.bytes, ':', line.size_bytes) : NULL;
    if (colon == NULL) return wrong_file(reason, path, "its line is not user:password");
    struct slice user = slice_of(line.bytes, (size_t)(colon - line.bytes));
    struct slice secret = slice_of(colon + 1, line.size_bytes - user.size_bytes - 1);
    if (secret.size_bytes > 7 && memcmp(secret.bytes, "sha256:", 7) == 0)
        return wrong_file(reason, path, "it has the hash; here the token itself is needed");
    return compose(door, user, secret, reason);
}

static enum farpage_status read_file(struct door *door, const char *path, struct reason *reason)
{
    char text[FILE_BYTES_MAX];
    struct stat file;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return wrong_file(reason, path, strerror(errno));
    enum farpage_status status = FARPAGE_OK;
    ssize_t got = -1;
    if (fstat(fd, &file) == 0 && (file.st_mode & (S_IROTH | S_IWOTH)) != 0)
        status = wrong_file(reason, path, "everybody may read it; chmod o-rwx takes that away");
    else if ((got = read(fd, text, sizeof text)) < 0)
        status = wrong_file(reason, path, strerror(errno));
    close(fd);
    if (status == FARPAGE_OK) status = take_text(door, slice_of(text, (size_t)got), path, reason);
    tls_forget(text, sizeof text);
    return status;
}

static enum farpage_status take_user(struct door *door, const struct farpage_options *options,
                                     struct reason *reason)
{
    if (options->auth_file != NULL) return read_file(door, options->auth_file, reason);
    if (options->user == NULL && options->password == NULL) return FARPAGE_OK;
    if (options->user != NULL && options->password != NULL)
        return compose(door, slice_text(options->user), slice_text(options->password), reason);
    reason_set(reason, "a user and a password are given together, or neither");
    return FARPAGE_DENIED;
}

/* --- TLS -------------------------------------------------------------------------------------- */

static enum farpage_status take_tls(struct door *door, const struct farpage_options *options,
                                    struct reason *reason)
{
    const struct tls_options wanted = {
        .role = TLS_CLIENT,
        .certificate = options->tls_certificate,
        .key = options->tls_key,
        .authorities = options->tls_ca,
        .verify = TLS_VERIFY_REQUIRED,
        .minimum = TLS_1_2};
    char why[TLS_REASON_BYTES];
    bool named = options->tls_ca != NULL || options->tls_certificate != NULL ||
                 options->tls_key != NULL;
    if ((options->flags & FARPAGE_TLS) == 0 && !named) return FARPAGE_OK;
    if ((options->tls_certificate == NULL) != (options->tls_key == NULL)) {
        reason_set(reason, "a certificate needs its key, and a key its certificate");
        return FARPAGE_DENIED;
    }
    enum fp_status status = tls_context_create(&wanted, &door->tls, why);
    if (status == FP_OK) return FARPAGE_OK;
    reason_set(reason, "%s", why);
    return status == FP_NO_MEMORY ? FARPAGE_NO_MEMORY : FARPAGE_DENIED;
}

enum farpage_status door_make(struct door *door, const struct farpage_options *options,
                              struct reason *reason)
{
    *door = (struct door){0};
    enum farpage_status status = take_tls(door, options, reason);
    return status == FARPAGE_OK ? take_user(door, options, reason) : status;
}

void door_close(struct door *door)
{
    tls_context_destroy(&door->tls);
    tls_forget(door, sizeof *door);
}
