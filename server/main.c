/* SPDX-License-Identifier: BSD-3-Clause
 * farpaged - keeps other machines' memory pages and memcached items, compressed. */
#include <stdio.h>

#include "base/number.h"
#include "server/memory/container.h"
#include "server/memory/memory_limit.h"
#include "server/config/config_dump.h"
#include "server/options.h"
#include "server/server.h"

enum { USUAL_MEMORY_BYTES = 1 << 30 }; /* as config_table.h has it */

/* Loads the configuration; says everything that is wrong with it. */
static int load(const struct options *options, struct config **config)
{
    struct config_errors errors;
    config_errors_init(&errors);
    const struct config_sources sources = {options->config_path, options->sets,
                                           options->set_count, options->memory_limit_bytes};
    enum fp_status status = config_load_from(&sources, config, &errors);
    if (status == FP_INVALID) config_errors_print(&errors, stderr);
    if (status == FP_NO_MEMORY) fprintf(stderr, "farpaged: out of memory\n");
    config_errors_fini(&errors);
    if (status == FP_OK) return EXIT_OK;
    return status == FP_INVALID ? EXIT_CONFIG : EXIT_RUNTIME;
}

static int run(struct config **config, const struct options *options)
{
    struct server *server = NULL;
    enum exit_code code = server_create(config, options, &server);
    if (code == EXIT_OK) code = server_run(server);
    server_destroy(&server);
    return (int)code;
}

static void check(const struct options *options, const struct config *config)
{
    char worst[NUMBER_TEXT_BYTES], room[NUMBER_TEXT_BYTES];
    printf("%s: good\n", options->config_path ? options->config_path : "the configuration");
    if (config->exports_count > 0 && !config_serves_devices(config))
        printf("warning: nobody can reach the exports: no listener speaks nbd; add one with "
               "protocol: nbd\n");
    if (memory_limit_exceeds(options, config->storage.memory_limit_bytes))
        printf("warning: storage.memory_limit is more than this container may have: the kernel "
               "would end the server before it is full\n");
    if (config_exports_worst_bytes(config) <= config_exports_room_bytes(config)) return;
    number_size_short(config_exports_worst_bytes(config), worst);
    number_size_short(config_exports_room_bytes(config), room);
    printf("warning: exports are overcommitted: where nothing packs they take %s, and there is "
           "room for %s; then writes are refused with ENOSPC\n", worst, room);
}

static void look_around(struct options *options)
{
    options->container_bytes = container_memory_bytes("");
    options->memory_limit_bytes = container_usual_memory_bytes(
        options->container_bytes, container_machine_bytes(), USUAL_MEMORY_BYTES);
}

int main(int argc, char **argv)
{
    struct options options;
    struct config *config = NULL;
    options_parse(argc, argv, &options);
    int code = options_answer(&options, server_libraries(), stdout, stderr);
    if (code != OPTIONS_GO_ON) return code;
    look_around(&options);
    code = load(&options, &config);
    if (code == EXIT_OK && options.action == OPTIONS_DUMP) config_dump(config, stdout);
    if (code == EXIT_OK && options.action == OPTIONS_CHECK)
        code = (int)server_check(config, stderr);
    if (code == EXIT_OK && options.action == OPTIONS_CHECK) check(&options, config);
    if (code == EXIT_OK && options.action == OPTIONS_RUN) code = run(&config, &options);
    config_destroy(&config);
    if (fflush(stdout) != 0 && code == EXIT_OK) code = EXIT_RUNTIME;
    return code;
}
