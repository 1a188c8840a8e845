//! Picture output: the extension selects the format; a name without one is a folder.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageError, ImageFormat};

use super::{Picture, PictureError};
use crate::extensions::WRITTEN_PICTURES;
use crate::files;

/// JPEG quality of 100: contact sheets have sharp edges.
const QUALITY: u8 = 95;

/// A picture cannot be written under the given name.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Unknown extension.
    #[error("{path}: pictures are not written as .{ending}; give a name that ends in {}", listed())]
    Ending {
        /// What was named.
        path: PathBuf,
        /// The extension.
        ending: String,
    },
    /// The name is that of a folder.
    #[error("{path} names a folder, and this is one picture; give a file's name that ends in {}", listed())]
    Folder {
        /// What was named.
        path: PathBuf,
    },
}

fn listed() -> String {
    let [first @ .., last] = WRITTEN_PICTURES.map(|ending| format!(".{ending}"));
    format!("{} or {last}", first.join(", "))
}

/// Whether a path names a folder: an existing folder, a trailing slash (`out/`), or no extension.
pub fn names_folder(path: &Path) -> bool {
    let slash = path.to_string_lossy().ends_with(std::path::is_separator);
    slash || path.is_dir() || path.extension().is_none()
}

fn format(path: &Path) -> Result<ImageFormat, OutputError> {
    let path = path.to_owned();
    let Some(ending) = path.extension().filter(|_| !names_folder(&path)) else {
        return Err(OutputError::Folder { path });
    };
    let ending = ending.to_string_lossy().to_ascii_lowercase();
    match ending.as_str() {
        "png" => Ok(ImageFormat::Png),
        "jpg" | "jpeg" => Ok(ImageFormat::Jpeg),
        "webp" => Ok(ImageFormat::WebP),
        "bmp" => Ok(ImageFormat::Bmp),
        "tif" | "tiff" => Ok(ImageFormat::Tiff),
        _ => Err(OutputError::Ending { path, ending }),
    }
}

/// Checks that a picture can be written under this name, before any work is done.
///
/// # Errors
/// [`OutputError`] with the supported extensions.
pub fn check_picture_name(path: &Path) -> Result<(), OutputError> {
    format(path).map(|_| ())
}

impl Picture {
    /// Writes the picture in the format of its extension (see `WRITTEN_PICTURES`).
    ///
    /// # Errors
    /// [`PictureError::Write`] with the file and the cause.
    pub fn write(&self, path: &Path) -> Result<(), PictureError> {
        let failed = |cause| PictureError::Write { path: path.to_owned(), cause };
        let format = format(path).map_err(|error| failed(ImageError::IoError(std::io::Error::other(error))))?;
        let bytes = self.encoded(format).map_err(failed)?;
        files::write(path, |file| file.write_all(&bytes)).map_err(|cause| failed(cause.into()))
    }

    fn encoded(&self, format: ImageFormat) -> Result<Vec<u8>, ImageError> {
        let color = if self.channels() == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
        let (width, height) = (self.width() as u32, self.height() as u32);
        let mut bytes = Cursor::new(Vec::new());
        match format {
            ImageFormat::Jpeg => {
                JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode(self.pixels(), width, height, color)?;
            }
            _ => image::write_buffer_with_format(&mut bytes, self.pixels(), width, height, color, format)?,
        }
        Ok(bytes.into_inner())
    }
}

/// Writes numbered pictures (`000042.png`) into `folder`, which is created. Returns their names.
///
/// # Errors
/// [`PictureError::Write`] naming the file.
pub fn write_numbered<'a>(
    folder: &Path,
    pictures: impl IntoIterator<Item = (u64, &'a Picture)>,
) -> Result<Vec<PathBuf>, PictureError> {
    let write = |(number, picture): (u64, &Picture)| {
        let path = folder.join(format!("{number:06}.png"));
        picture.write(&path).map(|()| path)
    };
    pictures.into_iter().map(write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_decides_the_format() {
        let folder = tempfile::tempdir().unwrap();
        for channels in [1, 3] {
            let picture = Picture::new(16, 8, channels, vec![90; 128 * channels]);
            for ending in WRITTEN_PICTURES.iter().map(|end| (*end).to_owned()).chain(["JPG".to_owned()]) {
                let path = folder.path().join(format!("{channels}.{ending}"));
                picture.write(&path).unwrap();
                let bytes = std::fs::read(&path).unwrap();
                assert_eq!(image::guess_format(&bytes).unwrap(), format(&path).unwrap(), "{ending}");
                let back = image::load_from_memory(&bytes).unwrap().into_rgb8();
                assert!(back.pixels().all(|pixel| pixel.0.iter().all(|value| value.abs_diff(90) < 3)), "{ending}");
            }
        }
    }

    #[test]
    fn a_name_that_cannot_be_a_picture_is_refused_with_those_that_can() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a.gif", "a.mp4", "a.npy", "a.png.bak"] {
            let error = check_picture_name(&path(name)).unwrap_err().to_string();
            assert!(error.contains(".png, .jpg") && error.contains(name), "{error}");
            assert!(Picture::new(1, 1, 1, vec![0]).write(&path(name)).is_err());
        }
        std::fs::create_dir(path("old.png")).unwrap();
        for name in ["out", "out/", "out.png/", "old.png"] {
            assert!(names_folder(&path(name)), "{name}");
            assert!(matches!(check_picture_name(&path(name)), Err(OutputError::Folder { .. })), "{name}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn numbered_pictures_are_named_by_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = [Picture::new(1, 1, 1, vec![0]), Picture::new(1, 1, 1, vec![255])];
        let written = write_numbered(&folder.path().join("new"), (41..).zip(&pictures)).unwrap();
        assert_eq!(written, ["000041.png", "000042.png"].map(|name| folder.path().join("new").join(name)));
        assert_eq!(Picture::read(&written[1]).unwrap(), pictures[1]);
    }
}
