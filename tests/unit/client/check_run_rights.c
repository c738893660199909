/* SPDX-License-Identifier: BSD-3-Clause
 * What a person is told whose kernel cannot do what paging needs, or will not. */
#include "client/cli/run/run_rights.h"

#include <errno.h>
#include <string.h>

#include "client/uffd/uffd.h"
#include "tests/unit/base/suite.h"

#define ALL (UFFD_PROTECT | UFFD_MOVE | UFFD_POISON | UFFD_FORKS | UFFD_CHANGES | UFFD_THREADS)

static const struct {
    struct run_rights_answer answer;
    const char *lines[5]; /* each a line of its own, whole */
} bad[] = {
    {{.error = ENOSYS},
     {"this kernel has no userfaultfd (CONFIG_USERFAULTFD), or a sandbox hides it"}},
    {{.error = EPERM},
     {"no right to userfaultfd; one of these gives it:", "  sudo farpage run ...",
      "  chgrp GROUP /dev/userfaultfd && chmod 660 /dev/userfaultfd  (Linux 6.1)",
      "  sysctl vm.unprivileged_userfaultfd=1",
      "  --user-mode-only  (system calls fail on memory that is away; for what only computes)"}},
    {{.error = EPERM, .user_mode = true},
     {"userfaultfd is refused here, as sandboxes do: Operation not permitted"}},
    {{.error = EMFILE}, {"userfaultfd is refused here, as sandboxes do: Too many open files"}},
    {{.abilities = ALL & ~UFFD_PROTECT},
     {"this kernel's userfaultfd cannot write-protect pages: that takes Linux 5.10 or newer, on a "
      "processor for which it is built (CONFIG_HAVE_ARCH_USERFAULTFD_WP)"}},
    {{.abilities = ALL & ~UFFD_CHANGES},
     {"this kernel's userfaultfd does not tell of mremap, munmap and madvise: that takes Linux "
      "4.11 or newer"}},
};

START_TEST(what_is_lacking_is_said_with_what_would_help)
{
    struct complaint complaint = {{0}};
    ck_assert(!run_rights_judge(&bad[_i].answer, &complaint));
    const char *at = complaint.text;
    for (size_t i = 0; i < FP_COUNT_OF(bad[0].lines) && bad[_i].lines[i] != NULL; i++) {
        size_t bytes = strcspn(at, "\n");
        ck_assert_msg(bytes == strlen(bad[_i].lines[i]) && memcmp(at, bad[_i].lines[i], bytes) == 0,
                      "'%.*s' is not '%s'", (int)bytes, at, bad[_i].lines[i]);
        at += bytes + (at[bytes] == '\n');
    }
    ck_assert_str_eq(at, "");
}
END_TEST

/* Of a kernel as Debian 12's, and of one that nobody gave any right. */
START_TEST(what_can_be_done_without_is_done_without)
{
    struct complaint complaint = {{0}};
    struct run_rights_answer answer = {.abilities = UFFD_PROTECT | UFFD_CHANGES};
    ck_assert(run_rights_judge(&answer, &complaint));
    ck_assert_str_eq(complaint.text, "");
}
END_TEST

int main(void)
{
    return suite_run_each("what is lacking", (int)FP_COUNT_OF(bad),
                          what_is_lacking_is_said_with_what_would_help) |
           suite_run("what is not needed", what_can_be_done_without_is_done_without);
}
