/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/session.h"

uint32_t session_open_area(struct session *session, struct area *area)
{
    for (uint32_t i = 0; i < session->area_count; i++)
        if (session->areas[i] == area) {
            area_release(&area);
            return i + 1;
        }
    if (session->area_count == SESSION_AREAS_MAX) {
        area_release(&area);
        return 0;
    }
    session->areas[session->area_count++] = area;
    return session->area_count;
}

struct area *session_area(const struct session *session, uint32_t number)
{
    return number >= 1 && number <= session->area_count ? session->areas[number - 1] : NULL;
}

void session_fini(struct session *session)
{
    while (session->area_count > 0) area_release(&session->areas[--session->area_count]);
}
