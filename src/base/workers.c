/* Threads; see workers.h. Every thread has a name and a join; none is detached. */
#include "base/workers.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/queue.h"

struct sl_thread {
    pthread_t id;
    char name[16]; /* the kernel's limit, NUL included */
    sl_work_fn *fn;
    void *arg;
};

static void *thread_main(void *arg)
{
    struct sl_thread *t = arg;
    (void)pthread_setname_np(pthread_self(), t->name);
    t->fn(t->arg);
    return NULL;
}

sl_rc sl_thread_start(const char *name, sl_work_fn *fn, void *arg, struct sl_thread **ret,
                      struct sl_err *err)
{
    struct sl_thread *t = sl_alloc_zero(1, sizeof(*t));
    if (t == NULL) {
        return SL_NOMEM(err);
    }
    (void)snprintf(t->name, sizeof(t->name), "%s", name);
    t->fn = fn;
    t->arg = arg;
    int no = pthread_create(&t->id, NULL, thread_main, t);
    if (no != 0) {
        sl_free(t);
        return SL_FAIL_ERRNO(err, no, "start thread %s", name);
    }
    *ret = t;
    return SL_OK;
}

void sl_thread_join(struct sl_thread *t)
{
    if (t != NULL) {
        sl_assert(pthread_join(t->id, NULL) == 0);
        sl_free(t);
    }
}

/* ---- pool ---- */

struct job {
    sl_work_fn *fn;
    void *arg;
};

struct sl_workers {
    struct sl_queue *queue; /* of struct job, owned by the queue's reader */
    uint32_t thread_count;
    struct sl_thread *threads[];
};

static void worker_main(void *arg)
{
    struct sl_workers *w = arg;
    void *item = NULL;
    while (sl_queue_pop(w->queue, &item) == SL_OK) {
        struct job job = *(struct job *)item;
        sl_free(item);
        job.fn(job.arg);
    }
}

sl_rc sl_workers_new(const char *name, uint32_t thread_count, uint32_t queue_max,
                     struct sl_workers **ret, struct sl_err *err)
{
    SL_AUTO_PTR(sl_workers) w = sl_alloc_zero(1, sizeof(*w) + thread_count * sizeof(w->threads[0]));
    if (w == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(sl_queue_new(queue_max, &w->queue, err));
    for (uint32_t i = 0; i < thread_count; i++) {
        char thread_name[32];
        (void)snprintf(thread_name, sizeof(thread_name), "%s-%u", name, i);
        SL_TRY(sl_thread_start(thread_name, worker_main, w, &w->threads[i], err));
        w->thread_count++;
    }
    *ret = sl_move(&w);
    return SL_OK;
}

static sl_rc add(struct sl_workers *w, sl_work_fn *fn, void *arg,
                 sl_rc (*push)(struct sl_queue *q, void *item))
{
    struct job *job = sl_alloc(sizeof(*job));
    if (job == NULL) {
        return SL_ENOMEM;
    }
    *job = (struct job){fn, arg};
    sl_rc rc = push(w->queue, job);
    if (rc != SL_OK) {
        sl_free(job);
    }
    return rc;
}

sl_rc sl_workers_try_add(struct sl_workers *w, sl_work_fn *fn, void *arg)
{
    return add(w, fn, arg, sl_queue_try_push);
}

sl_rc sl_workers_add(struct sl_workers *w, sl_work_fn *fn, void *arg)
{
    return add(w, fn, arg, sl_queue_push);
}

void sl_workers_free(struct sl_workers *w)
{
    if (w == NULL) {
        return;
    }
    if (w->queue != NULL) {
        sl_queue_close(w->queue);
    }
    for (uint32_t i = 0; i < w->thread_count; i++) {
        sl_thread_join(w->threads[i]);
    }
    sl_queue_free(w->queue);
    sl_free(w);
}

/* ---- CPUs ---- */

/* Quota of the cgroup in whole CPUs, rounded up; 0 when there is none ("max"). */
static uint32_t cgroup_cpus(void)
{
    /* The file has no size, so it is read in one small bite. "max 100000" or "150000 100000". */
    char line[64] = "";
    FILE *in = fopen("/sys/fs/cgroup/cpu.max", "re"); /* allow: fopen, a kernel file without size */
    if (in == NULL) {
        return 0;
    }
    bool has_line = fgets(line, sizeof(line), in) != NULL;
    (void)fclose(in);
    char *blank = strchr(line, ' ');
    char *end = strchr(line, '\n');
    if (!has_line || blank == NULL || end == NULL) {
        return 0;
    }
    uint64_t quota = 0, period = 0;
    if (!sl_u64_parse((struct sl_str){line, (size_t)(blank - line)}, &quota) ||
        !sl_u64_parse((struct sl_str){blank + 1, (size_t)(end - blank - 1)}, &period) ||
        period == 0) {
        return 0;
    }
    return (uint32_t)SL_MIN((quota + period - 1) / period, (uint64_t)UINT32_MAX);
}

uint32_t sl_cpu_count(void)
{
    cpu_set_t set;
    uint32_t count = 1;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        count = (uint32_t)CPU_COUNT(&set);
    }
    uint32_t quota = cgroup_cpus();
    return SL_MAX(1U, quota == 0 ? count : SL_MIN(count, quota));
}
