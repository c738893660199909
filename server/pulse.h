/* SPDX-License-Identifier: BSD-3-Clause
 * pulse - the server's signs of life to systemd: at each beat of the main loop WATCHDOG=1, if every
 * worker's loop turned lately, and what `systemctl status` shows.
 *
 * A worker's loop turns at least every WORKER_SWEEP_MS, so one that has not for a third of the
 * watchdog's time hangs: then there is no sign of life, the log says which one it is, and systemd
 * ends the server when its patience does.
 *
 * Threads: the main one. Blocks: as notify does.
 */
#ifndef FARPAGE_SERVER_PULSE_H
#define FARPAGE_SERVER_PULSE_H
#include "server/notify.h"
#include "server/worker.h"

struct pulse;

struct pulse_options {
    struct shared *shared;
    struct event_base *base;
    struct worker **workers; /* shared->worker_count of them; they outlive the pulse */
    const struct notify *notify;
};

enum { PULSE_STATUS_BYTES = 128 };

/* *pulse stays NULL where nobody is to be told. */
enum fp_status pulse_create(const struct pulse_options *options, struct pulse **pulse)
    FP_MUST_CHECK FP_NONNULL(1, 2);
void pulse_destroy(struct pulse **pulse) FP_NONNULL(1);

/* "3 connections, 1,204 items and 312,441 pages, 61 % of 4.00 GiB", for people. */
void pulse_status(struct shared *shared, char status[PULSE_STATUS_BYTES]) FP_NONNULL(1);

#endif
