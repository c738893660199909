// SPDX-License-Identifier: BSD-3-Clause
// farpage.h is C, and C++ may include it: each call is taken as a C++ program would.
#include <farpage.h>

static void answered(void *context, const struct farpage_answer *answer)
{
    *static_cast<farpage_status *>(context) = answer->status;
}

int main()
{
    farpage_options options = {};
    options.flags = FARPAGE_NO_RECONNECT | FARPAGE_FOLLOW_MOVES;
    farpage_area_options wish = {};
    wish.flags = FARPAGE_AREA_SHARED | FARPAGE_AREA_ZEROS;
    wish.pack = FARPAGE_PACK_ZSTD;
    farpage *client = nullptr;
    farpage_area *area = nullptr;
    farpage_status status = farpage_connect(&options, &client);
    if (status == FARPAGE_OK) status = farpage_area_open(client, "a", &wish, &area);
    if (status == FARPAGE_OK) {
        farpage_map map;
        farpage_request request = {};
        request.kind = FARPAGE_OP_INVALIDATE;
        status = farpage_submit(area, &request, answered, &status);
        farpage_area_process(area, 0);
        status = farpage_map_page(area, 1, FARPAGE_MAP_RO, 0, &map);
    }
    farpage_disconnect(&client);
    return status == FARPAGE_OK ? 0 : 1;
}
