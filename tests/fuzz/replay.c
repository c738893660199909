/* SPDX-License-Identifier: BSD-3-Clause
 *
 * replay DIRECTORY... - gives every file to a fuzz target, for builds without libFuzzer. */
#include <dirent.h>
#include <stdio.h>

#include "fuzz.h"

enum { FILE_BYTES_MAX = 4 << 20 };

static unsigned replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    fp_assert(file != NULL);
    uint8_t *bytes = malloc(FILE_BYTES_MAX);
    fp_assert(bytes != NULL);
    size_t size_bytes = fread(bytes, 1, FILE_BYTES_MAX, file);
    fclose(file);
    struct slice tight = tight_create(bytes, size_bytes);
    free(bytes);
    LLVMFuzzerTestOneInput(tight.bytes, tight.size_bytes);
    tight_destroy(&tight);
    return 1;
}

static unsigned replay_directory(const char *directory)
{
    DIR *listing = opendir(directory);
    if (listing == NULL) {
        perror(directory);
        exit(1);
    }
    unsigned count = 0;
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        fprintf(stderr, "%s\n", entry->d_name); /* the last one named is the one that failed */
        count += replay_file(path);
    }
    closedir(listing);
    return count;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    for (int i = 1; i < argc; i++) count += replay_directory(argv[i]);
    printf("%u files replayed\n", count);
    return count > 0 ? 0 : 1; /* an empty corpus proves nothing */
}
