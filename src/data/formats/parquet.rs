//! Parquet with embedded pictures, as on Hugging Face: a column `image` of `bytes` and `path`, a column of labels,
//! and class names in the metadata.
//!
//! Reading a picture skips the preceding pages of its row group without decompressing them.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::DataType;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetStatisticsPolicy, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, FileReader, Length};
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};
use parquet::schema::types::ColumnDescPtr;

use super::file_slice::{FileSlice, SliceReader};
use super::labels::LabelBuilder;
use super::{FILE_LIMIT, PictureData, PictureSet, PictureStore, parquet_pages};
use crate::data::DataError;

const KIND: &str = "a Parquet file";
/// Names of the picture column, in order of preference; its bytes are in `bytes`.
const PICTURE_COLUMNS: [&str; 8] = ["image", "img", "images", "picture", "jpg", "png", "webp", "pixel_values"];
/// Names of the label column, in order of preference.
const LABEL_COLUMNS: [&str; 7] = ["label", "fine_label", "labels", "class", "cls", "target", "y"];
/// Labels to read at a time.
const CHUNK_ROWS: usize = 8192;

/// Whether a file belongs to a set, by its name.
pub(super) fn is_shard(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".parquet")
}

/// The pictures of one row group.
#[derive(Debug)]
struct RowGroup {
    file: u32,
    /// Index of its first row in the file and in the set.
    first: [u64; 2],
    rows: u64,
    chunk: ColumnChunkMetaData,
    column: ColumnDescPtr,
}

#[derive(Debug)]
struct ParquetPictures {
    files: Vec<PathBuf>,
    groups: Vec<RowGroup>,
    count: u64,
}

/// Opens Parquet files as one set.
pub(super) fn open(files: Vec<PathBuf>) -> Result<PictureSet, DataError> {
    let mut set = ParquetPictures { files, groups: Vec::new(), count: 0 };
    let (mut builder, mut names) = (LabelBuilder::default(), Vec::new());
    for number in 0..set.files.len() {
        let slice = FileSlice::open(&set.files[number])?;
        let class_names = guarded(|| set.add(number as u32, &slice, &mut builder))
            .map_err(|cause| slice.format_error(KIND, cause))?;
        if names.is_empty() {
            names = class_names;
        }
    }
    let path = || set.files.first().cloned().unwrap_or_default();
    if set.count == 0 {
        return Err(DataError::Empty { path: path() });
    }
    let named = builder.finish_with_names(names).map_err(|cause| DataError::Format { path: path(), kind: KIND, cause });
    Ok(PictureSet { labels: named?, pictures: Box::new(set), notes: Vec::new() })
}

/// The crate may panic on damaged files.
fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    crate::panics::catch(read).unwrap_or_else(|panic| Err(format!("its reader failed ({panic}); it is damaged")))
}

fn describe(error: ParquetError) -> String {
    match error {
        ParquetError::General(cause) if cause.starts_with("Disabled feature") => {
            let codec = cause.rsplit(' ').next().unwrap_or_default();
            format!(
                "it is compressed with {codec}, which is not supported; write it with snappy, zstd or gzip, or uncompressed"
            )
        }
        ParquetError::General(cause) | ParquetError::EOF(cause) => format!("{cause}; it may be damaged or half copied"),
        other => other.to_string(),
    }
}

impl ParquetPictures {
    /// Adds the row groups and labels of a file. Returns its class names, if it has some.
    fn add(&mut self, file: u32, slice: &FileSlice, builder: &mut LabelBuilder) -> Result<Vec<String>, String> {
        let options = ReadOptionsBuilder::new().with_column_stats_policy(ParquetStatisticsPolicy::SkipAll).build();
        let reader = SerializedFileReader::new_with_options(slice.clone(), options).map_err(describe)?;
        let metadata = reader.metadata();
        let schema = metadata.file_metadata().schema_descr_ptr();
        let columns = schema.columns();
        let find = |wanted: &str, of: fn(&ColumnDescPtr) -> bool| {
            columns
                .iter()
                .position(|column| column.path().string() == wanted && column.max_rep_level() == 0 && of(column))
        };
        let is_bytes = |column: &ColumnDescPtr| column.physical_type() == parquet::basic::Type::BYTE_ARRAY;
        let embedded = PICTURE_COLUMNS
            .iter()
            .find_map(|name| find(&format!("{name}.bytes"), is_bytes).or_else(|| find(name, is_bytes)));
        let Some(pictures) = embedded else {
            let found: Vec<_> = columns.iter().take(20).map(|column| column.path().string()).collect();
            return Err(format!(
                "it has no column of pictures (image.bytes, img.bytes, image, img); its columns are: {}",
                found.join(", ")
            ));
        };
        let labels = LABEL_COLUMNS.iter().find_map(|name| Some((find(name, |_| true)?, *name)));
        let mut in_file = 0u64;
        for (number, group) in metadata.row_groups().iter().enumerate() {
            let rows = rows(group, slice)?;
            match labels {
                Some((column, _)) => {
                    let pages = parquet_pages::of(slice.clone(), group.column(column), rows as usize);
                    let reader = pages.map(|pages| get_column_reader(columns[column].clone(), pages));
                    let labels = reader.map_err(describe).and_then(|reader| read_labels(reader, rows, builder));
                    labels.map_err(|cause| format!("row group {number}: {cause}"))?;
                }
                None => builder.push_none(rows),
            }
            let (chunk, column) = (group.column(pictures).clone(), columns[pictures].clone());
            self.groups.push(RowGroup { file, first: [in_file, self.count], rows, chunk, column });
            in_file += rows;
            self.count += rows;
        }
        Ok(labels.map(|(_, label)| class_names(metadata, label)).unwrap_or_default())
    }

    fn find(&self, index: u64) -> Option<(&RowGroup, u64)> {
        let group = self.groups.partition_point(|group| group.first[1] <= index).checked_sub(1)?;
        let group = self.groups.get(group)?;
        let row = index - group.first[1];
        (row < group.rows).then_some((group, row))
    }

    fn bytes(&self, index: u64) -> Result<Vec<u8>, String> {
        let (group, row) = self.find(index).ok_or("there is no such picture")?;
        let path = self.files.get(group.file as usize).ok_or("there is no such file")?;
        let slice = FileSlice::open(path).map_err(|e| e.to_string())?;
        let pages = parquet_pages::of(slice, &group.chunk, group.rows as usize).map_err(describe)?;
        let ColumnReader::ByteArrayColumnReader(mut column) = get_column_reader(group.column.clone(), pages) else {
            return Err("its column holds no bytes".to_owned());
        };
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        column.skip_records(row as usize).map_err(describe)?;
        column.read_records(1, Some(&mut levels), None, &mut values).map_err(describe)?;
        let value = values.pop().ok_or("its picture is not in the file, which may contain only its name")?;
        if value.len() as u64 > FILE_LIMIT {
            return Err("it is larger than 1 GiB".to_owned());
        }
        Ok(value.data().to_vec())
    }
}

impl PictureStore for ParquetPictures {
    fn len(&self) -> Option<u64> {
        Some(self.count)
    }

    fn name(&self, index: u64) -> String {
        let Some((group, row)) = self.find(index) else { return String::new() };
        let file = self.files.get(group.file as usize).and_then(|path| path.file_name()).unwrap_or_default();
        format!("{}#{}", file.to_string_lossy(), group.first[0] + row)
    }

    fn read(&self, index: u64, _size: usize) -> Result<PictureData, String> {
        guarded(|| self.bytes(index)).map(PictureData::Encoded)
    }
}

/// Number of rows of a group, checked before allocating: a picture has at least one byte.
fn rows(group: &RowGroupMetaData, slice: &FileSlice) -> Result<u64, String> {
    let rows = u64::try_from(group.num_rows()).ok().filter(|&rows| rows <= slice.length());
    rows.ok_or_else(|| {
        format!("it announces {} rows and has {} bytes; it is damaged", group.num_rows(), slice.length())
    })
}

/// Class names of a label column in Hugging Face's metadata.
fn class_names(metadata: &ParquetMetaData, label: &str) -> Vec<String> {
    let pairs = metadata.file_metadata().key_value_metadata();
    let found = pairs.into_iter().flatten().find(|pair| pair.key == "huggingface");
    let value = found.and_then(|pair| serde_json::from_str::<serde_json::Value>(pair.value.as_deref()?).ok());
    let names = value.as_ref().and_then(|value| value.pointer(&format!("/info/features/{label}/names"))?.as_array());
    names.into_iter().flatten().map(|name| name.as_str().unwrap_or_default().to_owned()).collect()
}

/// Reads the labels of `rows` rows.
fn read_labels(column: ColumnReader, rows: u64, builder: &mut LabelBuilder) -> Result<(), String> {
    match column {
        ColumnReader::Int32ColumnReader(column) => {
            each(column, rows, |label| builder.push_owned(label.map(i32::to_string)))
        }
        ColumnReader::Int64ColumnReader(column) => {
            each(column, rows, |label| builder.push_owned(label.map(i64::to_string)))
        }
        ColumnReader::ByteArrayColumnReader(column) => {
            each(column, rows, |label| builder.push(label.and_then(|label| std::str::from_utf8(label.data()).ok())))
        }
        _ => Err("its labels are neither integers nor texts".to_owned()),
    }
}

/// Calls `take` with every value of a column, `None` for null. Reads no more than `rows`: a few bytes can announce
/// billions.
fn each<T: DataType>(
    mut column: ColumnReaderImpl<T>,
    rows: u64,
    mut take: impl FnMut(Option<&T::T>),
) -> Result<(), String> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let mut left = rows as usize;
    while left > 0 {
        levels.clear();
        values.clear();
        let requested = left.min(CHUNK_ROWS);
        let (records, _, _) = column.read_records(requested, Some(&mut levels), None, &mut values).map_err(describe)?;
        if records == 0 {
            return Err(format!("it has {left} labels fewer than its {rows} pictures"));
        }
        left = left.saturating_sub(records);
        let most = levels.iter().copied().max().unwrap_or(0);
        let mut values = values.iter();
        // A column without nulls has no definition levels.
        match (levels.is_empty(), values.len()) {
            (true, _) => values.for_each(|value| take(Some(value))),
            (false, 0) => levels.iter().for_each(|_| take(None)),
            (false, _) => levels.iter().for_each(|&level| take((level == most).then(|| values.next()).flatten())),
        }
    }
    Ok(())
}

impl Length for FileSlice {
    fn len(&self) -> u64 {
        self.length()
    }
}

/// Reads by position; the crate's own reader of files shares one cursor among threads.
impl ChunkReader for FileSlice {
    type T = BufReader<SliceReader>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let rest = self.part(start, self.length().saturating_sub(start)).map_err(ParquetError::EOF)?;
        Ok(BufReader::new(rest.reader()))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let part = self.part(start, length as u64).map_err(ParquetError::EOF)?;
        let mut bytes = vec![0; length];
        part.read(&mut bytes, 0).map_err(|e| ParquetError::EOF(e.to_string()))?;
        Ok(bytes.into())
    }
}

/// Opens the named files of a folder as one set.
pub(super) fn open_folder(folder: &Path, names: &[Box<Path>]) -> Result<PictureSet, DataError> {
    open(names.iter().map(|name| folder.join(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{classes, damages, open, refusal, survives};
    use super::*;
    use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    use parquet::file::metadata::KeyValue;
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use proptest::prelude::*;
    use std::sync::Arc;

    /// A file in the layout of Hugging Face, two pictures per row group.
    fn file(pictures: &[&[u8]], labels: &[i64], names: &str) -> Vec<u8> {
        let schema = "message set { optional group image { optional binary bytes; optional binary path (UTF8); } optional int64 label; }";
        let schema = Arc::new(parquet::schema::parser::parse_message_type(schema).unwrap());
        let json = format!("{{\"info\": {{\"features\": {{\"label\": {{\"names\": {names}}}}}}}}}");
        let properties = WriterProperties::builder()
            .set_key_value_metadata(Some(vec![KeyValue::new("huggingface".to_owned(), json)]))
            .set_compression(parquet::basic::Compression::SNAPPY)
            .build();
        let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
        for (pictures, labels) in pictures.chunks(2).zip(labels.chunks(2)) {
            let mut group = writer.next_row_group().unwrap();
            let bytes: Vec<ByteArray> = pictures.iter().map(|bytes| bytes.to_vec().into()).collect();
            for values in [&bytes, &bytes] {
                let mut column = group.next_column().unwrap().unwrap();
                column.typed::<ByteArrayType>().write_batch(values, Some(&vec![2; values.len()]), None).unwrap();
                column.close().unwrap();
            }
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<Int64Type>().write_batch(labels, Some(&vec![1; labels.len()]), None).unwrap();
            column.close().unwrap();
            group.close().unwrap();
        }
        writer.into_inner().unwrap()
    }

    fn encoded(opened: &PictureSet, index: u64) -> Vec<u8> {
        match opened.pictures.read(index, 0).unwrap() {
            PictureData::Encoded(bytes) => bytes,
            PictureData::Decoded(_) => panic!("pictures are embedded as files"),
        }
    }

    #[test]
    fn shards_are_one_set_with_class_names_from_metadata() {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(place.path().join("README.md"), "a card").unwrap();
        let names = "[\"cat\", \"dog\", \"newt\"]";
        std::fs::write(data.join("train-0.parquet"), file(&[b"one", b"two", b"three"], &[2, 0, 2], names)).unwrap();
        std::fs::write(data.join("train-1.parquet"), file(&[b"four"], &[1], names)).unwrap();
        let opened = open(place.path()).unwrap();
        let of = vec![Some(2), Some(0), Some(2), Some(1)];
        assert_eq!(classes(&opened, 4), (vec!["cat".into(), "dog".into(), "newt".into()], of));
        assert_eq!((0..4).map(|i| encoded(&opened, i)).collect::<Vec<_>>(), [&b"one"[..], b"two", b"three", b"four"]);
        assert_eq!(
            (opened.pictures.name(2), opened.pictures.name(3)),
            ("train-0.parquet#2".into(), "train-1.parquet#0".into())
        );
        assert!(opened.pictures.read(4, 0).is_err());
        let alone = open(&data.join("train-1.parquet")).unwrap();
        assert_eq!((alone.pictures.len(), alone.labels.class(0)), (Some(1), Some(1)));
    }

    /// Files written by Arrow, see `tests/parquet/make.py`.
    const PACKED: [(&str, &[u8]); 4] = [
        ("gzip-1.parquet", include_bytes!("../../../tests/parquet/gzip-1.parquet")),
        ("gzip-2.parquet", include_bytes!("../../../tests/parquet/gzip-2.parquet")),
        ("zstd-1.parquet", include_bytes!("../../../tests/parquet/zstd-1.parquet")),
        ("zstd-2.parquet", include_bytes!("../../../tests/parquet/zstd-2.parquet")),
    ];

    #[test]
    fn gzip_and_zstd_pages_are_read() {
        let place = tempfile::tempdir().unwrap();
        for (name, bytes) in PACKED {
            let path = place.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let opened = open(&path).unwrap();
            let of = vec![Some(1), Some(0), Some(1), None];
            assert_eq!(classes(&opened, 4), (vec!["cold".into(), "warm".into()], of), "{name}");
            for (i, color) in [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255; 3]].into_iter().enumerate() {
                let picture = image::load_from_memory(&encoded(&opened, i as u64)).unwrap().to_rgb8();
                assert_eq!((picture.dimensions(), picture.get_pixel(3, 3).0), ((8, 8), color), "{name}: {i}");
            }
        }
        let path = place.path().join("lz4.parquet");
        std::fs::write(&path, include_bytes!("../../../tests/parquet/lz4-1.parquet")).unwrap();
        let message = refusal(&path);
        assert!(message.contains("lz4") && message.contains("zstd"), "{message}");
    }

    #[test]
    fn invalid_file_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.parquet");
        let whole = file(&[b"one"], &[7], "[\"cat\", \"dog\"]");
        for bytes in [Vec::new(), whole[..whole.len() / 2].to_vec(), vec![b'x'; 99], whole] {
            std::fs::write(&path, bytes).unwrap();
            let message = refusal(&path);
            assert!(message.contains("a.parquet") && message.contains("Parquet"), "{message}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn damaged_file_is_refused_or_read(damage in damages()) {
            survives("a.parquet", &file(&[b"one", b"two", b"three"], &[1, 0, 1], "[\"cat\", \"dog\"]"), &damage)?;
        }

        #[test]
        fn damaged_compressed_file_is_refused_or_read(which in 0..PACKED.len(), damage in damages()) {
            survives(PACKED[which].0, PACKED[which].1, &damage)?;
        }
    }
}
