//! WebDataset: tars whose files of one name belong together, `000001.jpg` and its class `000001.cls`; one tar, or a
//! folder of the parts of a set.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::Opened;
use super::archive::{self, Archive, Entry, Shard};
use super::folder::{classes, is_picture};
use super::labels::Gather;
use crate::data::DataError;

/// Bytes of a class; more is something else.
const LIMIT: usize = 256;

/// Whether a file is such a part.
pub(super) fn is_shard(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".tar")
}

/// Opens the tars `names` in `folder` as one set.
pub(super) fn open(folder: &Path, names: &[Box<Path>]) -> Result<Opened, DataError> {
    let mut gather = Gather::default();
    let (mut shards, mut entries) = (Vec::new(), Vec::new());
    let mut labelled = false;
    for (number, name) in (0..).zip(names) {
        let path: PathBuf = folder.join(name);
        let (file, mut inside) = archive::index(&path)?;
        labelled |= take_classes(&file, &mut inside, &mut gather);
        inside.iter_mut().for_each(|entry| entry.shard = number);
        entries.append(&mut inside);
        shards.push(Shard::Path(path));
    }
    if entries.is_empty() {
        return Err(DataError::Empty { path: folder.to_owned() });
    }
    entries.shrink_to_fit();
    let labels = if labelled { gather.finish() } else { classes(entries.iter().map(|entry| &*entry.name)) };
    Ok(Opened { pictures: Box::new(Archive { shards, entries }), labels, notes: Vec::new() })
}

/// Leaves only the pictures in `entries`, which are sorted by name, and gathers their classes; whether any has one.
pub(super) fn take_classes(file: &File, entries: &mut Vec<Entry>, gather: &mut Gather) -> bool {
    let mut labelled = false;
    for sample in entries.chunk_by(|a, b| key(&a.name) == key(&b.name)) {
        let class = sample.iter().find(|entry| entry.name.ends_with(".cls"));
        let class = class.and_then(|entry| archive::read_short(file, entry, LIMIT));
        let class = class.as_deref().map(str::trim).filter(|class| !class.is_empty());
        labelled |= class.is_some();
        sample.iter().filter(|entry| is_picture(&entry.name)).for_each(|_| gather.push(class));
    }
    entries.retain(|entry| is_picture(&entry.name));
    labelled
}

/// What the files of a sample have in common: the path up to the first dot of the file's name.
fn key(name: &str) -> &str {
    let file = name.rfind('/').map_or(0, |slash| slash + 1);
    name[file..].find('.').map_or(name, |dot| &name[..file + dot])
}
