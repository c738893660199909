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
#include "storage/alloc/zsmalloc.h"

struct shape {
    uint32_t slot_bytes;
    unsigned pages, slots;
    bool direct;
};

/* Whether a slot of it takes fewer bytes: pages / slots, without dividing. */
static bool is_cheaper(struct shape shape, struct shape than)
{
    return shape.pages * than.slots < than.pages * shape.slots;
}

static uint32_t slot_bytes_of(uint32_t size_bytes)
{
    uint32_t step = size_bytes + ZS_HEAD_BYTES <= PAGES_BYTES ? ZS_SIZE_STEP : ZS_LARGE_STEP;
    uint32_t slot = (uint32_t)div_up_u64(size_bytes + ZS_HEAD_BYTES, step) * step;
    return slot < ZS_SLOT_BYTES_MIN ? ZS_SLOT_BYTES_MIN : slot;
}

static struct shape regular_shape(uint32_t slot)
{
    unsigned pages_max = slot <= PAGES_BYTES ? ZS_CHAIN_PAGES : ZS_LARGE_CHAIN_PAGES;
    struct shape best = {0};
    for (unsigned n = (unsigned)div_up_u64(slot, PAGES_BYTES); n <= pages_max; n++) {
        struct shape next = {.pages = n, .slots = n * PAGES_BYTES / slot};
        if (best.slots == 0 || is_cheaper(next, best)) best = next;
    }
    fp_assert(best.slots > 0 && best.slots < ZS_SLOTS_END);
    best.slot_bytes = best.pages * PAGES_BYTES / best.slots / 8 * 8;
    return best;
}

static struct shape shape_of(uint32_t size_bytes, struct shape regular)
{
    unsigned pages = (unsigned)div_up_u64(size_bytes, PAGES_BYTES);
    struct shape direct = {.slot_bytes = pages * PAGES_BYTES, .pages = pages, .slots = 1,
                           .direct = true};
    return is_cheaper(regular, direct) ? regular : direct;
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
    uint32_t slot = 0;
    struct shape regular = {0}; /* of such a slot, which many sizes share */
    for (uint32_t units = 1; units < FP_COUNT_OF(zs->class_of_size); units++) {
        uint32_t next = slot_bytes_of(units * ZS_SIZE_STEP);
        if (next != slot) regular = regular_shape(next);
        slot = next;
        struct shape shape = shape_of(units * ZS_SIZE_STEP, regular);
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
