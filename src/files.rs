//! Atomic file writes, errors that name their file, and the cache folder.
//!
//! [`write()`] writes a temporary file beside the target and renames it, so that nobody reads half a file, and a full disk or a
//! killed process leaves the old file intact.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Writes the file at `path` through `fill`, creating its folder if it is missing. Call [`File::sync_all`] at the end of `fill` if the file
/// must survive a power failure.
///
/// # Errors
/// Any error of `fill` or the file system, with the path in its message. The file at `path` is then unchanged.
pub fn write(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    write_beside(path, fill).map_err(|error| with_path(path, error))
}

fn write_beside(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".writing-");
    // Temporary files are private by default; the result should be as readable as any other file of its owner's.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    fill(file.as_file_mut())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Adds a path to the message of an I/O error that does not name its file. Errors from `fs_err` already do.
pub(crate) fn with_path(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The folder for cached data: `ZSCAPE_CACHE` if it names one, else `zscape` in the user's cache folder. `None` if `ZSCAPE_CACHE` is `off` or
/// empty, or if the system has no cache folder.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    match std::env::var_os("ZSCAPE_CACHE") {
        Some(text) if text.is_empty() || text == "off" => None,
        Some(folder) => Some(PathBuf::from(folder)),
        None => dirs::cache_dir().map(|folder| folder.join("zscape")),
    }
}

/// For `#[serde(skip_serializing_if)]`: whether a value is its type's default, which reading restores.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_failed_write_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/file");
        write(&path, |file| file.write_all(b"first")).unwrap();
        let failed = write(&path, |file| {
            file.write_all(b"sec")?;
            Err(io::Error::other("the disk is full"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_what_their_owner_lets_them() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (ours, usual) = (folder.path().join("ours"), folder.path().join("usual"));
        write(&ours, |_| Ok(())).unwrap();
        File::create(&usual).unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(ours), mode(usual));
    }
}
