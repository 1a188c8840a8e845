//! Skip lists: pictures to leave out of training, given as a table of duplicates or as one name per line.

use std::collections::HashSet;
use std::path::Path;

use super::dataset::Dataset;
use super::error::DataError;
use crate::files;

/// Columns of a table of duplicates.
const COLUMNS: [&str; 4] = ["group", "kept", "bits", "name"];

/// One row of a table of duplicates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateRow {
    /// Number of the group of duplicates.
    pub group: usize,
    /// Whether the picture stays in the set.
    pub kept: bool,
    /// Bits in which its hash differs from that of the group's first picture.
    pub bits: u32,
    /// The picture's name in the set.
    pub name: String,
}

/// Writes a table of duplicates, for people and for [`read_skip_list`].
///
/// # Errors
/// Errors of the file system.
pub fn write_duplicate_list(path: &Path, rows: impl IntoIterator<Item = DuplicateRow>) -> std::io::Result<()> {
    files::write(path, |file| {
        let mut table = csv::Writer::from_writer(file);
        table.write_record(COLUMNS)?;
        for DuplicateRow { group, kept, bits, name } in rows {
            let kept = if kept { "yes" } else { "no" };
            table.write_record([&group.to_string(), kept, &bits.to_string(), &name])?;
        }
        table.flush()
    })
}

/// The names of the pictures to skip: those not kept in a table of duplicates, or every line of any other file.
///
/// # Errors
/// [`DataError`] naming the file and what is wrong with it.
pub fn read_skip_list(path: &Path) -> Result<Vec<String>, DataError> {
    let text = fs_err::read_to_string(path)?;
    let wrong = |cause| DataError::Format { path: path.to_owned(), kind: "a list of pictures to skip", cause };
    if text.lines().next().is_none_or(|line| line.trim_end() != COLUMNS.join(",")) {
        let names: Vec<String> = text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        let nothing = || wrong("it is empty; give names, one a line, or what `zscape dedup --list` wrote".into());
        return if names.is_empty() { Err(nothing()) } else { Ok(names) };
    }
    let mut names = Vec::new();
    for row in csv::Reader::from_reader(text.as_bytes()).records() {
        let row = row.map_err(|cause| wrong(cause.to_string()))?;
        match (row.get(1), row.get(3)) {
            (Some("no"), Some(name)) => names.push(name.to_owned()),
            (Some("yes"), Some(_)) => {}
            _ => {
                let line = row.position().map_or(0, csv::Position::line);
                return Err(wrong(format!("line {line} should say yes or no in its second column")));
            }
        }
    }
    Ok(names)
}

impl Dataset {
    /// The set without the pictures of these names. The others keep their order.
    ///
    /// # Errors
    /// [`DataError::SkipsNone`] if no picture has any of these names: the list belongs to another set.
    /// [`DataError::Empty`] if no picture is left.
    pub fn without(self, names: &[String]) -> Result<Self, DataError> {
        if names.is_empty() {
            return Ok(self);
        }
        let skipped: HashSet<&str> = names.iter().map(String::as_str).collect();
        let all = self.len().unwrap_or(0) as u64;
        let remaining: Vec<u32> =
            (0..all).filter(|&i| !skipped.contains(self.name(i).as_str())).map(|i| i as u32).collect();
        let source_name = self.source().to_string();
        match all - remaining.len() as u64 {
            0 => Err(DataError::SkipsNone { source_name, names: names.len(), first: names[0].clone() }),
            _ if remaining.is_empty() => Err(DataError::Empty { path: source_name.into() }),
            skipped => Ok(self.subset(remaining, format!("skipped {skipped} pictures of the run's skip list"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use crate::image::{Picture, PictureFormat};

    #[test]
    fn listed_pictures_are_skipped() {
        let folder = tempfile::tempdir().unwrap();
        for (i, name) in ["a/0.png", "a/1.png", "b/2.png", "b/3, again.png"].iter().enumerate() {
            Picture::new(4, 4, 1, vec![i as u8 * 40; 16]).write_png(&folder.path().join("set").join(name)).unwrap();
        }
        let source = Source::Path(folder.path().join("set"));
        let open = || Dataset::open(&source, PictureFormat::new(4, 1), 1).unwrap();
        let row = |kept, name: &str| DuplicateRow { group: 0, kept, bits: 3, name: name.to_owned() };
        let list = folder.path().join("list.csv");
        write_duplicate_list(&list, [row(true, "b/2.png"), row(false, "a/0.png"), row(false, "b/3, again.png")])
            .unwrap();
        let names = read_skip_list(&list).unwrap();
        assert_eq!(names, ["a/0.png", "b/3, again.png"]);
        let left = open().without(&names).unwrap();
        let shades: Vec<u8> = (0..2).map(|i| left.picture(i).unwrap().pixels()[0]).collect();
        assert_eq!((left.len(), shades.as_slice()), (Some(2), &[40, 80][..]));
        assert_eq!((left.classes(), left.class(0), left.class(1)), (open().classes(), Some(0), Some(1)));
        assert_eq!((left.name(0), left.name(1)), ("a/1.png".to_owned(), "b/2.png".to_owned()));
        assert!(left.notes().iter().any(|note| note.starts_with("skipped 2 pictures")), "{:?}", left.notes());

        let plain = folder.path().join("names.txt");
        std::fs::write(&plain, "a/1.png\r\n\nb/2.png\n").unwrap();
        assert_eq!(read_skip_list(&plain).unwrap(), ["a/1.png", "b/2.png"]);
        let other = open().without(&["c.png".to_owned()]).unwrap_err().to_string();
        assert!(other.contains("c.png") && other.contains("another set"), "{other}");
        assert!(open().without(&[names, read_skip_list(&plain).unwrap()].concat()).is_err(), "nothing is left");
    }

    #[test]
    fn invalid_skip_list_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.csv");
        let error = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_skip_list(&path).unwrap_err().to_string()
        };
        assert!(error("").contains("list.csv") && error("").contains("dedup --list"));
        assert!(error("group,kept,bits,name\n0,perhaps,1,a.png\n").contains("line 2"));
        assert!(error("group,kept,bits,name\n0,no\n").contains("list.csv"));
        assert!(read_skip_list(&folder.path().join("none")).unwrap_err().to_string().contains("none"));
    }
}
