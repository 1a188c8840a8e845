//! Names of classes in text files beside the data.

use super::shelf::Shelf;
use crate::data::DataError;

/// Bytes of names that are read; more is no list of names.
const LIMIT: u64 = 1 << 20;

/// The lines of the file called `name` that are not empty; none where there is no such file.
pub(super) fn lines(shelf: &Shelf, name: &str) -> Result<Vec<String>, DataError> {
    let Some(slice) = shelf.get(name)? else { return Ok(Vec::new()) };
    let bytes = slice.beginning(LIMIT).map_err(|cause| slice.damaged("a list of class names", cause))?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}
