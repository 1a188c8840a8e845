//! An opened data set: an index of its pictures, and random access to them, decoded and prepared.

use std::collections::HashMap;
use std::path::Path;
use std::sync::RwLock;

use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::bit_depth;
use super::error::{DataError, Problem};
use super::formats::{self, ClassSource, PictureData, PictureSet};
use super::prepare::{decode_and_prepare, prepare};
use super::skipped::{self, SkippedGroup};
use super::source::Source;
use crate::image::{DecodeOptions, Decoded, Picture, PictureFormat, Preparation, Ranges, Treatment, decode};
use crate::panics::catch;

/// Bytes of prepared pictures to cache: small sets are decoded once, larger ones still train.
const CACHE_BYTES: usize = 1 << 30;
/// Pictures that [`preview_pictures`] tries per picture to show, so that it ends on a set of broken pictures.
const ATTEMPTS_PER_PICTURE: usize = 4;

/// An opened data set, shared by the decoding threads.
#[derive(Debug)]
pub struct Dataset {
    source: Source,
    set: PictureSet,
    format: PictureFormat,
    /// Decoder settings for its files.
    options: DecodeOptions,
    cache: RwLock<HashMap<u64, Picture>>,
}

impl Dataset {
    /// Opens `source` for pictures of `format`. `seed` selects the pictures of a synthetic set, which are rendered at
    /// the format's size and need no preparation.
    ///
    /// # Errors
    /// [`DataError`] naming the file or folder.
    pub fn open(source: &Source, mut format: PictureFormat, seed: u64) -> Result<Self, DataError> {
        source.check()?;
        let mut set = match source {
            Source::Path(path) => open_path(path)?,
            Source::Synthetic(scene) => formats::open_synthetic(*scene, seed),
        };
        if source.is_synthetic() && format.preparation != Preparation::default() {
            let size = format.size;
            set.notes.push(format!("{source} is rendered at {size}x{size}, so nothing is cropped or resized"));
            format.preparation = Preparation::default();
        }
        let (ranges, notes) = catch(|| bit_depth::measure_ranges(&*set.pictures)).unwrap_or_else(|panic| {
            let note = format!("which values are black and white was not measured: a reader failed ({panic})");
            (Ranges::default(), vec![note])
        });
        set.notes.extend(notes);
        let options = DecodeOptions { ranges, background: format.preparation.background.rgb() };
        Ok(Self { source: source.clone(), set, format, options, cache: RwLock::default() })
    }

    /// The subset of the pictures with these indices, with a `note` about it.
    pub(super) fn subset(self, indices: Vec<u32>, note: String) -> Self {
        let mut set = formats::subset(self.set, indices);
        set.notes.push(note);
        Self { set, cache: RwLock::default(), ..self }
    }

    /// Number of pictures; `None` for endless data.
    pub fn len(&self) -> Option<usize> {
        self.set.pictures.len().map(|length| length as usize)
    }

    /// Whether there are no pictures. Never true: an empty set does not open.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Where the pictures come from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The format of prepared pictures.
    pub fn format(&self) -> PictureFormat {
        self.format
    }

    /// Class names, in the order of their numbers if the set numbers them, sorted otherwise; empty if there are fewer
    /// than two. In a folder, classes are the first folders below the deepest folder that all pictures share, or the
    /// next level if those are splits (`train`, `test`).
    pub fn classes(&self) -> &[String] {
        self.set.labels.names()
    }

    /// The class of picture `index`, as an index into [`Dataset::classes`]; `None` if it has no class.
    pub fn class(&self, index: u64) -> Option<usize> {
        self.set.labels.class(index)
    }

    /// The name of picture `index` in the set.
    pub fn name(&self, index: u64) -> String {
        self.set.pictures.name(index)
    }

    /// A one-line summary: the number of pictures and the first class names.
    pub fn summary(&self) -> String {
        const NAMED: usize = 10;
        let pictures = match self.len() {
            Some(count) => format!("{count} pictures"),
            None => "endless pictures, drawn by the program".to_owned(),
        };
        let classes = self.classes();
        let named = classes.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        match classes.len() {
            0 => pictures,
            count @ ..=NAMED => format!("{pictures} in {count} classes: {named}"),
            count => format!("{pictures} in {count} classes: {named}, ..."),
        }
    }

    /// Origin of the class labels.
    pub fn classes_from(&self) -> ClassSource {
        self.set.labels.source()
    }

    /// Skipped files and pictures, by reason and kind.
    pub fn skipped(&self) -> &[SkippedGroup] {
        self.set.pictures.skipped()
    }

    /// Assumptions and findings of opening it, such as the values of black and white.
    pub fn notes(&self) -> &[String] {
        &self.set.notes
    }

    /// Picture `index`, prepared for the format.
    ///
    /// # Errors
    /// A [`Problem`] naming the file and what is wrong with it.
    pub fn picture(&self, index: u64) -> Result<Picture, Problem> {
        if let Some(picture) = self.cache.read().ok().and_then(|cache| cache.get(&index).cloned()) {
            return Ok(picture);
        }
        self.picture_with_treatment(index).map(|(picture, _)| picture)
    }

    /// As [`Self::picture`], with a record of what was done to the picture. Always decodes it, even if it is cached.
    ///
    /// # Errors
    /// As [`Self::picture`].
    pub fn picture_with_treatment(&self, index: u64) -> Result<(Picture, Treatment), Problem> {
        let decoded = self.guarded(index, || match self.read(index)? {
            PictureData::Encoded(bytes) => decode_and_prepare(&bytes, self.format, &self.options),
            PictureData::Decoded(picture) => prepare(self.decoded(picture), self.format),
        })?;
        if self.len().is_some()
            && let Ok(mut cache) = self.cache.write()
            && (cache.len() + 1) * self.format.size * self.format.size * self.format.channels <= CACHE_BYTES
        {
            cache.insert(index, decoded.0.clone());
        }
        Ok(decoded)
    }

    /// Picture `index` as stored, neither cropped nor resized; a synthetic one at the format's size.
    ///
    /// # Errors
    /// As [`Self::picture`].
    pub fn original(&self, index: u64) -> Result<Picture, Problem> {
        let decoded = self.guarded(index, || match self.read(index)? {
            PictureData::Encoded(bytes) => decode(&bytes, &self.options).map_err(|e| e.to_string()),
            PictureData::Decoded(picture) => Ok(self.decoded(picture)),
        });
        decoded.map(|(picture, _)| picture)
    }

    fn read(&self, index: u64) -> Result<PictureData, String> {
        self.set.pictures.read(index, self.format.size)
    }

    /// A picture that is stored as pixels.
    fn decoded(&self, picture: Picture) -> Decoded {
        let (samples, range) = self.set.pictures.samples();
        let treatment = Treatment { samples, range, ..Treatment::none(&picture) };
        Decoded { picture, treatment }
    }

    /// Turns a panic of a decoder into a problem of this picture: a strange file must not end the training.
    fn guarded(
        &self,
        index: u64,
        work: impl FnOnce() -> Result<Decoded, String>,
    ) -> Result<(Picture, Treatment), Problem> {
        let done = catch(work).unwrap_or_else(|panic| Err(format!("its reader failed on it ({panic})")));
        done.map(|decoded| (decoded.picture, decoded.treatment))
            .map_err(|cause| Problem { name: self.name(index), cause })
    }
}

/// Opens a folder or file. Turns a panic of its reader into an error: a strange file must not end the window.
fn open_path(path: &Path) -> Result<PictureSet, DataError> {
    let open = || if path.is_dir() { formats::open_folder(path) } else { formats::open_file(path) };
    let set = catch(open).unwrap_or_else(|panic| {
        let cause = format!("its reader failed ({panic}); it may be damaged");
        Err(DataError::Format { path: path.to_owned(), kind: "a set of pictures", cause })
    })?;
    match set.pictures.len() {
        Some(0) => Err(skipped::nothing_readable(path, set.pictures.skipped())),
        _ => Ok(set),
    }
}

/// Indices to try, in order, for `count` readable pictures.
pub(super) fn sample_indices(dataset: &Dataset, count: usize, seed: u64) -> Vec<u64> {
    let tries = count.saturating_mul(ATTEMPTS_PER_PICTURE);
    match dataset.len() {
        Some(length) => {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            index::sample(&mut rng, length, tries.min(length)).iter().map(|i| i as u64).collect()
        }
        None => (0..tries as u64).collect(),
    }
}

/// Up to `count` pictures, picked by `seed`, with their indices, and those that could not be read.
///
/// Reads and decodes on the calling thread, so do not call it on the window's.
pub fn preview_pictures(dataset: &Dataset, count: usize, seed: u64) -> (Vec<(u64, Picture)>, Vec<Problem>) {
    let mut pictures = Vec::new();
    let mut problems = Vec::new();
    for index in sample_indices(dataset, count, seed) {
        if pictures.len() == count {
            break;
        }
        match dataset.picture(index) {
            Ok(picture) => pictures.push((index, picture)),
            Err(problem) => problems.push(problem),
        }
    }
    (pictures, problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn picture(shade: u8) -> Picture {
        Picture::new(20, 16, 3, vec![shade; 20 * 16 * 3])
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (i, class) in ["cats", "cats", "dogs"].iter().enumerate() {
            picture(i as u8 * 40).write_png(&folder.path().join(class).join(format!("{i}.png"))).unwrap();
        }
        std::fs::write(folder.path().join("notes.txt"), "no picture").unwrap();
        std::fs::write(folder.path().join(".hidden.png"), "no picture").unwrap();
        folder
    }

    fn open(path: &Path) -> Result<Dataset, DataError> {
        Dataset::open(&Source::from(path.to_owned()), PictureFormat::new(8, 3), 1)
    }

    fn shades(dataset: &Dataset) -> Vec<u8> {
        (0..dataset.len().unwrap() as u64).map(|i| dataset.picture(i).unwrap().pixels()[0]).collect()
    }

    #[test]
    fn sub_folders_are_classes_and_other_files_are_skipped() {
        let folder = folder();
        let dataset = open(folder.path()).unwrap();
        assert_eq!(dataset.classes(), ["cats", "dogs"]);
        assert_eq!((0..3).map(|i| dataset.class(i).unwrap()).collect::<Vec<_>>(), [0, 0, 1]);
        assert_eq!(shades(&dataset), [0, 40, 80]);
        let first = dataset.picture(0).unwrap();
        assert_eq!((first.width(), first.height(), first.channels()), (8, 8, 3));
    }

    #[test]
    fn archives_open_like_their_folder() {
        let folder = folder();
        let place = tempfile::tempdir().unwrap();
        let tar_path = place.path().join("a.tar");
        let mut tar = tar::Builder::new(std::fs::File::create(&tar_path).unwrap());
        tar.append_dir_all("root", folder.path()).unwrap();
        tar.into_inner().unwrap().sync_all().unwrap();
        let gz_path = place.path().join("a.tar.gz");
        let mut gz =
            flate2::write::GzEncoder::new(std::fs::File::create(&gz_path).unwrap(), flate2::Compression::fast());
        gz.write_all(&std::fs::read(&tar_path).unwrap()).unwrap();
        gz.finish().unwrap();
        let zip_path = place.path().join("a.zip");
        let mut zip = zip::ZipWriter::new(std::fs::File::create(&zip_path).unwrap());
        for (i, name) in ["cats/0.png", "cats/1.png", "dogs/2.png"].iter().enumerate() {
            let method = if i == 0 { zip::CompressionMethod::Stored } else { zip::CompressionMethod::Deflated };
            zip.start_file(*name, zip::write::SimpleFileOptions::default().compression_method(method)).unwrap();
            zip.write_all(&std::fs::read(folder.path().join(name)).unwrap()).unwrap();
        }
        zip.finish().unwrap();
        for path in [&tar_path, &gz_path, &zip_path] {
            let dataset = open(path).unwrap();
            assert_eq!(shades(&dataset), [0, 40, 80], "{}", path.display());
            assert_eq!(dataset.classes(), ["cats", "dogs"], "{}", path.display());
            let bytes = std::fs::read(path).unwrap();
            let cut = place.path().join(format!("cut-{}", path.file_name().unwrap().to_string_lossy()));
            std::fs::write(&cut, &bytes[..bytes.len() / 3]).unwrap();
            let message = open(&cut).unwrap_err().to_string();
            assert!(message.contains("cut-") && message.contains("damaged"), "{message}");
        }
    }

    #[test]
    fn path_may_continue_into_an_archive() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.zip");
        let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
        for (i, name) in ["test/cats/0.png", "train/cats/1.png", "train/dogs/2.png"].iter().enumerate() {
            zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(&picture(i as u8 * 40).to_png().unwrap()).unwrap();
        }
        zip.finish().unwrap();
        let train = open(&path.join("train")).unwrap();
        assert_eq!(shades(&train), [40, 80]);
        assert_eq!(train.classes(), ["cats", "dogs"]);
        assert_eq!(shades(&open(&path.join("train/dogs")).unwrap()), [80]);
        let message = open(&path.join("valid")).unwrap_err().to_string();
        assert!(message.contains("a.zip/valid holds no pictures"), "{message}");
        let message = open(&place.path().join("b.zip/train")).unwrap_err().to_string();
        assert!(message.contains("b.zip/train does not exist"), "{message}");
    }

    #[test]
    fn broken_picture_is_reported_by_name() {
        let folder = folder();
        std::fs::write(folder.path().join("cats/9.png"), "text").unwrap();
        std::fs::write(folder.path().join("cats/8.jpg"), "").unwrap();
        let dataset = open(folder.path()).unwrap();
        let (pictures, mut problems) = preview_pictures(&dataset, 100, 1);
        problems.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(pictures.len(), 3);
        let names: Vec<_> = problems.iter().map(|problem| problem.name.as_str()).collect();
        assert_eq!(names, ["cats/8.jpg", "cats/9.png"]);
        assert!(problems.iter().all(|problem| !problem.cause.is_empty()));
    }

    #[test]
    fn picture_smaller_than_the_crop_is_reported_and_synthetic_ones_are_not_cropped() {
        let folder = folder();
        picture(200).write_png(&folder.path().join("cats/large.png")).unwrap();
        Picture::new(30, 30, 3, vec![90; 2700]).write_png(&folder.path().join("cats/larger.png")).unwrap();
        let preparation = Preparation { crop: Some(18), ..Preparation::default() };
        let format = PictureFormat { preparation, ..PictureFormat::new(8, 3) };
        let dataset = Dataset::open(&Source::Path(folder.path().to_owned()), format, 1).unwrap();
        let (pictures, problems) = preview_pictures(&dataset, 9, 1);
        assert_eq!((pictures.len(), problems.len()), (1, 4));
        assert!(problems.iter().all(|problem| problem.cause.contains("20x16 pixels, smaller than the 18x18")));
        let dataset = Dataset::open(&"synth:rooms".into(), format, 1).unwrap();
        assert_eq!(dataset.picture(0).unwrap().width(), 8);
        assert!(dataset.notes().iter().any(|note| note.contains("rendered at 8x8")), "{:?}", dataset.notes());
    }

    #[test]
    fn folder_without_pictures_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let message = open(folder.path()).unwrap_err().to_string();
        assert!(message.contains("holds no pictures"), "{message}");
    }

    #[test]
    fn preview_replaces_broken_pictures_by_others() {
        let folder = folder();
        std::fs::write(folder.path().join("cats/9.png"), "text").unwrap();
        let dataset = open(folder.path()).unwrap();
        for seed in 0..8 {
            assert_eq!(preview_pictures(&dataset, 3, seed).0.len(), 3, "seed {seed}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn non_unicode_name_is_read_and_broken_link_is_reported() {
        use std::os::unix::ffi::OsStrExt;
        let folder = folder();
        picture(9).write_png(&folder.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9.png"))).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("dogs/7.png")).unwrap();
        let (pictures, problems) = preview_pictures(&open(folder.path()).unwrap(), 9, 1);
        assert_eq!(pictures.len(), 4);
        assert_eq!(problems.iter().map(|problem| problem.name.as_str()).collect::<Vec<_>>(), ["dogs/7.png"]);
    }
}
