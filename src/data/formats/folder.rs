//! The pictures of a folder: which of its files they are, and what is left out.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use super::cache::{self, Cache, Reading, Stamp, Writing};
use super::classes::{DATASET_JSON, JSON_LIMIT, classes, is_dataset_json};
use super::endings::{self, begins_a_picture, is_junk, is_picture, may_be_picture, pass_over};
use super::{FILE_LIMIT, Found, Is, Labels, Opened, Pictures, parquet, parts, shards};
use crate::data::DataError;
use crate::data::left_out::{LeftOut, Reason, Tally};

/// A path inside a set as it is shown and sorted: the same for a folder and its archive, on every system.
pub(super) fn shown(inside: &Path) -> String {
    let parts = inside.components().filter_map(|part| match part {
        Component::Normal(part) => Some(part.to_string_lossy()),
        _ => None,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// The pictures of a folder; there may be millions, so that their paths have no spare room.
#[derive(Debug)]
struct Folder {
    root: PathBuf,
    files: Vec<Box<Path>>,
    left_out: Vec<LeftOut>,
}

/// What is known of a folder's pictures besides where they lie.
struct Known {
    labels: Labels,
    left_out: Vec<LeftOut>,
    notes: Vec<String>,
}

impl Known {
    fn write(&self, to: &mut Writing) -> std::io::Result<()> {
        self.labels.write(to)?;
        LeftOut::write_all(&self.left_out, to)?;
        to.texts(&self.notes)
    }

    fn read(from: &mut Reading) -> Option<Self> {
        Some(Self { labels: Labels::read(from)?, left_out: LeftOut::read_all(from)?, notes: from.texts()? })
    }

    fn opened(self, root: &Path, files: Vec<Box<Path>>) -> Opened {
        let Self { labels, left_out, notes } = self;
        Opened { pictures: Box::new(Folder { root: root.to_owned(), files, left_out }), labels, notes }
    }
}

/// What a list of a folder's files was made from: the folders, relative to it, and when each was last changed. None where a
/// link leads nowhere or in a circle, since what it leads to may change without a trace.
type Folders = Option<Vec<(Box<Path>, u64)>>;

/// Opens a folder by the list of it that was kept, if it is as it was.
pub(super) fn recall(root: &Path, cache: &Cache) -> Option<Opened> {
    let stamp = stamp(root)?;
    let (files, known) = cache.recall(root, &stamp, |from| {
        let mut name = Vec::new();
        for _ in 0..from.count(16)? {
            from.name(&mut name)?;
            let changed = from.u64()?;
            let known = std::fs::metadata(root.join(path_of(&name)?)).ok()?;
            if !known.is_dir() || cache::changed(&known) != Some(changed) {
                return None;
            }
        }
        let mut files: Vec<Box<Path>> = Vec::with_capacity(from.count(8)?);
        for _ in 0..files.capacity() {
            from.name(&mut name)?;
            files.push(path_of(&name)?.into());
        }
        Some((files, Known::read(from)?))
    })?;
    Some(known.opened(root, files))
}

/// What tells one state of a folder from another, besides when its sub-folders were changed: the file of classes in it.
fn stamp(root: &Path) -> Option<Stamp> {
    let json = root.join(DATASET_JSON);
    Stamp::of(root, json.is_file().then_some(json.as_path()).into_iter())
}

fn keep(
    root: &Path,
    folders: &[(Box<Path>, u64)],
    (files, known): (&[Box<Path>], &Known),
    began: SystemTime,
    cache: &Cache,
) {
    let bytes = |path: &Path| bytes_of(path).map(<[u8]>::to_vec);
    let Some(stamp) = stamp(root) else { return };
    if !files.iter().chain(folders.iter().map(|(path, _)| path)).all(|path| bytes_of(path).is_some()) {
        return;
    }
    let newest = folders.iter().map(|&(_, changed)| changed).max().unwrap_or(0);
    cache.keep(root, &stamp, [files.len() as u64, newest], began, |to| {
        to.u64(folders.len() as u64)?;
        let mut before = Vec::new();
        let mut next = |to: &mut Writing, path: &Path| {
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
        known.write(to)
    });
}

/// A path's bytes as they are kept, and the path that they are of; on other systems than Unix only where it is Unicode.
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
type OpenShards = fn(&Path, &[Box<Path>]) -> Result<Opened, DataError>;

/// Opens a folder of pictures, or of the shards that a set was cut into.
pub(super) fn open(root: &Path, cache: &Cache) -> Result<Opened, DataError> {
    let began = SystemTime::now();
    let Listing { files, folders, labels: json, left_out, note } = list_pictures(root)?;
    if files.is_empty() {
        let sets: [(Is, OpenShards); 2] = [(parquet::is_shard, parquet::open_folder), (shards::is_shard, shards::open)];
        for (is, open) in sets {
            let names: Vec<String> =
                list(root, is)?.iter().filter_map(|path| Some(path.to_str()?.to_owned())).collect();
            let place = |name: &str| root.join(name);
            let (names, notes) = parts::choose(names, None).map_err(|half| half.refused(root, place))?;
            if !names.is_empty() {
                let mut opened = open(root, &names.iter().map(|name| Path::new(name).into()).collect::<Vec<_>>())?;
                opened.notes.extend(notes);
                return Ok(opened);
            }
        }
        return Err(DataError::nothing(root, &left_out));
    }
    let read = |inside: &Path| {
        let bytes = std::fs::metadata(root.join(inside)).ok().filter(|known| known.len() <= JSON_LIMIT);
        let bytes = bytes.and_then(|_| std::fs::read(root.join(inside)).ok()).unwrap_or_default();
        (shown(inside), bytes)
    };
    let names: Vec<_> = files.iter().map(|inside| shown(inside)).collect();
    let contents: Vec<_> = json.iter().map(|inside| read(inside)).collect();
    let (labels, mut notes) = classes(names.iter().map(String::as_str), &contents);
    drop(names);
    notes.extend(note);
    let known = Known { labels, left_out, notes };
    // A file of classes further in may change unnoticed.
    let noticed = json.iter().all(|inside| **inside == *Path::new(DATASET_JSON));
    if let Some(folders) = folders.filter(|_| noticed) {
        keep(root, &folders, (&files, &known), began, cache);
    }
    Ok(known.opened(root, files))
}

impl Pictures for Folder {
    fn len(&self) -> Option<u64> {
        Some(self.files.len() as u64)
    }

    fn name(&self, index: u64) -> String {
        self.files.get(index as usize).map(|inside| shown(inside)).unwrap_or_default()
    }

    fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    fn read(&self, index: u64, _size: usize) -> Result<Found, String> {
        let path = self.root.join(self.files.get(index as usize).ok_or("there is no such picture")?);
        if std::fs::metadata(&path).map_err(|e| e.to_string())?.len() > FILE_LIMIT {
            return Err("it is larger than 1 GiB".to_owned());
        }
        std::fs::read(path).map(Found::Encoded).map_err(|e| e.to_string())
    }
}

/// The one folder in `root`, where there is only one.
pub(super) fn only_folder(root: &Path) -> Option<PathBuf> {
    // There may be a million pictures in it, which are not looked at one by one.
    let is_folder = |entry: &std::fs::DirEntry| {
        entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_symlink() && entry.path().is_dir())
    };
    let entries = std::fs::read_dir(root).ok()?.flatten();
    let mut folders = entries
        .filter(|entry| is_folder(entry) && !is_junk(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path());
    folders.next().filter(|_| folders.next().is_none())
}

/// What a walk through a folder comes by.
enum Met<'a> {
    /// A file, or a link that leads nowhere: relative to the folder, and as it is shown.
    File(&'a Path, &'a str),
    /// What is neither a file nor a folder.
    Special(&'a str),
    /// A file that systems or other programs left.
    JunkFile(&'a str),
    /// A folder of theirs; it is not looked into.
    JunkFolder(&'a str),
    /// A link back to a folder that it lies in.
    Circle(&'a str),
}

/// Walks through a folder. Links are followed; one that leads nowhere counts as a file, to be reported as a picture that cannot be
/// read.
fn walk(root: &Path, mut meet: impl FnMut(Met)) -> Result<Folders, DataError> {
    let mut folders = Some(Vec::new());
    let mut walk = walkdir::WalkDir::new(root).follow_links(true).into_iter();
    while let Some(entry) = walk.next() {
        match entry {
            Ok(entry) => {
                let Ok(inside) = entry.path().strip_prefix(root) else { continue };
                let (name, kind) = (shown(inside), entry.file_type());
                if entry.depth() > 0 && is_junk(&entry.file_name().to_string_lossy()) {
                    match kind.is_dir() {
                        true => {
                            walk.skip_current_dir();
                            meet(Met::JunkFolder(&name));
                        }
                        false => meet(Met::JunkFile(&name)),
                    }
                } else if kind.is_dir() {
                    let changed = entry.metadata().ok().and_then(|known| cache::changed(&known));
                    match (folders.as_mut(), changed) {
                        (Some(folders), Some(changed)) => folders.push((Box::from(inside), changed)),
                        _ => folders = None,
                    }
                } else if kind.is_file() {
                    meet(Met::File(inside, &name));
                } else {
                    meet(Met::Special(&name));
                }
            }
            Err(error) => {
                let path = error.path().unwrap_or(root).to_owned();
                let inside = path.strip_prefix(root).unwrap_or(&path);
                let name = shown(inside);
                if error.loop_ancestor().is_some() {
                    folders = None;
                    meet(Met::Circle(&name));
                } else if path.is_symlink() {
                    folders = None;
                    match name.split('/').any(is_junk) {
                        true => meet(Met::JunkFile(&name)),
                        false => meet(Met::File(inside, &name)),
                    }
                } else {
                    let cause = error.into_io_error().unwrap_or_else(|| std::io::Error::other("it cannot be listed"));
                    return Err(DataError::Io { path, cause });
                }
            }
        }
    }
    Ok(folders)
}

/// What a walk through a folder found: paths relative to it.
struct Listing {
    /// The pictures, sorted by what [`shown`] makes of them.
    files: Vec<Box<Path>>,
    folders: Folders,
    /// Files of classes.
    labels: Vec<Box<Path>>,
    left_out: Vec<LeftOut>,
    note: Option<String>,
}

fn list_pictures(root: &Path) -> Result<Listing, DataError> {
    let (mut files, mut labels, mut tally) = (Vec::new(), Vec::new(), Tally::default());
    let (mut by_bytes, mut first) = (0, String::new());
    let folders = walk(root, |met| match met {
        Met::File(inside, name) if is_picture(name) => files.push(Box::from(inside)),
        Met::File(inside, name) if is_dataset_json(name) => labels.push(Box::from(inside)),
        Met::File(inside, name) if may_be_picture(name) && is_picture_inside(name, &root.join(inside)) => {
            if by_bytes == 0 {
                name.clone_into(&mut first);
            }
            by_bytes += 1;
            files.push(Box::from(inside));
        }
        Met::File(_, name) | Met::JunkFile(name) => pass_over(name, &mut tally),
        Met::JunkFolder(name) => tally.junk_folder(name),
        Met::Special(name) => tally.add(Reason::Other, "neither files nor folders", name),
        Met::Circle(name) => tally.add(Reason::Link, "links", name),
    })?;
    sort(&mut files);
    let note = endings::note_on(by_bytes, &first);
    Ok(Listing { files, folders, labels, left_out: tally.finish(), note })
}

fn is_picture_inside(name: &str, path: &Path) -> bool {
    let mut first = Vec::with_capacity(endings::FIRST_BYTES);
    let read = File::open(path).and_then(|file| file.take(endings::FIRST_BYTES as u64).read_to_end(&mut first));
    read.is_ok() && begins_a_picture(name, &first)
}

/// The files under `root` that `is` accepts, as paths relative to it.
fn list(root: &Path, is: fn(&str) -> bool) -> Result<Vec<Box<Path>>, DataError> {
    let mut files = Vec::new();
    walk(root, |met| match met {
        Met::File(inside, name) if is(name) => files.push(Box::from(inside)),
        _ => {}
    })?;
    sort(&mut files);
    Ok(files)
}

fn sort(files: &mut Vec<Box<Path>>) {
    files.sort_by_cached_key(|inside| shown(inside.as_ref()));
    files.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn links_in_a_circle_are_passed_over_and_dangling_ones_kept_to_be_reported() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("a")).unwrap();
        std::fs::write(root.path().join("a/1.png"), "").unwrap();
        std::os::unix::fs::symlink("..", root.path().join("a/up")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.path().join("a/2.png")).unwrap();
        let Listing { files, folders, left_out, .. } = list_pictures(root.path()).unwrap();
        assert_eq!(folders, None, "such a list is not kept");
        assert_eq!((left_out[0].reason, left_out[0].names.as_slice()), (Reason::Link, &["a/up".to_owned()][..]));
        assert_eq!(files.iter().map(|path| &**path).collect::<Vec<_>>(), [Path::new("a/1.png"), Path::new("a/2.png")]);
    }

    #[test]
    fn a_folder_is_recalled_until_something_is_added_or_removed() {
        let place = tempfile::tempdir().unwrap();
        let (root, cache) = (place.path().join("set"), Cache::at(&place.path().join("cache")));
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
        let told = |opened: &Opened| -> Vec<_> {
            (0..opened.pictures.len().unwrap()).map(|i| (opened.pictures.name(i), opened.labels.of(i))).collect()
        };
        open(&root, &cache).unwrap();
        assert!(recall(&root, &cache).is_none(), "its folders have just been changed");
        settle();
        assert!(recall(&root, &cache).is_none());
        let opened = open(&root, &cache).unwrap();
        let recalled = recall(&root, &cache).expect("it was kept");
        assert_eq!(told(&recalled), told(&opened));
        assert_eq!(told(&recalled)[2], ("b/2.png".to_owned(), Some(1)));
        assert_eq!(recalled.pictures.left_out(), opened.pictures.left_out());
        assert_eq!((recalled.pictures.left_out()[0].count, recalled.labels.source()), (1, opened.labels.source()));
        assert!(matches!(recalled.pictures.read(2, 0), Ok(Found::Encoded(bytes)) if bytes == b"b/2.png"));
        std::fs::write(root.join("b/3.png"), "").unwrap();
        assert!(recall(&root, &cache).is_none(), "it has one more");
        settle();
        open(&root, &cache).unwrap();
        std::fs::remove_dir_all(root.join("b")).unwrap();
        assert!(recall(&root, &cache).is_none(), "a folder is gone");
    }
}
