/* SPDX-License-Identifier: BSD-3-Clause
 * restart_file - the few things that are done to a restart file as a file. Seen by restart*.c.
 *
 * Blocks: on the disk. */
#ifndef FARPAGE_SERVER_RESTART_FILE_H
#define FARPAGE_SERVER_RESTART_FILE_H
#include "server/restart/restart.h"

/* *reason gets "PATH: " and the text. Returns FP_IO. */
FP_PRINTF(3, 4) enum fp_status restart_fail(char reason[RESTART_REASON_BYTES], const char *path,
                                            const char *format, ...);
/* -1: errno. */
int restart_open_directory(const char *path);
const char *restart_base_name(const char *path);
bool restart_sync_directory(const char *path) FP_MUST_CHECK;

#endif
