//! Training and test splits of data sets.
//!
//! Many sets have both splits in one folder: `data_batch_1.bin` and `test_batch.bin`, `train-00000.parquet` and
//! `test-00000.parquet`. Test images must not be trained on, so the folder opens as its training split, and a path
//! below it opens another one (`cifar-10-batches-bin/test`).

use std::path::{Path, PathBuf};

use super::file_set::FileSet;
use crate::data::DataError;

/// Names of splits that are not for training: prefixes of file names, or folders.
pub const TEST_SPLITS: [&str; 7] = ["test", "testing", "t10k", "val", "valid", "validation", "dev"];

/// Names of training splits.
const TRAINING_SPLITS: [&str; 2] = ["train", "training"];

/// The word in a file name that may name a split: the first word, or a later one in formats whose file names begin
/// with the set's name (`emnist-letters-test-images-idx3-ubyte`).
pub(super) fn split_name(name: &str) -> &str {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let words = || file.split(|c: char| !c.is_alphanumeric());
    let first = words().next().unwrap_or_default();
    let is = |parts: &[&str], word: &str| parts.iter().any(|split| split.eq_ignore_ascii_case(word));
    if !["idx3-ubyte", ".parquet", ".tar"].iter().any(|kind| file.to_ascii_lowercase().contains(kind)) {
        return first;
    }
    let found = |parts: &[&str]| words().find(|word| is(parts, word));
    if is(&TEST_SPLITS, first) {
        first
    } else {
        found(&TRAINING_SPLITS).or_else(|| found(&TEST_SPLITS)).unwrap_or(first)
    }
}

/// Whether a file belongs to a test or validation split.
pub(super) fn is_test_split(name: &str) -> bool {
    TEST_SPLITS.contains(&split_name(name).to_ascii_lowercase().as_str())
}

/// Whether any word in a name is that of a test or validation split: `x_test`.
pub(super) fn mentions_test_split(name: &str) -> bool {
    let mut words = name.split(|c: char| !c.is_alphanumeric());
    words.any(|word| TEST_SPLITS.iter().any(|split| split.eq_ignore_ascii_case(word)))
}

/// A note for a file of such a split that was named explicitly.
pub(super) fn opened_by_name_note(name: &str) -> Option<String> {
    is_test_split(name).then(|| {
        format!("{name} belongs to the '{}' split; it is used because it was named explicitly", split_name(name))
    })
}

/// Files of a test split without a training split.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LoneTestSplit {
    /// The first of them.
    found: String,
    /// The usual file name of the training split.
    missing: String,
}

impl LoneTestSplit {
    fn new(name: &str) -> Self {
        let (folder, file) =
            name.rsplit_once(['/', '\\']).map_or(("", name), |(_, file)| (&name[..name.len() - file.len()], file));
        let (stem, end) = file.split_once('.').map_or((file, ""), |(stem, end)| (stem, end));
        let end = if end.is_empty() { String::new() } else { format!(".{end}") };
        let missing = match stem {
            "test_batch" => format!("{folder}data_batch_1{end} (to 5)"),
            "val_data" => format!("{folder}train_data_batch_1{end} (and on)"),
            _ => {
                let split = split_name(file);
                let usual = file.replacen(split, "train", 1);
                // The number of training shards is not known.
                let numbered = usual.find("-0").filter(|_| usual.contains("-of-"));
                folder.to_owned() + &numbered.map_or(usual.clone(), |at| format!("{}-*{end}", &usual[..at]))
            }
        };
        Self { found: name.to_owned(), missing }
    }

    /// The error for the set at `path`; `place` returns the path of a file.
    pub fn into_error(self, path: &Path, place: impl Fn(&str) -> PathBuf) -> DataError {
        let Self { found, missing } = self;
        let wanted = place(&found).with_file_name(split_name(&found));
        DataError::OnlyTestSplit { path: path.to_owned(), found, missing, wanted }
    }
}

/// The files of a split (`None`: the training split), and notes on the other files.
///
/// # Errors
/// [`LoneTestSplit`] if no split is given and there are only test files.
pub(super) fn choose<T: AsRef<str>>(
    mut files: Vec<T>,
    split: Option<&str>,
) -> Result<(Vec<T>, Vec<String>), LoneTestSplit> {
    let mut notes = Vec::new();
    if let Some(split) = split {
        files.retain(|file| split_name(file.as_ref()) == split);
    } else if let Some(test) = files.iter().find(|file| is_test_split(file.as_ref())) {
        let found = test.as_ref().to_owned();
        let others = files.iter().filter(|file| is_test_split(file.as_ref())).count() - 1;
        files.retain(|file| !is_test_split(file.as_ref()));
        if files.is_empty() {
            return Err(LoneTestSplit::new(&found));
        }
        let more = if others > 0 { ", ..." } else { "" };
        let split = split_name(&found);
        notes.push(format!("skipped the '{split}' split ({found}{more}); open it as .../{split}"));
    }
    notes.extend(missing_files(&files));
    Ok((files, notes))
}

/// Names missing files, if the file names state how many there should be.
fn missing_files<T: AsRef<str>>(files: &[T]) -> Option<String> {
    let names = || files.iter().map(|file| file.as_ref());
    let missing = |expected: Vec<String>, of: usize| {
        let present = |name: &String| names().any(|known| known.strip_suffix(".gz").unwrap_or(known) == *name);
        let missing: Vec<String> = expected.into_iter().filter(|name| !present(name)).collect();
        let first = missing.first()?;
        Some(format!("{} of {of} files of this set are missing, such as {first}", missing.len()))
    };
    // Numbered shards with their total; the five batches of CIFAR.
    let of = |name: &str| -> Option<(String, String, usize)> {
        let (before, rest) = name.split_once("-of-")?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number = before.rfind('-').filter(|&at| before[at + 1..].bytes().all(|byte| byte.is_ascii_digit()))?;
        Some((before[..number].to_owned(), rest.to_owned(), rest[..digits].parse().ok()?))
    };
    if let Some((stem, rest, count)) = names().find_map(of).filter(|(_, _, count)| (1..=100_000).contains(count)) {
        return missing((0..count).map(|i| format!("{stem}-{i:05}-of-{rest}")).collect(), count);
    }
    let batch = |name: &str| -> Option<(String, String)> {
        let at = name.find("data_batch_").filter(|&at| at == 0 || name[..at].ends_with('/'))? + "data_batch_".len();
        let digits = name[at..].bytes().take_while(u8::is_ascii_digit).count();
        Some((name[..at].to_owned(), name[at + digits..].to_owned()))
    };
    let (stem, end) = names().find_map(batch)?;
    missing((1..=5).map(|i| format!("{stem}{i}{end}")).collect(), 5)
}

/// The folder and the split that a path names, if no file of that name exists.
pub(super) fn split_path(path: &Path) -> Option<(&Path, &str)> {
    let (folder, split) = (path.parent()?, path.file_name()?.to_str()?);
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let present = || {
        FileSet::folder(folder).is_ok_and(|file_set| file_set.names().into_iter().any(|name| split_name(name) == split))
    };
    (!path.exists() && folder.is_dir() && present()).then_some((folder, split))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn folder_opens_as_training_split() {
        let batches: Vec<String> = (1..=5).map(|i| format!("data_batch_{i}.bin")).collect();
        let files = [batches.clone(), names(&["test_batch.bin"])].concat();
        let (chosen, notes) = choose(files.clone(), None).unwrap();
        assert_eq!((chosen, notes.len()), (batches, 1));
        assert!(notes[0].contains("test_batch.bin") && notes[0].contains(".../test"), "{notes:?}");
        assert_eq!(choose(files.clone(), Some("test")), Ok((names(&["test_batch.bin"]), vec![])));
        assert_eq!(choose(files, Some("train")), Ok((vec![], vec![])));
        let (chosen, _) = choose(names(&["extra_32x32.mat", "Test_32x32.mat", "testimony.mat"]), None).unwrap();
        assert_eq!(chosen, names(&["extra_32x32.mat", "testimony.mat"]));
        let emnist = names(&["emnist-test-images-idx3-ubyte", "emnist-train-images-idx3-ubyte"]);
        assert_eq!(choose(emnist, None).unwrap().0, names(&["emnist-train-images-idx3-ubyte"]));
        assert_eq!(choose(Vec::<String>::new(), None), Ok((vec![], vec![])));
    }

    #[test]
    fn test_split_without_training_split_is_refused() {
        for (found, missing, wanted) in [
            ("t10k-images-idx3-ubyte.gz", "train-images-idx3-ubyte.gz", "set/t10k"),
            ("emnist-letters-test-images-idx3-ubyte", "emnist-letters-train-images-idx3-ubyte", "set/test"),
            ("test_batch.bin", "data_batch_1.bin (to 5)", "set/test"),
            ("test_batch", "data_batch_1 (to 5)", "set/test"),
            ("test.bin", "train.bin", "set/test"),
            ("val_data", "train_data_batch_1 (and on)", "set/val"),
            ("test_32x32.mat", "train_32x32.mat", "set/test"),
            ("data/test-00000-of-00002.parquet", "data/train-*.parquet", "set/data/test"),
            ("val-000000.tar", "train-000000.tar", "set/val"),
        ] {
            let lone_test = choose(names(&[found]), None).unwrap_err();
            let message = lone_test.into_error(Path::new("set"), |name| Path::new("set").join(name)).to_string();
            for words in [found, missing, wanted] {
                assert!(message.contains(words), "{words}: {message}");
            }
        }
    }

    #[test]
    fn missing_files_of_a_split_are_counted() {
        let missing_files = |files: &[&str]| missing_files(&names(files)).unwrap_or_default();
        let message = missing_files(&["data_batch_1.bin", "data_batch_3.bin"]);
        assert_eq!(message, "3 of 5 files of this set are missing, such as data_batch_2.bin");
        let message = missing_files(&["data/train-00000-of-00003.parquet", "data/train-00002-of-00003.parquet"]);
        assert_eq!(message, "1 of 3 files of this set are missing, such as data/train-00001-of-00003.parquet");
        for whole in [&["train-00000-of-00001.parquet"][..], &["train-0.parquet"], &["train_32x32.mat"], &[]] {
            assert_eq!(missing_files(whole), "", "{whole:?}");
        }
    }

    #[test]
    fn file_of_a_test_split_may_be_named() {
        assert!(opened_by_name_note("t10k-images-idx3-ubyte").is_some_and(|note| note.contains("'t10k' split")));
        assert_eq!(opened_by_name_note("data_batch_1.bin"), None);
    }
}
