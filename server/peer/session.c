/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/peer/session.h"

#include <stdlib.h>

#include "base/arith.h"

/* The number by which it has the area of that name open, taken over or deleted ones left out; 0. */
static uint32_t find_open(const struct session *session, struct slice name)
{
    for (uint32_t i = 0; i < SESSION_AREAS_MAX; i++) {
        const struct opener *opener = session->openers[i];
        if (opener == NULL || !slice_is(name, opener->area->name)) continue;
        if (!opener_lost(opener)) return i + 1;
    }
    return 0;
}

static uint32_t free_number(const struct session *session)
{
    for (uint32_t i = 0; i < SESSION_AREAS_MAX; i++)
        if (session->openers[i] == NULL) return i + 1;
    return 0;
}

static enum fp_status open_new(struct session *session, struct openers *openers,
                               const struct open_request *request, uint32_t number,
                               char why[REFUSAL_BYTES_MAX])
{
    struct opener *opener = calloc(1, sizeof *opener);
    if (opener == NULL) return FP_NO_MEMORY;
    opener->row = session->row;
    opener->notices = session->notices;
    enum fp_status status = openers_open(openers, request, opener, why);
    if (status != FP_OK) {
        free(opener);
        return status;
    }
    budget_charge_anyway(store_budget(request->store), BUDGET_CONNECTIONS, sizeof *opener);
    session->openers[number - 1] = opener;
    session->page_bytes_max = (uint32_t)max_u64(session->page_bytes_max, opener->area->page_bytes);
    atomic_fetch_add(&session->row->areas, 1);
    return FP_OK;
}

enum fp_status session_open_area(struct session *session, struct openers *openers,
                                 const struct open_request *request, uint32_t *number,
                                 char why[REFUSAL_BYTES_MAX])
{
    *number = find_open(session, request->open->name);
    if (*number != 0)
        return openers_open_again(openers, request, session->openers[*number - 1], why);
    *number = free_number(session);
    return *number == 0 ? FP_TOO_BIG : open_new(session, openers, request, *number, why);
}

void session_close_area(struct session *session, struct openers *openers, struct store *store,
                        uint32_t number)
{
    struct opener *opener = session->openers[number - 1];
    session->openers[number - 1] = NULL;
    openers_close(openers, store, opener);
    free(opener);
    budget_return(store_budget(store), BUDGET_CONNECTIONS, sizeof *opener);
    atomic_fetch_sub(&session->row->areas, 1);
}

struct opener *session_opener(const struct session *session, uint32_t number)
{
    return number >= 1 && number <= SESSION_AREAS_MAX ? session->openers[number - 1] : NULL;
}

struct area *session_area(const struct session *session, uint32_t number)
{
    const struct opener *opener = session_opener(session, number);
    return opener != NULL ? opener->area : NULL;
}

void session_fini(struct session *session, struct openers *openers, struct store *store)
{
    snapshot_leave(&session->snapshot);
    for (uint32_t number = 1; number <= SESSION_AREAS_MAX; number++)
        if (session_opener(session, number) != NULL)
            session_close_area(session, openers, store, number);
}
