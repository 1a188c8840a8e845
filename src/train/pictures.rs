//! Which pictures a run learns from, so that a set that moved is known again. `run.toml` has a fingerprint of their names, and
//! `pictures.txt` the names themselves, where they are not so many that copies of them would matter.

use std::collections::HashSet;
use std::fmt;
use std::io::Write;
use std::path::Path;

use crate::data::{Dataset, Source};
use crate::files;

/// Bytes of names that are written down: those of a million pictures or so.
const LIST_BYTES: usize = 16 << 20;
/// Names of each kind in a message.
const SHOWN: usize = 3;

/// How many pictures, and a hash of their names in their order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fingerprint {
    /// How many.
    pub count: u64,
    /// FNV-1a of the names, each ended by a line feed, in hexadecimal.
    pub names: String,
}

/// The pictures of a set by their names.
#[derive(Debug, Clone)]
pub(super) struct Pictures {
    pub fingerprint: Fingerprint,
    /// The names, a line each; nothing where they are too many.
    list: Option<String>,
}

impl Pictures {
    /// Those of a set; endless ones have none.
    pub fn of(dataset: &Dataset) -> Option<Self> {
        let count = dataset.len()? as u64;
        let own = match dataset.source() {
            Source::File(path) => path.file_name().map(|name| name.to_string_lossy().into_owned()),
            _ => None,
        };
        let mut list = Some(String::new());
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for index in 0..count {
            let name = dataset.name(index);
            // Pictures of one file are called after it (`pics.npy#7`), and it may be renamed.
            let numbered =
                own.as_ref().and_then(|own| name.strip_prefix(own.as_str())).filter(|rest| rest.starts_with('#'));
            let name = numbered.unwrap_or(&name).replace('\n', " ");
            for byte in name.bytes().chain([b'\n']) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
            list = list.filter(|list| list.len() + name.len() < LIST_BYTES);
            if let Some(list) = &mut list {
                list.push_str(&name);
                list.push('\n');
            }
        }
        Some(Self { fingerprint: Fingerprint { count, names: format!("{hash:016x}") }, list })
    }

    /// Writes the names to `path`, or removes those of before where there are too many.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        match &self.list {
            Some(list) => files::write(path, |file| file.write_all(list.as_bytes())),
            None if path.exists() => std::fs::remove_file(path),
            None => Ok(()),
        }
    }

    /// In what these differ from the pictures of `then`, whose names may be in the file `list`; nothing where they are the same.
    pub fn difference(&self, then: &Fingerprint, list: &Path) -> Option<Difference> {
        if self.fingerprint == *then {
            return None;
        }
        let counts = [then.count, self.fingerprint.count];
        let before = std::fs::read_to_string(list).ok().filter(|names| names.lines().count() as u64 == then.count);
        let (Some(before), Some(now)) = (&before, &self.list) else {
            return Some(Difference { counts, names: None });
        };
        let [was, is]: [HashSet<&str>; 2] = [before, now].map(|names| names.lines().collect());
        let without = |names: &str, others: &HashSet<&str>| -> Vec<String> {
            names.lines().filter(|name| !others.contains(name)).map(str::to_owned).collect()
        };
        Some(Difference { counts, names: Some([without(before, &is), without(now, &was)]) })
    }
}

/// In what two sets differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// How many pictures there were, and are.
    counts: [u64; 2],
    /// The names of those that are missing and of those that are new, where the names are known.
    names: Option<[Vec<String>; 2]>,
}

impl Difference {
    /// Whether it is the same pictures, in another order.
    pub fn only_order(&self) -> bool {
        self.counts[0] == self.counts[1]
            && self.names.as_ref().is_some_and(|[missing, new]| missing.is_empty() && new.is_empty())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [then, now] = self.counts;
        let Some([missing, new]) = &self.names else {
            return match then == now {
                true => write!(f, "there are {now} pictures as before, but their names are others"),
                false => write!(f, "there are {now} pictures, not {then}"),
            };
        };
        if self.only_order() {
            return f.write_str("they come in another order");
        }
        let some = |names: &[String], what: &str| {
            let verb = if names.len() == 1 { "is" } else { "are" };
            let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
            let such = if names.len() > SHOWN { "such as " } else { "" };
            format!("{} {verb} {what} ({such}{shown})", names.len())
        };
        let parts = [(missing, "missing"), (new, "new")].into_iter().filter(|(names, _)| !names.is_empty());
        let parts: Vec<String> = parts.map(|(names, what)| some(names, what)).collect();
        match parts.is_empty() {
            // Names that a set has twice.
            true => write!(f, "there are {now} pictures, not {then}"),
            false => write!(f, "of {then} pictures {}", parts.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Picture, PictureFormat};

    fn set(folder: &Path, names: &[&str]) -> Pictures {
        for name in names {
            Picture::new(2, 2, 1, vec![7; 4]).write_png(&folder.join(name)).unwrap();
        }
        let source = Source::parse(&folder.to_string_lossy()).unwrap();
        Pictures::of(&Dataset::open(&source, PictureFormat::new(8, 1), 1).unwrap()).unwrap()
    }

    #[test]
    fn a_moved_set_is_known_again_and_another_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        let here = set(&path("here"), &["a/0.png", "a/1.png", "b/2.png"]);
        let list = path("pictures.txt");
        here.write(&list).unwrap();
        assert_eq!(std::fs::read_to_string(&list).unwrap(), "a/0.png\na/1.png\nb/2.png\n");
        let moved = set(&path("there"), &["a/0.png", "a/1.png", "b/2.png"]);
        assert_eq!(moved.difference(&here.fingerprint, &list), None);

        let other = set(&path("other"), &["a/0.png", "b/2.png", "b/3.png", "b/4.png"]);
        let difference = other.difference(&here.fingerprint, &list).unwrap();
        assert_eq!(difference.to_string(), "of 3 pictures 1 is missing (a/1.png); 2 are new (b/3.png, b/4.png)");
        std::fs::remove_file(&list).unwrap();
        let counted = other.difference(&here.fingerprint, &list).unwrap();
        assert_eq!(counted.to_string(), "there are 4 pictures, not 3");
        let named = set(&path("renamed"), &["0.png", "1.png", "2.png"]).difference(&here.fingerprint, &list).unwrap();
        assert!(named.to_string().contains("3 pictures as before, but their names"), "{named}");
    }

    #[test]
    fn the_same_pictures_in_another_order_are_told_from_others() {
        let root = tempfile::tempdir().unwrap();
        let here = set(&root.path().join("here"), &["0.png", "1.png"]);
        let list = root.path().join("pictures.txt");
        std::fs::write(&list, "1.png\n0.png\n").unwrap();
        let then = Fingerprint { count: 2, names: "0".to_owned() };
        let difference = here.difference(&then, &list).unwrap();
        assert!(difference.only_order() && difference.to_string().contains("another order"), "{difference}");
    }
}
