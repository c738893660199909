/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What each path answers. Probes (/livez, /readyz) are answered to anybody who reaches the door:
 * they say no more than whether it is up. */
#include "base/check.h"
#include "server/health.h"
#include "server/http/http_internal.h"
#include "server/metrics/metrics.h"

#define PLAIN "text/plain; charset=utf-8"

struct page {
    struct shared *shared;
    const struct http_request *request;
    struct output *body;
};

typedef enum http_status page_write(const struct page *page);

static void write_check(const struct page *page, const struct health *health,
                        enum health_check check)
{
    output_text(page->body, health->checks[check].good ? "[+]" : "[-]");
    output_text(page->body, health_check_name(check));
    output_text(page->body, ": ");
    output_text(page->body, health->checks[check].text);
    output_text(page->body, "\n");
}

/* ok; or, where it is not or more is wanted, a line for each check. */
static enum http_status write_health(const struct page *page, const struct health *health,
                                     bool good, unsigned checks)
{
    bool verbose = http_query_has(page->request->query, "verbose");
    if (good && !verbose) {
        output_text(page->body, "ok\n");
        return HTTP_OK;
    }
    for (unsigned i = 0; i < checks; i++)
        if (verbose || !health->checks[i].good) write_check(page, health, (enum health_check)i);
    output_text(page->body, good ? "good\n" : "not good\n");
    return good ? HTTP_OK : HTTP_UNAVAILABLE;
}

static enum http_status write_livez(const struct page *page)
{
    struct health health;
    health_look(page->shared, &health);
    return write_health(page, &health, health.lives, HEALTH_WORKERS + 1);
}

static enum http_status write_readyz(const struct page *page)
{
    struct health health;
    health_look(page->shared, &health);
    return write_health(page, &health, health.ready, HEALTH_CHECKS_COUNT);
}

static enum http_status write_metrics(const struct page *page)
{
    return metrics_write(page->shared, METRICS_PROMETHEUS, page->body) == FP_OK ? HTTP_OK
                                                                                 : HTTP_UNAVAILABLE;
}

static enum http_status write_stats(const struct page *page)
{
    return metrics_write(page->shared, METRICS_JSON, page->body) == FP_OK ? HTTP_OK
                                                                           : HTTP_UNAVAILABLE;
}

static page_write write_index;

static const struct {
    const char *path, *type;
    bool open; /* to those who have not logged in */
    page_write *write;
    const char *what;
} pages[] = {
    {"/", PLAIN, true, write_index, "this"},
    {"/livez", PLAIN, true, write_livez, "whether it lives; ?verbose"},
    {"/readyz", PLAIN, true, write_readyz, "whether it is ready; ?verbose"},
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", false, write_metrics,
     "every number, for Prometheus"},
    {"/api/v1/stats", "application/json", false, write_stats, "every number, as JSON"},
};

static enum http_status write_index(const struct page *page)
{
    output_text(page->body, "farpaged " FARPAGE_VERSION "\n");
    for (size_t i = 0; i < FP_COUNT_OF(pages); i++) {
        output_text(page->body, pages[i].path);
        output_text(page->body, "  ");
        output_text(page->body, pages[i].what);
        output_text(page->body, "\n");
    }
    return HTTP_OK;
}

static enum http_status say(struct output *body, enum http_status status, const char *text)
{
    output_text(body, text);
    return status;
}

static bool may_come_in(struct shared *shared, const struct http_request *request)
{
    struct http_login login;
    bool good = http_login(request->credentials, &login) &&
                credentials_admit(&shared->credentials, login.user, login.password);
    tls_forget(&login, sizeof login);
    return good;
}

enum http_status http_answer(struct shared *shared, const struct http_request *request,
                             const struct http_asker *asker, struct output *body,
                             const char **type)
{
    const struct page page = {shared, request, body};
    *type = PLAIN;
    /* A page of the web that has its own name lead to this machine would be let in by a browser. */
    if (asker->loopback && !http_host_is_plain(request->host))
        return say(body, HTTP_FORBIDDEN, "use the address, or localhost, not another name\n");
    for (size_t i = 0; i < FP_COUNT_OF(pages); i++) {
        if (!slice_is(request->path, pages[i].path)) continue;
        if (asker->login && !pages[i].open && !may_come_in(shared, request))
            return say(body, HTTP_UNAUTHORIZED, "a user and a password are wanted\n");
        *type = pages[i].type;
        return pages[i].write(&page);
    }
    return say(body, HTTP_NOT_FOUND, "not here; / tells what is\n");
}
