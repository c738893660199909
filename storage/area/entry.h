/* SPDX-License-Identifier: BSD-3-Clause
 * entry - what the store writes beside its handles: how a page, or a piece of an item, is kept.
 *
 *   a value:  same-filled by a repeated word of 32 bits:  bits 0-29 check, 30-61 the word
 *   a note:   bits 0-1 form, then
 *             packed, plain, word:  2-9 seat (packed only), 10-23 the lower 14 bits of the check;
 *                                   the other 16 are the first 2 bytes of the object, its head
 *             whole:                2-23 the upper 22 bits of the check; the object has no head
 *
 *   packed   head | bytes packed by the seat's compressor
 *   plain    head | the bytes as they are
 *   word     head | 8 bytes: same-filled by a repeated word of 64 bits
 *   whole    the bytes as they are, full OS pages: a head would cost one more
 *
 * The check is the upper 30 bits of the CRC32C of the plain bytes. Part of it is beside the handle:
 * a damaged cell that leads to somebody else's object is found out like a damaged object is. One
 * random change in a thousand million passes; of a whole page, in four million.
 *
 * Pure; any thread.
 */
#ifndef FARPAGE_STORAGE_ENTRY_H
#define FARPAGE_STORAGE_ENTRY_H
#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "storage/alloc/zpool.h"

enum entry_form { ENTRY_PACKED, ENTRY_PLAIN, ENTRY_WORD, ENTRY_WHOLE };

/* Whose quota refused something: its area's; its tenant's, of pages or of bytes; or it would have
 * been borrowed of what others count on. */
enum quota_met { QUOTA_OF_AREA, QUOTA_OF_TENANT_PAGES, QUOTA_OF_TENANT_BYTES, QUOTA_RESERVED };

/* Something the store has packed and that nobody can find yet. */
struct stored {
    struct zhandle handle;
    struct zname name;    /* with the object's size */
    enum quota_met quota; /* where it was refused because of one */
};

enum {
    ENTRY_CHECK_BITS = 30,
    ENTRY_NOTE_CHECK_BITS = 14,
    ENTRY_HEAD_BYTES = 2,
    ENTRY_WORD_BYTES = 8,
};
_Static_assert(2 + 8 + ENTRY_NOTE_CHECK_BITS == ZPOOL_NOTE_BITS, "a note is full");
_Static_assert(ENTRY_CHECK_BITS + 32 == ZPOOL_VALUE_BITS, "a value is full");
_Static_assert(ENTRY_CHECK_BITS == ENTRY_NOTE_CHECK_BITS + 8 * ENTRY_HEAD_BYTES, "none is lost");

static inline uint32_t entry_check(uint32_t crc)
{
    return crc >> (32 - ENTRY_CHECK_BITS);
}

/* --- values ----------------------------------------------------------------------------------- */

static inline uint64_t entry_value(uint32_t word, uint32_t crc)
{
    return entry_check(crc) | (uint64_t)word << ENTRY_CHECK_BITS;
}
static inline uint64_t entry_value_word(uint64_t value) /* of 64 bits */
{
    uint64_t word = value >> ENTRY_CHECK_BITS;
    return word | word << 32;
}
static inline uint32_t entry_value_crc(uint64_t value) /* its upper 30 bits, the others 0 */
{
    return (uint32_t)value << (32 - ENTRY_CHECK_BITS);
}
static inline bool entry_value_matches(uint64_t value, uint32_t crc)
{
    return (value & ((1u << ENTRY_CHECK_BITS) - 1)) == entry_check(crc);
}

/* --- notes and heads -------------------------------------------------------------------------- */

static inline uint32_t entry_note(enum entry_form form, uint8_t seat, uint32_t crc)
{
    if (form == ENTRY_WHOLE) return (uint32_t)form | crc >> 10 << 2;
    uint32_t check = entry_check(crc) & ((1u << ENTRY_NOTE_CHECK_BITS) - 1);
    return (uint32_t)form | (uint32_t)seat << 2 | check << 10;
}
static inline uint16_t entry_head(uint32_t crc)
{
    return (uint16_t)(entry_check(crc) >> ENTRY_NOTE_CHECK_BITS);
}
/* The upper 30 bits of the checksum, the others 0; not of a whole one. */
static inline uint32_t entry_note_crc(uint32_t note, uint16_t head)
{
    uint32_t check = note >> 10 & ((1u << ENTRY_NOTE_CHECK_BITS) - 1);
    return (check | (uint32_t)head << ENTRY_NOTE_CHECK_BITS) << (32 - ENTRY_CHECK_BITS);
}
static inline enum entry_form entry_form(uint32_t note)
{
    return (enum entry_form)(note & 3);
}
static inline uint8_t entry_seat(uint32_t note)
{
    return (uint8_t)(note >> 2);
}
static inline uint32_t entry_head_bytes(enum entry_form form)
{
    return form == ENTRY_WHOLE ? 0 : ENTRY_HEAD_BYTES;
}
/* head: the object's, 0 for a whole one. */
static inline bool entry_note_matches(uint32_t note, uint16_t head, uint32_t crc)
{
    bool whole = entry_form(note) == ENTRY_WHOLE;
    return entry_note(entry_form(note), entry_seat(note), crc) == note &&
           (whole || head == entry_head(crc));
}

_Static_assert(2 + 8 == ZPOOL_SPILLED_NOTE_BITS, "form and seat are known of what is spilled");

/* --- what a handle names or named, as it is counted ------------------------------------------- */

static inline bool entry_same_filled(struct zname name)
{
    return name.what == ZVALUE ||
           (name.what == ZOBJECT && entry_form(name.note) == ENTRY_WORD);
}
static inline bool entry_incompressible(struct zname name)
{
    return name.what >= ZOBJECT &&
           (entry_form(name.note) == ENTRY_PLAIN || entry_form(name.note) == ENTRY_WHOLE);
}
/* The bytes in the object, without the head; none of a same-filled one. Needs the object's size. */
static inline uint32_t entry_packed_bytes(struct zname name)
{
    if (name.what < ZOBJECT || entry_same_filled(name)) return 0;
    return name.size_bytes - entry_head_bytes(entry_form(name.note));
}

#endif
