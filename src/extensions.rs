//! File name extensions by kind: lower case, without the dot.

use std::path::Path;

/// Pictures that can be read. What a file contains is decided by its first bytes.
pub(crate) const PICTURES: [&str; 15] =
    ["png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "gif", "tif", "tiff", "ppm", "pgm", "pbm", "pnm", "pam"];

/// Pictures that can be written.
pub const WRITTEN_PICTURES: [&str; 7] = ["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff"];

/// Archives of pictures.
pub(crate) const ARCHIVES: [&str; 4] = ["zip", "tar", "tar.gz", "tgz"];

/// Archives of pictures and files of data sets, for a file dialog. Some data sets' files have no extension.
pub(crate) const DATA_SETS: [&str; 10] = ["zip", "tar", "gz", "tgz", "bin", "mat", "npy", "npz", "parquet", "mdb"];

/// Files of weights, and nothing else.
pub(crate) const WEIGHTS: [&str; 4] = ["safetensors", "pth", "pt", "ckpt"];

/// Files that may contain a model, for a file dialog.
pub(crate) const MODELS: [&str; 7] = ["safetensors", "pth", "pt", "tar", "ckpt", "npy", "pkl"];

/// Whether a file has one of these extensions, in upper or lower case.
pub(crate) fn matches(path: &Path, extensions: &[&str]) -> bool {
    let name = path.to_string_lossy().to_ascii_lowercase();
    extensions.iter().any(|extension| name.strip_suffix(extension).is_some_and(|stem| stem.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_match_in_any_case_and_only_after_a_dot() {
        for name in ["a.tar.gz", "b/A.TGZ", "a.b.zip"] {
            assert!(matches(Path::new(name), &ARCHIVES), "{name}");
        }
        for name in ["zip", "azip", "a.gz", "a.zip/b", "a.zip."] {
            assert!(!matches(Path::new(name), &ARCHIVES), "{name}");
        }
    }
}
