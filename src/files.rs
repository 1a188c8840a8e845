//! The one way files are written: beside their place, then renamed into it. Nobody ever reads half a file, and a full
//! disk or a kill leaves what was there before.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Writes the file at `path` by `fill`, making its folder if need be. What must outlive a power cut, `fill` ends with
/// [`File::sync_all`].
///
/// # Errors
/// What `fill` or the file system says; the file at `path` is then as it was.
pub fn write(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".writing-");
    // Temporary files are private by default; what is kept should be as readable as any other file of its owner's.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    fill(file.as_file_mut())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Where the program keeps what it can make again: the user's cache folder, or the one that `ZSCAPE_CACHE` names. Nothing where that is
/// `off`, or where the system has no such folder.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    match std::env::var_os("ZSCAPE_CACHE") {
        Some(text) if text.is_empty() || text == "off" => None,
        Some(folder) => Some(PathBuf::from(folder)),
        None => dirs::cache_dir().map(|folder| folder.join("zscape")),
    }
}

/// Whether a value need not be written to a file, since reading gives it anyway.
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
