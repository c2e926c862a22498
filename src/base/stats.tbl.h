/* SL_STAT(enum, metric, unit, text): the one home of every counter. */
SL_STAT(SL_STAT_ROWS, "sluice_export_rows_total", "rows", "Rows written to export files")
SL_STAT(SL_STAT_BYTES, "sluice_export_bytes_total", "bytes", "Bytes of finished export files")
SL_STAT(SL_STAT_FILES, "sluice_export_files_total", "files", "Finished export files")
SL_STAT(SL_STAT_REQUESTS, "sluice_requests_total", "requests", "REST requests answered")
SL_STAT(SL_STAT_OBJECTS_WRITTEN, "sluice_objects_written_total", "objects", "Objects stored, replaced or deleted")
SL_STAT(SL_STAT_SYNCS, "sluice_store_syncs_total", "syncs", "Durable syncs of the store's log")
