//! Sets whose training and test pictures are files of one folder: `data_batch_1.bin` and `test_batch.bin`,
//! `train-00000.parquet` and `test-00000.parquet`. What is learnt from must not be what is tried on: such a folder is its
//! training part, and a path goes on from it to any other (`cifar-10-batches-bin/test`).

use std::path::{Path, PathBuf};

use super::shelf::Shelf;
use crate::data::DataError;

/// What the parts of a set are called that are not to learn from: words that their files' names begin with, or folders.
pub const TEST_PARTS: [&str; 7] = ["test", "testing", "t10k", "val", "valid", "validation", "dev"];

/// What the parts to learn from are called.
const TRAINING: [&str; 2] = ["train", "training"];

/// The word by which a file's name says of which part it is: the one that it begins with, or further on in the names of those
/// kinds that begin with the set's (`emnist-letters-test-images-idx3-ubyte`).
pub(super) fn word(name: &str) -> &str {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let words = || file.split(|c: char| !c.is_alphanumeric());
    let first = words().next().unwrap_or_default();
    let is = |parts: &[&str], word: &str| parts.iter().any(|part| part.eq_ignore_ascii_case(word));
    if !["idx3-ubyte", ".parquet", ".tar"].iter().any(|kind| file.to_ascii_lowercase().contains(kind)) {
        return first;
    }
    let found = |parts: &[&str]| words().find(|word| is(parts, word));
    if is(&TEST_PARTS, first) { first } else { found(&TRAINING).or_else(|| found(&TEST_PARTS)).unwrap_or(first) }
}

/// Whether a file is of a part that is not to learn from.
pub(super) fn is_test(name: &str) -> bool {
    TEST_PARTS.contains(&word(name).to_ascii_lowercase().as_str())
}

/// Whether a word in a name is that of such a part: `x_test`.
pub(super) fn names_test(name: &str) -> bool {
    let mut words = name.split(|c: char| !c.is_alphanumeric());
    words.any(|word| TEST_PARTS.iter().any(|part| part.eq_ignore_ascii_case(word)))
}

/// What should be known where a file was named that is of such a part.
pub(super) fn note_on(name: &str) -> Option<String> {
    is_test(name).then(|| format!("{name} is a test part of its set; it is opened because it was named"))
}

/// A set of which there is a test part only.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Half {
    /// The first file of that part.
    found: String,
    /// What the file of the training part is usually called.
    missing: String,
}

impl Half {
    fn of(name: &str) -> Self {
        let (folder, file) =
            name.rsplit_once(['/', '\\']).map_or(("", name), |(_, file)| (&name[..name.len() - file.len()], file));
        let (stem, end) = file.split_once('.').map_or((file, ""), |(stem, end)| (stem, end));
        let end = if end.is_empty() { String::new() } else { format!(".{end}") };
        let missing = match stem {
            "test_batch" => format!("{folder}data_batch_1{end} (to 5)"),
            "val_data" => format!("{folder}train_data_batch_1{end} (and on)"),
            _ => {
                let part = word(file);
                let usual = file.replacen(part, "train", 1);
                // How many files the training part has cannot be told by those of the other.
                let numbered = usual.find("-0").filter(|_| usual.contains("-of-"));
                folder.to_owned() + &numbered.map_or(usual.clone(), |at| format!("{}-*{end}", &usual[..at]))
            }
        };
        Self { found: name.to_owned(), missing }
    }

    /// The error that says what is missing of the set at `path`; `place` says where a file of it is.
    pub fn refused(self, path: &Path, place: impl Fn(&str) -> PathBuf) -> DataError {
        let Self { found, missing } = self;
        let wanted = place(&found).with_file_name(word(&found));
        DataError::OnlyTestPart { path: path.to_owned(), found, missing, wanted }
    }
}

/// The part that these files of a set are asked for, and what should be known of the others.
///
/// # Errors
/// Where no part is asked for and there is only one to test on: what is learned from must be given on purpose.
pub(super) fn choose<T: AsRef<str>>(mut files: Vec<T>, part: Option<&str>) -> Result<(Vec<T>, Vec<String>), Half> {
    let mut notes = Vec::new();
    if let Some(part) = part {
        files.retain(|file| word(file.as_ref()) == part);
    } else if let Some(test) = files.iter().find(|file| is_test(file.as_ref())) {
        let found = test.as_ref().to_owned();
        let others = files.iter().filter(|file| is_test(file.as_ref())).count() - 1;
        files.retain(|file| !is_test(file.as_ref()));
        if files.is_empty() {
            return Err(Half::of(&found));
        }
        let (and, is) = match others {
            0 => (String::new(), "is"),
            others => (format!(" and {others} more"), "are"),
        };
        let word = word(&found);
        notes.push(format!("{found}{and} {is} for tests and left out; .../{word} opens them"));
    }
    notes.extend(gaps(&files));
    Ok((files, notes))
}

/// Says which files of a part are missing, where their names say how many there should be.
fn gaps<T: AsRef<str>>(files: &[T]) -> Option<String> {
    let names = || files.iter().map(|file| file.as_ref());
    let missing = |expected: Vec<String>, of: usize| {
        let there = |name: &String| names().any(|known| known.strip_suffix(".gz").unwrap_or(known) == *name);
        let missing: Vec<String> = expected.into_iter().filter(|name| !there(name)).collect();
        let first = missing.first()?;
        Some(format!("{} of {of} files of this set are missing, such as {first}", missing.len()))
    };
    // Shards by the number of each and of all; CIFAR's five batches.
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

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_folder_is_its_training_part() {
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
    fn a_test_part_alone_is_refused_with_what_is_missing_and_how_to_open_it() {
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
            let half = choose(names(&[found]), None).unwrap_err();
            let message = half.refused(Path::new("set"), |name| Path::new("set").join(name)).to_string();
            for words in [found, missing, wanted] {
                assert!(message.contains(words), "{words}: {message}");
            }
        }
    }

    #[test]
    fn files_that_are_missing_of_a_part_are_counted() {
        let gaps = |files: &[&str]| gaps(&names(files)).unwrap_or_default();
        let told = gaps(&["data_batch_1.bin", "data_batch_3.bin"]);
        assert_eq!(told, "3 of 5 files of this set are missing, such as data_batch_2.bin");
        let told = gaps(&["data/train-00000-of-00003.parquet", "data/train-00002-of-00003.parquet"]);
        assert_eq!(told, "1 of 3 files of this set are missing, such as data/train-00001-of-00003.parquet");
        for whole in [&["train-00000-of-00001.parquet"][..], &["train-0.parquet"], &["train_32x32.mat"], &[]] {
            assert_eq!(gaps(whole), "", "{whole:?}");
        }
    }

    #[test]
    fn a_file_of_a_test_part_may_be_named() {
        assert!(note_on("t10k-images-idx3-ubyte").is_some_and(|note| note.contains("test part")));
        assert_eq!(note_on("data_batch_1.bin"), None);
    }
}
