/* SL_OPTION(field, kind, variable, flag, default, min, max, allowed, text): the one home of every
 * setting of sluiced. flag is NULL when only the environment may say it. min/max are bytes for SIZE. */
SL_OPTION(host, TEXT, "SLUICE_HOST", "host", "127.0.0.1", 0, 0, "an IP address or host name",
          "Address the REST server listens on")
SL_OPTION(port, INT, "SLUICE_PORT", "port", "8080", 0, 65535, NULL,
          "Port of the REST server; 0 takes a free one and logs it")
SL_OPTION(data_path, TEXT, "PERSISTENCE_DATA_PATH", "data", "./data", 0, 0, "a folder",
          "Folder of the database; made when absent")
SL_OPTION(node_name, TEXT, "CLUSTER_HOSTNAME", "node-name", "", 0, 0, "[A-Za-z0-9._-]+, at most 255",
          "Name of this node in replies and status files; the host name when empty")
SL_OPTION(export_enabled, BOOL, "EXPORT_ENABLED", NULL, "false", 0, 0, NULL,
          "Serve the export API")
SL_OPTION(export_bucket, TEXT, "EXPORT_DEFAULT_BUCKET", NULL, "", 0, 0, NULL,
          "Bucket of the object-store backends; the filesystem backend ignores it")
SL_OPTION(export_path, TEXT, "EXPORT_DEFAULT_PATH", NULL, "", 0, 0, "a folder",
          "Where the filesystem backend writes; <data>/exports when empty")
SL_OPTION(export_parallelism, INT, "EXPORT_PARALLELISM", NULL, "0", 0, 1024, NULL,
          "Ranges written at the same time; 0 means one per CPU, at most 4 per CPU count")
SL_OPTION(memory_max, SIZE, "SLUICE_MEMORY_MAX", "memory-max", "256MiB", 134217728, 1099511627776, NULL,
          "Memory of the whole process, divided at start between store, row groups, parts and requests")
SL_OPTION(timestamp_unit, CHOICE, "SLUICE_TIMESTAMP_UNIT", NULL, "ns", 0, 0, "ns|ms",
          "Unit of creation_time and update_time in exported files")
SL_OPTION(compression, CHOICE, "SLUICE_COMPRESSION", NULL, "fast", 0, 0, "fast|small",
          "fast: entropy coding only for vectors; small: Zstd level 1 for vectors, 3 for the rest")
SL_OPTION(json_annotation, BOOL, "SLUICE_JSON_ANNOTATION", NULL, "false", 0, 0, NULL,
          "Annotate the JSON columns as JSON; some readers then change their type")
SL_OPTION(is_sync, BOOL, "SLUICE_SYNC", NULL, "true", 0, 0, NULL,
          "Make every write durable before it is acknowledged; off may lose the last writes in a crash")
SL_OPTION(offload_path, TEXT, "SLUICE_OFFLOAD_PATH", NULL, "", 0, 0, "a folder",
          "Where OFFLOADED tenants are kept; <data>/offload when empty")
SL_OPTION(auto_schema, BOOL, "AUTOSCHEMA_ENABLED", NULL, "true", 0, 0, NULL,
          "Make missing collections and properties from the first object")
SL_OPTION(limit_default, INT, "QUERY_DEFAULTS_LIMIT", NULL, "10", 1, 1000000, NULL,
          "Objects of a list when the request names no limit")
SL_OPTION(limit_max, INT, "QUERY_MAXIMUM_RESULTS", NULL, "10000", 1, 1000000, NULL,
          "Most objects one list may ask for, offset included")
SL_OPTION(body_max, SIZE, "SLUICE_BODY_MAX", NULL, "100MiB", 1024, 1073741824, NULL,
          "Largest request body")
SL_OPTION(connections_max, INT, "SLUICE_CONNECTIONS_MAX", NULL, "4096", 16, 65536, NULL,
          "Connections open at the same time")
SL_OPTION(request_timeout_s, INT, "SLUICE_REQUEST_TIMEOUT", NULL, "60", 1, 3600, NULL,
          "Seconds a silent connection may stay open")
SL_OPTION(log_level, CHOICE, "LOG_LEVEL", NULL, "info", 0, 0, "debug|info|warning|error",
          "Least level that is logged")
SL_OPTION(log_format, CHOICE, "LOG_FORMAT", NULL, "json", 0, 0, "json|text", "Form of log lines")
