//! What `--out` may name, for every command that writes pictures: refused where it is read, before any work is done.

use std::path::{Path, PathBuf};

use crate::image::{check_picture_name, names_folder};

/// One picture's file.
pub(super) fn picture(text: &str) -> Result<PathBuf, String> {
    check_picture_name(Path::new(text)).map_err(|error| error.to_string()).map(|()| text.into())
}

/// One picture's file, or a folder for many.
pub(super) fn pictures(text: &str) -> Result<PathBuf, String> {
    if names_folder(Path::new(text)) { Ok(text.into()) } else { picture(text) }
}

/// A film's file, one picture's, or a folder for frames.
pub(super) fn film(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if !names_folder(path) && film_ending(path).is_some() { Ok(text.into()) } else { pictures(text) }
        .map_err(|error| format!("{error}, .gif or .mp4"))
}

/// The ending of a film's file.
pub(super) fn film_ending(path: &Path) -> Option<&'static str> {
    ["gif", "mp4"].into_iter().find(|end| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case(end)))
}
