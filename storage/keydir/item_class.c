/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/keydir/item_class.h"

#include "base/check.h"

/* From the smallest record with a short key up to the largest value there can be. */
static const uint32_t limits[ITEM_CLASSES_MAX] = {
    96, 128, 168, 224, 296, 384, 504, 656, 856, 1112, 1448, 1888, 2456, 3192, 4152, 5400, 7024,
    9136, 11880, 15448, 20088, 26120, 33960, 44152, 57400, 74624, 97016, 126120, 163960, 213152,
    277104, 360240, 468312, 608808, 791456, 1028896, 1337568, 1738840, 2260496, 2938648, 3820248,
    4966328, 6456232, 8393104, 10911040, 14184352, 18439664, 23971568, 31163040, 40511952,
    52665544, 68465208, 89004776, 115706208, 150418072, 195543496, 254206544, 330468512,
    429609072, 558491800, 726039344, 943851152, 1227006504,
};

unsigned item_class_of(uint64_t memory_bytes)
{
    unsigned low = 0, high = ITEM_CLASSES_MAX - 1;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (memory_bytes <= limits[middle]) high = middle;
        else low = middle + 1;
    }
    return low + 1;
}

uint64_t item_class_bytes(unsigned number)
{
    fp_assert(number >= 1 && number <= ITEM_CLASSES_MAX);
    return limits[number - 1];
}

uint64_t item_memory_bytes(const struct item *item)
{
    return item_record_bytes(item->key_bytes, item->value_bytes) + item->packed_bytes;
}
