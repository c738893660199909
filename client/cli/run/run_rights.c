/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/run/run_rights.h"

#include <errno.h>
#include <unistd.h>

#include "base/arith.h"
#include "client/uffd/uffd.h"

#define DEVICE "/dev/userfaultfd"

/* What paging cannot do without, and since when kernels have it right. */
static const struct {
    uint32_t ability;
    const char *text;
} needed[] = {
    {UFFD_PROTECT, "cannot write-protect pages: that takes Linux 5.10 or newer, on a processor for "
                   "which it is built (CONFIG_HAVE_ARCH_USERFAULTFD_WP)"},
    {UFFD_CHANGES, "does not tell of mremap, munmap and madvise: that takes Linux 4.11 or newer"},
};

static void complain_of_error(const struct run_rights_answer *answer, struct complaint *complaint)
{
    if (answer->error == ENOSYS)
        complain(complaint, "this kernel has no userfaultfd (CONFIG_USERFAULTFD), or a sandbox "
                 "hides it");
    else if (answer->error == EPERM && !answer->user_mode)
        complain(complaint, "no right to userfaultfd; one of these gives it:\n"
                 "  sudo farpage run ...\n"
                 "  chgrp GROUP " DEVICE " && chmod 660 " DEVICE "  (Linux 6.1)\n"
                 "  sysctl vm.unprivileged_userfaultfd=1\n"
                 "  --user-mode-only  (system calls fail on memory that is away; for what only "
                 "computes)");
    else
        complain_errno(complaint, answer->error, "userfaultfd is refused here, as sandboxes do");
}

bool run_rights_judge(const struct run_rights_answer *answer, struct complaint *complaint)
{
    if (answer->error != 0) {
        complain_of_error(answer, complaint);
        return false;
    }
    for (size_t i = 0; i < FP_COUNT_OF(needed); i++) {
        if ((answer->abilities & needed[i].ability) != 0) continue;
        complain(complaint, "this kernel's userfaultfd %s", needed[i].text);
        return false;
    }
    return true;
}

bool run_rights_find(bool user_mode, struct run_rights *rights, struct complaint *complaint)
{
    static const enum agent_how hows[] = {[UFFD_BY_CALL] = AGENT_BY_CALL,
                                          [UFFD_BY_DEVICE] = AGENT_BY_DEVICE,
                                          [UFFD_USER_MODE] = AGENT_USER_MODE};
    const uint32_t wanted = UFFD_PROTECT | UFFD_MOVE | UFFD_POISON | UFFD_FORKS | UFFD_CHANGES |
                            UFFD_THREADS;
    enum uffd_way way = UFFD_BY_CALL;
    int fd = uffd_open(wanted, user_mode, &rights->abilities, &way);
    struct run_rights_answer answer = {.error = fd < 0 ? errno : 0, .user_mode = user_mode,
                                       .abilities = rights->abilities};
    if (fd >= 0) close(fd);
    rights->how = hows[way];
    return run_rights_judge(&answer, complaint);
}
