//! Files and pictures that are skipped: counted by reason and kind, with names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use super::error::{DataError, Problem};
use strum::VariantArray;

use super::cache::{CacheReader, CacheWriter};

/// Names to keep per reason; further ones are only counted.
const MAX_NAMES: usize = 1000;
/// Names in one line of text.
const SHOWN: usize = 3;

/// Why files or pictures are skipped.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, VariantArray,
)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// Cannot be decoded: damaged, cut off, or not what the name says.
    Unreadable,
    /// Smaller than the crop.
    TooSmall,
    /// In an unsupported format.
    Format,
    /// Left in folders by systems and other programs: hidden files, previews, the trash.
    Junk,
    /// Links back to a folder that contains them.
    Link,
    /// In the run's skip list.
    Skipped,
    /// Not pictures.
    Other,
}

impl SkipReason {
    /// Whether the user should know before training starts.
    pub fn is_warning(self) -> bool {
        matches!(self, Self::Unreadable | Self::TooSmall | Self::Format)
    }
}

/// Files or pictures that are skipped for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SkippedGroup {
    /// The reason.
    pub reason: SkipReason,
    /// Their kind, in a word or two: `AVIF`, `camera raw`, `folders`.
    pub kind: String,
    /// Their number.
    pub count: u64,
    /// The first names, sorted; empty if they are only counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// What is wrong with the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

impl SkippedGroup {
    /// Groups unusable pictures by reason.
    pub(super) fn of_problems(problems: Vec<(SkipReason, Problem)>) -> Vec<Self> {
        let mut tally = SkipTally::default();
        let first = |reason| problems.iter().filter(|(of, _)| *of == reason).min_by(|a, b| a.1.name.cmp(&b.1.name));
        problems.iter().for_each(|(reason, problem)| tally.add(*reason, "pictures", &problem.name));
        let mut groups = tally.finish();
        for group in &mut groups {
            group.cause = first(group.reason).map(|(_, problem)| problem.cause.clone());
        }
        groups
    }

    /// A copy with at most `most` names.
    #[must_use]
    pub fn shortened(&self, most: usize) -> Self {
        let names = self.names.iter().take(most).cloned().collect();
        Self { names, kind: self.kind.clone(), cause: self.cause.clone(), ..*self }
    }
}

impl fmt::Display for SkippedGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, kind, count, .. } = self;
        let (files, pictures, are) = match count {
            1 => ("file", "picture", "is"),
            _ => ("files", "pictures", "are"),
        };
        match reason {
            SkipReason::Unreadable => write!(f, "{count} {pictures} cannot be read")?,
            SkipReason::TooSmall => write!(f, "{count} {pictures} {are} smaller than the crop")?,
            SkipReason::Format => write!(f, "{count} {kind} {files} left out: that format is not read")?,
            SkipReason::Junk => {
                let kind = if *count == 1 { kind.trim_end_matches('s') } else { kind };
                write!(f, "{count} hidden or system {kind} skipped")?;
            }
            SkipReason::Link => write!(f, "{count} links skipped that lead back to a folder that contains them")?,
            SkipReason::Skipped => write!(f, "{count} {pictures} skipped by the run's list")?,
            SkipReason::Other => return write!(f, "{count} other {files} left out ({kind})"),
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

impl SkippedGroup {
    /// Writes groups to a cached file list.
    pub(super) fn write_all(groups: &[Self], to: &mut CacheWriter) -> io::Result<()> {
        to.u64(groups.len() as u64)?;
        for Self { reason, kind, count, names, .. } in groups {
            to.raw(&[*reason as u8])?;
            to.bytes(kind.as_bytes())?;
            to.u64(*count)?;
            to.texts(names)?;
        }
        Ok(())
    }

    /// Reads what [`Self::write_all`] wrote.
    pub(super) fn read_all(from: &mut CacheReader) -> Option<Vec<Self>> {
        let group = |from: &mut CacheReader| {
            let reason = *SkipReason::VARIANTS.get(usize::from(from.byte()?))?;
            Some(Self { reason, kind: from.text()?, count: from.u64()?, names: from.texts()?, cause: None })
        };
        (0..from.count(25)?).map(|_| group(from)).collect()
    }
}

/// The error for a `path` without any readable picture, with the files that were found instead.
pub(super) fn nothing_readable(path: &Path, skipped: &[SkippedGroup]) -> DataError {
    let path = path.to_owned();
    match skipped {
        [] => DataError::Empty { path },
        groups => {
            let found: Vec<String> = groups.iter().map(ToString::to_string).collect();
            DataError::NothingRead { path, found: found.join("; ") }
        }
    }
}

/// Counts skipped files while a folder or archive is listed.
#[derive(Debug, Clone, Default)]
pub(super) struct SkipTally {
    groups: Vec<SkippedGroup>,
    /// Junk folders counted so far: an archive names one with each of its files.
    folders: BTreeSet<String>,
    /// Files outside this folder do not count.
    inside: PathBuf,
}

impl SkipTally {
    /// A tally of the files in the folder `inside` alone.
    pub fn within(inside: &Path) -> Self {
        Self { inside: inside.to_owned(), ..Self::default() }
    }

    /// Counts a file. Names of files that are not pictures are not kept: there may be one beside each picture.
    pub fn add(&mut self, reason: SkipReason, kind: &str, name: &str) {
        if !Path::new(name).starts_with(&self.inside) {
            return;
        }
        let at = match self.groups.iter().position(|group| group.reason == reason && group.kind == kind) {
            Some(at) => at,
            None => {
                self.groups.push(SkippedGroup {
                    reason,
                    kind: kind.to_owned(),
                    count: 0,
                    names: Vec::new(),
                    cause: None,
                });
                self.groups.len() - 1
            }
        };
        let group = &mut self.groups[at];
        group.count += 1;
        if reason != SkipReason::Other && group.names.len() < MAX_NAMES {
            group.names.push(name.to_owned());
        }
    }

    /// Counts a folder that is not searched, once.
    pub fn junk_folder(&mut self, name: &str) {
        if self.folders.insert(name.to_owned()) {
            self.add(SkipReason::Junk, "folders", name);
        }
    }

    /// The groups, by reason, with sorted names.
    pub fn finish(self) -> Vec<SkippedGroup> {
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
    fn group_is_displayed_with_count_and_names() {
        let mut tally = SkipTally::default();
        for i in (0..5).rev() {
            tally.add(SkipReason::Format, "AVIF", &format!("{i}.avif"));
            tally.add(SkipReason::Other, "txt", &format!("{i}.txt"));
        }
        tally.add(SkipReason::Format, "camera raw", "a.nef");
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
    fn files_outside_the_folder_do_not_count() {
        let mut tally = SkipTally::within(Path::new("set/train"));
        tally.add(SkipReason::Format, "SVG", "set/test/a.svg");
        tally.add(SkipReason::Format, "SVG", "set/train/a.svg");
        assert_eq!(tally.finish()[0].count, 1);
    }
}
