//! Parsers of `--out` for commands that write pictures, which refuse unknown formats before any work is done.

use std::path::{Path, PathBuf};

use crate::image::{check_picture_name, names_folder};

/// A picture file.
pub(super) fn picture(text: &str) -> Result<PathBuf, String> {
    check_picture_name(Path::new(text)).map_err(|error| error.to_string()).map(|()| text.into())
}

/// A picture file, or a folder for several.
pub(super) fn pictures(text: &str) -> Result<PathBuf, String> {
    if names_folder(Path::new(text)) { Ok(text.into()) } else { picture(text) }
}

/// A film file, a picture file, or a folder for frames.
pub(super) fn film(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if !names_folder(path) && film_ending(path).is_some() { Ok(text.into()) } else { pictures(text) }
        .map_err(|error| format!("{error}, .gif or .mp4"))
}

/// The extension of a film file; `None` if the path has another one.
pub(super) fn film_ending(path: &Path) -> Option<&'static str> {
    ["gif", "mp4"].into_iter().find(|end| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case(end)))
}
