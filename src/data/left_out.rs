//! What is left out of a set of pictures and why: counted, with names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use super::dataset::Problem;
use super::formats::{Reading, Writing};

/// Names that are remembered for each reason; the rest are only counted.
const MOST_NAMES: usize = 1000;
/// Names that a line of text shows.
const SHOWN: usize = 3;

/// Why files or pictures are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// They cannot be decoded: damaged, cut off, or something else than their name says.
    Unreadable,
    /// They are smaller than the crop.
    TooSmall,
    /// They are in a format that is not read.
    Format,
    /// They are what systems and other programs leave in folders: hidden files, previews, the trash.
    Junk,
    /// They are links that lead back to a folder they lie in.
    Link,
    /// The run's list says so.
    Skipped,
    /// They are no pictures.
    Other,
}

impl Reason {
    /// All of them, the likeliest to be missed first.
    pub(super) const ALL: [Self; 7] =
        [Self::Unreadable, Self::TooSmall, Self::Format, Self::Junk, Self::Link, Self::Skipped, Self::Other];

    /// Whether somebody probably wants to know before the training starts.
    pub fn is_warning(self) -> bool {
        matches!(self, Self::Unreadable | Self::TooSmall | Self::Format)
    }
}

/// Files or pictures that are left out for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LeftOut {
    /// Why.
    pub reason: Reason,
    /// What they are, in a word or two: `AVIF`, `camera raw`, `folders`.
    pub kind: String,
    /// How many.
    pub count: u64,
    /// The first of them by name; none where they are only counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// What is wrong with the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

impl LeftOut {
    /// Pictures that cannot be used, by the reason.
    pub(super) fn of_problems(problems: Vec<(Reason, Problem)>) -> Vec<Self> {
        let mut tally = Tally::default();
        let first = |reason| problems.iter().filter(|(of, _)| *of == reason).min_by(|a, b| a.1.name.cmp(&b.1.name));
        problems.iter().for_each(|(reason, problem)| tally.add(*reason, "pictures", &problem.name));
        let mut groups = tally.finish();
        for group in &mut groups {
            group.cause = first(group.reason).map(|(_, problem)| problem.cause.clone());
        }
        groups
    }

    /// The same with `most` names at the most.
    #[must_use]
    pub fn shortened(&self, most: usize) -> Self {
        let names = self.names.iter().take(most).cloned().collect();
        Self { names, kind: self.kind.clone(), cause: self.cause.clone(), ..*self }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, kind, count, .. } = self;
        let (files, pictures, are) = match count {
            1 => ("file", "picture", "is"),
            _ => ("files", "pictures", "are"),
        };
        match reason {
            Reason::Unreadable => write!(f, "{count} {pictures} cannot be read")?,
            Reason::TooSmall => write!(f, "{count} {pictures} {are} smaller than the crop")?,
            Reason::Format => write!(f, "{count} {kind} {files} left out: that format is not read")?,
            Reason::Junk => {
                let kind = if *count == 1 { kind.trim_end_matches('s') } else { kind };
                write!(f, "{count} hidden or system {kind} skipped")?;
            }
            Reason::Link => write!(f, "{count} links skipped that lead back to a folder they lie in")?,
            Reason::Skipped => write!(f, "{count} {pictures} left out by the run's list")?,
            Reason::Other => return write!(f, "{count} other {files} left out ({kind})"),
        }
        let names: Vec<&str> = self.names.iter().take(SHOWN).map(String::as_str).collect();
        match (names.is_empty(), *count > names.len() as u64) {
            (true, _) => {}
            (false, true) => write!(f, " ({}, ...)", names.join(", "))?,
            (false, false) => write!(f, " ({})", names.join(", "))?,
        }
        self.cause.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl LeftOut {
    /// Writes groups to a list that is kept.
    pub(super) fn write_all(groups: &[Self], to: &mut Writing) -> io::Result<()> {
        to.u64(groups.len() as u64)?;
        for Self { reason, kind, count, names, .. } in groups {
            to.all(&[*reason as u8])?;
            to.bytes(kind.as_bytes())?;
            to.u64(*count)?;
            to.texts(names)?;
        }
        Ok(())
    }

    /// Reads what [`Self::write_all`] wrote.
    pub(super) fn read_all(from: &mut Reading) -> Option<Vec<Self>> {
        let group = |from: &mut Reading| {
            let reason = *Reason::ALL.get(usize::from(from.byte()?))?;
            Some(Self { reason, kind: from.text()?, count: from.u64()?, names: from.texts()?, cause: None })
        };
        (0..from.count(25)?).map(|_| group(from)).collect()
    }
}

/// Counts what a listing passes over.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    groups: Vec<LeftOut>,
    /// Junk folders that were met already: an archive names one with each of its files.
    folders: BTreeSet<String>,
    /// The folder outside which nothing counts.
    inside: PathBuf,
}

impl Tally {
    /// One that counts only what lies in the folder `inside`.
    pub fn within(inside: &Path) -> Self {
        Self { inside: inside.to_owned(), ..Self::default() }
    }

    /// Counts one more. Of what is no picture, no names are kept: there may be one beside each picture.
    pub fn add(&mut self, reason: Reason, kind: &str, name: &str) {
        if !Path::new(name).starts_with(&self.inside) {
            return;
        }
        let at = match self.groups.iter().position(|group| group.reason == reason && group.kind == kind) {
            Some(at) => at,
            None => {
                self.groups.push(LeftOut { reason, kind: kind.to_owned(), count: 0, names: Vec::new(), cause: None });
                self.groups.len() - 1
            }
        };
        let group = &mut self.groups[at];
        group.count += 1;
        if reason != Reason::Other && group.names.len() < MOST_NAMES {
            group.names.push(name.to_owned());
        }
    }

    /// Counts a folder that is not looked into, once.
    pub fn junk_folder(&mut self, name: &str) {
        if self.folders.insert(name.to_owned()) {
            self.add(Reason::Junk, "folders", name);
        }
    }

    /// What was counted: the likeliest to be missed first, and names in order.
    pub fn finish(self) -> Vec<LeftOut> {
        let mut groups = self.groups;
        groups.sort_by(|a, b| (a.reason, &a.kind).cmp(&(b.reason, &b.kind)));
        groups.iter_mut().for_each(|group| group.names.sort());
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_says_what_it_is_how_many_and_which() {
        let mut tally = Tally::default();
        for i in (0..5).rev() {
            tally.add(Reason::Format, "AVIF", &format!("{i}.avif"));
            tally.add(Reason::Other, "txt", &format!("{i}.txt"));
        }
        tally.add(Reason::Format, "camera raw", "a.nef");
        (0..2).for_each(|_| tally.junk_folder("x/@eaDir"));
        let groups = tally.finish();
        let lines: Vec<String> = groups.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "5 AVIF files left out: that format is not read (0.avif, 1.avif, 2.avif, ...)",
                "1 camera raw file left out: that format is not read (a.nef)",
                "1 hidden or system folder skipped (x/@eaDir)",
                "5 other files left out (txt)",
            ]
        );
        assert_eq!(groups[0].shortened(1).names, ["0.avif"]);
    }

    #[test]
    fn what_lies_outside_the_folder_that_is_meant_does_not_count() {
        let mut tally = Tally::within(Path::new("set/train"));
        tally.add(Reason::Format, "SVG", "set/test/a.svg");
        tally.add(Reason::Format, "SVG", "set/train/a.svg");
        assert_eq!(tally.finish()[0].count, 1);
    }
}
