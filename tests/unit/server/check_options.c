/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/options.h"

#include <stdlib.h>
#include <string.h>

#include "server/config/config_table.h"
#include "tests/unit/base/suite.h"

enum { WORDS_MAX = 80 };

/* A command line, and what came of it. */
struct answer {
    struct options options;
    int code;
    char *out, *err;
    size_t out_bytes, err_bytes;
};

static struct answer ask(const char *line)
{
    static char words[WORDS_MAX * 40];
    char *argv[WORDS_MAX + 2] = {(char[]){"farpaged"}};
    int argc = 1;
    struct answer answer;
    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        ck_assert_int_lt(argc, WORDS_MAX + 1);
        argv[argc++] = word;
    }
    options_parse(argc, argv, &answer.options);
    FILE *out = open_memstream(&answer.out, &answer.out_bytes);
    FILE *err = open_memstream(&answer.err, &answer.err_bytes);
    ck_assert(out != NULL && err != NULL);
    answer.code = options_answer(&answer.options, "libevent 1, zstd 2", out, err);
    fclose(out);
    fclose(err);
    return answer;
}

static void forget(struct answer *answer)
{
    free(answer->out);
    free(answer->err);
}

START_TEST(a_server_is_started_with_what_was_given)
{
    struct answer answer = ask("--config a.yaml --set a=b --set=c=d=e");
    ck_assert_int_eq(answer.code, OPTIONS_GO_ON);
    ck_assert_int_eq(answer.options.action, OPTIONS_RUN);
    ck_assert_str_eq(answer.options.config_path, "a.yaml");
    ck_assert_uint_eq(answer.options.set_count, 2);
    ck_assert_str_eq(answer.options.sets[0], "a=b");
    ck_assert_str_eq(answer.options.sets[1], "c=d=e");
    ck_assert(answer.out_bytes == 0 && answer.err_bytes == 0);
    forget(&answer);
    answer = ask("");
    ck_assert_int_eq(answer.code, OPTIONS_GO_ON);
    ck_assert_ptr_null(answer.options.config_path);
    forget(&answer);
}
END_TEST

START_TEST(each_action_has_its_words)
{
    static const struct {
        const char *line;
        enum options_action action;
        int code;
    } cases[] = {
        {"-t", OPTIONS_CHECK, OPTIONS_GO_ON},
        {"--check -c a", OPTIONS_CHECK, OPTIONS_GO_ON},
        {"-tca", OPTIONS_CHECK, OPTIONS_GO_ON},
        {"--dump-config", OPTIONS_DUMP, OPTIONS_GO_ON},
        {"--dump-config=effective", OPTIONS_DUMP, OPTIONS_GO_ON},
        {"--dump-config=annotated", OPTIONS_DUMP_ANNOTATED, EXIT_OK},
        {"-V", OPTIONS_VERSION, EXIT_OK},
        {"--version --nonsense", OPTIONS_VERSION, EXIT_OK},
        {"-h", OPTIONS_HELP, EXIT_OK},
        {"--check --help", OPTIONS_HELP, EXIT_OK},
        {"-t --", OPTIONS_CHECK, OPTIONS_GO_ON},
    };
    for (size_t i = 0; i < FP_COUNT_OF(cases); i++) {
        struct answer answer = ask(cases[i].line);
        ck_assert_msg(answer.options.action == cases[i].action, "%s", cases[i].line);
        ck_assert_int_eq(answer.code, cases[i].code);
        ck_assert_msg(answer.err_bytes == 0, "%s", answer.err);
        ck_assert((answer.out_bytes > 0) == (answer.code == EXIT_OK));
        forget(&answer);
    }
}
END_TEST

START_TEST(mistakes_are_one_line_and_a_hint)
{
    static const struct {
        const char *line, *fault;
    } cases[] = {
        {"a.yaml", "unexpected argument 'a.yaml'; a file is named by --config"},
        {"-t a.yaml -V", "unexpected argument 'a.yaml'; a file is named by --config"},
        {"-- -t", "unexpected argument '-t'; a file is named by --config"},
        {"--chekc", "unknown option '--chekc'; did you mean '--check'?"},
        {"--confg=a", "unknown option '--confg=a'; did you mean '--config'?"},
        {"--frobnicate", "unknown option '--frobnicate'"},
        {"--c", "unknown option '--c'"},
        {"-x", "unknown option '-x'"},
        {"-tx", "unknown option '-x'"},
        {"--check=yes", "option '--check' takes no value"},
        {"--config", "a value is missing after '--config'"},
        {"-t -c", "a value is missing after '-c'"},
        {"--set", "a value is missing after '--set'"},
        {"--set a", "--set takes KEY=VALUE, not 'a'"},
        {"--set =a", "--set takes KEY=VALUE, not '=a'"},
        {"-c a -c b", "--config is given twice"},
        {"--config=", "--config needs the name of a file"},
        {"--dump-config=yaml", "--dump-config takes 'effective' or 'annotated', not 'yaml'"},
        {"-t --dump-config", "--check and the forms of --dump-config do not go together"},
    };
    for (size_t i = 0; i < FP_COUNT_OF(cases); i++) {
        char expected[256];
        struct answer answer = ask(cases[i].line);
        snprintf(expected, sizeof expected, "farpaged: %s; --help shows how\n", cases[i].fault);
        ck_assert_str_eq(answer.err, expected);
        ck_assert_int_eq(answer.code, EXIT_USAGE);
        ck_assert_uint_eq(answer.out_bytes, 0);
        forget(&answer);
    }
}
END_TEST

START_TEST(set_may_be_repeated_only_so_often)
{
    char line[OPTIONS_SETS_MAX * 12 + 20] = "";
    for (int i = 0; i < OPTIONS_SETS_MAX; i++)
        snprintf(line + strlen(line), sizeof line - strlen(line), " --set=a=%d", i % 10);
    struct answer answer = ask(line);
    ck_assert_int_eq(answer.code, OPTIONS_GO_ON);
    ck_assert_uint_eq(answer.options.set_count, OPTIONS_SETS_MAX);
    forget(&answer);
    snprintf(line + strlen(line), sizeof line - strlen(line), " --set=b=1");
    answer = ask(line);
    ck_assert_str_eq(answer.err,
                     "farpaged: more than 64 times --set; write a file; --help shows how\n");
    forget(&answer);
}
END_TEST

START_TEST(version_names_the_libraries)
{
    struct answer answer = ask("--version");
    ck_assert_str_eq(answer.out, "farpaged " FARPAGE_VERSION " (libevent 1, zstd 2)\n");
    forget(&answer);
}
END_TEST

START_TEST(help_lists_keys_options_signals_and_codes)
{
    struct answer answer = ask("--help");
    struct config_section section;
    for (size_t i = 0; config_section_at(i, &section); i++)
        for (size_t k = 0; k < section.key_count; k++)
            ck_assert_msg(strstr(answer.out, section.keys[k].path) != NULL, "no %s",
                          section.keys[k].path);
    static const char *const words[] = {
        "--config FILE", "--set KEY=VALUE", "-t, --check", "--dump-config", "-V, --version",
        "-h, --help",    "SIGHUP",          "SIGTERM",     "\n  69  ",      "\n  78  ",
    };
    for (size_t i = 0; i < FP_COUNT_OF(words); i++)
        ck_assert_msg(strstr(answer.out, words[i]) != NULL, "no %s", words[i]);
    for (const char *line = answer.out; *line; line += strcspn(line, "\n") + 1)
        ck_assert_uint_le(strcspn(line, "\n"), 100);
    forget(&answer);
}
END_TEST

int main(void)
{
    return suite_run("options", a_server_is_started_with_what_was_given, each_action_has_its_words,
                     mistakes_are_one_line_and_a_hint, set_may_be_repeated_only_so_often,
                     version_names_the_libraries, help_lists_keys_options_signals_and_codes);
}
