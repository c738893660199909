/* SPDX-License-Identifier: BSD-3-Clause
 * target_own - memory of the pager's own process.
 *
 * The pager's thread carries out what it can: moves, and drops of staging. What waits for an event
 * that the pager has to read (dropping pages of the program, putting something over them) is done
 * by a second thread, which is started when it is first needed.
 *
 * Threads: as target.h says. Blocks: destroying it, until the second thread has ended.
 */
#ifndef FARPAGE_CLIENT_UFFD_TARGET_OWN_H
#define FARPAGE_CLIENT_UFFD_TARGET_OWN_H
#include "client/uffd/pager.h"
#include "client/uffd/target.h"

/* For the space that will have `uffd`, which is borrowed until then. NULL: errno. */
struct target *target_own_create(struct pager *pager, int uffd) FP_MUST_CHECK FP_NONNULL(1);

#endif
