//! Writes synthetic sets as folders: pictures, masks, and truth.jsonl.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Scene, Truth};
use crate::files;
use crate::image::PictureError;

/// A set could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SynthError {
    /// A picture or mask could not be written; the message names the file.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// The list of truths could not be written.
    #[error("cannot write the list of attributes {path}: {cause}")]
    Truth {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        cause: std::io::Error,
    },
}

#[derive(serde::Serialize)]
struct Line<'a> {
    file: &'a str,
    seed: u64,
    index: u64,
    #[serde(flatten)]
    truth: &'a Truth,
}

/// Writes pictures 0..`count` of a set into `folder`: 000000.png and so on, masks/000000.png for rooms with a window,
/// and truth.jsonl with one line per picture. `progress` receives the number of finished pictures.
///
/// truth.jsonl is written last: a folder that contains it is complete.
///
/// # Errors
/// [`SynthError`] naming the file that could not be written.
pub fn write_set(
    scene: Scene,
    count: u64,
    size: usize,
    seed: u64,
    folder: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<(), SynthError> {
    let path = folder.join("truth.jsonl");
    let failed = |cause: std::io::Error| SynthError::Truth { path: path.clone(), cause };
    let mut list = Vec::new();
    for index in 0..count {
        let sample = scene.draw(seed, index, size);
        let file = format!("{index:06}.png");
        sample.picture.write_png(&folder.join(&file))?;
        if let Some(mask) = &sample.mask {
            mask.write_png(&folder.join("masks").join(&file))?;
        }
        let line = Line { file: &file, seed, index, truth: &sample.truth };
        serde_json::to_writer(&mut list, &line).map_err(|e| failed(e.into()))?;
        list.push(b'\n');
        progress(index + 1);
    }
    files::write(&path, |file| file.write_all(&list)).map_err(failed)
}
