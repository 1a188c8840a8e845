//! Lists of pictures that a training leaves out: a table of duplicates, or names, one a line.

use std::collections::HashSet;
use std::path::Path;

use super::dataset::Dataset;
use super::source::DataError;
use crate::files;

/// The heads of a table of duplicates.
const HEADS: [&str; 4] = ["group", "kept", "bits", "name"];

/// A row of a table of duplicates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Which group it is of.
    pub group: usize,
    /// Whether it stays in the set.
    pub kept: bool,
    /// Bits in which its hash differs from the first one's of the group.
    pub bits: u32,
    /// What the set calls it.
    pub name: String,
}

/// Writes a table of duplicates, for people and for [`read_skipped`].
///
/// # Errors
/// What the file system says.
pub fn write_list(path: &Path, rows: impl IntoIterator<Item = Listed>) -> std::io::Result<()> {
    files::write(path, |file| {
        let mut table = csv::Writer::from_writer(file);
        table.write_record(HEADS)?;
        for Listed { group, kept, bits, name } in rows {
            let kept = if kept { "yes" } else { "no" };
            table.write_record([&group.to_string(), kept, &bits.to_string(), &name])?;
        }
        table.flush()
    })
}

/// The names that a list says to skip: those that a table of duplicates does not keep, or every line of another file.
///
/// # Errors
/// [`DataError`] naming the file and what is wrong with it.
pub fn read_skipped(path: &Path) -> Result<Vec<String>, DataError> {
    let text = std::fs::read_to_string(path).map_err(|cause| DataError::Io { path: path.to_owned(), cause })?;
    let wrong = |cause| DataError::Format { path: path.to_owned(), kind: "a list of pictures to skip", cause };
    if text.lines().next().is_none_or(|line| line.trim_end() != HEADS.join(",")) {
        let names: Vec<String> = text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        let nothing =
            || wrong("there is nothing in it; give names, one a line, or what `zscape dedup --list` wrote".into());
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
    /// The same set without the pictures of these names; the others keep their order, and are numbered anew.
    ///
    /// # Errors
    /// [`DataError::SkipsNone`] where no picture has one of the names, which means that the list is of another set, and
    /// [`DataError::Empty`] where nothing is left.
    pub fn without(self, names: &[String]) -> Result<Self, DataError> {
        if names.is_empty() {
            return Ok(self);
        }
        let skipped: HashSet<&str> = names.iter().map(String::as_str).collect();
        let all = self.len().unwrap_or(0) as u64;
        let kept: Vec<u32> = (0..all).filter(|&i| !skipped.contains(self.name(i).as_str())).map(|i| i as u32).collect();
        let source_name = self.source().to_string();
        match all - kept.len() as u64 {
            0 => Err(DataError::SkipsNone { source_name, names: names.len(), first: names[0].clone() }),
            _ if kept.is_empty() => Err(DataError::Empty { path: source_name.into() }),
            left_out => Ok(self.picked(kept, format!("{left_out} pictures are left out, as the run's list says"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use crate::image::{Picture, PictureFormat};

    #[test]
    fn what_a_list_does_not_keep_is_left_out_of_the_set() {
        let folder = tempfile::tempdir().unwrap();
        for (i, name) in ["a/0.png", "a/1.png", "b/2.png", "b/3, again.png"].iter().enumerate() {
            Picture::new(4, 4, 1, vec![i as u8 * 40; 16]).write_png(&folder.path().join("set").join(name)).unwrap();
        }
        let source = Source::Folder(folder.path().join("set"));
        let open = || Dataset::open(&source, PictureFormat::new(4, 1), 1).unwrap();
        let row = |kept, name: &str| Listed { group: 0, kept, bits: 3, name: name.to_owned() };
        let list = folder.path().join("list.csv");
        write_list(&list, [row(true, "b/2.png"), row(false, "a/0.png"), row(false, "b/3, again.png")]).unwrap();
        let names = read_skipped(&list).unwrap();
        assert_eq!(names, ["a/0.png", "b/3, again.png"]);
        let left = open().without(&names).unwrap();
        let shades: Vec<u8> = (0..2).map(|i| left.picture(i).unwrap().pixels()[0]).collect();
        assert_eq!((left.len(), shades.as_slice()), (Some(2), &[40, 80][..]));
        assert_eq!((left.classes(), left.class(0), left.class(1)), (open().classes(), Some(0), Some(1)));
        assert_eq!((left.name(0), left.name(1)), ("a/1.png".to_owned(), "b/2.png".to_owned()));
        assert!(left.notes().iter().any(|note| note.starts_with("2 pictures are left out")), "{:?}", left.notes());

        let plain = folder.path().join("names.txt");
        std::fs::write(&plain, "a/1.png\r\n\nb/2.png\n").unwrap();
        assert_eq!(read_skipped(&plain).unwrap(), ["a/1.png", "b/2.png"]);
        let other = open().without(&["c.png".to_owned()]).unwrap_err().to_string();
        assert!(other.contains("c.png") && other.contains("another set"), "{other}");
        assert!(open().without(&[names, read_skipped(&plain).unwrap()].concat()).is_err(), "nothing is left");
    }

    #[test]
    fn a_list_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.csv");
        let error = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_skipped(&path).unwrap_err().to_string()
        };
        assert!(error("").contains("list.csv") && error("").contains("dedup --list"));
        assert!(error("group,kept,bits,name\n0,perhaps,1,a.png\n").contains("line 2"));
        assert!(error("group,kept,bits,name\n0,no\n").contains("list.csv"));
        assert!(read_skipped(&folder.path().join("none")).unwrap_err().to_string().contains("none"));
    }
}
