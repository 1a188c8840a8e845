//! Class names in text files beside the data, one per line.

use super::file_set::FileSet;
use crate::data::DataError;

/// Limit of the file's size.
const LIMIT: u64 = 1 << 20;

/// The non-empty lines of the file `name`; none if it does not exist.
pub(super) fn lines(file_set: &FileSet, name: &str) -> Result<Vec<String>, DataError> {
    let Some(slice) = file_set.get(name)? else { return Ok(Vec::new()) };
    let bytes = slice.head(LIMIT).map_err(|cause| slice.format_error("a list of class names", cause))?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}
