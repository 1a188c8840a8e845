//! Cached file lists of large tars and folders, which take long to read, in the user's cache folder.
//!
//! A list is stored under the path of its tar or folder, with a stamp of sizes and modification times. A list that is
//! damaged, outdated or of another version is ignored and replaced. `ZSCAPE_CACHE` names another folder, or is `off`.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::files;

/// First bytes of a cache file, with the format's version.
const MAGIC: &[u8; 16] = b"zscape index 2\n\0";
/// Shorter lists are not worth storing.
const MIN_FILES: usize = 20_000;
/// Limit of all lists together: about twenty of a million files each.
const MAX_BYTES: u64 = 1 << 30;
/// A file modified more recently than this before listing may have changed again within the resolution of its clock.
const SETTLED: Duration = Duration::from_secs(3);
/// File extension of cached lists.
const EXTENSION: &str = "index";

/// Modification time, in nanoseconds since 1970.
pub(super) fn modified_nanos(of: &fs::Metadata) -> Option<u64> {
    let since = of.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

/// Whether a modification at `changed` was long enough before a listing that started at `started`.
fn settled(changed: u64, started: SystemTime) -> bool {
    let started = started.checked_sub(SETTLED).and_then(|before| before.duration_since(UNIX_EPOCH).ok());
    started.is_some_and(|started| u128::from(changed) < started.as_nanos())
}

/// Identifies a state of files: their paths, sizes and modification times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListStamp {
    bytes: Vec<u8>,
    newest: u64,
}

impl ListStamp {
    /// The stamp of `files`, listed as `source`; `None` if one of them is inaccessible.
    pub fn of<'a>(source: &Path, files: impl Iterator<Item = &'a Path>) -> Option<Self> {
        let mut stamp = Self { bytes: absolute(source)?, newest: 0 };
        for file in files {
            let (metadata, path) = (fs::metadata(file).ok()?, absolute(file)?);
            let changed = modified_nanos(&metadata)?;
            for number in [path.len() as u64, metadata.len(), changed] {
                stamp.bytes.extend(number.to_le_bytes());
            }
            stamp.bytes.extend(path);
            stamp.newest = stamp.newest.max(changed);
        }
        Some(stamp)
    }
}

fn absolute(path: &Path) -> Option<Vec<u8>> {
    std::path::absolute(path).ok().map(|path| path.as_os_str().as_encoded_bytes().to_vec())
}

/// The store of cached lists; without a folder it stores nothing.
#[derive(Debug, Clone)]
pub(super) struct ListCache {
    folder: Option<PathBuf>,
    min_files: usize,
    max_bytes: u64,
}

impl ListCache {
    /// The user's cache.
    pub fn of_user() -> Self {
        Self { folder: files::cache_folder(), min_files: MIN_FILES, max_bytes: MAX_BYTES }
    }

    /// A cache for tests, which stores lists of any length.
    #[cfg(test)]
    pub fn at(folder: &Path) -> Self {
        Self { folder: Some(folder.to_owned()), min_files: 1, max_bytes: MAX_BYTES }
    }

    /// The list of `source` stored with `stamp`, parsed by `read`.
    pub fn load<T>(
        &self,
        source: &Path,
        stamp: &ListStamp,
        read: impl FnOnce(&mut CacheReader) -> Option<T>,
    ) -> Option<T> {
        let path = self.path(source)?;
        let file = File::open(&path).ok()?;
        let length = file.metadata().ok()?.len();
        let mut reader = CacheReader {
            from: BufReader::with_capacity(1 << 18, file),
            left: length.checked_sub(4)?,
            sum: flate2::Crc::new(),
        };
        let is_current = reader.array::<16>()? == *MAGIC && reader.bytes()? == stamp.bytes;
        let found = if is_current { read(&mut reader) } else { None };
        match found.filter(|_| reader.ends()) {
            Some(found) => Some(found),
            None => {
                tracing::debug!("{} does not match the present state of {}", path.display(), source.display());
                None
            }
        }
    }

    /// Stores the list of `source`, of `count` files, written by `write`, if it is long enough. `newest` is the last
    /// modification of anything it depends on, `started` the time when listing began.
    pub fn store(
        &self,
        source: &Path,
        stamp: &ListStamp,
        [count, newest]: [u64; 2],
        started: SystemTime,
        write: impl FnOnce(&mut CacheWriter) -> io::Result<()>,
    ) {
        let Some(path) = self.path(source) else { return };
        if count < self.min_files as u64 || !settled(newest.max(stamp.newest), started) {
            return;
        }
        let written = files::write(&path, |file| {
            let mut writer = CacheWriter { to: BufWriter::with_capacity(1 << 18, file), sum: flate2::Crc::new() };
            writer.raw(MAGIC)?;
            writer.bytes(&stamp.bytes)?;
            write(&mut writer)?;
            let sum = writer.sum.sum();
            writer.to.write_all(&sum.to_le_bytes())?;
            writer.to.flush()
        });
        // Without it, the next start only takes longer.
        match written {
            Ok(()) => self.evict(&path),
            Err(cause) => tracing::info!("cannot store {}: {cause}", path.display()),
        }
    }

    fn path(&self, source: &Path) -> Option<PathBuf> {
        // FNV-1a. A collision only replaces a list: the stamp holds the whole path.
        let hash = absolute(source)?
            .iter()
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        Some(self.folder.as_ref()?.join(format!("{hash:016x}.{EXTENSION}")))
    }

    /// Removes the oldest lists, but not `newest`, until the rest is within the limit.
    fn evict(&self, newest: &Path) {
        let Some(entries) = self.folder.as_ref().and_then(|folder| fs::read_dir(folder).ok()) else { return };
        let ours =
            entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == EXTENSION));
        let mut all: Vec<(u64, u64, PathBuf)> = ours
            .filter_map(|path| {
                fs::metadata(&path).ok().and_then(|metadata| Some((modified_nanos(&metadata)?, metadata.len(), path)))
            })
            .collect();
        all.sort();
        let mut bytes: u64 = all.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, size, path) in all.iter().filter(|(_, _, path)| path != newest) {
            if bytes > self.max_bytes && fs::remove_file(path).is_ok() {
                bytes -= size;
            }
        }
    }
}

/// Reads a cached list, never beyond its end.
#[derive(Debug)]
pub(in crate::data) struct CacheReader {
    from: BufReader<File>,
    left: u64,
    sum: flate2::Crc,
}

impl CacheReader {
    fn fill(&mut self, buffer: &mut [u8]) -> Option<()> {
        self.left = self.left.checked_sub(buffer.len() as u64)?;
        self.from.read_exact(buffer).ok()?;
        self.sum.update(buffer);
        Some(())
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Some(bytes)
    }

    pub fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number of items, of at least `min_size` bytes each.
    pub fn count(&mut self, min_size: u64) -> Option<usize> {
        let count = self.u64()?;
        (count <= self.left / min_size.max(1)).then_some(count as usize)
    }

    pub fn bytes(&mut self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; self.count(1)?];
        self.fill(&mut bytes)?;
        Some(bytes)
    }

    pub fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?).ok()
    }

    pub fn texts(&mut self) -> Option<Vec<String>> {
        (0..self.count(8)?).map(|_| self.text()).collect()
    }

    /// Replaces `name`, the previous name, by the next one.
    pub fn name(&mut self, name: &mut Vec<u8>) -> Option<()> {
        let [shared, rest] = [self.u32()?, self.u32()?];
        if shared as usize > name.len() || u64::from(rest) > self.left {
            return None;
        }
        name.resize(shared as usize + rest as usize, 0);
        self.fill(&mut name[shared as usize..])
    }

    /// Whether everything was read and the checksum matches.
    fn ends(&mut self) -> bool {
        let mut sum = [0; 4];
        self.left == 0 && self.from.read_exact(&mut sum).is_ok() && u32::from_le_bytes(sum) == self.sum.sum()
    }
}

/// Writes a cached list.
#[derive(Debug)]
pub(in crate::data) struct CacheWriter<'a> {
    to: BufWriter<&'a mut File>,
    sum: flate2::Crc,
}

impl CacheWriter<'_> {
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.to.write_all(bytes)
    }

    pub fn u32(&mut self, number: u32) -> io::Result<()> {
        self.raw(&number.to_le_bytes())
    }

    pub fn u64(&mut self, number: u64) -> io::Result<()> {
        self.raw(&number.to_le_bytes())
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.u64(bytes.len() as u64)?;
        self.raw(bytes)
    }

    pub fn texts(&mut self, texts: &[String]) -> io::Result<()> {
        self.u64(texts.len() as u64)?;
        texts.iter().try_for_each(|text| self.bytes(text.as_bytes()))
    }

    /// A name, of which only the difference from the previous one is stored.
    pub fn name(&mut self, before: &[u8], name: &[u8]) -> io::Result<()> {
        let shared = before.iter().zip(name).take_while(|(a, b)| a == b).count();
        self.u32(shared as u32)?;
        self.u32((name.len() - shared) as u32)?;
        self.raw(&name[shared..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OLD: SystemTime = UNIX_EPOCH;

    fn written(folder: &Path, names: &[Vec<u8>]) -> (ListCache, ListStamp, PathBuf) {
        let cache = ListCache::at(folder);
        let (source, stamp) = (folder.join("source"), ListStamp { bytes: b"a stamp".to_vec(), newest: 5 });
        cache.store(&source, &stamp, [names.len() as u64, 7], OLD + Duration::from_secs(60), |to| {
            to.u64(names.len() as u64)?;
            let before = std::iter::once(&[][..]).chain(names.iter().map(Vec::as_slice));
            before.zip(names).try_for_each(|(before, name)| to.name(before, name))
        });
        (cache, stamp, source)
    }

    fn names(cache: &ListCache, source: &Path, stamp: &ListStamp) -> Option<Vec<Vec<u8>>> {
        cache.load(source, stamp, |from| {
            let (count, mut name) = (from.count(8)?, Vec::new());
            (0..count).map(|_| from.name(&mut name).map(|()| name.clone())).collect()
        })
    }

    proptest! {
        #[test]
        fn stored_list_is_loaded_and_damaged_list_is_not(
            entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 1..20),
            at: prop::sample::Index, flip in 1u8..=255, cut: bool,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let (cache, stamp, source) = written(folder.path(), &entries);
            prop_assert_eq!(names(&cache, &source, &stamp), Some(entries));
            let path = cache.path(&source).unwrap();
            let mut bytes = fs::read(&path).unwrap();
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] ^= flip }
            fs::write(&path, bytes).unwrap();
            prop_assert_eq!(names(&cache, &source, &stamp), None);
        }
    }

    #[test]
    fn outdated_list_is_not_loaded_and_recent_change_is_not_stored() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, stamp, source) = written(folder.path(), &[b"a".to_vec()]);
        let other = ListStamp { bytes: b"b stamp".to_vec(), newest: 5 };
        assert_eq!(names(&cache, &source, &other), None);
        assert_eq!(names(&cache, &folder.path().join("elsewhere"), &stamp), None);
        assert!(settled(0, OLD + SETTLED * 2) && !settled(1, OLD + SETTLED) && !settled(u64::MAX, SystemTime::now()));
        let off = ListCache { folder: None, ..cache };
        assert_eq!(names(&off, &source, &stamp), None);
    }

    #[test]
    fn total_size_is_limited_and_newest_lists_stay() {
        let folder = tempfile::tempdir().unwrap();
        let cache = ListCache { max_bytes: 250, ..ListCache::at(folder.path()) };
        let keep = |number: usize| {
            let stamp = ListStamp { bytes: vec![0; 80], newest: 0 };
            let source = folder.path().join(number.to_string());
            cache.store(&source, &stamp, [1, 0], OLD + Duration::from_secs(60), |_| Ok(()));
            let path = cache.path(&source).unwrap();
            let when = OLD + Duration::from_secs(number as u64);
            File::options().append(true).open(&path).unwrap().set_modified(when).unwrap();
            path
        };
        let paths: Vec<_> = (0..4).map(keep).collect();
        let left: Vec<_> = paths.iter().map(|path| path.exists()).collect();
        assert_eq!(left, [false, false, true, true]);
    }
}
