/* SPDX-License-Identifier: BSD-3-Clause
 * quicksort MIB [SEED] - sorts so much of random numbers by Hoare's partition, says a checksum of
 * the order. Memory is walked from both ends, over and over, and does not pack. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t state;

static uint32_t next_number(void) /* splitmix64 */
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

static void swap(uint32_t *a, uint32_t *b)
{
    uint32_t kept = *a;
    *a = *b;
    *b = kept;
}

static void sort_few(uint32_t *numbers, size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t j = i; j > 0 && numbers[j - 1] > numbers[j]; j--)
            swap(&numbers[j - 1], &numbers[j]);
}

static size_t partition(uint32_t *numbers, size_t count)
{
    uint32_t *low = numbers, *middle = numbers + count / 2, *high = numbers + count - 1;
    if (*middle < *low) swap(middle, low);
    if (*high < *low) swap(high, low);
    if (*high < *middle) swap(high, middle);
    uint32_t pivot = *middle;
    for (;;) {
        while (*low < pivot) low++;
        while (*high > pivot) high--;
        if (low >= high) return (size_t)(high - numbers) + 1;
        swap(low++, high--);
    }
}

static void sort(uint32_t *numbers, size_t count) /* NOLINT: the shorter part, so it is not deep */
{
    enum { FEW = 16 };
    while (count > FEW) {
        size_t left = partition(numbers, count), right = count - left;
        if (left < right) {
            sort(numbers, left);
            numbers += left;
            count = right;
        } else {
            sort(numbers + left, right);
            count = left;
        }
    }
    sort_few(numbers, count);
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) * ((1u << 20) / sizeof(uint32_t)) : 0;
    state = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    uint32_t *numbers = count > 0 ? malloc(count * sizeof *numbers) : NULL;
    if (numbers == NULL) {
        fprintf(stderr, "usage: quicksort MIB [SEED], of memory that there is\n");
        return 2;
    }
    uint64_t sum = 0, order = 0;
    for (size_t i = 0; i < count; i++) sum += numbers[i] = next_number();
    sort(numbers, count);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && numbers[i - 1] > numbers[i]) {
            fprintf(stderr, "quicksort: number %zu is out of order\n", i);
            return 1;
        }
        sum -= numbers[i];
        order = (order ^ numbers[i]) * 0x100000001b3u;
    }
    if (sum != 0) {
        fprintf(stderr, "quicksort: numbers were lost\n");
        return 1;
    }
    printf("%016" PRIx64 "\n", order);
    free(numbers);
    return 0;
}
