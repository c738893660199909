/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/run/run_program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { HEAD_BYTES = 256, SCRIPTS_MAX = 4, INTERPRETER_BYTES = 256 };

#if defined(__x86_64__)
enum { OUR_MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { OUR_MACHINE = EM_AARCH64 };
#endif

/* --- finding -------------------------------------------------------------------------------- */

/* 0: it may be run. Else the errno of the attempt. */
static int try_path(const char *path)
{
    struct stat stat_of;
    if (stat(path, &stat_of) != 0) return errno;
    if (S_ISDIR(stat_of.st_mode)) return EISDIR;
    if (!S_ISREG(stat_of.st_mode)) return EACCES;
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

/* The first of the folders in which it may be run; else the first of those where it may not. */
static int search_path(const char *name, const char *search, char path[RUN_PATH_BYTES])
{
    int worst = ENOENT;
    char refused[RUN_PATH_BYTES] = "";
    for (const char *at = search; ; at++) {
        size_t bytes = strcspn(at, ":");
        int length = snprintf(path, RUN_PATH_BYTES, "%.*s%s%s", (int)bytes, at,
                              bytes > 0 ? "/" : "./", name);
        int error = length < RUN_PATH_BYTES ? try_path(path) : ENAMETOOLONG;
        if (error == 0) return 0;
        if (error == EACCES && worst == ENOENT) {
            worst = error;
            snprintf(refused, sizeof refused, "%s", path);
        }
        at += bytes;
        if (*at == '\0') break;
    }
    if (worst != ENOENT) snprintf(path, RUN_PATH_BYTES, "%s", refused);
    return worst;
}

static int find(const char *name, const char *search, char path[RUN_PATH_BYTES],
                struct complaint *complaint)
{
    int error = ENOENT;
    if (strchr(name, '/') != NULL) {
        snprintf(path, RUN_PATH_BYTES, "%s", name);
        error = try_path(path);
    } else if (name[0] != '\0') {
        error = search_path(name, search != NULL ? search : "/bin:/usr/bin", path);
    }
    if (error == 0) return 0;
    bool nowhere = error == ENOENT || error == ENOTDIR;
    if (nowhere && strchr(name, '/') == NULL)
        complain(complaint, "'%.80s' is in none of the folders of $PATH", name);
    else if (nowhere)
        complain(complaint, "there is no '%.200s'", name);
    else if (error == EACCES)
        complain(complaint, "'%.200s' is no program that may be run: chmod +x makes it one", path);
    else
        complain_errno(complaint, error, "cannot run '%.200s'", path);
    return nowhere ? RUN_NOT_FOUND : RUN_NOT_EXECUTABLE;
}

/* --- what it is ----------------------------------------------------------------------------- */

static bool read_at(int fd, void *into, size_t bytes, uint64_t at)
{
    return pread(fd, into, bytes, (off_t)at) == (ssize_t)bytes;
}

/* The loader of a dynamic program; "" for a static one. False: its table makes no sense. */
static bool read_loader(int fd, const Elf64_Ehdr *header, char loader[INTERPRETER_BYTES])
{
    loader[0] = '\0';
    if (header->e_phentsize != sizeof(Elf64_Phdr)) return header->e_phnum == 0;
    for (unsigned i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr part;
        if (!read_at(fd, &part, sizeof part, header->e_phoff + (uint64_t)i * sizeof part))
            return false;
        if (part.p_type != PT_INTERP) continue;
        if (part.p_filesz == 0 || part.p_filesz >= INTERPRETER_BYTES) return false;
        loader[part.p_filesz] = '\0';
        return read_at(fd, loader, part.p_filesz, part.p_offset);
    }
    return true;
}

static int check_elf(int fd, const char *path, struct complaint *complaint)
{
    Elf64_Ehdr header;
    char loader[INTERPRETER_BYTES];
    bool whole = read_at(fd, &header, sizeof header, 0);
    if (whole && (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != OUR_MACHINE)) {
        complain(complaint, "'%.200s' is a program for another kind of processor than farpage: "
                 "nothing of it can be loaded there", path);
        return RUN_FAILED;
    }
    if (!whole || !read_loader(fd, &header, loader)) {
        complain(complaint, "'%.200s' is damaged: its program headers make no sense", path);
        return RUN_NOT_EXECUTABLE;
    }
    if (loader[0] == '\0') {
        complain(complaint, "'%.200s' is linked statically (many Go programs are): no library can "
                 "be loaded into it, so its memory cannot be paged", path);
        return RUN_FAILED;
    }
    if (strstr(loader, "ld-musl") != NULL) {
        complain(complaint, "'%.200s' is of another C library (%.60s) than farpage's agent: it "
                 "cannot be loaded there", path, loader);
        return RUN_FAILED;
    }
    return 0;
}

/* The loader passes over LD_PRELOAD where a program gets rights that its caller has not. */
static int check_rights(int fd, const char *path, struct complaint *complaint)
{
    struct stat stat_of;
    if (fstat(fd, &stat_of) != 0) return 0;
    bool user = (stat_of.st_mode & S_ISUID) != 0 && stat_of.st_uid != geteuid();
    bool group = (stat_of.st_mode & S_ISGID) != 0 && (stat_of.st_mode & S_IXGRP) != 0 &&
                 stat_of.st_gid != getegid();
    bool capable = geteuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0;
    if (!user && !group && !capable) return 0;
    complain(complaint, "'%.200s' is %s: the system loads no library into it for others, so its "
             "memory cannot be paged", path,
             user ? "set-user-ID" : group ? "set-group-ID" : "a program with capabilities");
    return RUN_FAILED;
}

/* "#! /usr/bin/env python3": the path. False where the line is none. */
static bool read_script(const char *head, size_t bytes, char interpreter[RUN_PATH_BYTES])
{
    size_t at = 2, length;
    if (bytes < 3 || memcmp(head, "#!", 2) != 0) return false;
    while (at < bytes && (head[at] == ' ' || head[at] == '\t')) at++;
    for (length = 0; at + length < bytes; length++) {
        char c = head[at + length];
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\0') break;
    }
    snprintf(interpreter, RUN_PATH_BYTES, "%.*s", (int)length, head + at);
    return true;
}

static int check_file(const char *path, unsigned scripts, struct complaint *complaint)
{
    char head[HEAD_BYTES], interpreter[RUN_PATH_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0; /* it may be run and not read: the loader will tell */
    ssize_t got = pread(fd, head, sizeof head, 0);
    size_t bytes = got > 0 ? (size_t)got : 0;
    int code = 0;
    if (bytes >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0) {
        code = check_rights(fd, path, complaint);
        if (code == 0) code = check_elf(fd, path, complaint);
    } else if (read_script(head, bytes, interpreter)) {
        if (try_path(interpreter) != 0) {
            complain(complaint, "'%.150s' is a script for '%.100s', which cannot be run", path,
                     interpreter);
            code = RUN_NOT_EXECUTABLE;
        } else if (scripts < SCRIPTS_MAX) {
            code = check_file(interpreter, scripts + 1, complaint);
        }
    } else if (bytes == 0 || memchr(head, '\0', bytes) != NULL) { /* else a shell will read it */
        complain(complaint, "'%.200s' is neither a program nor a script", path);
        code = RUN_NOT_EXECUTABLE;
    }
    close(fd);
    return code;
}

int run_program_find(const char *name, const char *search, char path[RUN_PATH_BYTES],
                     struct complaint *complaint)
{
    int code = find(name, search, path, complaint);
    return code != 0 ? code : check_file(path, 0, complaint);
}
