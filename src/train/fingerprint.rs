//! Recognizes a run's data set when it has moved, by the names of its pictures.
//!
//! `run.toml` has a [`Fingerprint`] of the names, and `pictures.txt` the names themselves if they are not too long.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use fs_err as fs;

use crate::data::{Dataset, Source};
use crate::files;

/// Most bytes of names in `pictures.txt`: those of about a million pictures.
const MAX_LIST_BYTES: usize = 16 << 20;
/// Names of each kind in a message.
const SHOWN_NAMES: usize = 3;

/// Number of pictures and a hash of their names, in their order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fingerprint {
    /// Number of pictures.
    pub count: u64,
    /// 64-bit FNV-1a hash of the names, each followed by a line feed, in hexadecimal.
    pub names: String,
}

/// The names of the pictures of a data set.
#[derive(Debug, Clone)]
pub(super) struct PictureNames {
    pub fingerprint: Fingerprint,
    /// The names, one per line; `None` if they are too long.
    list: Option<String>,
}

impl PictureNames {
    /// The names of a data set; `None` for endless data.
    pub fn of(dataset: &Dataset) -> Option<Self> {
        let count = dataset.len()? as u64;
        let file_name = match dataset.source() {
            Source::Path(path) if !path.is_dir() => path.file_name().map(|name| name.to_string_lossy().into_owned()),
            _ => None,
        };
        let mut list = Some(String::new());
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for index in 0..count {
            let name = dataset.name(index);
            // Pictures in one file are named after it (`pics.npy#7`), and the file may be renamed.
            let numbered = file_name
                .as_ref()
                .and_then(|file| name.strip_prefix(file.as_str()))
                .filter(|rest| rest.starts_with('#'));
            let name = numbered.unwrap_or(&name).replace('\n', " ");
            for byte in name.bytes().chain([b'\n']) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
            list = list.filter(|list| list.len() + name.len() < MAX_LIST_BYTES);
            if let Some(list) = &mut list {
                list.push_str(&name);
                list.push('\n');
            }
        }
        Some(Self { fingerprint: Fingerprint { count, names: format!("{hash:016x}") }, list })
    }

    /// Writes the names to `path`, or removes the file if they are too long.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        match &self.list {
            Some(list) => files::write(path, |file| file.write_all(list.as_bytes())),
            None if path.exists() => fs::remove_file(path),
            None => Ok(()),
        }
    }

    /// The difference from an earlier state of the data set, whose names are in the file `list` if it exists; `None`
    /// if they are the same.
    pub fn difference(&self, earlier: &Fingerprint, list: &Path) -> Option<DatasetDifference> {
        if self.fingerprint == *earlier {
            return None;
        }
        let counts = [earlier.count, self.fingerprint.count];
        let before = fs::read_to_string(list).ok().filter(|names| names.lines().count() as u64 == earlier.count);
        let (Some(before), Some(now)) = (&before, &self.list) else {
            return Some(DatasetDifference { counts, names: None });
        };
        let [was, is]: [HashSet<&str>; 2] = [before, now].map(|names| names.lines().collect());
        let without = |names: &str, others: &HashSet<&str>| -> Vec<String> {
            names.lines().filter(|name| !others.contains(name)).map(str::to_owned).collect()
        };
        Some(DatasetDifference { counts, names: Some([without(before, &is), without(now, &was)]) })
    }
}

/// The difference between two states of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetDifference {
    /// Number of pictures before and now.
    counts: [u64; 2],
    /// Names of missing and of new pictures, if the earlier names are known.
    names: Option<[Vec<String>; 2]>,
}

impl DatasetDifference {
    /// Whether both have the same pictures, in another order.
    pub fn only_order(&self) -> bool {
        self.counts[0] == self.counts[1]
            && self.names.as_ref().is_some_and(|[missing, new]| missing.is_empty() && new.is_empty())
    }
}

impl fmt::Display for DatasetDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [then, now] = self.counts;
        let Some([missing, new]) = &self.names else {
            return match then == now {
                true => write!(f, "there are {now} pictures as before, but with other names"),
                false => write!(f, "there are {now} pictures, not {then}"),
            };
        };
        if self.only_order() {
            return f.write_str("the pictures are in another order");
        }
        let some = |names: &[String], what: &str| {
            let verb = if names.len() == 1 { "is" } else { "are" };
            let shown = names.iter().take(SHOWN_NAMES).cloned().collect::<Vec<_>>().join(", ");
            let such = if names.len() > SHOWN_NAMES { "such as " } else { "" };
            format!("{} {verb} {what} ({such}{shown})", names.len())
        };
        let parts = [(missing, "missing"), (new, "new")].into_iter().filter(|(names, _)| !names.is_empty());
        let parts: Vec<String> = parts.map(|(names, what)| some(names, what)).collect();
        match parts.is_empty() {
            // Only the number of pictures with the same name differs.
            true => write!(f, "there are {now} pictures, not {then}"),
            false => write!(f, "of {then} pictures {}", parts.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Picture, PictureFormat};

    fn set(folder: &Path, names: &[&str]) -> PictureNames {
        for name in names {
            Picture::new(2, 2, 1, vec![7; 4]).write_png(&folder.join(name)).unwrap();
        }
        let source = Source::from(&folder.to_string_lossy());
        PictureNames::of(&Dataset::open(&source, PictureFormat::new(8, 1), 1).unwrap()).unwrap()
    }

    #[test]
    fn a_moved_data_set_is_recognized_and_another_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        let here = set(&path("here"), &["a/0.png", "a/1.png", "b/2.png"]);
        let list = path("pictures.txt");
        here.write(&list).unwrap();
        assert_eq!(fs::read_to_string(&list).unwrap(), "a/0.png\na/1.png\nb/2.png\n");
        let moved = set(&path("there"), &["a/0.png", "a/1.png", "b/2.png"]);
        assert_eq!(moved.difference(&here.fingerprint, &list), None);

        let other = set(&path("other"), &["a/0.png", "b/2.png", "b/3.png", "b/4.png"]);
        let difference = other.difference(&here.fingerprint, &list).unwrap();
        assert_eq!(difference.to_string(), "of 3 pictures 1 is missing (a/1.png); 2 are new (b/3.png, b/4.png)");
        fs::remove_file(&list).unwrap();
        let counted = other.difference(&here.fingerprint, &list).unwrap();
        assert_eq!(counted.to_string(), "there are 4 pictures, not 3");
        let named = set(&path("renamed"), &["0.png", "1.png", "2.png"]).difference(&here.fingerprint, &list).unwrap();
        assert!(named.to_string().contains("3 pictures as before, but with other names"), "{named}");
    }

    #[test]
    fn another_order_is_distinguished_from_other_pictures() {
        let root = tempfile::tempdir().unwrap();
        let here = set(&root.path().join("here"), &["0.png", "1.png"]);
        let list = root.path().join("pictures.txt");
        fs::write(&list, "1.png\n0.png\n").unwrap();
        let earlier = Fingerprint { count: 2, names: "0".to_owned() };
        let difference = here.difference(&earlier, &list).unwrap();
        assert!(difference.only_order() && difference.to_string().contains("another order"), "{difference}");
    }
}
