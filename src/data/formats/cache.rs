//! Lists of files that take long to make, kept in the user's cache folder: what is in a large tar or folder.
//!
//! A list is kept under the path of what it lists, with what would have changed if that had: sizes and times. One that is
//! damaged, of another version or no longer true is passed over, and made anew. `ZSCAPE_CACHE` names another folder, or
//! `off`.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::files;

/// What a file of the cache begins with; another version is another program's.
const MAGIC: &[u8; 16] = b"zscape index 2\n\0";
/// Shorter lists are made in less time than a person notices.
const LEAST: usize = 20_000;
/// Bytes that all lists have together at the most: some twenty of a million files each.
const MOST_BYTES: u64 = 1 << 30;
/// What was changed as shortly as this before it was listed may have been changed again since, at the same time by its clock.
const SETTLED: Duration = Duration::from_secs(3);
/// The end of the names of the cache's files.
const ENDING: &str = "index";

/// When a file or folder was last changed, in nanoseconds since 1970.
pub(super) fn changed(of: &fs::Metadata) -> Option<u64> {
    let since = of.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

/// Whether what was last changed at `changed` had settled when it was listed at `began`.
fn settled(changed: u64, began: SystemTime) -> bool {
    let began = began.checked_sub(SETTLED).and_then(|before| before.duration_since(UNIX_EPOCH).ok());
    began.is_some_and(|began| u128::from(changed) < began.as_nanos())
}

/// What tells one state of some files from another: their paths, sizes and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    bytes: Vec<u8>,
    newest: u64,
}

impl Stamp {
    /// Of these files, listed as `source`; none where one of them cannot be looked at.
    pub fn of<'a>(source: &Path, files: impl Iterator<Item = &'a Path>) -> Option<Self> {
        let mut stamp = Self { bytes: absolute(source)?, newest: 0 };
        for file in files {
            let (known, path) = (fs::metadata(file).ok()?, absolute(file)?);
            let changed = changed(&known)?;
            for number in [path.len() as u64, known.len(), changed] {
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

/// Where lists are kept, if they are.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    folder: Option<PathBuf>,
    least: usize,
    most_bytes: u64,
}

impl Cache {
    /// The user's.
    pub fn of_user() -> Self {
        Self { folder: files::cache_folder(), least: LEAST, most_bytes: MOST_BYTES }
    }

    /// One for tests, that keeps everything.
    #[cfg(test)]
    pub fn at(folder: &Path) -> Self {
        Self { folder: Some(folder.to_owned()), least: 1, most_bytes: MOST_BYTES }
    }

    /// The list of `source` that was kept with `stamp`, as `read` reads it.
    pub fn recall<T>(&self, source: &Path, stamp: &Stamp, read: impl FnOnce(&mut Reading) -> Option<T>) -> Option<T> {
        let path = self.path(source)?;
        let file = File::open(&path).ok()?;
        let length = file.metadata().ok()?.len();
        let mut reading = Reading {
            from: BufReader::with_capacity(1 << 18, file),
            left: length.checked_sub(4)?,
            sum: flate2::Crc::new(),
        };
        let known = reading.array::<16>()? == *MAGIC && reading.bytes()? == stamp.bytes;
        let found = if known { read(&mut reading) } else { None };
        match found.filter(|_| reading.ends()) {
            Some(found) => Some(found),
            None => {
                tracing::debug!("{} is not of {} as it is now", path.display(), source.display());
                None
            }
        }
    }

    /// Keeps the list of `source`, of `count` files, as `write` writes it, if it is worth it. `newest` is when anything that it
    /// depends on was last changed, and `began` when it was begun.
    pub fn keep(
        &self,
        source: &Path,
        stamp: &Stamp,
        [count, newest]: [u64; 2],
        began: SystemTime,
        write: impl FnOnce(&mut Writing) -> io::Result<()>,
    ) {
        let Some(path) = self.path(source) else { return };
        if count < self.least as u64 || !settled(newest.max(stamp.newest), began) {
            return;
        }
        let kept = files::write(&path, |file| {
            let mut writing = Writing { to: BufWriter::with_capacity(1 << 18, file), sum: flate2::Crc::new() };
            writing.all(MAGIC)?;
            writing.bytes(&stamp.bytes)?;
            write(&mut writing)?;
            let sum = writing.sum.sum();
            writing.to.write_all(&sum.to_le_bytes())?;
            writing.to.flush()
        });
        // Without it, the next start takes as long as this one.
        match kept {
            Ok(()) => self.bound(&path),
            Err(cause) => tracing::info!("{} was not kept: {cause}", path.display()),
        }
    }

    fn path(&self, source: &Path) -> Option<PathBuf> {
        // FNV-1a. Two of one name would only replace one another: the whole path is in the stamp.
        let hash = absolute(source)?
            .iter()
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        Some(self.folder.as_ref()?.join(format!("{hash:016x}.{ENDING}")))
    }

    /// Removes the oldest lists but `newest` until all have no more bytes than they may.
    fn bound(&self, newest: &Path) {
        let Some(entries) = self.folder.as_ref().and_then(|folder| fs::read_dir(folder).ok()) else { return };
        let ours =
            entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == ENDING));
        let mut all: Vec<(u64, u64, PathBuf)> = ours
            .filter_map(|path| fs::metadata(&path).ok().and_then(|known| Some((changed(&known)?, known.len(), path))))
            .collect();
        all.sort();
        let mut bytes: u64 = all.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, size, path) in all.iter().filter(|(_, _, path)| path != newest) {
            if bytes > self.most_bytes && fs::remove_file(path).is_ok() {
                bytes -= size;
            }
        }
    }
}

/// Reads a list, and never more than there is.
#[derive(Debug)]
pub(in crate::data) struct Reading {
    from: BufReader<File>,
    left: u64,
    sum: flate2::Crc,
}

impl Reading {
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

    /// How many of something follow, of `least` bytes each at the least.
    pub fn count(&mut self, least: u64) -> Option<usize> {
        let count = self.u64()?;
        (count <= self.left / least.max(1)).then_some(count as usize)
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

    /// Turns `name`, the one before it, into the next name.
    pub fn name(&mut self, name: &mut Vec<u8>) -> Option<()> {
        let [shared, rest] = [self.u32()?, self.u32()?];
        if shared as usize > name.len() || u64::from(rest) > self.left {
            return None;
        }
        name.resize(shared as usize + rest as usize, 0);
        self.fill(&mut name[shared as usize..])
    }

    /// Whether all of it was read and it is what was written.
    fn ends(&mut self) -> bool {
        let mut sum = [0; 4];
        self.left == 0 && self.from.read_exact(&mut sum).is_ok() && u32::from_le_bytes(sum) == self.sum.sum()
    }
}

/// Writes a list.
#[derive(Debug)]
pub(in crate::data) struct Writing<'a> {
    to: BufWriter<&'a mut File>,
    sum: flate2::Crc,
}

impl Writing<'_> {
    pub fn all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.to.write_all(bytes)
    }

    pub fn u32(&mut self, number: u32) -> io::Result<()> {
        self.all(&number.to_le_bytes())
    }

    pub fn u64(&mut self, number: u64) -> io::Result<()> {
        self.all(&number.to_le_bytes())
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.u64(bytes.len() as u64)?;
        self.all(bytes)
    }

    pub fn texts(&mut self, texts: &[String]) -> io::Result<()> {
        self.u64(texts.len() as u64)?;
        texts.iter().try_for_each(|text| self.bytes(text.as_bytes()))
    }

    /// A name, of which only what differs from the one before is written.
    pub fn name(&mut self, before: &[u8], name: &[u8]) -> io::Result<()> {
        let shared = before.iter().zip(name).take_while(|(a, b)| a == b).count();
        self.u32(shared as u32)?;
        self.u32((name.len() - shared) as u32)?;
        self.all(&name[shared..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OLD: SystemTime = UNIX_EPOCH;

    fn kept(folder: &Path, names: &[Vec<u8>]) -> (Cache, Stamp, PathBuf) {
        let cache = Cache::at(folder);
        let (source, stamp) = (folder.join("source"), Stamp { bytes: b"a stamp".to_vec(), newest: 5 });
        cache.keep(&source, &stamp, [names.len() as u64, 7], OLD + Duration::from_secs(60), |to| {
            to.u64(names.len() as u64)?;
            let before = std::iter::once(&[][..]).chain(names.iter().map(Vec::as_slice));
            before.zip(names).try_for_each(|(before, name)| to.name(before, name))
        });
        (cache, stamp, source)
    }

    fn names(cache: &Cache, source: &Path, stamp: &Stamp) -> Option<Vec<Vec<u8>>> {
        cache.recall(source, stamp, |from| {
            let (count, mut name) = (from.count(8)?, Vec::new());
            (0..count).map(|_| from.name(&mut name).map(|()| name.clone())).collect()
        })
    }

    proptest! {
        #[test]
        fn what_is_kept_is_recalled_and_what_is_damaged_is_not(
            told in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 1..20),
            at: prop::sample::Index, flip in 1u8..=255, cut: bool,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let (cache, stamp, source) = kept(folder.path(), &told);
            prop_assert_eq!(names(&cache, &source, &stamp), Some(told));
            let path = cache.path(&source).unwrap();
            let mut bytes = fs::read(&path).unwrap();
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] ^= flip }
            fs::write(&path, bytes).unwrap();
            prop_assert_eq!(names(&cache, &source, &stamp), None);
        }
    }

    #[test]
    fn another_stamp_is_another_list_and_what_has_just_changed_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, stamp, source) = kept(folder.path(), &[b"a".to_vec()]);
        let other = Stamp { bytes: b"b stamp".to_vec(), newest: 5 };
        assert_eq!(names(&cache, &source, &other), None);
        assert_eq!(names(&cache, &folder.path().join("elsewhere"), &stamp), None);
        assert!(settled(0, OLD + SETTLED * 2) && !settled(1, OLD + SETTLED) && !settled(u64::MAX, SystemTime::now()));
        let off = Cache { folder: None, ..cache };
        assert_eq!(names(&off, &source, &stamp), None);
    }

    #[test]
    fn all_lists_together_are_bounded_and_the_newest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache { most_bytes: 250, ..Cache::at(folder.path()) };
        let keep = |number: usize| {
            let stamp = Stamp { bytes: vec![0; 80], newest: 0 };
            let source = folder.path().join(number.to_string());
            cache.keep(&source, &stamp, [1, 0], OLD + Duration::from_secs(60), |_| Ok(()));
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
