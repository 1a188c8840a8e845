//! WebDataset: tars in which the files of a sample share their name, `000001.jpg` and its class `000001.cls`. A set
//! is one tar, or a folder of them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::PictureSet;
use super::archive::{self, ArchiveEntry, ArchiveIndex, ArchivePictures, ShardFile};
use super::classes::classes;
use super::labels::LabelBuilder;
use crate::data::DataError;
use crate::data::cache::{ListCache, ListStamp};
use crate::data::skipped::{self, SkipTally};

/// Limit of the size of a class file.
const LIMIT: usize = 256;

/// Whether a file is a shard, by its name.
pub(super) fn is_shard(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".tar")
}

/// Whether a file has the class of the picture beside it.
pub(super) fn is_class(name: &str) -> bool {
    name.ends_with(".cls")
}

/// Opens the named tars of a folder as one set.
pub(super) fn open(folder: &Path, names: &[Box<Path>]) -> Result<PictureSet, DataError> {
    open_with(folder, names, &ListCache::of_user())
}

fn open_with(folder: &Path, names: &[Box<Path>], cache: &ListCache) -> Result<PictureSet, DataError> {
    let paths: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    let stamp = ListStamp::of(folder, paths.iter().map(PathBuf::as_path));
    let cached = stamp.as_ref().and_then(|stamp| {
        let shards = paths.iter().cloned().map(ShardFile::Path).collect();
        cache.load(folder, stamp, |from| ArchivePictures::read(shards, from))
    });
    if let Some((archive, labels, notes)) = cached {
        return Ok(PictureSet { pictures: Box::new(archive), labels, notes });
    }
    let started = SystemTime::now();
    let mut builder = LabelBuilder::default();
    let (mut shards, mut entries, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut labeled, mut tally) = (false, SkipTally::default());
    for (number, path) in (0..).zip(paths) {
        // A shard is opened again for each picture.
        if archive::is_compressed(&path) {
            let cause = "it is packed, as one of several tars must not be; unpack it, or give it alone".to_owned();
            return Err(DataError::Format { path, kind: "a tar", cause });
        }
        let ArchiveIndex { file, entries: mut inside, note } = archive::index(&path, &mut tally)?;
        notes.extend(note.map(|note| format!("{}: {note}", path.display())));
        labeled |= take_class_files(&file, &mut inside, &mut builder);
        inside.iter_mut().for_each(|entry| entry.shard = number);
        entries.append(&mut inside);
        shards.push(ShardFile::Path(path));
    }
    let skipped = tally.finish();
    if entries.is_empty() {
        return Err(skipped::nothing_readable(folder, &skipped));
    }
    entries.shrink_to_fit();
    let labels = match labeled {
        true => builder.finish(),
        false => {
            let (labels, said) = classes(entries.iter().map(|entry| &*entry.name), &[]);
            notes.extend(said);
            labels
        }
    };
    notes.extend(archive::unnamed_pictures_note(&entries));
    let archive = ArchivePictures { shards, entries, skipped };
    if let Some(stamp) = &stamp {
        cache.store(folder, stamp, [archive.entries.len() as u64, 0], started, |to| archive.write(&labels, &notes, to));
    }
    Ok(PictureSet { pictures: Box::new(archive), labels, notes })
}

/// Removes all but the pictures from `entries`, which are sorted by name, and adds their classes to `builder`.
/// Returns whether any picture has a class.
pub(super) fn take_class_files(file: &File, entries: &mut Vec<ArchiveEntry>, builder: &mut LabelBuilder) -> bool {
    let mut labeled = false;
    for sample in entries.chunk_by(|a, b| key(&a.name) == key(&b.name)) {
        let class = sample.iter().find(|entry| is_class(&entry.name));
        let class = class.and_then(|entry| archive::read_text(file, entry, LIMIT));
        let class = class.as_deref().map(str::trim).filter(|class| !class.is_empty());
        labeled |= class.is_some();
        sample.iter().filter(|entry| entry.picture).for_each(|_| builder.push(class));
    }
    entries.retain(|entry| entry.picture);
    entries.shrink_to_fit();
    labeled
}

/// What the files of a sample have in common: the path up to the first dot of the file name.
fn key(name: &str) -> &str {
    let file = name.rfind('/').map_or(0, |slash| slash + 1);
    name[file..].find('.').map_or(name, |dot| &name[..file + dot])
}

#[cfg(test)]
mod tests {
    use super::super::tests::{classes, damages, decoded, open, survives};
    use crate::image::Picture;
    use proptest::prelude::*;
    use std::path::Path;

    fn tar(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, bytes.as_slice()).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn png(shade: u8) -> Vec<u8> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.png");
        Picture::new(2, 2, 1, vec![shade; 4]).write_png(&path).unwrap();
        std::fs::read(path).unwrap()
    }

    fn shard(place: &Path, name: &str, samples: &[(&str, u8, &str)]) {
        let files = samples.iter().flat_map(|(key, shade, class)| {
            let class = (format!("{key}.cls"), class.as_bytes().to_vec());
            [class, (format!("{key}.png"), png(*shade)), (format!("{key}.json"), b"{}".to_vec())]
        });
        let files: Vec<_> = files.collect();
        let files: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
        std::fs::write(place.join(name), tar(&files)).unwrap();
    }

    #[test]
    fn class_files_label_samples_in_one_tar_or_many() {
        let place = tempfile::tempdir().unwrap();
        shard(place.path(), "set-000000.tar", &[("000001", 1, "10"), ("000001-b", 2, "9\n"), ("a.b/000002", 3, "10")]);
        let opened = open(&place.path().join("set-000000.tar")).unwrap();
        let names = vec!["9".to_owned(), "10".into()];
        assert_eq!(classes(&opened, 3), (names.clone(), vec![Some(0), Some(1), Some(1)]));
        assert_eq!((decoded(&opened, 0).pixels()[0], opened.pictures.name(0)), (2, "000001-b.png".to_owned()));
        shard(place.path(), "set-000001.tar", &[("000003", 4, "9")]);
        let opened = open(place.path()).unwrap();
        assert_eq!(classes(&opened, 4), (names, vec![Some(0), Some(1), Some(1), Some(0)]));
        assert_eq!(decoded(&opened, 3).pixels()[0], 4);
        assert!(opened.pictures.name(3).ends_with("set-000001.tar/000003.png"), "{}", opened.pictures.name(3));
    }

    #[test]
    fn synset_folders_are_classes_whatever_the_case_of_extensions() {
        let place = tempfile::tempdir().unwrap();
        for (name, shade) in [("train/n01440764/n01440764_10026.JPEG", 1), ("train/n01443537/n01443537_2.JPEG", 2)] {
            let path = place.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, png(shade)).unwrap();
        }
        let opened = open(place.path()).unwrap();
        let names = vec!["n01440764".to_owned(), "n01443537".into()];
        assert_eq!(classes(&opened, 2), (names, vec![Some(0), Some(1)]));
        assert_eq!(
            (decoded(&opened, 1).pixels()[0], opened.pictures.name(0).as_str()),
            (2, "train/n01440764/n01440764_10026.JPEG")
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn damaged_tar_is_refused_or_read(damage in damages()) {
            let bytes = tar(&[("1.cls", b"3".to_vec()), ("1.png", png(1)), ("2.cls", b"4".to_vec()), ("2.png", png(2))]);
            survives("a.tar", &bytes, &damage)?;
        }
    }
}
