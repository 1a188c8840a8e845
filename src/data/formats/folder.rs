//! Folders of pictures: listing, skipped files, and the cached list.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use super::classes::{DATASET_JSON, JSON_LIMIT, classes, is_dataset_json};
use super::file_names::{self, count_skipped, is_junk, is_picture, may_be_unnamed_picture, starts_like_picture};
use super::{
    ClassLabels, FILE_LIMIT, NamePredicate, PictureData, PictureSet, PictureStore, parquet, splits, webdataset,
};
use crate::data::DataError;
use crate::data::cache::{self, CacheReader, CacheWriter, ListCache, ListStamp};
use crate::data::skipped::{self, SkipReason, SkipTally, SkippedGroup};
use crate::files::with_path;

/// A path in a set as it is displayed and sorted, the same in a folder and its archive and on every system.
pub(super) fn display_name(inside: &Path) -> String {
    let parts = inside.components().filter_map(|part| match part {
        Component::Normal(part) => Some(part.to_string_lossy()),
        _ => None,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// The pictures of a folder. There may be millions, so their paths have no spare capacity.
#[derive(Debug)]
struct FolderPictures {
    root: PathBuf,
    files: Vec<Box<Path>>,
    skipped: Vec<SkippedGroup>,
}

/// What a list of a folder contains besides the pictures' paths.
struct FolderInfo {
    labels: ClassLabels,
    skipped: Vec<SkippedGroup>,
    notes: Vec<String>,
}

impl FolderInfo {
    fn write(&self, to: &mut CacheWriter) -> std::io::Result<()> {
        self.labels.write(to)?;
        SkippedGroup::write_all(&self.skipped, to)?;
        to.texts(&self.notes)
    }

    fn read(from: &mut CacheReader) -> Option<Self> {
        Some(Self { labels: ClassLabels::read(from)?, skipped: SkippedGroup::read_all(from)?, notes: from.texts()? })
    }

    fn opened(self, root: &Path, files: Vec<Box<Path>>) -> PictureSet {
        let Self { labels, skipped, notes } = self;
        PictureSet { pictures: Box::new(FolderPictures { root: root.to_owned(), files, skipped }), labels, notes }
    }
}

/// Folders of a listing, relative to its root, with modification times. `None` if links are broken or circular: their
/// targets may change unnoticed.
type FolderTimes = Option<Vec<(Box<Path>, u64)>>;

/// Opens a folder from its cached list, if that is current.
pub(super) fn open_cached(root: &Path, cache: &ListCache) -> Option<PictureSet> {
    let stamp = stamp(root)?;
    let (files, info) = cache.load(root, &stamp, |from| {
        let mut name = Vec::new();
        for _ in 0..from.count(16)? {
            from.name(&mut name)?;
            let changed = from.u64()?;
            let metadata = std::fs::metadata(root.join(path_of(&name)?)).ok()?;
            if !metadata.is_dir() || cache::modified_nanos(&metadata) != Some(changed) {
                return None;
            }
        }
        let mut files: Vec<Box<Path>> = Vec::with_capacity(from.count(8)?);
        for _ in 0..files.capacity() {
            from.name(&mut name)?;
            files.push(path_of(&name)?.into());
        }
        Some((files, FolderInfo::read(from)?))
    })?;
    Some(info.opened(root, files))
}

/// Identifies a state of a folder, apart from the times of its sub-folders, by its `dataset.json`.
fn stamp(root: &Path) -> Option<ListStamp> {
    let json = root.join(DATASET_JSON);
    ListStamp::of(root, json.is_file().then_some(json.as_path()).into_iter())
}

fn store(
    root: &Path,
    folders: &[(Box<Path>, u64)],
    (files, info): (&[Box<Path>], &FolderInfo),
    started: SystemTime,
    cache: &ListCache,
) {
    let bytes = |path: &Path| bytes_of(path).map(<[u8]>::to_vec);
    let Some(stamp) = stamp(root) else { return };
    if !files.iter().chain(folders.iter().map(|(path, _)| path)).all(|path| bytes_of(path).is_some()) {
        return;
    }
    let newest = folders.iter().map(|&(_, changed)| changed).max().unwrap_or(0);
    cache.store(root, &stamp, [files.len() as u64, newest], started, |to| {
        to.u64(folders.len() as u64)?;
        let mut before = Vec::new();
        let mut next = |to: &mut CacheWriter, path: &Path| {
            let name = bytes(path).unwrap_or_default();
            to.name(&before, &name)?;
            before = name;
            Ok::<(), std::io::Error>(())
        };
        for (path, changed) in folders {
            next(to, path)?;
            to.u64(*changed)?;
        }
        to.u64(files.len() as u64)?;
        files.iter().try_for_each(|path| next(to, path))?;
        info.write(to)
    });
}

/// Conversion between paths and stored bytes; on systems other than Unix, only for Unicode paths.
#[cfg(unix)]
fn bytes_of(path: &Path) -> Option<&[u8]> {
    Some(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()))
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> Option<&Path> {
    Some(Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes)))
}

#[cfg(not(unix))]
fn bytes_of(path: &Path) -> Option<&[u8]> {
    path.to_str().map(str::as_bytes)
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> Option<&Path> {
    std::str::from_utf8(bytes).ok().map(Path::new)
}

/// Opens files of a folder as one set.
type OpenFolderFiles = fn(&Path, &[Box<Path>]) -> Result<PictureSet, DataError>;

/// Opens a folder of pictures, or of the shards of a set.
pub(super) fn open(root: &Path, cache: &ListCache) -> Result<PictureSet, DataError> {
    let started = SystemTime::now();
    let FolderListing { files, folders, labels: json, skipped, note } = list_pictures(root)?;
    if files.is_empty() {
        let sets: [(NamePredicate, OpenFolderFiles); 2] =
            [(parquet::is_shard, parquet::open_folder), (webdataset::is_shard, webdataset::open)];
        for (is, open) in sets {
            let names: Vec<String> =
                list_matching(root, is)?.iter().filter_map(|path| Some(path.to_str()?.to_owned())).collect();
            let place = |name: &str| root.join(name);
            let (names, notes) = splits::choose(names, None).map_err(|lone_test| lone_test.into_error(root, place))?;
            if !names.is_empty() {
                let mut opened = open(root, &names.iter().map(|name| Path::new(name).into()).collect::<Vec<_>>())?;
                opened.notes.extend(notes);
                return Ok(opened);
            }
        }
        return Err(skipped::nothing_readable(root, &skipped));
    }
    let read = |inside: &Path| {
        let bytes = std::fs::metadata(root.join(inside)).ok().filter(|metadata| metadata.len() <= JSON_LIMIT);
        let bytes = bytes.and_then(|_| std::fs::read(root.join(inside)).ok()).unwrap_or_default();
        (display_name(inside), bytes)
    };
    let names: Vec<_> = files.iter().map(|inside| display_name(inside)).collect();
    let contents: Vec<_> = json.iter().map(|inside| read(inside)).collect();
    let (labels, mut notes) = classes(names.iter().map(String::as_str), &contents);
    drop(names);
    notes.extend(note);
    let info = FolderInfo { labels, skipped, notes };
    // A `dataset.json` in a sub-folder may change unnoticed.
    let is_tracked = json.iter().all(|inside| **inside == *Path::new(DATASET_JSON));
    if let Some(folders) = folders.filter(|_| is_tracked) {
        store(root, &folders, (&files, &info), started, cache);
    }
    Ok(info.opened(root, files))
}

impl PictureStore for FolderPictures {
    fn len(&self) -> Option<u64> {
        Some(self.files.len() as u64)
    }

    fn name(&self, index: u64) -> String {
        self.files.get(index as usize).map(|inside| display_name(inside)).unwrap_or_default()
    }

    fn skipped(&self) -> &[SkippedGroup] {
        &self.skipped
    }

    fn read(&self, index: u64, _size: usize) -> Result<PictureData, String> {
        let path = self.root.join(self.files.get(index as usize).ok_or("there is no such picture")?);
        if std::fs::metadata(&path).map_err(|e| e.to_string())?.len() > FILE_LIMIT {
            return Err("it is larger than 1 GiB".to_owned());
        }
        std::fs::read(path).map(PictureData::Encoded).map_err(|e| e.to_string())
    }
}

/// The only sub-folder of `root`, if there is exactly one.
pub(super) fn only_folder(root: &Path) -> Option<PathBuf> {
    // There may be a million pictures, so no file's metadata is read.
    let is_folder = |entry: &std::fs::DirEntry| {
        entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_symlink() && entry.path().is_dir())
    };
    let entries = std::fs::read_dir(root).ok()?.flatten();
    let mut folders = entries
        .filter(|entry| is_folder(entry) && !is_junk(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path());
    folders.next().filter(|_| folders.next().is_none())
}

/// An item of a walk through a folder.
enum WalkItem<'a> {
    /// A file or broken link: its path relative to the folder, and as displayed.
    File(&'a Path, &'a str),
    /// Neither a file nor a folder.
    Special(&'a str),
    /// A file left by a system or another program.
    JunkFile(&'a str),
    /// A folder left by a system or another program, which is not searched.
    JunkFolder(&'a str),
    /// A link back to a folder that contains it.
    Circle(&'a str),
}

/// Walks through a folder and follows links. A broken link counts as a file, so that it is reported as an unreadable
/// picture.
fn walk(root: &Path, mut visit: impl FnMut(WalkItem)) -> Result<FolderTimes, DataError> {
    let mut folders = Some(Vec::new());
    let mut walk = walkdir::WalkDir::new(root).follow_links(true).into_iter();
    while let Some(entry) = walk.next() {
        match entry {
            Ok(entry) => {
                let Ok(inside) = entry.path().strip_prefix(root) else { continue };
                let (name, kind) = (display_name(inside), entry.file_type());
                if entry.depth() > 0 && is_junk(&entry.file_name().to_string_lossy()) {
                    match kind.is_dir() {
                        true => {
                            walk.skip_current_dir();
                            visit(WalkItem::JunkFolder(&name));
                        }
                        false => visit(WalkItem::JunkFile(&name)),
                    }
                } else if kind.is_dir() {
                    let changed = entry.metadata().ok().and_then(|metadata| cache::modified_nanos(&metadata));
                    match (folders.as_mut(), changed) {
                        (Some(folders), Some(changed)) => folders.push((Box::from(inside), changed)),
                        _ => folders = None,
                    }
                } else if kind.is_file() {
                    visit(WalkItem::File(inside, &name));
                } else {
                    visit(WalkItem::Special(&name));
                }
            }
            Err(error) => {
                let path = error.path().unwrap_or(root).to_owned();
                let inside = path.strip_prefix(root).unwrap_or(&path);
                let name = display_name(inside);
                if error.loop_ancestor().is_some() {
                    folders = None;
                    visit(WalkItem::Circle(&name));
                } else if path.is_symlink() {
                    folders = None;
                    match name.split('/').any(is_junk) {
                        true => visit(WalkItem::JunkFile(&name)),
                        false => visit(WalkItem::File(inside, &name)),
                    }
                } else {
                    let error = error.into_io_error().unwrap_or_else(|| std::io::Error::other("it cannot be listed"));
                    return Err(with_path(&path, error).into());
                }
            }
        }
    }
    Ok(folders)
}

/// The result of a walk, with paths relative to the folder.
struct FolderListing {
    /// The pictures, sorted by [`display_name`].
    files: Vec<Box<Path>>,
    folders: FolderTimes,
    /// Files with class labels.
    labels: Vec<Box<Path>>,
    skipped: Vec<SkippedGroup>,
    note: Option<String>,
}

fn list_pictures(root: &Path) -> Result<FolderListing, DataError> {
    let (mut files, mut labels, mut tally) = (Vec::new(), Vec::new(), SkipTally::default());
    let (mut by_bytes, mut first) = (0, String::new());
    let folders = walk(root, |item| match item {
        WalkItem::File(inside, name) if is_picture(name) => files.push(Box::from(inside)),
        WalkItem::File(inside, name) if is_dataset_json(name) => labels.push(Box::from(inside)),
        WalkItem::File(inside, name) if may_be_unnamed_picture(name) && is_picture_inside(name, &root.join(inside)) => {
            if by_bytes == 0 {
                name.clone_into(&mut first);
            }
            by_bytes += 1;
            files.push(Box::from(inside));
        }
        WalkItem::File(_, name) | WalkItem::JunkFile(name) => count_skipped(name, &mut tally),
        WalkItem::JunkFolder(name) => tally.junk_folder(name),
        WalkItem::Special(name) => tally.add(SkipReason::Other, "neither files nor folders", name),
        WalkItem::Circle(name) => tally.add(SkipReason::Link, "links", name),
    })?;
    sort(&mut files);
    let note = file_names::unnamed_pictures_note(by_bytes, &first);
    Ok(FolderListing { files, folders, labels, skipped: tally.finish(), note })
}

fn is_picture_inside(name: &str, path: &Path) -> bool {
    let mut first = Vec::with_capacity(file_names::SIGNATURE_BYTES);
    let read = File::open(path).and_then(|file| file.take(file_names::SIGNATURE_BYTES as u64).read_to_end(&mut first));
    read.is_ok() && starts_like_picture(name, &first)
}

/// The files under `root` whose names `is` accepts, as relative paths.
fn list_matching(root: &Path, is: fn(&str) -> bool) -> Result<Vec<Box<Path>>, DataError> {
    let mut files = Vec::new();
    walk(root, |item| match item {
        WalkItem::File(inside, name) if is(name) => files.push(Box::from(inside)),
        _ => {}
    })?;
    sort(&mut files);
    Ok(files)
}

fn sort(files: &mut Vec<Box<Path>>) {
    files.sort_by_cached_key(|inside| display_name(inside.as_ref()));
    files.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn circular_links_are_skipped_and_broken_links_are_listed() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("a")).unwrap();
        std::fs::write(root.path().join("a/1.png"), "").unwrap();
        std::os::unix::fs::symlink("..", root.path().join("a/up")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.path().join("a/2.png")).unwrap();
        let FolderListing { files, folders, skipped, .. } = list_pictures(root.path()).unwrap();
        assert_eq!(folders, None, "such a list is not stored");
        assert_eq!((skipped[0].reason, skipped[0].names.as_slice()), (SkipReason::Link, &["a/up".to_owned()][..]));
        assert_eq!(files.iter().map(|path| &**path).collect::<Vec<_>>(), [Path::new("a/1.png"), Path::new("a/2.png")]);
    }

    #[test]
    fn cached_folder_list_is_used_until_files_are_added_or_removed() {
        let place = tempfile::tempdir().unwrap();
        let (root, cache) = (place.path().join("set"), ListCache::at(&place.path().join("cache")));
        for name in ["b/2.png", "a/1.png", "a/10.png", "a/notes.txt"] {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        let settle = || {
            for folder in ["", "a", "b"] {
                File::open(root.join(folder)).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
            }
        };
        let contents = |opened: &PictureSet| -> Vec<_> {
            (0..opened.pictures.len().unwrap()).map(|i| (opened.pictures.name(i), opened.labels.class(i))).collect()
        };
        open(&root, &cache).unwrap();
        assert!(open_cached(&root, &cache).is_none(), "its folders have just been changed");
        settle();
        assert!(open_cached(&root, &cache).is_none());
        let opened = open(&root, &cache).unwrap();
        let cached = open_cached(&root, &cache).expect("it was stored");
        assert_eq!(contents(&cached), contents(&opened));
        assert_eq!(contents(&cached)[2], ("b/2.png".to_owned(), Some(1)));
        assert_eq!(cached.pictures.skipped(), opened.pictures.skipped());
        assert_eq!((cached.pictures.skipped()[0].count, cached.labels.source()), (1, opened.labels.source()));
        assert!(matches!(cached.pictures.read(2, 0), Ok(PictureData::Encoded(bytes)) if bytes == b"b/2.png"));
        std::fs::write(root.join("b/3.png"), "").unwrap();
        assert!(open_cached(&root, &cache).is_none(), "it has one more");
        settle();
        open(&root, &cache).unwrap();
        std::fs::remove_dir_all(root.join("b")).unwrap();
        assert!(open_cached(&root, &cache).is_none(), "a folder is gone");
    }
}
