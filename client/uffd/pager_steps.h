/* SPDX-License-Identifier: BSD-3-Clause
 * pager_steps - what the files of the pager do for each other. */
#ifndef FARPAGE_CLIENT_UFFD_PAGER_STEPS_H
#define FARPAGE_CLIENT_UFFD_PAGER_STEPS_H
#include "client/uffd/pager_parts.h"

/* --- pager.c --- */

uint64_t pager_limit(const struct pager *pager) FP_NONNULL(1);
/* Pages in all programs, as far as known. */
uint64_t pager_resident(const struct pager *pager) FP_NONNULL(1);
/* False: so many would not fit below `limit`. */
bool pager_take_room(struct pager *pager, uint64_t pages, uint64_t limit) FP_MUST_CHECK
    FP_NONNULL(1);
void pager_give_room(struct pager *pager, uint64_t pages) FP_NONNULL(1);
void pager_tell(struct pager *pager, const struct pager_notice *notice) FP_NONNULL(1, 2);

/* --- pager_fault.c --- */

/* False: it cannot be served yet. */
bool fault_serve(struct space *space, const struct fault *fault) FP_MUST_CHECK FP_NONNULL(1, 2);
/* Serves it, or lets it wait. */
void fault_take(struct space *space, const struct fault *fault) FP_NONNULL(1, 2);
void fault_look_again(struct pager *pager) FP_NONNULL(1);
void fault_wake(struct space *space, uint64_t number) FP_NONNULL(1);
void fault_figure(struct space *space, const struct fault *fault, enum figures_fault kind)
    FP_NONNULL(1, 2);
/* The page is there: its entry says so, it counts (room was taken), it may be evicted. */
void page_arrived(struct space *space, uint64_t number, struct page *page, uint32_t kept)
    FP_NONNULL(1, 3);
/* The same, where it was fetched ahead of a walk. */
void page_arrived_walked(struct space *space, uint64_t number, struct page *page, uint32_t kept)
    FP_NONNULL(1, 3);
void page_queue(struct space *space, uint64_t number, struct page *page, enum queue_part part)
    FP_NONNULL(1, 3);
/* What it was is gone; whoever touches it is to know. */
void page_lose(struct space *space, uint64_t number, struct page *page) FP_NONNULL(1, 3);

/* --- pager_back.c --- */

/* Pages that are to be brought along, in the order of a walk: PAGER_BRING_PAGES, no more. */
struct back {
    struct space *space;
    uint64_t most;    /* the limit that they take room below */
    size_t count;
    uint64_t numbers[PAGER_BRING_PAGES];
};

/* The page is on its way out: its slot says where. False: it cannot be brought back just now. */
bool back_demanded(struct space *space, const struct fault *fault, struct page *page)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3);
void back_add(struct back *back, uint64_t number) FP_NONNULL(1);
/* Those that are staged, and that nobody else needs there. */
void back_bring(struct back *back) FP_NONNULL(1);

/* --- pager_load.c --- */

enum load_why { LOAD_DEMANDED, LOAD_WALKED, LOAD_NEARBY };

/* Room was taken. False: nothing is free for it, or it could not be asked for. */
bool load_begin(struct space *space, uint64_t number, struct page *page, enum load_why why)
    FP_MUST_CHECK FP_NONNULL(1, 3);
/* Somebody waits for what is under way. */
void load_demand(struct pager *pager, struct load *load, const struct fault *fault)
    FP_NONNULL(1, 2, 3);
void load_abandon(struct load *load) FP_NONNULL(1);
void load_deliver_again(struct pager *pager) FP_NONNULL(1);
void load_watch_server(struct pager *pager) FP_NONNULL(1);
/* Every page on the server is lost. */
void pager_new_life(struct pager *pager) FP_NONNULL(1);

/* --- pager_take.c --- */

/* One bounded step; false: there is nothing to do now. */
bool take_step(struct pager *pager) FP_MUST_CHECK FP_NONNULL(1);
/* The leaver's page goes back to the program: it is in staging no more. */
void leaver_returned(struct pager *pager, struct leaver *leaver) FP_NONNULL(1, 2);
/* What is in staging and needed no more is dropped there, a batch at a time. */
void leavers_drop(struct pager *pager) FP_NONNULL(1);
/* The page that owned it is gone, or was brought back by a copy. */
void leaver_disown(struct pager *pager, struct leaver *leaver) FP_NONNULL(1, 2);
/* All that is staged in the space is copied out: it may be gone soon, and others need it. */
void leavers_flush(struct space *space) FP_NONNULL(1);
void leavers_forget(struct space *space) FP_NONNULL(1);
uint64_t leaver_address(const struct leaver *leaver) FP_NONNULL(1);

/* --- pager_send.c --- */

struct sending *sending_take(struct pager *pager, bool beyond) FP_NONNULL(1);
void sending_drop(struct pager *pager, struct sending *sending) FP_NONNULL(1, 2);
/* Its bytes are filled in: they belong into `slot`. */
void sending_begin(struct pager *pager, struct sending *sending, uint32_t slot) FP_NONNULL(1, 2);
/* Nobody wants them any more. */
void sending_cancel(struct pager *pager, struct sending *sending) FP_NONNULL(1, 2);
void sending_again(struct pager *pager) FP_NONNULL(1);
/* Nothing more can go there. Told once, until it takes pages again. */
void pager_is_full(struct pager *pager, enum farpage_status status, const char *text)
    FP_NONNULL(1, 3);
void garbage_sweep(struct pager *pager) FP_NONNULL(1);
/* One page less names the slot; what is nowhere needed any more is let go of. */
void slot_release(struct pager *pager, uint32_t slot) FP_NONNULL(1);
/* Slots that are kept for resident pages are given up. */
void slots_give_up_kept(struct pager *pager) FP_NONNULL(1);

/* --- pager_event.c --- */

void event_happened(struct space *space, const struct uffd_event *event) FP_NONNULL(1, 2);
/* Where nothing is changing any more: decides what was in doubt. */
void space_settle(struct space *space) FP_NONNULL(1);
void pages_forget(struct space *space, uint64_t first, uint64_t end) FP_NONNULL(1);

/* --- pager_share.c --- */

/* The child is one of the family. Its table is to be filled, then both are to be settled. */
void share_begin(struct space *parent, struct space *child) FP_NONNULL(1, 2);
/* Protects what is shared, where that is still to be done: now, or at a later turn. */
void share_settle(struct space *space) FP_NONNULL(1);
/* Its pages are forgotten: it leaves the family. */
void share_end(struct space *space) FP_NONNULL(1);
/* The others of the family, beginning with NULL; NULL: there is no other. */
struct space *share_next_kin(const struct space *space, struct space *at) FP_NONNULL(1);
/* A shared page is to be written to. False: there is no room for its copy below `limit`. It is the
 * caller's to unprotect it. */
bool share_split(struct space *space, uint64_t number, struct page *page, uint64_t limit)
    FP_MUST_CHECK FP_NONNULL(1, 3);
/* A holder, of these flags, has left: gives its room back, or has another count for it. */
void share_leave(struct space *space, uint64_t number, bool shared, bool free) FP_NONNULL(1);
/* The page is to have another number: the others will not find it. */
void share_count_each(struct space *space, uint64_t number, struct page *page) FP_NONNULL(1, 3);
/* The holders in other spaces keep `slot`, where this one's bytes go. */
void share_name_slot(struct space *space, uint64_t number, uint32_t slot) FP_NONNULL(1);

/* --- pager_want.c --- */

bool want_step(struct pager *pager) FP_MUST_CHECK FP_NONNULL(1);
void wants_forget(struct space *space) FP_NONNULL(1);
/* The next page that was dismissed; false: none. */
bool dismissed_next(struct pager *pager, struct space **space, uint64_t *number) FP_MUST_CHECK
    FP_NONNULL(1, 2, 3);

/* --- space.c --- */

/* The mapping of a page, grown where it goes on behind one; NULL: none is near, or no memory. */
struct mapping *space_mapping(struct space *space, uint64_t number) FP_NONNULL(1);
void mappings_cut(struct space *space, uint64_t first, uint64_t end) FP_NONNULL(1);
bool mappings_add(struct space *space, uint64_t first, uint64_t end) FP_MUST_CHECK FP_NONNULL(1);
bool ranges_add(struct ranges *ranges, uint64_t first, uint64_t end) FP_MUST_CHECK FP_NONNULL(1);
void space_order_ended(struct space *space) FP_NONNULL(1);
/* The child's pages are what the parent's are. False: no memory. */
bool space_fork_table(struct space *parent, struct space *child) FP_MUST_CHECK FP_NONNULL(1, 2);

#endif
