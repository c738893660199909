/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdint.h>
#include <stdlib.h>

#include "server/config/config.h"
#include "tests/unit/base/suite.h"

/* Allocations of ours (not of libyaml, which is beyond the linker's reach): the one that is to
 * fail, counted from 1, and how many are held. */
static unsigned fails_at, asked, held;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *memory);

static bool fails(void)
{
    return ++asked == fails_at;
}

static void *count(void *memory)
{
    held += memory != NULL;
    return memory;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : count(__real_malloc(size));
}

void *__wrap_calloc(size_t members, size_t size)
{
    return fails() ? NULL : count(__real_calloc(members, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    if (fails()) return NULL;
    void *memory = __real_realloc(old, size);
    if (old == NULL) count(memory);
    return memory;
}

void __wrap_free(void *memory)
{
    held -= memory != NULL;
    __real_free(memory);
}

/* What one load came to. Check allocates too: nothing is asserted before the counts are taken. */
struct outcome {
    enum fp_status status;
    bool was_refused, has_config;
    unsigned held;
};

static struct outcome load_once(const char *path, const char *const *sets, size_t set_count)
{
    struct outcome outcome;
    struct config *config;
    struct config_errors errors;
    held = asked = 0;
    config_errors_init(&errors);
    outcome.status = config_load(path, sets, set_count, &config, &errors);
    outcome.was_refused = asked >= fails_at;
    outcome.has_config = config != NULL;
    config_destroy(&config);
    config_errors_fini(&errors);
    outcome.held = held;
    return outcome;
}

/* Refuses the first allocation, then the second, and so on until a load meets no refusal. */
static void load_with_refusals(const char *path, const char *const *sets, size_t set_count,
                               enum fp_status expected)
{
    unsigned refused = 0;
    for (bool more = true; more; refused++) {
        fails_at = refused + 1;
        struct outcome outcome = load_once(path, sets, set_count);
        fails_at = 0;
        more = outcome.was_refused;
        ck_assert_int_eq(outcome.status, more ? FP_NO_MEMORY : expected);
        ck_assert(outcome.has_config == (outcome.status == FP_OK));
        ck_assert_uint_eq(outcome.held, 0);
    }
    ck_assert_uint_ge(refused, 3);
}

START_TEST(a_good_load_survives_every_refusal)
{
    static const char *const sets[] = {"areas=[{name: a, size: 1MiB}]", "log.level=debug"};
    load_with_refusals(NULL, sets, FP_COUNT_OF(sets), FP_OK);
    load_with_refusals("/dev/null", sets, FP_COUNT_OF(sets), FP_OK);
}
END_TEST

START_TEST(a_bad_load_survives_every_refusal)
{
    const char *sets[20];
    for (size_t i = 0; i < FP_COUNT_OF(sets); i++) sets[i] = "areas=[{name: -, size: 1e3}]";
    load_with_refusals("/", sets, FP_COUNT_OF(sets), FP_INVALID);
}
END_TEST

int main(void)
{
    return suite_run("config_memory", a_good_load_survives_every_refusal,
                     a_bad_load_survives_every_refusal);
}
