//! The files of a data set, in a folder or an archive.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file_names::is_picture;
use super::file_slice::FileSlice;
use crate::data::DataError;

/// A file in an archive: its path inside, and its position.
#[derive(Debug, Clone)]
pub(super) struct MemberFile {
    pub name: String,
    pub start: u64,
    pub length: u64,
}

#[derive(Debug)]
enum FileLocation {
    Folder(Vec<String>),
    Archive(Arc<File>, Vec<MemberFile>),
}

/// The files of one folder or archive, by name.
#[derive(Debug)]
pub(super) struct FileSet {
    path: PathBuf,
    files: FileLocation,
    /// Number of pictures beside them, and the name of one.
    pictures: (u64, String),
}

impl FileSet {
    /// The files of a folder, without pictures and sub-folders.
    pub fn folder(path: &Path) -> Result<Self, DataError> {
        let (mut names, mut pictures) = (Vec::new(), (0, String::new()));
        for entry in fs_err::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // There may be a million pictures, so their types are not queried.
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
        Ok(Self { path: path.to_owned(), files: FileLocation::Folder(names), pictures })
    }

    /// The files of the folder that contains `file`.
    pub fn containing(file: &Path) -> Result<Self, DataError> {
        match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => Self::folder(parent),
            _ => Self::folder(Path::new(".")),
        }
    }

    /// The files of an archive, in whatever folders.
    pub fn archive(path: &Path, file: Arc<File>, mut members: Vec<MemberFile>) -> Self {
        members.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Self { path: path.to_owned(), files: FileLocation::Archive(file, members), pictures: Default::default() }
    }

    /// The folder or archive.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of the file `name`.
    pub fn path_of(&self, name: &str) -> PathBuf {
        match &self.files {
            FileLocation::Folder(_) => self.path.join(name),
            FileLocation::Archive(_, members) => {
                let member = members.iter().find(|member| member.file_name() == name);
                self.path.join(member.map_or(name, |member| &member.name))
            }
        }
    }

    /// A note on pictures that are skipped because a known set's files are beside them.
    pub fn pictures_note(&self) -> Option<String> {
        let (count, one) = &self.pictures;
        match count {
            0 => None,
            1 => Some(format!("skipped the picture {one} beside the set's own files")),
            _ => Some(format!("skipped {count} pictures beside the set's own files, such as {one}")),
        }
    }

    /// File names, sorted, without folders.
    pub fn names(&self) -> Vec<&str> {
        match &self.files {
            FileLocation::Folder(names) => names.iter().map(String::as_str).collect(),
            FileLocation::Archive(_, members) => members.iter().map(MemberFile::file_name).collect(),
        }
    }

    /// The file `name`, if it exists.
    pub fn get(&self, name: &str) -> Result<Option<FileSlice>, DataError> {
        match &self.files {
            FileLocation::Folder(names) if names.iter().any(|known| known == name) => {
                FileSlice::open(&self.path.join(name)).map(Some)
            }
            FileLocation::Folder(_) => Ok(None),
            FileLocation::Archive(file, members) => {
                Ok(members.iter().find(|member| member.file_name() == name).map(|member| {
                    let path = self.path.join(&member.name);
                    FileSlice::new(file.clone(), &path.to_string_lossy(), member.start, member.length)
                }))
            }
        }
    }
}

impl MemberFile {
    fn file_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or_default()
    }
}
