/* One range from cursor to closed file; reads like the list of steps it is. A range without rows
 * makes no file: the file is opened at the first object. @threads range worker. */
#include "base/stats.h"
#include "export/export_int.h"
#include "layout/rowhash.h"

#define COUNTED_ROWS 64 /* shared counters are touched once for so many rows */

static sl_rc open_writer(struct sli_job *job, const struct sli_range *range,
                         struct sl_layout *layout, struct sl_pq_writer **ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) key = SL_BUF_EMPTY;
    sli_file_name(job, range, &name);
    sli_key(job, sl_buf_str(&name), &key);
    SL_TRY(sl_buf_done(&name, err));
    SL_TRY(sl_buf_done(&key, err));
    struct sl_stream_opts stream = {.uploaders = job->uploaders,
                                    .parts = job->part_pool,
                                    .cancel = &job->cancel,
                                    .sent_bytes = &job->sent_bytes,
                                    .is_sha256 = job->settings.is_manifest};
    struct sl_sink *sink = NULL;
    SL_TRY(sl_stream_open(job->backend, sl_buf_str(&key), &stream, &sink, err));
    static const enum sl_pq_compression how[] = {[SL_COMPRESSION_FAST] = SL_PQ_BY_ZSTD,
                                                 [SL_COMPRESSION_SMALL] = SL_PQ_BY_ZSTD,
                                                 [SL_COMPRESSION_SNAPPY] = SL_PQ_BY_SNAPPY,
                                                 [SL_COMPRESSION_LZ4_RAW] = SL_PQ_BY_LZ4_RAW,
                                                 [SL_COMPRESSION_NONE] = SL_PQ_BY_NONE};
    bool is_fast = job->settings.compression == SL_COMPRESSION_FAST;
    struct sl_pq_opts opts = {.compression = how[job->settings.compression],
                              .zstd_level = is_fast ? 1 : sli_zstd_level(&job->settings),
                              .is_huffman_off = !is_fast,
                              .group_bytes = job->group_bytes,
                              .group_rows = SLI_GROUP_ROWS,
                              .has_bloom = job->settings.has_bloom,
                              .raw_bytes = &job->raw_bytes};
    sl_layout_schema(layout, &opts);
    sl_rc rc = sl_pq_writer_open(&opts, sink, ret, err);
    if (rc != SL_OK) {
        sl_sink_abort(sink);
    }
    return rc;
}

static void note_first_byte(struct sli_job *job)
{
    int64_t none = 0;
    if (SL_UNLIKELY(atomic_load_explicit(&job->first_byte_ns, memory_order_relaxed) == 0) &&
        atomic_load_explicit(&job->sent_bytes, memory_order_relaxed) > 0) {
        int64_t since = sl_clock_mono_ns(job->ex->opts.clock) - job->started_mono_ns;
        (void)atomic_compare_exchange_strong(&job->first_byte_ns, &none, SL_MAX(since, 1));
    }
}

static sl_rc close_file(struct sli_job *job, const struct sli_range *range, struct sl_pq_writer *w,
                        struct sl_err *err)
{
    const struct sl_shard *s = &job->shards[range->shard_idx].shard;
    struct sli_file *file = &job->files[range - job->ranges];
    SL_AUTO(sl_buf) hash = SL_BUF_EMPTY;
    struct sl_pq_kv kvs[5] = {{SL_STR("collection"), s->class_name}};
    uint32_t count = 1;
    if (s->is_tenant) {
        kvs[count++] = (struct sl_pq_kv){SL_STR("tenant"), s->name};
    }
    kvs[count++] = (struct sl_pq_kv){SL_STR("timestamp_unit"),
                                     sl_str_from(sl_timestamp_unit_name(job->settings.unit))};
    if (job->settings.layout == SL_LAYOUT_LAKE) {
        kvs[count++] = (struct sl_pq_kv){SL_STR("sluice.layout"), SL_STR("lake")};
    }
    sl_row_hash_add_text(&hash, file->row_hash);
    if (job->settings.is_manifest && sli_is_whole(&job->settings)) {
        kvs[count++] = (struct sl_pq_kv){SL_STR("sluice.row_hash"), sl_buf_str(&hash)};
    }
    file->rows = sl_pq_writer_rows(w);
    file->group_count = sl_pq_writer_groups(w);
    struct sl_receipt receipt = {0};
    int64_t begun = sl_clock_mono_ns(job->ex->opts.clock);
    SL_TRY(sl_pq_writer_close(w, kvs, count, &receipt, err));
    file->bytes = receipt.size;
    memcpy(file->sha256, receipt.sha256, sizeof(file->sha256));
    int64_t took = sl_clock_mono_ns(job->ex->opts.clock) - begun;
    atomic_fetch_add_explicit(&job->sync_ns, took, memory_order_relaxed);
    sl_stat_add(SL_STAT_SYNC_NS, (uint64_t)took);
    note_first_byte(job);
    atomic_fetch_add_explicit(&job->file_bytes, receipt.size, memory_order_relaxed);
    atomic_fetch_add_explicit(&job->files_done, 1, memory_order_relaxed);
    sl_stat_add(SL_STAT_BYTES, receipt.size);
    sl_stat_add(SL_STAT_FILES, 1);
    return SL_OK;
}

/* Adds what was counted since the last look, so that the counters are not touched per row. */
static void count_rows(struct sli_job *job, struct sli_shard_job *shard, uint64_t *pending)
{
    atomic_fetch_add_explicit(&shard->rows, *pending, memory_order_relaxed);
    atomic_fetch_add_explicit(&job->rows, *pending, memory_order_relaxed);
    sl_stat_add(SL_STAT_ROWS, *pending);
    *pending = 0;
    note_first_byte(job);
}

/* What the manifest tells of the file's rows. */
static sl_rc note_row(struct sli_file *file, bool is_whole, const struct sl_object *obj,
                      struct sl_buf *scratch, struct sl_err *err)
{
    uint64_t hash = 0;
    if (is_whole) {
        SL_TRY(sl_row_hash(obj, scratch, &hash, err));
    }
    file->row_hash += hash;
    memcpy(file->last_id, obj->uuid, SL_UUID_SIZE);
    return SL_OK;
}

static sl_rc copy_rows(struct sli_job *job, const struct sli_range *range, struct sl_cursor *cur,
                       struct sl_layout *layout, struct sl_pq_writer **w, bool *ret_is_scan,
                       struct sl_err *err)
{
    SL_AUTO(sl_buf) scratch = SL_BUF_EMPTY;
    struct sli_shard_job *shard = &job->shards[range->shard_idx];
    struct sli_file *file = &job->files[range - job->ranges];
    uint64_t pending = 0;
    bool is_narrow = sli_is_narrow(&job->settings), is_whole = sli_is_whole(&job->settings);
    for (;;) {
        const struct sl_object *obj = NULL;
        if (SL_UNLIKELY(sl_cancel_is_set(&job->cancel))) {
            return SL_ECANCELED;
        }
        sl_rc rc = sl_cursor_next(cur, &obj, err);
        if (rc == SL_END) {
            count_rows(job, shard, &pending);
            return SL_OK;
        }
        if (SL_UNLIKELY(rc != SL_OK)) {
            *ret_is_scan = true;
            return rc;
        }
        if (is_narrow && !sli_is_within(&job->settings, obj)) {
            atomic_fetch_add_explicit(&job->passed, 1, memory_order_relaxed);
            continue;
        }
        if (SL_UNLIKELY(*w == NULL)) {
            SL_TRY(open_writer(job, range, layout, w, err));
            memcpy(file->first_id, obj->uuid, SL_UUID_SIZE);
        }
        SL_TRY(sl_layout_put(layout, *w, obj, err));
        if (job->settings.is_manifest) {
            SL_TRY(note_row(file, is_whole, obj, &scratch, err));
        }
        if (++pending == COUNTED_ROWS) {
            count_rows(job, shard, &pending);
        }
    }
}

static void count_tally(struct sli_job *job, const struct sl_layout *layout)
{
    struct sl_layout_tally tally = sl_layout_tally(layout);
    atomic_fetch_add_explicit(&job->nonfinite, tally.nonfinite, memory_order_relaxed);
    atomic_fetch_add_explicit(&job->nulled, tally.nulled, memory_order_relaxed);
}

sl_rc sli_layout_open(const struct sli_job *job, struct sl_str class_json, bool *is_met,
                      struct sl_layout **ret, struct sl_err *err)
{
    struct sl_layout_opts opts = {.kind = job->settings.layout,
                                  .unit = job->settings.unit,
                                  .is_json_annotated = job->settings.is_json_annotated,
                                  .is_uuid_typed = job->settings.is_uuid_typed,
                                  .has_field_ids = job->settings.has_field_ids,
                                  .is_half = job->settings.is_half,
                                  .columns = job->settings.columns,
                                  .column_count = job->settings.column_count,
                                  .is_met = is_met,
                                  .class_json = class_json};
    return sl_layout_open(&opts, ret, err);
}

sl_rc sli_range_run(struct sli_job *job, const struct sli_range *range,
                    struct sli_range_outcome *ret, struct sl_err *err)
{
    /* Last out: the writer borrows from the layout. */
    SL_AUTO_PTR(sl_layout) layout = NULL;
    SL_AUTO_PTR(sl_cursor) cur = NULL;
    SL_AUTO_PTR(sl_pq_writer) w = NULL;
    *ret = (struct sli_range_outcome){.is_scan = true};
    SL_TRY(sli_layout_open(job, job->shards[range->shard_idx].class_json, NULL, &layout, err));
    SL_TRY(job->frozen->ops->cursor(job->frozen, &job->shards[range->shard_idx].shard, &range->key,
                                    &cur, err));
    ret->is_scan = false;
    sl_rc rc = copy_rows(job, range, cur, layout, &w, &ret->is_scan, err);
    count_tally(job, layout);
    SL_TRY(rc);
    ret->has_file = w != NULL;
    return w == NULL ? SL_OK : close_file(job, range, sl_move(&w), err);
}
