/* SPDX-License-Identifier: BSD-3-Clause
 * farpage_event - an area without waiting: for programs with an event loop of their own. Included
 * by farpage.h, which has the rules of threads and errors.
 *
 *     farpage_submit(area, &request, answered, context);
 *     for (;;) {
 *         struct pollfd entry = {farpage_area_fd(area), farpage_area_events(area), 0};
 *         poll(&entry, 1, farpage_area_wait_ms(area));
 *         farpage_area_process(area, entry.revents);
 *     }
 *
 * Nothing here blocks. The calls of farpage_area.h may be mixed in, but not from a callback; they
 * call the callbacks of whatever is answered meanwhile. */
#ifndef FARPAGE_EVENT_H
#define FARPAGE_EVENT_H
#ifndef FARPAGE_H
#error "include farpage.h, which includes this"
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct farpage_map;

struct farpage_request {
    enum farpage_op_kind kind;
    uint64_t slot;
    uint64_t count;      /* INVALIDATE: slots from `slot` on */
    void *page;          /* borrowed until the answer: read by STORE, written by LOAD */
    uint32_t timeout_ms; /* 0: the area's */
    /* Of maps, farpage_map.h: */
    struct farpage_map *map; /* borrowed until the answer: written by MAP, read by the others */
    uint32_t mode;           /* MAP: enum farpage_map_mode */
    uint32_t lease_seconds;  /* MAP */
    uint32_t offset, bytes;  /* MAP_READ, MAP_WRITE: of the map, so many, to or from `page` */
};

struct farpage_answer {
    enum farpage_status status;
    const char *why;     /* the sentence that goes with it, "" for FARPAGE_OK; good for the call */
    uint64_t latency_ns; /* from its first byte sent to its last received; 0 where none came */
};

/* Called once for every request that was submitted. From then on the library touches neither page
 * nor context any more, also where the answer was FARPAGE_TIMEOUT. It may submit. */
typedef void farpage_done(void *context, const struct farpage_answer *answer);

/* Queues a request; farpage_area_process sends it. Several of a kind, one behind the other, are
 * sent together. Anything but FARPAGE_OK: it is not queued, and `done` will not be called:
 * FARPAGE_INVALID, FARPAGE_RANGE, FARPAGE_NO_MEMORY, FARPAGE_LIMIT (65536 are waiting),
 * FARPAGE_LOST, FARPAGE_DISCONNECTED. Requests may be carried out in any order. */
FARPAGE_API FARPAGE_MUST_CHECK enum farpage_status
farpage_submit(struct farpage_area *area, const struct farpage_request *request,
               farpage_done *done, void *context);

/* What to wait for. All three change with every call: ask before each wait. */
FARPAGE_API int farpage_area_fd(const struct farpage_area *area);     /* -1: for the time only */
FARPAGE_API short farpage_area_events(const struct farpage_area *area); /* POLLIN, POLLOUT */
FARPAGE_API int farpage_area_wait_ms(const struct farpage_area *area);  /* -1: nothing is due */

/* Goes on as far as it can: connects again, sends, receives, answers what is answered or late.
 * `revents` is what poll said of the fd, 0 where the time was over. Does nothing in a callback. */
FARPAGE_API void farpage_area_process(struct farpage_area *area, int revents);

/* Requests that were submitted and are not answered. */
FARPAGE_API size_t farpage_area_waiting(const struct farpage_area *area);

#ifdef __cplusplus
}
#endif
#endif
