/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/options.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "server/config/config.h"
#include "server/config/config_dump.h"
#include "server/config/config_text.h"

enum { OPTION_SET = 256, OPTION_DUMP, OPTION_RESTORE };

/* X(name, letter or number, argument, how it is shown, help) */
#define OPTIONS(X)                                                                                 \
    X("config", 'c', required_argument, "-c, --config FILE",                                       \
      "read FILE (YAML); without it every key has its default")                                    \
    X("set", OPTION_SET, required_argument, "    --set KEY=VALUE",                                 \
      "set one key, over the file's; repeat for more, the last wins")                              \
    X("restore", OPTION_RESTORE, required_argument, "    --restore FILE",                          \
      "begin with a snapshot; FILE stays as it is (docs/snapshot.md)")                             \
    X("check", 't', no_argument, "-t, --check", "say what is wrong with the configuration; exit")  \
    X("dump-config", OPTION_DUMP, optional_argument, "    --dump-config",                          \
      "print each value and where it is from; exit")                                               \
    X("version", 'V', no_argument, "-V, --version", "print the versions; exit")                    \
    X("help", 'h', no_argument, "-h, --help", "print this; exit")

static const struct option long_options[] = {
#define X(name, letter, argument, shown, help) {name, argument, NULL, letter},
    OPTIONS(X)
#undef X
    {NULL, 0, NULL, 0},
};

static FP_PRINTF(2, 3) void refuse(struct options *options, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(options->fault, sizeof options->fault, format, arguments);
    va_end(arguments);
    options->action = OPTIONS_BAD;
}

static void refuse_word(struct options *options, const char *what, const char *word,
                        const char *rest)
{
    char quoted[CONFIG_QUOTE_BYTES];
    refuse(options, "%s %s%s", what, config_text_quote(slice_text(word), quoted), rest);
}

/* getopt has told only that something is wrong: `word` is the argument it stopped at. */
static void refuse_option(struct options *options, const char *word, int letter)
{
    char text[3] = {'-', (char)letter, '\0'};
    bool is_long = strncmp(word, "--", 2) == 0;
    if (!is_long) {
        refuse_word(options, "unknown option", text, "");
        return;
    }
    size_t size = strcspn(word + 2, "=");
    struct config_guess guess = config_guess_of(slice_of(word + 2, size));
    for (size_t i = 0; long_options[i].name != NULL; i++) {
        config_guess_offer(&guess, long_options[i].name);
        if (slice_is(guess.word, long_options[i].name)) {
            refuse(options, "option '--%s' takes no value", long_options[i].name);
            return;
        }
    }
    char hint[48] = "";
    if (guess.best != NULL) snprintf(hint, sizeof hint, "; did you mean '--%s'?", guess.best);
    refuse_word(options, "unknown option", word, hint);
}

static void choose(struct options *options, enum options_action action)
{
    if (options->action != OPTIONS_RUN && options->action != action)
        refuse(options, "--check and the forms of --dump-config do not go together");
    else
        options->action = action;
}

static void take_set(struct options *options, const char *text)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text)
        refuse_word(options, "--set takes KEY=VALUE, not", text, "");
    else if (options->set_count == OPTIONS_SETS_MAX)
        refuse(options, "more than %d times --set; write a file", OPTIONS_SETS_MAX);
    else
        options->sets[options->set_count++] = text;
}

static void take_config(struct options *options, const char *path)
{
    if (options->config_path != NULL)
        refuse(options, "--config is given twice");
    else if (*path == '\0')
        refuse(options, "--config needs the name of a file");
    else
        options->config_path = path;
}

static void take_restore(struct options *options, const char *path)
{
    if (options->restore_path != NULL)
        refuse(options, "--restore is given twice");
    else if (*path == '\0')
        refuse(options, "--restore needs the name of a file");
    else
        options->restore_path = path;
}

static void take_dump(struct options *options, const char *form)
{
    if (form == NULL || strcmp(form, "effective") == 0)
        choose(options, OPTIONS_DUMP);
    else if (strcmp(form, "annotated") == 0)
        choose(options, OPTIONS_DUMP_ANNOTATED);
    else
        refuse_word(options, "--dump-config takes 'effective' or 'annotated', not", form, "");
}

static void take(struct options *options, int letter, const char *word)
{
    switch (letter) {
    case 'c':
        take_config(options, optarg);
        break;
    case OPTION_SET:
        take_set(options, optarg);
        break;
    case 't':
        choose(options, OPTIONS_CHECK);
        break;
    case OPTION_RESTORE:
        take_restore(options, optarg);
        break;
    case OPTION_DUMP:
        take_dump(options, optarg);
        break;
    case 'V':
        options->action = OPTIONS_VERSION;
        break;
    case 'h':
        options->action = OPTIONS_HELP;
        break;
    case ':':
        refuse_word(options, "a value is missing after", word, "");
        break;
    default:
        refuse_option(options, word, optopt);
    }
}

static bool is_final(enum options_action action)
{
    return action == OPTIONS_VERSION || action == OPTIONS_HELP || action == OPTIONS_BAD;
}

void options_parse(int argc, char **argv, struct options *options)
{
    *options = (struct options){.action = OPTIONS_RUN};
    optind = 0; /* begin anew, whatever was parsed before */
    opterr = 0;
    while (!is_final(options->action)) {
        int at = optind > 0 ? optind : 1;
        /* '+': the first argument that is no option ends them, so that `at` stays right. */
        int letter = getopt_long(argc, argv, "+:c:tVh", long_options, NULL);
        if (letter < 0) break;
        take(options, letter, argv[at]);
    }
    if (!is_final(options->action) && optind < argc)
        refuse_word(options, "unexpected argument", argv[optind], "; a file is named by --config");
}

static void print_help(FILE *out)
{
    fprintf(out, "Usage: farpaged [--config FILE] [--set KEY=VALUE]... [--restore FILE] "
                 "[--check] [--dump-config]\n"
                 "Keeps other machines' memory pages, and memcached items, compressed.\n"
                 "\nOptions:\n");
#define X(name, letter, argument, shown, help) fprintf(out, "  %-27s %s\n", shown, help);
    OPTIONS(X)
#undef X
    fprintf(out, "  %-27s %s\n", "    --dump-config=annotated",
            "print every key with its meaning and default; exit");
    fprintf(out,
            "\nSignals:\n"
            "  SIGHUP           read FILE again; a bad one is reported and changes nothing\n"
            "  SIGTERM, SIGINT  stop: replies on their way are sent first\n"
            "\nExit codes:\n");
#define X(name, code, text) fprintf(out, "  %2d  %s\n", code, text);
    EXIT_CODES(X)
#undef X
    fprintf(out,
            "\nConfiguration keys, with their defaults. [reload]: SIGHUP makes a changed value\n"
            "take effect; the others need a restart. For --set a list is written whole:\n"
            "  --set 'listeners=[{address: \"[::1]:11211\"}, {address: \"unix:/run/fp.sock\"}]'\n"
            "\n");
    config_write_help(out);
}

int options_answer(const struct options *options, const char *libraries, FILE *out, FILE *err)
{
    switch (options->action) {
    case OPTIONS_RUN:
    case OPTIONS_CHECK:
    case OPTIONS_DUMP:
        return OPTIONS_GO_ON;
    case OPTIONS_DUMP_ANNOTATED:
        config_write_annotated(out);
        return EXIT_OK;
    case OPTIONS_VERSION:
        fprintf(out, "farpaged %s (%s)\n", FARPAGE_VERSION, libraries);
        return EXIT_OK;
    case OPTIONS_HELP:
        print_help(out);
        return EXIT_OK;
    case OPTIONS_BAD:
        break;
    }
    fprintf(err, "farpaged: %s; --help shows how\n", options->fault);
    return EXIT_USAGE;
}
