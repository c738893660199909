/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/door/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "tls/digest.h"

#define HASHED "sha256:"

struct user {
    struct digest name, password;
};

struct auth {
    uint32_t count;
    struct user users[AUTH_USERS_MAX];
};

/* --- a line ----------------------------------------------------------------------------------- */

static int hex_of(uint8_t letter)
{
    if (letter >= '0' && letter <= '9') return letter - '0';
    if (letter >= 'a' && letter <= 'f') return letter - 'a' + 10;
    return letter >= 'A' && letter <= 'F' ? letter - 'A' + 10 : -1;
}

static bool read_hex(struct slice text, struct digest *digest)
{
    if (text.size_bytes != 2 * (size_t)DIGEST_BYTES) return false;
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        int high = hex_of(text.bytes[2 * i]), low = hex_of(text.bytes[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        digest->bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool is_hashed(struct slice secret)
{
    return secret.size_bytes >= strlen(HASHED) &&
           memcmp(secret.bytes, HASHED, strlen(HASHED)) == 0;
}

static bool has_control(struct slice line)
{
    for (size_t i = 0; i < line.size_bytes; i++)
        if (line.bytes[i] < 0x20 || line.bytes[i] == 0x7f) return true;
    return false;
}

/* NULL, or what is wrong with it. */
static const char *read_user(struct slice line, struct user *user)
{
    if (has_control(line)) return "a control character is in it";
    const uint8_t *colon = memchr(line.bytes, ':', line.size_bytes);
    if (colon == NULL) return "not user:password, nor user:sha256:HEX";
    struct slice name = slice_of(line.bytes, (size_t)(colon - line.bytes));
    struct slice secret = slice_of(colon + 1, line.size_bytes - name.size_bytes - 1);
    if (name.size_bytes == 0) return "no user before the colon";
    if (memchr(name.bytes, ' ', name.size_bytes) != NULL) return "a blank within the user's name";
    if (secret.size_bytes == 0) return "no password behind the colon";
    if (!digest_make(name, &user->name)) return "out of memory";
    if (!is_hashed(secret)) return digest_make(secret, &user->password) ? NULL : "out of memory";
    struct slice hex =
        slice_of(secret.bytes + strlen(HASHED), secret.size_bytes - strlen(HASHED));
    return read_hex(hex, &user->password) ? NULL : "sha256: is followed by 64 hex digits";
}

/* --- a text ----------------------------------------------------------------------------------- */

static bool take_line(struct slice *text, struct slice *line)
{
    if (text->size_bytes == 0) return false;
    const uint8_t *end = memchr(text->bytes, '\n', text->size_bytes);
    size_t size = end != NULL ? (size_t)(end - text->bytes) : text->size_bytes;
    size_t used = end != NULL ? size + 1 : size;
    *line = slice_of(text->bytes, size);
    if (size > 0 && line->bytes[size - 1] == '\r') line->size_bytes--;
    *text = slice_of(text->bytes + used, text->size_bytes - used);
    return true;
}

static const char *add_user(struct auth *auth, struct slice line)
{
    struct user user = {0};
    if (auth->count == AUTH_USERS_MAX) return "more users than 256";
    const char *why = read_user(line, &user);
    for (uint32_t i = 0; i < auth->count && why == NULL; i++)
        if (digest_same(&auth->users[i].name, &user.name)) why = "this user has a line already";
    if (why == NULL) auth->users[auth->count++] = user;
    return why;
}

enum fp_status auth_parse(struct slice text, struct auth **out, char reason[AUTH_REASON_BYTES])
{
    struct slice line;
    struct auth *auth = calloc(1, sizeof *auth);
    const char *why = auth == NULL ? "out of memory" : NULL;
    unsigned number = 0;
    *out = NULL;
    while (why == NULL && take_line(&text, &line)) {
        number++;
        if (line.size_bytes == 0 || line.bytes[0] == '#') continue;
        why = add_user(auth, line);
    }
    if (why == NULL && auth->count == 0) why = "there is no user in it";
    if (why == NULL) {
        *out = auth;
        return FP_OK;
    }
    snprintf(reason, AUTH_REASON_BYTES, "%u: %s", number > 0 ? number : 1, why);
    auth_destroy(&auth);
    return FP_INVALID;
}

/* --- a file ----------------------------------------------------------------------------------- */

/* Of an open file, so that nobody changes it between two looks. NULL, or what is wrong with it. */
static const char *look_at(int fd, size_t *size_bytes)
{
    struct stat file;
    if (fstat(fd, &file) != 0) return strerror(errno);
    if (!S_ISREG(file.st_mode)) return "it is not a file";
    if ((file.st_mode & S_IROTH) != 0) return "everybody may read it; chmod o-rwx takes that away";
    if ((file.st_mode & S_IWOTH) != 0) return "everybody may write it; chmod o-rwx takes that away";
    if (file.st_size > AUTH_FILE_BYTES_MAX) return "it is larger than 64 KiB";
    *size_bytes = (size_t)file.st_size;
    return NULL;
}

static const char *read_whole(int fd, char *text, size_t *size_bytes)
{
    size_t got = 0;
    const char *why = look_at(fd, size_bytes);
    while (why == NULL && got < *size_bytes) {
        ssize_t more = read(fd, text + got, *size_bytes - got);
        if (more < 0 && errno != EINTR) why = strerror(errno);
        if (more == 0) break; /* it has become shorter */
        got += more > 0 ? (size_t)more : 0;
    }
    *size_bytes = got;
    return why;
}

enum fp_status auth_read(const char *path, struct auth **out, char reason[AUTH_REASON_BYTES])
{
    char why_line[AUTH_REASON_BYTES];
    size_t size = 0;
    *out = NULL;
    char *text = malloc(AUTH_FILE_BYTES_MAX);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const char *why = text == NULL ? "out of memory" : fd < 0 ? strerror(errno) : NULL;
    if (why == NULL) why = read_whole(fd, text, &size);
    if (fd >= 0) close(fd);
    enum fp_status status = FP_IO;
    if (why == NULL) {
        status = auth_parse(slice_of(text, size), out, why_line);
        why = status == FP_OK ? NULL : why_line;
    }
    if (status == FP_IO) snprintf(reason, AUTH_REASON_BYTES, "%.256s: %.200s", path, why);
    else if (why != NULL) snprintf(reason, AUTH_REASON_BYTES, "%.256s:%.200s", path, why);
    if (text != NULL) digest_forget(text, AUTH_FILE_BYTES_MAX);
    free(text);
    return status;
}

void auth_destroy(struct auth **auth_ptr)
{
    struct auth *auth = *auth_ptr;
    if (auth == NULL) return;
    digest_forget(auth, sizeof *auth);
    free(auth);
    *auth_ptr = NULL;
}

uint32_t auth_users(const struct auth *auth)
{
    return auth->count;
}

/* --- the question ----------------------------------------------------------------------------- */

bool auth_admits(const struct auth *auth, struct slice user, struct slice password)
{
    struct user asked;
    unsigned found = 0;
    if (!digest_make(user, &asked.name) || !digest_make(password, &asked.password)) return false;
    for (uint32_t i = 0; i < auth->count; i++) {
        unsigned name = digest_same(&auth->users[i].name, &asked.name);
        unsigned secret = digest_same(&auth->users[i].password, &asked.password);
        found |= name & secret;
    }
    digest_forget(&asked, sizeof asked);
    return found != 0;
}
