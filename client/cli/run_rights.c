/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/run_rights.h"

#include <errno.h>
#include <unistd.h>

#include "client/uffd/uffd.h"

#define DEVICE "/dev/userfaultfd"

bool run_rights_find(bool user_mode, struct run_rights *rights, struct complaint *complaint)
{
    static const enum agent_how hows[] = {[UFFD_BY_CALL] = AGENT_BY_CALL,
                                          [UFFD_BY_DEVICE] = AGENT_BY_DEVICE,
                                          [UFFD_USER_MODE] = AGENT_USER_MODE};
    const uint32_t wanted = UFFD_PROTECT | UFFD_MOVE | UFFD_POISON | UFFD_FORKS | UFFD_CHANGES |
                            UFFD_THREADS;
    const uint32_t needed = UFFD_PROTECT | UFFD_CHANGES;
    enum uffd_way way;
    int fd = uffd_open(wanted, user_mode, &rights->abilities, &way);
    int error = errno;
    if (fd >= 0) {
        close(fd);
        rights->how = hows[way];
        if ((rights->abilities & needed) == needed) return true;
        complain(complaint, "this kernel's userfaultfd lacks what paging needs; Linux 5.10 and "
                 "newer have it");
    } else if (error == ENOSYS) {
        complain(complaint, "this kernel has no userfaultfd (CONFIG_USERFAULTFD), or a sandbox "
                 "hides it");
    } else if (error == EPERM && !user_mode) {
        complain(complaint, "no right to userfaultfd; one of these gives it:\n"
                 "  sudo farpage run ...\n"
                 "  chgrp GROUP " DEVICE " && chmod 660 " DEVICE "  (Linux 6.1)\n"
                 "  sysctl vm.unprivileged_userfaultfd=1\n"
                 "  --user-mode-only  (system calls fail on memory that is away; for what only "
                 "computes)");
    } else {
        complain_errno(complaint, error, "userfaultfd is refused here, as sandboxes do");
    }
    return false;
}
