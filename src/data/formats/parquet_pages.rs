//! Bounded decompression of Parquet pages.
//!
//! For gzip and zstd the crate decompresses pages without a limit, so that a few bytes could exhaust the memory. It
//! therefore receives these pages as uncompressed, and this module decompresses them.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

use super::FILE_LIMIT;
use super::file_slice::FileSlice;

/// Codecs that are handled here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PageCodec {
    Gzip,
    Zstd,
}

/// The decompressed pages of a column chunk of `rows` rows.
pub(super) fn of(slice: FileSlice, chunk: &ColumnChunkMetaData, rows: usize) -> ParquetResult<Box<dyn PageReader>> {
    let codec = match chunk.compression() {
        Compression::GZIP(_) => PageCodec::Gzip,
        Compression::ZSTD(_) => PageCodec::Zstd,
        _ => return Ok(Box::new(SerializedPageReader::new(Arc::new(slice), chunk, rows, None)?)),
    };
    let plain = chunk.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()?;
    Ok(Box::new(UnpackedPages { pages: SerializedPageReader::new(Arc::new(slice), &plain, rows, None)?, codec }))
}

struct UnpackedPages {
    pages: SerializedPageReader<FileSlice>,
    codec: PageCodec,
}

impl UnpackedPages {
    fn unpacked(&self, mut page: Page) -> ParquetResult<Page> {
        match &mut page {
            Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => {
                *buf = self.codec.unpack(buf, 0, FILE_LIMIT)?;
            }
            // Levels come first and are never compressed.
            Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, is_compressed: true, .. } => {
                let levels = *def_levels_byte_len as usize + *rep_levels_byte_len as usize;
                *buf = self.codec.unpack(buf, levels, FILE_LIMIT)?;
            }
            Page::DataPageV2 { .. } => {}
        }
        Ok(page)
    }
}

impl PageCodec {
    /// Decompresses a page, whose first `plain` bytes are not compressed, to at most `limit` bytes.
    fn unpack(self, packed: &[u8], plain: usize, limit: u64) -> ParquetResult<Bytes> {
        let (plain, packed) =
            packed.split_at_checked(plain).ok_or_else(|| ParquetError::EOF("a page ends early".into()))?;
        let mut out = plain.to_vec();
        let read = match self {
            _ if packed.is_empty() => Ok(0),
            Self::Gzip => flate2::read::MultiGzDecoder::new(packed).take(limit + 1).read_to_end(&mut out),
            Self::Zstd => ruzstd::decoding::StreamingDecoder::new(packed)
                .map_err(std::io::Error::other)
                .and_then(|unpacked| unpacked.take(limit + 1).read_to_end(&mut out)),
        };
        match read {
            Ok(length) if length as u64 > limit => {
                Err(ParquetError::General(format!("a page decompresses to more than {} MiB", limit >> 20)))
            }
            Ok(_) => Ok(out.into()),
            Err(cause) => Err(ParquetError::General(format!("a page cannot be decompressed: {cause}"))),
        }
    }
}

impl Iterator for UnpackedPages {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for UnpackedPages {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        self.pages.get_next_page()?.map(|page| self.unpacked(page)).transpose()
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        self.pages.skip_next_page()
    }

    fn supports_deferred_dictionary(&self) -> bool {
        self.pages.supports_deferred_dictionary()
    }

    fn take_deferred_dictionary(&mut self) -> ParquetResult<Option<Page>> {
        self.pages.take_deferred_dictionary()?.map(|page| self.unpacked(page)).transpose()
    }

    fn at_record_boundary(&mut self) -> ParquetResult<bool> {
        self.pages.at_record_boundary()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    #[test]
    fn decompression_bomb_is_refused() {
        // A frame of blocks that repeat one byte: four bytes for each 128 KiB.
        let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
        let block = |last: u32| (last | 1 << 1 | (1 << 17) << 3).to_le_bytes();
        for _ in 0..16 {
            bomb.extend(&block(0)[..3]);
            bomb.push(0);
        }
        bomb.extend(&block(1)[..3]);
        bomb.push(0);
        let error = PageCodec::Zstd.unpack(&bomb, 0, 2 << 20).unwrap_err();
        assert!(error.to_string().contains("2 MiB"), "{error}");
        assert_eq!(PageCodec::Zstd.unpack(&bomb, 0, 3 << 20).unwrap().len(), 17 << 17);
    }

    #[test]
    fn levels_stay_and_values_are_decompressed() {
        let mut page = b"levels".to_vec();
        page.extend(compress_to_vec(&b"values"[..], CompressionLevel::Fastest));
        assert_eq!(PageCodec::Zstd.unpack(&page, 6, 99).unwrap(), b"levelsvalues"[..]);
        assert_eq!(PageCodec::Gzip.unpack(b"levels", 6, 99).unwrap(), b"levels"[..]);
        for spoilt in [&page[..9], b"levelsxxxx"] {
            assert!(PageCodec::Zstd.unpack(spoilt, 6, 99).is_err());
            assert!(PageCodec::Gzip.unpack(spoilt, 6, 99).is_err());
        }
        assert!(PageCodec::Gzip.unpack(b"abc", 6, 99).is_err());
    }
}
