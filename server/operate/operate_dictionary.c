/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `dictionary`: which areas have one, and how one is trained and dropped. Training is only begun
 * here; `stats dictionaries` shows how it goes. */
#include "base/arith.h"
#include "base/number.h"
#include "protocol/request.h"
#include "server/operate/operate.h"
#include "server/jobs/trainer.h"
#include "codec/compressor_text.h"
#include "storage/store/page/store_area.h"
#include "storage/store/store_dictionary.h"

#define USAGE "dictionary [train AREA [BYTES] | drop AREA]"

static enum operate no_area(struct slice name, struct answer *answer)
{
    int shown = (int)min_u64(name.size_bytes, AREA_NAME_CAPACITY);
    return operate_refuse(answer, OPERATE_WRONG, "no area '%.*s'", shown,
                          (const char *)name.bytes);
}

static enum operate list(struct shared *shared, struct answer *answer)
{
    struct area *area = NULL;
    while ((area = store_area_next(shared->store, area)) != NULL) {
        struct training training;
        struct store_dictionary look;
        trainer_look(shared->trainer, area, &training);
        store_dictionary_look(shared->store, area, &look);
        if (look.id == 0 && training.state == TRAINING_NONE) continue;
        operate_say(answer, "DICTIONARY %s id %u bytes %llu %s", area->name, look.id,
                    (unsigned long long)look.bytes, training_state_text(training.state));
    }
    operate_say(answer, "END");
    return OPERATE_DONE;
}

static enum operate begin(struct shared *shared, struct area *area, uint64_t bytes_max,
                          struct answer *answer)
{
    struct compressor_config current;
    compressor_pool_current(store_compressors(shared->store), &current);
    if (slice_is(slice_text(current.algorithm), "none"))
        return operate_refuse(answer, OPERATE_FAILED, "the compressor 'none' uses no dictionary");
    uint64_t same_filled = atomic_load(&area->counters.same_filled);
    uint64_t stored = atomic_load(&area->counters.stored);
    uint64_t filled = stored > same_filled ? stored - same_filled : 0;
    if (filled < TRAINER_PAGES_MIN)
        return operate_refuse(answer, OPERATE_FAILED,
                              "area '%s' holds %llu pages that are not same-filled; training needs "
                              "%d",
                              area->name, (unsigned long long)filled, TRAINER_PAGES_MIN);
    enum fp_status status = trainer_ask(shared->trainer, area, bytes_max);
    if (status == FP_BUSY)
        return operate_refuse(answer, OPERATE_FAILED,
                              "a dictionary of area '%s' is being trained already", area->name);
    if (status != FP_OK)
        return operate_refuse(answer, OPERATE_FAILED, "the system refuses a thread to train with");
    operate_say(answer, "OK");
    return OPERATE_DONE;
}

static enum operate train(struct shared *shared, struct slice rest, struct answer *answer)
{
    struct slice name, size, more;
    uint64_t bytes_max = DICTIONARY_BYTES_USUAL;
    if (!request_next_word(&rest, &name))
        return operate_refuse(answer, OPERATE_WRONG, "usage: " USAGE);
    if (request_next_word(&rest, &size) && !number_size(size, &bytes_max))
        return operate_refuse(answer, OPERATE_WRONG, "usage: " USAGE);
    if (request_next_word(&rest, &more))
        return operate_refuse(answer, OPERATE_WRONG, "usage: " USAGE);
    if (bytes_max < DICTIONARY_BYTES_MIN || bytes_max > DICTIONARY_BYTES_MAX)
        return operate_refuse(answer, OPERATE_WRONG, "a dictionary has %d to %d bytes",
                              DICTIONARY_BYTES_MIN, DICTIONARY_BYTES_MAX);
    struct area *area;
    if (store_area_acquire(shared->store, name, &area) != FP_OK) return no_area(name, answer);
    enum operate how = begin(shared, area, bytes_max, answer);
    area_release(&area);
    return how;
}

static enum operate drop_from(struct shared *shared, struct area *area, struct answer *answer)
{
    enum fp_status status = trainer_drop(shared->trainer, area);
    if (status == FP_BUSY)
        return operate_refuse(answer, OPERATE_FAILED,
                              "a dictionary of area '%s' is being trained; drop it afterwards",
                              area->name);
    if (status == FP_ABSENT)
        return operate_refuse(answer, OPERATE_FAILED, "area '%s' has no dictionary", area->name);
    operate_say(answer, "OK");
    return OPERATE_DONE;
}

static enum operate drop(struct shared *shared, struct slice rest, struct answer *answer)
{
    struct slice name, more;
    struct area *area;
    if (!request_next_word(&rest, &name) || request_next_word(&rest, &more))
        return operate_refuse(answer, OPERATE_WRONG, "usage: " USAGE);
    if (store_area_acquire(shared->store, name, &area) != FP_OK) return no_area(name, answer);
    enum operate how = drop_from(shared, area, answer);
    area_release(&area);
    return how;
}

enum operate operate_dictionary(struct shared *shared, struct slice rest, struct answer *answer)
{
    struct slice word;
    if (!request_next_word(&rest, &word)) return list(shared, answer);
    if (slice_is(word, "train")) return train(shared, rest, answer);
    if (slice_is(word, "drop")) return drop(shared, rest, answer);
    return operate_refuse(answer, OPERATE_WRONG, "usage: " USAGE);
}
