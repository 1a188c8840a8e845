//! Which files are pictures, where they lie in a folder, and which classes their folders make.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use super::cache::{self, Cache, Stamp, Writing};
use super::{FILE_LIMIT, Found, Is, Labels, Opened, Pictures, parquet, parts, shards};
use crate::data::DataError;

/// The ends of names that are taken for pictures; what a file really is, its first bytes decide.
const EXTENSIONS: [&str; 15] =
    ["png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "gif", "tif", "tiff", "ppm", "pgm", "pbm", "pnm", "pam"];

/// Folders that part a set for evaluation and say nothing of what is on its pictures.
const SPLITS: [&str; 10] =
    ["train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval", "unlabeled"];

/// Whether a path inside a set is a picture's, and not of a hidden file or of what macOS adds to archives.
pub(super) fn is_picture(name: &str) -> bool {
    let known = Path::new(name)
        .extension()
        .and_then(|end| end.to_str())
        .is_some_and(|end| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(end)));
    known && !name.split('/').any(is_hidden)
}

fn is_hidden(part: &str) -> bool {
    part == "__MACOSX" || part.starts_with('.')
}

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
}

/// What a list of a folder's files was made from: the folders, relative to it, and when each was last changed. None where a
/// link leads nowhere or in a circle, since what it leads to may change without a trace.
type Folders = Option<Vec<(Box<Path>, u64)>>;

/// Opens a folder by the list of it that was kept, if it is as it was.
pub(super) fn recall(root: &Path, cache: &Cache) -> Option<Opened> {
    let stamp = Stamp::of(root, std::iter::empty())?;
    let (files, labels) = cache.recall(root, &stamp, |from| {
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
        Some((files, Labels::read(from)?))
    })?;
    Some(Opened { pictures: Box::new(Folder { root: root.to_owned(), files }), labels, notes: Vec::new() })
}

fn keep(
    root: &Path,
    folders: &[(Box<Path>, u64)],
    (files, labels): (&[Box<Path>], &Labels),
    began: SystemTime,
    cache: &Cache,
) {
    let bytes = |path: &Path| bytes_of(path).map(<[u8]>::to_vec);
    let Some(stamp) = Stamp::of(root, std::iter::empty()) else { return };
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
        labels.write(to)
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
    let (files, folders) = list(root, is_picture)?;
    if files.is_empty() {
        let sets: [(Is, OpenShards); 2] = [(parquet::is_shard, parquet::open_folder), (shards::is_shard, shards::open)];
        for (is, open) in sets {
            let names: Vec<String> =
                list(root, is)?.0.iter().filter_map(|path| Some(path.to_str()?.to_owned())).collect();
            let (names, note) = parts::choose(names, None);
            if !names.is_empty() {
                let mut opened = open(root, &names.iter().map(|name| Path::new(name).into()).collect::<Vec<_>>())?;
                opened.notes.extend(note);
                return Ok(opened);
            }
        }
        return Err(DataError::Empty { path: root.to_owned() });
    }
    let names: Vec<_> = files.iter().map(|inside| shown(inside)).collect();
    let labels = classes(names.iter().map(String::as_str));
    drop(names);
    if let Some(folders) = folders {
        keep(root, &folders, (&files, &labels), began, cache);
    }
    Ok(Opened { pictures: Box::new(Folder { root: root.to_owned(), files }), labels, notes: Vec::new() })
}

impl Pictures for Folder {
    fn len(&self) -> Option<u64> {
        Some(self.files.len() as u64)
    }

    fn name(&self, index: u64) -> String {
        self.files.get(index as usize).map(|inside| shown(inside)).unwrap_or_default()
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
        .filter(|entry| is_folder(entry) && !is_hidden(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path());
    folders.next().filter(|_| folders.next().is_none())
}

/// The files under `root` that `is` accepts, as paths relative to it, sorted by what [`shown`] makes of them.
///
/// Links are followed. One that leads nowhere stays in the list, to be reported as a picture that cannot be read; one
/// that leads back to a folder it lies in is passed over.
fn list(root: &Path, is: fn(&str) -> bool) -> Result<(Vec<Box<Path>>, Folders), DataError> {
    let mut files: Vec<Box<Path>> = Vec::new();
    let mut folders = Some(Vec::new());
    let walk = walkdir::WalkDir::new(root).follow_links(true).into_iter();
    for entry in walk.filter_entry(|e| e.depth() == 0 || !is_hidden(&e.file_name().to_string_lossy())) {
        let path = match entry {
            Ok(entry) if entry.file_type().is_file() => entry.into_path(),
            Ok(entry) => {
                if entry.file_type().is_dir() {
                    let changed = entry.metadata().ok().and_then(|known| cache::changed(&known));
                    let inside = entry.path().strip_prefix(root).ok().map(Box::from);
                    match (folders.as_mut(), inside.zip(changed)) {
                        (Some(folders), Some(known)) => folders.push(known),
                        _ => folders = None,
                    }
                }
                continue;
            }
            Err(error) if error.loop_ancestor().is_some() => {
                folders = None;
                tracing::debug!("passed over: {error}");
                continue;
            }
            Err(error) => match error.path() {
                Some(path) if path.is_symlink() => {
                    folders = None;
                    path.to_owned()
                }
                path => {
                    let path = path.unwrap_or(root).to_owned();
                    let cause = error.into_io_error().unwrap_or_else(|| std::io::Error::other("it cannot be listed"));
                    return Err(DataError::Io { path, cause });
                }
            },
        };
        if let Ok(inside) = path.strip_prefix(root)
            && is(&shown(inside))
        {
            files.push(inside.into());
        }
    }
    files.sort_by_cached_key(|inside| shown(inside));
    files.shrink_to_fit();
    Ok((files, folders))
}

/// The classes, sorted, and each picture's: the folders at the first level below what all pictures have in common.
///
/// Where these are only parts of a set (`train`, `test`), the level below counts instead. Fewer than two folders make no
/// classes, and a picture beside the folders has none.
pub(super) fn classes<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Labels {
    let mut level = common(names.clone());
    let at = |name: &'a str, level: usize| folders(name).nth(level);
    let distinct = |level: usize| {
        let found: BTreeSet<_> = names.clone().filter_map(|name| at(name, level)).collect();
        found.into_iter().collect::<Vec<_>>()
    };
    let mut classes = distinct(level);
    if classes.iter().all(|class| SPLITS.iter().any(|split| split.eq_ignore_ascii_case(class))) {
        level += 1;
        classes = distinct(level);
    }
    if classes.len() < 2 {
        return Labels::default();
    }
    let class_of = names.map(|name| at(name, level).and_then(|class| classes.binary_search(&class).ok()));
    Labels::new(classes.iter().map(|&class| class.to_owned()).collect(), class_of)
}

/// The folders on the way to a picture, from the top.
fn folders(name: &str) -> impl Iterator<Item = &str> {
    name.rsplit_once('/').into_iter().flat_map(|(folder, _)| folder.split('/'))
}

/// How many folders all pictures have in common.
fn common<'a>(mut names: impl Iterator<Item = &'a str>) -> usize {
    let Some(first) = names.next() else { return 0 };
    let shared: Vec<_> = folders(first).collect();
    names.fold(shared.len(), |level, name| {
        shared[..level].iter().zip(folders(name)).take_while(|(a, b)| **a == *b).count()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn of(names: &[&str]) -> (Vec<String>, Vec<Option<usize>>) {
        let labels = classes(names.iter().copied());
        let of = if labels.names().is_empty() { 0 } else { names.len() as u64 };
        (labels.names().to_vec(), (0..of).map(|i| labels.of(i)).collect())
    }

    #[test]
    fn folders_below_the_common_one_are_classes() {
        assert_eq!(
            of(&["set/cats/a.png", "set/cats/old/b.png", "set/dogs/c.png"]),
            (vec!["cats".into(), "dogs".into()], vec![Some(0), Some(0), Some(1)])
        );
        assert_eq!(
            of(&["a.png", "cats/b.png", "dogs/c.png"]),
            (vec!["cats".into(), "dogs".into()], vec![None, Some(0), Some(1)])
        );
    }

    #[test]
    fn one_folder_makes_no_classes() {
        assert_eq!(of(&["faces/a.png", "faces/b.png"]), (vec![], vec![]));
        assert_eq!(of(&["a.png", "b.png"]), (vec![], vec![]));
        assert_eq!(of(&["test/a.png", "train/b.png"]), (vec![], vec![]), "parts of a set are not classes");
        assert_eq!(of(&[]), (vec![], vec![]));
    }

    #[test]
    fn parts_of_a_set_share_their_classes() {
        assert_eq!(
            of(&["Test/cat/a.png", "Train/cat/b.png", "Train/dog/c.png"]),
            (vec!["cat".into(), "dog".into()], vec![Some(0), Some(0), Some(1)])
        );
    }

    #[test]
    fn only_visible_pictures_count() {
        for name in ["a.png", "b/A.JPEG", "c.tiff"] {
            assert!(is_picture(name), "{name}");
        }
        for name in ["labels.csv", "png", ".a.png", "__MACOSX/a.png", ".git/a.png", "a.png/b"] {
            assert!(!is_picture(name), "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_in_a_circle_are_passed_over_and_dangling_ones_kept_to_be_reported() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("a")).unwrap();
        std::fs::write(root.path().join("a/1.png"), "").unwrap();
        std::os::unix::fs::symlink("..", root.path().join("a/up")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.path().join("a/2.png")).unwrap();
        let (found, folders) = list(root.path(), is_picture).unwrap();
        assert_eq!(folders, None, "such a list is not kept");
        assert_eq!(found.iter().map(|path| &**path).collect::<Vec<_>>(), [Path::new("a/1.png"), Path::new("a/2.png")]);
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
        assert!(matches!(recalled.pictures.read(2, 0), Ok(Found::Encoded(bytes)) if bytes == b"b/2.png"));
        std::fs::write(root.join("b/3.png"), "").unwrap();
        assert!(recall(&root, &cache).is_none(), "it has one more");
        settle();
        open(&root, &cache).unwrap();
        std::fs::remove_dir_all(root.join("b")).unwrap();
        assert!(recall(&root, &cache).is_none(), "a folder is gone");
    }
}
