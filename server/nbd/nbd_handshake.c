/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Options, until one of them opens an export. What may be asked when is protocol/nbd_option.h's. */
#include <stdlib.h>
#include <string.h>

#include "protocol/bigendian.h"
#include "server/nbd/nbd_internal.h"

enum { SERVED_ALWAYS = 16 }; /* connections to devices */

/* --- replies ---------------------------------------------------------------------------------- */

static void reply(struct nbd_conn *conn, const struct nbd_option *option,
                  enum nbd_reply_type type, struct slice body)
{
    uint8_t head[NBD_OPTION_REPLY_BYTES];
    nbd_option_reply_encode(option->number, type, (uint32_t)body.size_bytes, head);
    output_add(&conn->output, slice_of(head, sizeof head));
    output_add(&conn->output, body);
}

/* With a sentence, which may be empty. */
static enum nbd_step say(struct nbd_conn *conn, const struct nbd_option *option,
                         enum nbd_reply_type type, const char *sentence)
{
    reply(conn, option, type, slice_text(sentence));
    return NBD_STEP_ON;
}

static enum nbd_step say_invalid(struct nbd_conn *conn, const struct nbd_option *option)
{
    return say(conn, option, NBD_REP_ERR_INVALID, "its body does not make sense");
}

static enum nbd_step say_status(struct nbd_conn *conn, const struct nbd_option *option,
                                enum fp_status status, const char *why)
{
    if (status == FP_NO_MEMORY) why = "the server has no memory for it";
    if (status == FP_IO) return say(conn, option, NBD_REP_ERR_PLATFORM, why);
    bool unknown = status == FP_ABSENT || status == FP_LOST;
    return say(conn, option, unknown ? NBD_REP_ERR_UNKNOWN : NBD_REP_ERR_POLICY, why);
}

/* Where there is no way to say it. */
static enum nbd_step leave(struct nbd_conn *conn, const char *why)
{
    nbd_log_closed(conn, GATE_EXPORT, "connection closed: no export", why);
    return NBD_STEP_CLOSE;
}

static enum nbd_step lost(struct nbd_conn *conn, const char *reason)
{
    nbd_log_lost(conn, reason);
    return NBD_STEP_CLOSE;
}

/* --- opening an export ------------------------------------------------------------------------ */

static struct exports *exports_of(const struct nbd_conn *conn)
{
    return &conn->worker->shared->exports;
}

/* Serving needs no other memory. A few get it also when all of it is full: a machine whose swap
 * fills it must be able to come back. */
static bool take_memory(struct nbd_conn *conn, uint32_t page_bytes)
{
    size_t request = NBD_REQUEST_BYTES + (size_t)page_bytes;
    bool anyway = exports_connections(exports_of(conn)) <= SERVED_ALWAYS;
    if (!nbd_input_fit(conn, NBD_INPUT_BYTES + request, anyway)) return false;
    if (!nbd_charge(conn, page_bytes, anyway)) return false;
    conn->page = malloc(page_bytes);
    return conn->page != NULL;
}

static enum fp_status open_export(struct nbd_conn *conn, struct slice name,
                                  struct export_about *about, char why[REFUSAL_BYTES_MAX])
{
    enum fp_status status = exports_open(exports_of(conn), name, &conn->opener, &conn->export, why);
    if (status != FP_OK) return status;
    exports_about(exports_of(conn), conn->export, about);
    if (!take_memory(conn, about->page_bytes)) {
        exports_close(exports_of(conn), &conn->opener, &conn->export, conn->worker->now_ns);
        return FP_NO_MEMORY;
    }
    return FP_OK;
}

static struct nbd_terms terms_of(const struct nbd_conn *conn, const struct export_about *about)
{
    bool contexts = strcmp(conn->handshake.context_of, about->name) == 0 && about->name[0] != '\0';
    return (struct nbd_terms){.size_bytes = about->size_bytes,
                              .read_only = about->read_only,
                              .structured = conn->handshake.structured,
                              .contexts = contexts};
}

static enum nbd_step begin_serving(struct nbd_conn *conn, const struct export_about *about)
{
    conn->terms = terms_of(conn, about);
    conn->phase = NBD_SERVING;
    conn->begun_ns = 0;
    atomic_store(&conn->row.areas, 1);
    log_event(conn->worker->shared->log, LOG_INFO, "export opened",
              log_text("peer", conn->row.peer), log_text("export", about->name),
              log_text("identity", about->identity));
    return NBD_STEP_ON;
}

static enum nbd_step export_name(struct nbd_conn *conn, struct slice name)
{
    static const uint8_t zeros[NBD_END_ZEROS_BYTES];
    char why[REFUSAL_BYTES_MAX] = "no memory for it";
    struct export_about about;
    uint8_t end[NBD_END_BYTES];
    if (name.size_bytes > NBD_TEXT_BYTES_MAX) return leave(conn, "its name is too long");
    if (open_export(conn, name, &about, why) != FP_OK) return leave(conn, why);
    struct nbd_terms terms = terms_of(conn, &about);
    nbd_end_encode(terms.size_bytes, nbd_transmission_flags(&terms), end);
    output_add(&conn->output, slice_of(end, sizeof end));
    if (!conn->handshake.no_zeroes) output_add(&conn->output, slice_of(zeros, sizeof zeros));
    return begin_serving(conn, &about);
}

/* --- telling of it ---------------------------------------------------------------------------- */

static void write_full_name(const struct export_about *about, char text[EXPORT_NAME_BYTES_MAX + 1])
{
    bool made = about->identity[0] != '\0';
    (void)snprintf(text, EXPORT_NAME_BYTES_MAX + 1, "%s%s%s", about->name, made ? "@" : "",
                   about->identity);
}

static void tell_text(struct nbd_conn *conn, const struct nbd_option *option, enum nbd_info info,
                      const char *text)
{
    uint8_t body[2 + EXPORT_NAME_BYTES_MAX + 1];
    size_t size = strlen(text);
    put16(body, (uint16_t)info);
    memcpy(body + 2, text, size);
    reply(conn, option, NBD_REP_INFO, slice_of(body, 2 + size));
}

static void tell(struct nbd_conn *conn, const struct nbd_option *option, uint32_t infos,
                 const struct export_about *about)
{
    struct nbd_terms terms = terms_of(conn, about);
    uint8_t size[NBD_INFO_EXPORT_BYTES], blocks[NBD_INFO_BLOCK_SIZE_BYTES];
    char name[EXPORT_NAME_BYTES_MAX + 1];
    write_full_name(about, name);
    nbd_info_export_encode(terms.size_bytes, nbd_transmission_flags(&terms), size);
    nbd_info_block_size_encode(about->page_bytes, blocks);
    reply(conn, option, NBD_REP_INFO, slice_of(size, sizeof size));
    if ((infos & 1u << NBD_INFO_NAME) != 0) tell_text(conn, option, NBD_INFO_NAME, name);
    if ((infos & 1u << NBD_INFO_DESCRIPTION) != 0 && about->description[0] != '\0')
        tell_text(conn, option, NBD_INFO_DESCRIPTION, about->description);
    if ((infos & 1u << NBD_INFO_BLOCK_SIZE) != 0)
        reply(conn, option, NBD_REP_INFO, slice_of(blocks, sizeof blocks));
}

static enum nbd_step go(struct nbd_conn *conn, const struct nbd_option *option, struct slice body)
{
    struct nbd_go wanted;
    struct export_about about;
    char why[REFUSAL_BYTES_MAX] = "";
    bool opens = option->number == NBD_OPT_GO;
    if (!nbd_go_decode(body, &wanted)) return say_invalid(conn, option);
    enum fp_status status = opens ? open_export(conn, wanted.name, &about, why)
                                  : exports_describe(exports_of(conn), wanted.name, &about, why);
    if (status != FP_OK) return say_status(conn, option, status, why);
    tell(conn, option, wanted.infos, &about);
    reply(conn, option, NBD_REP_ACK, slice_of(NULL, 0));
    return opens ? begin_serving(conn, &about) : NBD_STEP_ON;
}

struct listing {
    struct nbd_conn *conn;
    const struct nbd_option *option;
};

static void list_one(void *opaque, const struct export *export)
{
    struct listing *listing = opaque;
    struct export_about about;
    char name[EXPORT_NAME_BYTES_MAX + 1];
    uint8_t body[4 + 2 * EXPORT_NAME_BYTES_MAX + CONFIG_DESCRIPTION_BYTES + 64];
    exports_about(exports_of(listing->conn), export, &about);
    write_full_name(&about, name);
    const char *listed = about.lost ? name : about.name;
    size_t size = strlen(listed);
    put32(body, (uint32_t)size);
    memcpy(body + 4, listed, size);
    int more = snprintf((char *)body + 4 + size, sizeof body - 4 - size, "%s%sthis one is %s",
                        about.description, about.description[0] != '\0' ? "; " : "", name);
    size += 4 + (size_t)(more > 0 ? more : 0);
    reply(listing->conn, listing->option, NBD_REP_SERVER, slice_of(body, size));
}

static enum nbd_step list(struct nbd_conn *conn, const struct nbd_option *option)
{
    struct listing listing = {conn, option};
    if (option->length != 0) return say_invalid(conn, option);
    exports_each(exports_of(conn), list_one, &listing);
    return say(conn, option, NBD_REP_ACK, "");
}

/* --- agreements ------------------------------------------------------------------------------- */

static enum nbd_step structured_reply(struct nbd_conn *conn, const struct nbd_option *option)
{
    if (option->length != 0) return say_invalid(conn, option);
    conn->handshake.structured = true;
    return say(conn, option, NBD_REP_ACK, "");
}

static enum nbd_step meta_context(struct nbd_conn *conn, const struct nbd_option *option,
                                  struct slice body)
{
    struct nbd_contexts contexts;
    struct export_about about;
    char why[REFUSAL_BYTES_MAX];
    bool set = option->number == NBD_OPT_SET_META_CONTEXT;
    char *context_of = conn->handshake.context_of;
    if (set) context_of[0] = '\0';
    if (!nbd_contexts_decode(body, set, &contexts)) return say_invalid(conn, option);
    enum fp_status status = exports_describe(exports_of(conn), contexts.name, &about, why);
    if (status != FP_OK) return say_status(conn, option, status, why);
    if (set && contexts.allocation) memcpy(context_of, about.name, sizeof about.name);
    if (contexts.allocation) {
        uint8_t context[4 + sizeof NBD_CONTEXT_ALLOCATION - 1];
        put32(context, set ? NBD_CONTEXT_ID : 0);
        memcpy(context + 4, NBD_CONTEXT_ALLOCATION, sizeof context - 4);
        reply(conn, option, NBD_REP_META_CONTEXT, slice_of(context, sizeof context));
    }
    return say(conn, option, NBD_REP_ACK, "");
}

/* What was sent behind it in the clear is from whoever is on the way, and not to be believed. */
static enum nbd_step starttls(struct nbd_conn *conn, const struct nbd_option *option)
{
    if (option->length != 0) return say_invalid(conn, option);
    if (nbd_input(conn).size_bytes > 0) return lost(conn, "bytes behind STARTTLS");
    conn->tls_due = true;
    (void)say(conn, option, NBD_REP_ACK, "");
    return NBD_STEP_WAIT;
}

/* --- one option ------------------------------------------------------------------------------- */

static enum nbd_step carry_out(struct nbd_conn *conn, const struct nbd_option *option,
                               struct slice body)
{
    switch (option->number) {
    case NBD_OPT_EXPORT_NAME:
        return export_name(conn, body);
    case NBD_OPT_ABORT:
        reply(conn, option, NBD_REP_ACK, slice_of(NULL, 0));
        return NBD_STEP_CLOSE;
    case NBD_OPT_STARTTLS:
        return starttls(conn, option);
    case NBD_OPT_LIST:
        return list(conn, option);
    case NBD_OPT_INFO:
    case NBD_OPT_GO:
        return go(conn, option, body);
    case NBD_OPT_STRUCTURED_REPLY:
        return structured_reply(conn, option);
    default:
        return meta_context(conn, option, body);
    }
}

static enum nbd_step refuse(struct nbd_conn *conn, const struct nbd_option *option,
                            enum nbd_verdict verdict)
{
    conn->drop_bytes = option->length;
    if (verdict == NBD_SAY_TLS)
        return say(conn, option, NBD_REP_ERR_TLS_REQD, "this listener wants TLS first");
    if (verdict == NBD_SAY_POLICY)
        return say(conn, option, NBD_REP_ERR_POLICY, "no TLS is configured for this listener");
    if (verdict == NBD_SAY_INVALID) return say(conn, option, NBD_REP_ERR_INVALID, "not now");
    return say(conn, option, NBD_REP_ERR_UNSUP, "");
}

static enum nbd_step take_option(struct nbd_conn *conn)
{
    struct slice input = nbd_input(conn);
    struct nbd_option option;
    conn->need_bytes = NBD_OPTION_HEAD_BYTES;
    if (input.size_bytes < NBD_OPTION_HEAD_BYTES) return NBD_STEP_WAIT;
    if (!nbd_option_decode(input.bytes, &option)) return lost(conn, "not an option");
    if (option.length > NBD_OPTION_DROP_BYTES_MAX) return lost(conn, "an option without end");
    struct nbd_handshake *handshake = &conn->handshake;
    enum nbd_verdict verdict =
        nbd_option_verdict(handshake->state, handshake->structured, option.number);
    if (verdict == NBD_CLOSE) return lost(conn, "an option that is not for now");
    bool long_one = verdict == NBD_DO && option.length > NBD_OPTION_BYTES_MAX;
    size_t size = NBD_OPTION_HEAD_BYTES + (verdict == NBD_DO && !long_one ? option.length : 0);
    conn->need_bytes = size;
    if (input.size_bytes < size) return NBD_STEP_WAIT;
    if (++handshake->options > NBD_OPTIONS_MAX) return lost(conn, "options without end");
    nbd_taken(conn, size);
    if (verdict != NBD_DO) return refuse(conn, &option, verdict);
    if (!long_one)
        return carry_out(conn, &option,
                         slice_of(input.bytes + NBD_OPTION_HEAD_BYTES, option.length));
    if (option.number == NBD_OPT_EXPORT_NAME) return leave(conn, "its name is too long");
    conn->drop_bytes = option.length;
    return say(conn, &option, NBD_REP_ERR_TOO_BIG, "");
}

enum nbd_step nbd_haggle(struct nbd_conn *conn)
{
    struct slice input = nbd_input(conn);
    struct nbd_client_flags flags;
    if (conn->phase == NBD_HAGGLING) return take_option(conn);
    conn->need_bytes = NBD_CLIENT_FLAGS_BYTES;
    if (input.size_bytes < NBD_CLIENT_FLAGS_BYTES) return NBD_STEP_WAIT;
    if (!nbd_client_flags_decode(input.bytes, &flags))
        return lost(conn, "flags that were not offered");
    if (!flags.fixed) conn->handshake.state = NBD_UNFIXED;
    conn->handshake.no_zeroes = flags.no_zeroes;
    conn->phase = NBD_HAGGLING;
    nbd_taken(conn, NBD_CLIENT_FLAGS_BYTES);
    return NBD_STEP_ON;
}
