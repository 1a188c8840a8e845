//! Files that make up a set together, in a folder or in an archive of it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::endings::is_picture;
use super::slice::Slice;
use crate::data::DataError;

/// A file of an archive: its path inside, and where it lies.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub name: String,
    pub start: u64,
    pub length: u64,
}

#[derive(Debug)]
enum Files {
    Folder(Vec<String>),
    Archive(Arc<File>, Vec<Member>),
}

/// The files of one folder by name, wherever it is.
#[derive(Debug)]
pub(super) struct Shelf {
    place: PathBuf,
    files: Files,
    /// How many pictures lie beside them, and one of these.
    pictures: (u64, String),
}

impl Shelf {
    /// The files of a folder that are no pictures, without those of its sub-folders.
    pub fn folder(place: &Path) -> Result<Self, DataError> {
        let io = |cause| DataError::Io { path: place.to_owned(), cause };
        let (mut names, mut pictures) = (Vec::new(), (0, String::new()));
        for entry in std::fs::read_dir(place).map_err(io)? {
            let entry = entry.map_err(io)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // There may be a million pictures beside, which are no set's own files: they are not looked at one by one.
            let is_file =
                || entry.file_type().is_ok_and(|kind| kind.is_file() || kind.is_symlink() && entry.path().is_file());
            if is_picture(&name) {
                if pictures.0 == 0 {
                    pictures.1 = name;
                }
                pictures.0 += 1;
            } else if !name.starts_with('.') && is_file() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(Self { place: place.to_owned(), files: Files::Folder(names), pictures })
    }

    /// The folder that a file lies in.
    pub fn around(file: &Path) -> Result<Self, DataError> {
        match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => Self::folder(parent),
            _ => Self::folder(Path::new(".")),
        }
    }

    /// The files of an archive, whatever folders they lie in.
    pub fn archive(place: &Path, file: Arc<File>, mut members: Vec<Member>) -> Self {
        members.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Self { place: place.to_owned(), files: Files::Archive(file, members), pictures: Default::default() }
    }

    /// Where they are.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Where the file called `name` is, if there is one.
    pub fn place_of(&self, name: &str) -> PathBuf {
        match &self.files {
            Files::Folder(_) => self.place.join(name),
            Files::Archive(_, members) => {
                let member = members.iter().find(|member| member.file_name() == name);
                self.place.join(member.map_or(name, |member| &member.name))
            }
        }
    }

    /// What should be known where pictures lie beside a set's own files.
    pub fn note_on_pictures(&self) -> Option<String> {
        let (count, one) = &self.pictures;
        match count {
            0 => None,
            1 => Some(format!("the picture {one} beside the set's own files is left out")),
            _ => Some(format!("{count} pictures beside the set's own files are left out, such as {one}")),
        }
    }

    /// Their names, sorted, without folders.
    pub fn names(&self) -> Vec<&str> {
        match &self.files {
            Files::Folder(names) => names.iter().map(String::as_str).collect(),
            Files::Archive(_, members) => members.iter().map(Member::file_name).collect(),
        }
    }

    /// The file called `name`, if there is one.
    pub fn get(&self, name: &str) -> Result<Option<Slice>, DataError> {
        match &self.files {
            Files::Folder(names) if names.iter().any(|known| known == name) => {
                Slice::open(&self.place.join(name)).map(Some)
            }
            Files::Folder(_) => Ok(None),
            Files::Archive(file, members) => {
                Ok(members.iter().find(|member| member.file_name() == name).map(|member| {
                    let told = self.place.join(&member.name);
                    Slice::of(file.clone(), &told.to_string_lossy(), member.start, member.length)
                }))
            }
        }
    }
}

impl Member {
    fn file_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or_default()
    }
}
