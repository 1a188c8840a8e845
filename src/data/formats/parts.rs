//! Sets whose training and test pictures are files of one folder: `data_batch_1.bin` and `test_batch.bin`,
//! `train-00000.parquet` and `test-00000.parquet`. What is learnt from must not be what is tried on: such a folder is its
//! training part, and a path goes on from it to any other (`cifar-10-batches-bin/test`).

use std::path::Path;

use super::shelf::Shelf;

/// What the parts of a set are called that are not to learn from: words that their files' names begin with, or folders.
pub const TEST_PARTS: [&str; 7] = ["test", "testing", "t10k", "val", "valid", "validation", "dev"];

/// The word that the name of a file begins with.
pub(super) fn word(name: &str) -> &str {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    file.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default()
}

/// The part that these files of a set are asked for, and what should be known of the others.
pub(super) fn choose<T: AsRef<str>>(mut files: Vec<T>, part: Option<&str>) -> (Vec<T>, Option<String>) {
    if let Some(part) = part {
        files.retain(|file| word(file.as_ref()) == part);
        return (files, None);
    }
    let is_test = |file: &T| TEST_PARTS.contains(&word(file.as_ref()).to_ascii_lowercase().as_str());
    let Some(test) = files.iter().find(|file| is_test(file)).filter(|_| !files.iter().all(is_test)) else {
        return (files, None);
    };
    let note = format!(
        "{} is not to learn from and left out, with all others whose names begin so; they are opened as .../{}",
        test.as_ref(),
        word(test.as_ref())
    );
    files.retain(|file| !is_test(file));
    (files, Some(note))
}

/// The folder and the part of its set that a path names, where there is no file of that name.
pub(super) fn of(path: &Path) -> Option<(&Path, &str)> {
    let (folder, part) = (path.parent()?, path.file_name()?.to_str()?);
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let there = || Shelf::folder(folder).is_ok_and(|shelf| shelf.names().into_iter().any(|name| word(name) == part));
    (!path.exists() && folder.is_dir() && there()).then_some((folder, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_its_training_part() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let files = names(&["data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"]);
        let (chosen, note) = choose(files.clone(), None);
        assert_eq!(chosen, names(&["data_batch_1.bin", "data_batch_2.bin"]));
        assert!(
            note.as_ref().is_some_and(|note| note.contains("test_batch.bin") && note.ends_with(".../test")),
            "{note:?}"
        );
        assert_eq!(choose(files.clone(), Some("test")), (names(&["test_batch.bin"]), None));
        assert_eq!(choose(files, Some("train")), (Vec::new(), None));
        // A test part alone is what was asked for.
        let alone = names(&["data/test-0.parquet", "data/test-1.parquet"]);
        assert_eq!(choose(alone.clone(), None), (alone, None));
        let (chosen, _) = choose(names(&["extra_32x32.mat", "Test_32x32.mat", "testimony.mat"]), None);
        assert_eq!(chosen, names(&["extra_32x32.mat", "testimony.mat"]));
    }
}
