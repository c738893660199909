/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which sizes share a class. A zspage of n pages holds k = floor(n pages / slot) slots; its rest is
 * lost. For each slot size the n with the smallest loss is chosen (ties: the smaller n), and sizes
 * with the same n and k are one class, because the larger slot costs nothing more. With 8 pages
 * and steps of 16 bytes these are about the kernel's 120 classes; longer zspages would lose more to
 * partly filled ones than they win by fitting better.
 */
#include "base/arith.h"
#include "base/check.h"
#include "storage/zsmalloc.h"

struct shape {
    uint32_t slot_bytes;
    unsigned pages, slots;
    bool direct;
};

static double shape_cost(struct shape shape)
{
    return (double)shape.pages * PAGES_BYTES / shape.slots;
}

static struct shape regular_shape(uint32_t size_bytes)
{
    uint32_t step = size_bytes + ZS_HEAD_BYTES <= PAGES_BYTES ? ZS_SIZE_STEP : ZS_LARGE_STEP;
    uint32_t slot = (uint32_t)div_up_u64(size_bytes + ZS_HEAD_BYTES, step) * step;
    if (slot < ZS_SLOT_BYTES_MIN) slot = ZS_SLOT_BYTES_MIN;
    unsigned pages_max = slot <= PAGES_BYTES ? ZS_CHAIN_PAGES : ZS_LARGE_CHAIN_PAGES;
    struct shape best = {0};
    for (unsigned n = (unsigned)div_up_u64(slot, PAGES_BYTES); n <= pages_max; n++) {
        struct shape next = {.pages = n, .slots = n * PAGES_BYTES / slot};
        next.slot_bytes = n * PAGES_BYTES / next.slots / 8 * 8;
        if (best.slots == 0 || shape_cost(next) < shape_cost(best)) best = next;
    }
    fp_assert(best.slots > 0 && best.slots < ZS_SLOTS_END);
    return best;
}

static struct shape shape_of(uint32_t size_bytes)
{
    unsigned pages = (unsigned)div_up_u64(size_bytes, PAGES_BYTES);
    struct shape direct = {.slot_bytes = pages * PAGES_BYTES, .pages = pages, .slots = 1,
                           .direct = true};
    struct shape regular = regular_shape(size_bytes);
    return shape_cost(regular) < shape_cost(direct) ? regular : direct;
}

static void class_init(struct zs_class *class, struct shape shape)
{
    lock_init(&class->lock, RANK_ZSCLASS);
    class->slot_bytes = shape.slot_bytes;
    class->pages = (uint16_t)shape.pages;
    class->slots = (uint16_t)shape.slots;
    class->direct = shape.direct;
    class->object_count = class->object_bytes = class->zspage_count = 0;
    for (unsigned g = 0; g < ZS_GROUPS; g++) {
        class->groups[g] = ZS_NONE;
        class->group_counts[g] = 0;
    }
}

void zs_classes_init(struct zsmalloc *zs)
{
    zs->class_count = 0;
    zs->class_of_size[0] = 0;
    for (uint32_t units = 1; units < FP_COUNT_OF(zs->class_of_size); units++) {
        struct shape shape = shape_of(units * ZS_SIZE_STEP);
        struct zs_class *last = &zs->classes[zs->class_count - (zs->class_count > 0)];
        bool same = zs->class_count > 0 && last->pages == shape.pages &&
                    last->slots == shape.slots && last->direct == shape.direct;
        if (!same) {
            fp_assert(zs->class_count < ZS_CLASSES_MAX);
            class_init(&zs->classes[zs->class_count++], shape);
        }
        zs->class_of_size[units] = (uint16_t)(zs->class_count - 1);
    }
}

void zs_classes_fini(struct zsmalloc *zs)
{
    for (unsigned i = 0; i < zs->class_count; i++) lock_fini(&zs->classes[i].lock);
}

unsigned zs_group_of(const struct zs_class *class, unsigned used_slots)
{
    return used_slots * (ZS_GROUPS - 1) / class->slots;
}
