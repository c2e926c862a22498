//! arrow_rs LAYOUT REPEATS GROUP OUT FILE...: what arrow-rs takes to write the rows of Parquet files.
//!
//! The rows are read into memory first; then they are written to OUT, one time more than counted, since the first
//! touches fresh memory. Zstd level 1, no dictionary, byte-split floats in layout lake, as bench/peers.py asks of
//! all. Prints one JSON line: the least CPU (user and system) and wall time of the runs.
use std::error::Error;
use std::fs::{self, File};
use std::time::Instant;

use arrow_array::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::WriterProperties;

fn cpu_s() -> f64 {
    let mut used = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: with RUSAGE_SELF and room for it, getrusage fills the whole struct and cannot fail.
    let used = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, used.as_mut_ptr());
        used.assume_init()
    };
    let (user, system) = (used.ru_utime, used.ru_stime);
    (user.tv_sec + system.tv_sec) as f64 + (user.tv_usec + system.tv_usec) as f64 / 1e6
}

/// Not from getrusage, whose peak begins with that of the process that started this one.
fn peak_mib() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .ok_or("no VmHWM")?;
    Ok(peak.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}

fn rows_of(files: &[String]) -> Result<Vec<RecordBatch>, Box<dyn Error>> {
    let mut batches = Vec::new();
    for file in files {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file)?)?
            .with_batch_size(10_000)
            .build()?;
        batches.extend(reader.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(batches)
}

fn settings(
    layout: &str,
    group: usize,
    rows: &RecordBatch,
) -> Result<WriterProperties, Box<dyn Error>> {
    let mut made = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_dictionary_enabled(false)
        .set_data_page_size_limit(1 << 20)
        .set_max_row_group_row_count(Some(group));
    for column in ArrowSchemaConverter::new()
        .convert(rows.schema_ref())?
        .columns()
    {
        if layout == "lake" && column.path().string().starts_with("vector.") {
            made = made.set_column_encoding(column.path().clone(), Encoding::BYTE_STREAM_SPLIT);
        }
    }
    Ok(made.build())
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, layout, repeats, group, out, files @ ..] = args.as_slice() else {
        return Err("usage: arrow_rs LAYOUT REPEATS GROUP OUT FILE...".into());
    };
    let batches = rows_of(files)?;
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let settings = settings(layout, group.parse()?, batches.first().ok_or("no rows")?)?;
    let (mut least_cpu, mut least_wall) = (f64::MAX, f64::MAX);
    for run in 0..=repeats.parse::<u32>()? {
        let (cpu, wall) = (cpu_s(), Instant::now());
        let mut writer = ArrowWriter::try_new(
            File::create(out)?,
            batches[0].schema(),
            Some(settings.clone()),
        )?;
        for batch in &batches {
            writer.write(batch)?;
        }
        writer.close()?;
        if run > 0 {
            least_cpu = least_cpu.min(cpu_s() - cpu);
            least_wall = least_wall.min(wall.elapsed().as_secs_f64());
        }
    }
    println!(
        "{{\"bench\": \"peer\", \"layout\": \"{layout}\", \"writer\": \"arrow-rs\", \"rows\": {rows}, \
         \"cpu_us_per_row\": {:.2}, \"wall_s\": {:.2}, \"bytes_per_row\": {:.1}, \"peak_rss_mib\": {}}}",
        1e6 * least_cpu / rows as f64,
        least_wall,
        fs::metadata(out)?.len() as f64 / rows as f64,
        peak_mib()?
    );
    Ok(())
}
