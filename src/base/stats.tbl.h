/* The one home of every number the node tells about itself (/metrics, docs/metrics.md).
 *
 * SL_STAT(enum, kind, metric, labels, text): rows of one metric stand together, the text of the
 * first is its HELP. COUNTER only grows; GAUGE is set; SECONDS is a counter kept in nanoseconds.
 * SL_HISTOGRAM(enum, metric, text, bounds...): durations; bounds in seconds.
 * Names without sluice_ in front are the reference's, with its labels and buckets, so that boards
 * and alarms made for it go on; requests_total is a gauge there, although it only grows. Standing
 * at 0 from the start, where the reference shows a series after its first event, costs no board
 * anything and lets rate() see the first event. Who includes this defines the macros he wants. */
#ifndef SL_STAT
#define SL_STAT(...)
#endif
#ifndef SL_HISTOGRAM
#define SL_HISTOGRAM(...)
#endif
/* ---- exports ---- */
SL_STAT(SL_STAT_ROWS, COUNTER, "weaviate_export_objects_total", "", "Total number of objects exported.")
SL_STAT(SL_STAT_EXPORTS_SUCCESS, COUNTER, "weaviate_export_operations_total", "status=\"success\"",
        "Total number of export operations by terminal status.")
SL_STAT(SL_STAT_EXPORTS_FAILED, COUNTER, "weaviate_export_operations_total", "status=\"failed\"", "")
SL_STAT(SL_STAT_EXPORTS_CANCELED, COUNTER, "weaviate_export_operations_total", "status=\"canceled\"", "")
SL_HISTOGRAM(SL_HISTOGRAM_COORDINATION, "weaviate_export_coordination_duration_seconds",
             "Duration of an accepted POST: checks, instant, plan, metadata. Does not include the scan and "
             "upload phase.",
             1, 5, 10, 15, 30, 45, 60)
SL_HISTOGRAM(SL_HISTOGRAM_EXPORT, "weaviate_export_duration_seconds",
             "Duration of the export scan and upload phase on a participant node.",
             10, 30, 60, 300, 600, 1800, 3600, 7200, 14400, 28800, 86400)
SL_STAT(SL_STAT_EXPORT_CALLS_OK, GAUGE, "requests_total",
        "api=\"rest\",class_name=\"\",query_type=\"export\",status=\"ok\"",
        "Number of export requests by outcome; a missing or finished export is a user error.")
SL_STAT(SL_STAT_EXPORT_CALLS_USER, GAUGE, "requests_total",
        "api=\"rest\",class_name=\"\",query_type=\"export\",status=\"user_error\"", "")
SL_STAT(SL_STAT_EXPORT_CALLS_SERVER, GAUGE, "requests_total",
        "api=\"rest\",class_name=\"\",query_type=\"export\",status=\"server_error\"", "")
SL_STAT(SL_STAT_SENT, COUNTER, "backup_store_data_transferred",
        "backend_name=\"backup-filesystem\",class_name=\"class\"",
        "Total number of bytes transferred during a backup store; here of exports, records included.")
SL_STAT(SL_STAT_EXPORT_RUNNING, GAUGE, "sluice_export_running", "", "Exports that hold the node's slot, 0 or 1.")
SL_STAT(SL_STAT_BYTES, COUNTER, "sluice_export_bytes_total", "", "Bytes of finished export files.")
SL_STAT(SL_STAT_FILES, COUNTER, "sluice_export_files_total", "", "Finished export files.")
SL_STAT(SL_STAT_RANGES, COUNTER, "sluice_export_ranges_total", "", "Ranges read to their end.")
SL_STAT(SL_STAT_RANGES_RUNNING, GAUGE, "sluice_export_ranges_running", "", "Ranges being read now.")
SL_STAT(SL_STAT_SYNC_NS, SECONDS, "sluice_export_close_seconds_total", "",
        "Time ranges spent on the last parts, footer, fsync and rename of their files.")
SL_STAT(SL_STAT_UPLOAD_WAIT_NS, SECONDS, "sluice_export_queue_wait_seconds_total", "",
        "Time ranges waited for the queue of the uploaders: the destination is slower than the scan.")
SL_STAT(SL_STAT_RETRIES, COUNTER, "sluice_export_retries_total", "", "Requests to a destination tried again after a failure.")
/* ---- requests ---- */
SL_STAT(SL_STAT_REQUESTS, COUNTER, "sluice_requests_total", "api=\"rest\"", "Requests answered.")
SL_STAT(SL_STAT_CALLS, COUNTER, "sluice_requests_total", "api=\"grpc\"", "")
SL_HISTOGRAM(SL_HISTOGRAM_REQUEST, "sluice_request_duration_seconds",
             "Duration of REST requests from their header to the end of their handler.",
             0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30)
SL_STAT(SL_STAT_REQUEST_WAIT_NS, SECONDS, "sluice_request_queue_wait_seconds_total", "",
        "Time whole REST requests waited for a worker.")
SL_STAT(SL_STAT_REQUESTS_OPEN, GAUGE, "sluice_requests_open", "", "REST requests waiting, at work or being answered.")
SL_STAT(SL_STAT_REFUSED_SIZE, COUNTER, "sluice_requests_refused_total", "reason=\"size\"",
        "Requests refused before their handler: body too large, no memory for it, queue full (REST), too many of one "
        "address in a second, or too many wrong keys of it (REST and gRPC).")
SL_STAT(SL_STAT_REFUSED_MEMORY, COUNTER, "sluice_requests_refused_total", "reason=\"memory\"", "")
SL_STAT(SL_STAT_REFUSED_QUEUE, COUNTER, "sluice_requests_refused_total", "reason=\"queue\"", "")
SL_STAT(SL_STAT_REFUSED_RATE, COUNTER, "sluice_requests_refused_total", "reason=\"rate\"", "")
SL_STAT(SL_STAT_CONNECTIONS, GAUGE, "sluice_connections", "", "Open REST connections.")
/* ---- store ---- */
SL_STAT(SL_STAT_OBJECTS_WRITTEN, COUNTER, "sluice_objects_written_total", "", "Objects stored, replaced or deleted.")
SL_STAT(SL_STAT_SYNCS, COUNTER, "sluice_store_syncs_total", "", "Durable syncs of the store's log.")
SL_STAT(SL_STAT_STORE_SYNC_NS, SECONDS, "sluice_store_sync_seconds_total", "", "Time of those syncs.")
/* ---- memory: one row a budget, in the order of enum sl_budget_part ---- */
SL_STAT(SL_STAT_MEMORY_SIZE, GAUGE, "sluice_memory_budget_bytes", "part=\"bodies\"",
        "Size of each memory budget; of export_parts, that of the running export.")
SL_STAT(SL_STAT_MEMORY_SIZE_1, GAUGE, "sluice_memory_budget_bytes", "part=\"trees\"", "")
SL_STAT(SL_STAT_MEMORY_SIZE_2, GAUGE, "sluice_memory_budget_bytes", "part=\"messages\"", "")
SL_STAT(SL_STAT_MEMORY_SIZE_3, GAUGE, "sluice_memory_budget_bytes", "part=\"export_parts\"", "")
SL_STAT(SL_STAT_MEMORY_USED, GAUGE, "sluice_memory_used_bytes", "part=\"bodies\"", "Bytes taken from each memory budget.")
SL_STAT(SL_STAT_MEMORY_USED_1, GAUGE, "sluice_memory_used_bytes", "part=\"trees\"", "")
SL_STAT(SL_STAT_MEMORY_USED_2, GAUGE, "sluice_memory_used_bytes", "part=\"messages\"", "")
SL_STAT(SL_STAT_MEMORY_USED_3, GAUGE, "sluice_memory_used_bytes", "part=\"export_parts\"", "")
SL_STAT(SL_STAT_MEMORY_WAIT_NS, SECONDS, "sluice_memory_wait_seconds_total", "part=\"bodies\"",
        "Time threads waited for room in each memory budget; bodies are refused instead.")
SL_STAT(SL_STAT_MEMORY_WAIT_NS_1, SECONDS, "sluice_memory_wait_seconds_total", "part=\"trees\"", "")
SL_STAT(SL_STAT_MEMORY_WAIT_NS_2, SECONDS, "sluice_memory_wait_seconds_total", "part=\"messages\"", "")
SL_STAT(SL_STAT_MEMORY_WAIT_NS_3, SECONDS, "sluice_memory_wait_seconds_total", "part=\"export_parts\"", "")
/* ---- process ---- */
SL_STAT(SL_STAT_BUILD, GAUGE, "sluice_build_info", "version=\"" SL_VERSION "\"", "Always 1; the label tells the version.")
SL_STAT(SL_STAT_DATA_FREE, GAUGE, "sluice_data_free_bytes", "", "Bytes free where the data folder lies.")
SL_STAT(SL_STAT_LOG_DROPPED, COUNTER, "sluice_log_lines_dropped_total", "", "Repeated log lines that were not written.")
SL_STAT(SL_STAT_CPU_NS, SECONDS, "process_cpu_seconds_total", "", "Processor time of the process, user and system.")
SL_STAT(SL_STAT_RESIDENT, GAUGE, "process_resident_memory_bytes", "", "Resident memory of the process.")
SL_STAT(SL_STAT_STARTED, GAUGE, "process_start_time_seconds", "", "Unix time of the start.")
#undef SL_STAT
#undef SL_HISTOGRAM
