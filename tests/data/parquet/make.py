#!/usr/bin/env python3
"""Writes the Parquet files beside it with pyarrow; what is in them is computed again by
tests/unit/parquet/parquet_reader_test.c. Run once, the files are in the repository."""
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).resolve().parent
ROWS = 70

def i32(v):
    return (v + 2**31) % 2**32 - 2**31

def table():
    rows = range(ROWS)
    return pa.table({
        "b": pa.array([None if i % 7 == 3 else i % 3 == 0 for i in rows], pa.bool_()),
        "i32": pa.array([i32(i * 2654435761) for i in rows], pa.int32()),
        "i64": pa.array([i**3 * 1000003 - 2**40 for i in rows], pa.int64()),
        "f": pa.array([i * 0.5 - 10 for i in rows], pa.float32()),
        "d": pa.array([i * 0.25 for i in rows], pa.float64()),
        "s": pa.array([None if i % 5 == 4 else "text-%d" % (i % 13) for i in rows], pa.string()),
        "u": pa.array([bytes((i + j) & 255 for j in range(16)) for i in rows], pa.binary(16)),
        "v": pa.array([None if i % 11 == 10 else [i + k * 0.5 for k in range(i % 4)] for i in rows],
                      pa.list_(pa.float32())),
        "m": pa.array([[[i * 100 + k * 10 + n for n in range(k + 1)] for k in range(i % 3)] for i in rows],
                      pa.list_(pa.list_(pa.float32()))),
    })

DELTAS = {"b": "RLE", "i32": "DELTA_BINARY_PACKED", "i64": "DELTA_BINARY_PACKED", "f": "BYTE_STREAM_SPLIT",
          "d": "BYTE_STREAM_SPLIT", "s": "DELTA_LENGTH_BYTE_ARRAY", "u": "BYTE_STREAM_SPLIT",
          "v.list.element": "BYTE_STREAM_SPLIT", "m.list.element.list.element": "PLAIN"}
FILES = {
    "plain-none-v1": dict(compression="none", use_dictionary=False),
    "plain-zstd-v2": dict(compression="zstd", use_dictionary=False, data_page_version="2.0"),
    "dictionary-snappy-v1": dict(compression="snappy", use_dictionary=True),
    "dictionary-none-v2": dict(compression="none", use_dictionary=True, data_page_version="2.0"),
    "delta-lz4-v2": dict(compression="lz4", use_dictionary=False, column_encoding=DELTAS, data_page_version="2.0"),
}
for name, options in FILES.items():
    pq.write_table(table(), HERE / (name + ".parquet"), row_group_size=40, data_page_size=256, write_batch_size=16,
                   write_page_checksum=True, write_statistics=False, store_schema=False, **options)

# What another tool may make of layout `lake`: ids as text, other units of time, floats of 16 bits.
lake = pa.table({
    "id": pa.array(["00000000-0000-0000-0000-00000000000%d" % i for i in range(3)]),
    "creation_time": pa.array([1700000000123 + i for i in range(3)], pa.timestamp("ms", "UTC")),
    "update_time": pa.array([1700000000123999999, None, -1], pa.timestamp("ns", "UTC")),
    "vector": pa.array([[0.5, -2.0, 6.103515625e-05, 5.960464477539063e-08], [], None], pa.list_(pa.float16())),
    "vector_b": pa.array([[1.5], None, [2.5, 3.5]], pa.list_(pa.float32())),
    "multi_vector_c": pa.array([[[1.0], [], [2.0, 3.0]], None, []], pa.list_(pa.list_(pa.float32()))),
    "properties_json": pa.array(['{"a":1}', None, "{}"]),
    "ignored": pa.array([1, 2, 3]),
}).replace_schema_metadata({"collection": "Lake", "tenant": "t1"})
pq.write_table(lake, HERE / "lake.parquet", compression="zstd", use_dictionary=["properties_json"])
