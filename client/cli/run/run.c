/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life: what can be known before is looked at (the program, the rights, the limit) -> the server is
 * asked for an area -> the pager's thread is started, with the door for agents -> the program -> it
 * ended, and all that came from it -> the pager, the area and the door go -> we end as it did.
 *
 * The program's memory is nowhere but here and on the server, so whoever ends this process ends the
 * program: its agent sees to that. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/cli/cli.h"
#include "client/cli/run/run_child.h"
#include "client/cli/run/run_limit.h"
#include "client/cli/run/run_program.h"
#include "client/cli/run/run_report.h"
#include "client/cli/run/run_rights.h"
#include "client/uffd/tree.h"

enum { PAGE_BYTES = 4096, LOOK_NS = 50000000, PREFETCH_PAGES = 64, AREA_NAME_BYTES = 128 };
#define REMOTE_BYTES (1ull << 40) /* an area costs what is in it */

struct run {
    const struct cli *cli;
    char path[RUN_PATH_BYTES];
    struct run_rights rights;
    uint64_t limit_bytes, begun_ns, told_ns;
    enum pager_mode mode;
    bool pinned;
    enum pager_evict evict;
    struct farpage *client;
    struct farpage_area *area;
    struct agent_door door;
    struct pager_budget budget;
    struct tree tree;
    struct pager *pager;
    pthread_t thread;
    bool running;
    struct run_child child;
    _Atomic int for_the_rest; /* a signal, to what is left when the program has ended */
    pthread_mutex_t lock; /* guards told and numbers, of a moment */
    pthread_cond_t told_now;
    bool told;
    struct run_numbers numbers;
};

static void say(void *context, const char *line)
{
    (void)context;
    fprintf(stderr, "farpage: %s\n", line);
}

static void on_notice(void *context, const struct pager_notice *notice)
{
    (void)context;
    if (notice->pid != 0)
        fprintf(stderr, "farpage: process %d: %s\n", notice->pid, notice->text);
    else
        fprintf(stderr, "farpage: %s\n", notice->text);
}

/* --- before ----------------------------------------------------------------------------------- */

static bool read_modes(struct run *run, struct complaint *complaint)
{
    const char *mode = run->cli->mode, *evict = run->cli->evict;
    bool spin = mode != NULL && strcmp(mode, "spin") == 0;
    bool pinned = mode != NULL && strcmp(mode, "pinned") == 0;
    bool move = evict != NULL && strcmp(evict, "move") == 0;
    bool protect = evict != NULL && strcmp(evict, "protect") == 0;
    if (mode != NULL && !spin && !pinned && strcmp(mode, "handler") != 0) {
        complain(complaint, "--mode: '%.40s' is none of handler, spin and pinned", mode);
        return false;
    }
    if (evict != NULL && !move && !protect) {
        complain(complaint, "--evict: '%.40s' is neither move nor protect", evict);
        return false;
    }
    run->mode = spin ? PAGER_SPIN : PAGER_HANDLER;
    run->pinned = pinned;
    run->evict = move ? PAGER_EVICT_MOVE : protect ? PAGER_EVICT_PROTECT : PAGER_EVICT_BEST;
    return true;
}

static bool read_limit(struct run *run, struct complaint *complaint)
{
    uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t total = run->cli->total_bytes != 0 ? run->cli->total_bytes : memory;
    if (run->cli->local == NULL) {
        complain(complaint, "'run' needs --local SIZE: how much of the program's memory may stay "
                 "here");
        return false;
    }
    return run_limit_parse(run->cli->local, total, &run->limit_bytes, complaint);
}

/* Beside this program in a build, else where it was installed. */
static bool find_agent(char path[RUN_PATH_BYTES], struct complaint *complaint)
{
    static const char *const places[] = {"libfarpage-agent.so", FARPAGE_AGENT_FROM_BIN
                                         "/libfarpage-agent.so"};
    char own[PATH_MAX];
    ssize_t bytes = readlink("/proc/self/exe", own, sizeof own - 1);
    own[bytes > 0 ? (size_t)bytes : 0] = '\0';
    char *slash = strrchr(own, '/');
    if (slash != NULL) *slash = '\0';
    for (size_t i = 0; i < FP_COUNT_OF(places) + 1; i++) {
        int length = i < FP_COUNT_OF(places)
                         ? snprintf(path, RUN_PATH_BYTES, "%s/%s", own, places[i])
                         : snprintf(path, RUN_PATH_BYTES, "%s/libfarpage-agent.so",
                                    FARPAGE_AGENT_DIRECTORY);
        if (length >= RUN_PATH_BYTES || access(path, R_OK) != 0) continue;
        if (strpbrk(path, " :") == NULL) return true; /* LD_PRELOAD ends a name there */
    }
    complain(complaint, "libfarpage-agent.so is neither beside farpage nor in %s",
             FARPAGE_AGENT_DIRECTORY);
    return false;
}

static int check(struct run *run, char agent[RUN_PATH_BYTES], struct complaint *complaint)
{
    if (!read_limit(run, complaint) || !read_modes(run, complaint)) return RUN_FAILED;
    if (getenv(AGENT_VARIABLE) != NULL) {
        complain(complaint, "this is within 'farpage run' already, and one pages all that it "
                 "starts ($" AGENT_VARIABLE " is set)");
        return RUN_FAILED;
    }
    int code = run_program_find(run->cli->operands[0], getenv("PATH"), run->path, complaint);
    if (code != 0) return code;
    bool good = find_agent(agent, complaint) &&
                run_rights_find(run->cli->user_mode_only, &run->rights, complaint);
    return good ? 0 : RUN_FAILED;
}

/* --- the pager -------------------------------------------------------------------------------- */

/* Named so that an operator sees whose it is; gone when we are. */
static bool open_area(struct run *run, struct complaint *complaint)
{
    char name[AREA_NAME_BYTES], host[64] = "";
    (void)gethostname(host, sizeof host - 1);
    for (char *c = host; *c != '\0'; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= '0' && *c <= '9') || *c == '-' || *c == '.';
        if (!plain) *c = '-';
    }
    snprintf(name, sizeof name, "farpage-run-%s-%ld", host, (long)getpid());
    uint64_t bytes = run->cli->remote_bytes != 0 ? run->cli->remote_bytes : REMOTE_BYTES;
    struct farpage_area_options options = {
        .slots = bytes / PAGE_BYTES, .flags = FARPAGE_AREA_TRANSIENT, .page_bytes = PAGE_BYTES};
    if (farpage_area_open(run->client, name, &options, &run->area) == FARPAGE_OK) return true;
    complain(complaint, "%s", farpage_error(run->client));
    return false;
}

static void *serve(void *context)
{
    struct run *run = context;
    pager_run(run->pager);
    return NULL;
}

/* What is on the way to the server must not wait for this machine's own swap. */
static void lock_memory(void)
{
    struct rlimit limit;
    bool may = getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
               (geteuid() == 0 || limit.rlim_cur == RLIM_INFINITY);
    if (may) (void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

/* The pager's thread and the program, with its agent, inherit it: who wakes whom need not wake a
 * processor for it. */
static bool stay_on_one_processor(struct complaint *complaint)
{
    cpu_set_t one;
    int cpu = sched_getcpu();
    CPU_ZERO(&one);
    if (cpu >= 0 && cpu < CPU_SETSIZE) CPU_SET((size_t)cpu, &one);
    if (cpu >= 0 && sched_setaffinity(0, sizeof one, &one) == 0) return true;
    complain_errno(complaint, errno, "--mode pinned: cannot stay on one processor");
    return false;
}

static bool start_pager(struct run *run, struct complaint *complaint)
{
    if (run->pinned && !stay_on_one_processor(complaint)) return false;
    int error = agent_door_open(&run->door, run->rights.how);
    if (error != 0) {
        complain_errno(complaint, error, "cannot make a socket for agents");
        return false;
    }
    run->budget.limit_pages = run->limit_bytes / PAGE_BYTES;
    tree_init(&run->tree, &run->door, &run->budget, run->rights.abilities);
    run->tree.say = say;
    struct pager_options options = {
        .area = run->area, .budget = &run->budget, .mode = run->mode, .evict = run->evict,
        .grace_ms = (uint32_t)(run->cli->grace_ns / 1000000), .prefetch_pages_max = PREFETCH_PAGES,
        .user_mode = run->rights.how == AGENT_USER_MODE, .notice = on_notice,
        .forked = tree_forked, .ended = tree_ended, .context = &run->tree};
    const char *why = NULL;
    run->pager = pager_create(&options, &why);
    if (run->pager == NULL) {
        complain(complaint, "%s", why != NULL ? why : "out of memory");
        return false;
    }
    tree_start(&run->tree, run->pager);
    lock_memory();
    error = pthread_create(&run->thread, NULL, serve, run);
    run->running = error == 0;
    if (error != 0) complain_errno(complaint, error, "cannot start a thread");
    return error == 0;
}

static void stop_pager(struct run *run)
{
    if (run->running) {
        pager_stop(run->pager);
        (void)pthread_join(run->thread, NULL);
    }
    run->running = false;
}

static void clean_up(struct run *run)
{
    stop_pager(run);
    if (run->pager != NULL) {
        tree_stop(&run->tree);
        pager_destroy(&run->pager);
    }
    if (run->door.fd >= 0) agent_door_close(&run->door);
    if (run->client != NULL) farpage_disconnect(&run->client);
}

/* --- numbers ---------------------------------------------------------------------------------- */

static uint64_t nanoseconds(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_usec * 1000;
}

static uint64_t cpu_of(int who)
{
    struct rusage usage;
    if (getrusage(who, &usage) != 0) return 0;
    return nanoseconds(&usage.ru_utime) + nanoseconds(&usage.ru_stime);
}

/* On the pager's thread, or when it has stopped. */
static void take_numbers(struct run *run)
{
    struct run_numbers *numbers = &run->numbers;
    *numbers = (struct run_numbers){
        .wall_ns = clock_monotonic_ns() - run->begun_ns,
        .program_cpu_ns = cpu_of(RUSAGE_CHILDREN),
        .pager_cpu_ns = cpu_of(RUSAGE_SELF),
        .limit_bytes = run->limit_bytes,
        .resident_pages = atomic_load(&run->tree.resident_pages),
        .resident_pages_peak = atomic_load(&run->tree.resident_pages_peak),
        .away_pages_peak = atomic_load(&run->tree.away_pages_peak),
        .processes = atomic_load(&run->tree.count),
        .processes_ever = atomic_load(&run->tree.ever),
        .covered = run->tree.covering,
        .figures = *pager_figures(run->pager),
    };
    pager_state(run->pager, &numbers->state);
}

static void take_numbers_of_now(void *context)
{
    struct run *run = context;
    pthread_mutex_lock(&run->lock);
    take_numbers(run);
    run->told = true;
    pthread_cond_signal(&run->told_now);
    pthread_mutex_unlock(&run->lock);
}

static void tell_moment(struct run *run)
{
    pthread_mutex_lock(&run->lock);
    run->told = false;
    if (pager_post(run->pager, take_numbers_of_now, run)) {
        while (!run->told) pthread_cond_wait(&run->told_now, &run->lock);
        if (run->cli->json) run_report_json(&run->numbers, stderr);
        else run_report_moment(&run->numbers, stderr);
    }
    pthread_mutex_unlock(&run->lock);
}

/* --- the program ------------------------------------------------------------------------------ */

/* A variable that holds a list: `word` and the separator go before what is in it. */
static bool put_before(const char *name, const char *word, char separator)
{
    char list[2 * RUN_PATH_BYTES];
    const char *before = getenv(name);
    bool more = before != NULL && before[0] != '\0';
    int length = snprintf(list, sizeof list, "%s%.1s%s", word, more ? &separator : "",
                          more ? before : "");
    return length < (int)sizeof list && setenv(name, list, 1) == 0;
}

static bool prepare_environment(const struct run *run, const char *agent,
                                struct complaint *complaint)
{
    char variable[AGENT_VARIABLE_BYTES];
    agent_door_variable(&run->door, variable);
    bool good = put_before("LD_PRELOAD", agent, ':') && setenv(AGENT_VARIABLE, variable, 1) == 0;
    /* The kernel writes to a thread's rseq area whenever it lets it run again, and where it may not
     * wait for a page it ends the program instead. */
    if (good && run->rights.how == AGENT_USER_MODE)
        good = put_before("GLIBC_TUNABLES", "glibc.pthread.rseq=0", ':');
    if (!good) complain(complaint, "the environment has no room for LD_PRELOAD");
    return good;
}

/* To what is left of the program when it has ended itself. */
static void signal_the_rest(void *context)
{
    struct run *run = context;
    tree_signal(&run->tree, atomic_exchange(&run->for_the_rest, 0));
}

/* Until nothing that came from the program is left. */
static void watch_program(struct run *run)
{
    uint64_t every_ns = run->cli->stats_ns;
    run->told_ns = run->begun_ns;
    while (!run->child.ended || tree_lives(&run->tree)) {
        run_child_wait(&run->child, run->child.ended ? LOOK_NS / 10 : LOOK_NS);
        if (run->child.last_signal != 0) {
            atomic_store(&run->for_the_rest, run->child.last_signal);
            run->child.last_signal = 0;
            (void)!pager_post(run->pager, signal_the_rest, run);
        }
        if (every_ns == 0 || clock_monotonic_ns() - run->told_ns < every_ns) continue;
        run->told_ns += every_ns;
        tell_moment(run);
    }
}

static int run_it(struct run *run, struct complaint *complaint)
{
    char agent[RUN_PATH_BYTES];
    int code = check(run, agent, complaint);
    if (code != 0) return code;
    if (!cli_connect(run->cli, &run->client, &code)) {
        complaint->text[0] = '\0'; /* it was said */
        return RUN_FAILED;
    }
    run_child_hold_signals(&run->child);
    bool ready = open_area(run, complaint) && start_pager(run, complaint) &&
                 prepare_environment(run, agent, complaint);
    if (!ready) return RUN_FAILED;
    run->begun_ns = clock_monotonic_ns();
    code = run_child_start(&run->child, run->path, run->cli->operands, environ, complaint);
    if (code != 0) return code;
    watch_program(run);
    stop_pager(run);
    if (run->cli->stats) {
        take_numbers(run);
        if (run->cli->json) run_report_json(&run->numbers, stderr);
        else run_report_text(&run->numbers, stderr);
    }
    return 0;
}

int cli_run(const struct cli *cli)
{
    struct run *run = calloc(1, sizeof *run);
    struct complaint complaint = {{0}};
    if (run == NULL) return cli_fail(cli, RUN_FAILED, "out of memory");
    run->cli = cli;
    run->door.fd = -1;
    (void)pthread_mutex_init(&run->lock, NULL);
    (void)pthread_cond_init(&run->told_now, NULL);
    int code = run_it(run, &complaint);
    struct run_child child = run->child;
    clean_up(run);
    free(run);
    if (code == 0) run_child_end_as_it_did(&child);
    return complaint.text[0] != '\0' ? cli_fail(cli, code, "%s", complaint.text) : code;
}
