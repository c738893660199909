/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "tests/bench/wire.h"

struct way wire_way(unsigned index)
{
    static const struct shape shapes[SHAPES] = {{1, 1}, {8, 1}, {8, 4}, {32, 1}, {32, 16}};
    struct way way;
    way.work = (enum work)(index % WORKS), index /= WORKS;
    way.shape = shapes[index % SHAPES], index /= SHAPES;
    way.form = (enum form)(index % FORMS), index /= FORMS;
    way.place = (enum place)(index % PLACES), index /= PLACES;
    way.over = (enum transport)index;
    return way;
}

unsigned wire_plain_way(unsigned index)
{
    return index - (unsigned)wire_way(index).form * SHAPES * WORKS;
}

const char *wire_transport_name(enum transport over)
{
    return over == OVER_UNIX ? "unix" : "tcp";
}

const char *wire_place_name(enum place place)
{
    return place == APART ? "apart" : "together";
}

const char *wire_form_name(enum form form)
{
    static const char *const names[FORMS] = {"plain", "packed", "packed-now"};
    return names[form];
}

const char *wire_work_name(enum work work)
{
    return work == WORK_STORE ? "store" : "load";
}

static bool has(const char *text, const char *word, size_t size)
{
    for (const char *at = text; *at != '\0'; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, ",") == size && memcmp(at, word, size) == 0) return true;
    return false;
}

bool wire_way_has(const struct way *way, const char *words)
{
    char text[96];
    snprintf(text, sizeof text, "%s,%s,depth %u,batch %u,%s,%s", wire_transport_name(way->over),
             wire_place_name(way->place), way->shape.depth, way->shape.batch,
             wire_form_name(way->form), wire_work_name(way->work));
    for (const char *at = words; *at != '\0'; at += strcspn(at, ","), at += *at == ',')
        if (!has(text, at, strcspn(at, ","))) return false;
    return true;
}
