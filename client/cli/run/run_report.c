/* SPDX-License-Identifier: BSD-3-Clause */
#include "client/cli/run/run_report.h"

#include "client/cli/say/human.h"
#include "client/cli/say/json.h"

enum { PAGE_BYTES = 4096 };

static struct histogram all_faults(const struct figures *figures)
{
    struct histogram all;
    histogram_init(&all);
    for (int i = 0; i < FIGURES_FAULTS_COUNT; i++) histogram_merge(&all, &figures->faults_ns[i]);
    return all;
}

static struct human pages(uint64_t count)
{
    return human_size(count * PAGE_BYTES);
}

/* What was sent, next to what it was on the wire; 0 where nothing was. */
static double ratio_of(const struct figures *figures)
{
    return figures->sent_bytes == 0 || figures->stored == 0
               ? 0 : (double)figures->stored * PAGE_BYTES / (double)figures->sent_bytes;
}

static void print_faults(const struct figures *figures, FILE *out)
{
    struct histogram all = all_faults(figures);
    fprintf(out, "farpage: %s faults", human_count(all.count).text);
    const char *before = ": ";
    for (int i = 0; i < FIGURES_FAULTS_COUNT; i++) {
        if (figures->faults_ns[i].count == 0) continue;
        fprintf(out, "%s%s %s", before, human_count(figures->faults_ns[i].count).text,
                figures_fault_name((enum figures_fault)i));
        before = ", ";
    }
    if (all.count > 0)
        fprintf(out, "; p50 %s, p99 %s", human_time(histogram_quantile(&all, 0.5)).text,
                human_time(histogram_quantile(&all, 0.99)).text);
    const struct histogram *remote = &figures->faults_ns[FIGURES_REMOTE];
    if (remote->count > 0)
        fprintf(out, " (remote p50 %s, p99 %s)", human_time(histogram_quantile(remote, 0.5)).text,
                human_time(histogram_quantile(remote, 0.99)).text);
    fputc('\n', out);
}

static void print_pages(const struct figures *figures, FILE *out)
{
    uint64_t judged = figures->prefetch_used + figures->prefetch_wasted;
    fprintf(out, "farpage: %s pages fetched ahead", human_count(figures->prefetched).text);
    if (judged > 0) fprintf(out, ", %.0f %% used", 100 * figures_prefetch_accuracy(figures));
    fprintf(out, "; %s sent", human_count(figures->stored).text);
    if (figures->stored > 0)
        fprintf(out, " (%s on the wire, ratio %.2f)", human_size(figures->sent_bytes).text,
                ratio_of(figures));
    fprintf(out, ", %s fetched", human_count(figures->loaded).text);
    if (figures->loaded > 0) fprintf(out, " (%s)", human_size(figures->received_bytes).text);
    fprintf(out, ", %s went unsent\n",
            human_count(figures->dropped_clean + figures->dropped_zero).text);
    if (figures->damaged > 0)
        fprintf(out, "farpage: %s pages came damaged, and were asked for again\n",
                human_count(figures->damaged).text);
}

void run_report_text(const struct run_numbers *numbers, FILE *out)
{
    fprintf(out, "farpage: %s wall, %s processor for the program, %s for the pager",
            human_time(numbers->wall_ns).text, human_time(numbers->program_cpu_ns).text,
            human_time(numbers->pager_cpu_ns).text);
    if (numbers->processes_ever > 1)
        fprintf(out, "; %s processes", human_count(numbers->processes_ever).text);
    fprintf(out, "\nfarpage: at most %s resident of --local %s, %s away\n",
            pages(numbers->resident_pages_peak).text, human_size(numbers->limit_bytes).text,
            pages(numbers->away_pages_peak).text);
    if (!numbers->covered) {
        fputs("farpage: it never came near --local, so nothing had to go\n", out);
        return;
    }
    print_faults(&numbers->figures, out);
    print_pages(&numbers->figures, out);
}

void run_report_moment(const struct run_numbers *numbers, FILE *out)
{
    struct histogram all = all_faults(&numbers->figures);
    fprintf(out, "farpage: %s: %s resident, %s away; %s faults, p50 %s, p99 %s; %s sent, %s "
            "fetched%s%s\n", human_time(numbers->wall_ns).text,
            pages(numbers->resident_pages).text, pages(numbers->state.away_pages).text,
            human_count(all.count).text, human_time(histogram_quantile(&all, 0.5)).text,
            human_time(histogram_quantile(&all, 0.99)).text,
            human_count(numbers->figures.stored).text, human_count(numbers->figures.loaded).text,
            numbers->state.full ? "; the server is full" : "",
            numbers->state.gone ? "; the server does not answer" : "");
}

void run_report_json(const struct run_numbers *numbers, FILE *out)
{
    const struct figures *figures = &numbers->figures;
    struct histogram all = all_faults(figures);
    struct json json;
    json_init(&json, out);
    json_object(&json, NULL);
    json_real(&json, "wall_seconds", (double)numbers->wall_ns / 1e9);
    json_real(&json, "program_cpu_seconds", (double)numbers->program_cpu_ns / 1e9);
    json_real(&json, "pager_cpu_seconds", (double)numbers->pager_cpu_ns / 1e9);
    json_number(&json, "processes", numbers->processes_ever);
    json_number(&json, "local_bytes", numbers->limit_bytes);
    json_number(&json, "resident_bytes_peak", numbers->resident_pages_peak * PAGE_BYTES);
    json_number(&json, "away_bytes", numbers->state.away_pages * PAGE_BYTES);
    json_number(&json, "away_bytes_peak", numbers->away_pages_peak * PAGE_BYTES);
    json_number(&json, "pager_bytes", numbers->state.overhead_bytes);
    json_number(&json, "faults", all.count);
    json_number(&json, "fault_ns_p50", histogram_quantile(&all, 0.5));
    json_number(&json, "fault_ns_p99", histogram_quantile(&all, 0.99));
    for (int i = 0; i < FIGURES_FAULTS_COUNT; i++) {
        const struct histogram *of = &figures->faults_ns[i];
        char key[64];
        const char *name = figures_fault_name((enum figures_fault)i);
        snprintf(key, sizeof key, "faults_%s", name);
        json_number(&json, key, of->count);
        snprintf(key, sizeof key, "fault_ns_%s_p50", name);
        json_number(&json, key, histogram_quantile(of, 0.5));
        snprintf(key, sizeof key, "fault_ns_%s_p99", name);
        json_number(&json, key, histogram_quantile(of, 0.99));
    }
#define X(name, text) json_number(&json, #name, figures->name);
    FIGURES_COUNTS(X)
#undef X
    json_real(&json, "prefetch_accuracy", figures_prefetch_accuracy(figures));
    json_real(&json, "ratio", ratio_of(figures));
    json_object_end(&json);
    fputc('\n', out);
}
