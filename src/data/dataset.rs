//! An opened set of pictures: an index, and any picture of it cut to size.

use std::collections::HashMap;
use std::path::Path;
use std::sync::RwLock;

use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::depth;
use super::formats::{self, ClassesFrom, Found, Opened};
use super::left_out::LeftOut;
use super::prepare::{fitted, prepared};
use super::source::{DataError, Source};
use crate::image::{DecodeOptions, Decoded, Picture, PictureFormat, Preparation, Treatment, decode, guarded};

/// Bytes of prepared pictures that are kept in memory: small sets are decoded once, larger ones still train.
const CACHE_BYTES: usize = 1 << 30;
/// Pictures that [`peek`] tries for each that it is to show, so that a wholly broken set does not keep it for ever.
const TRIES: usize = 4;

/// A picture that was skipped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The file.
    pub name: String,
    /// What is wrong with it.
    pub cause: String,
}

/// An opened set of pictures; shared by the threads that decode.
#[derive(Debug)]
pub struct Dataset {
    source: Source,
    opened: Opened,
    format: PictureFormat,
    /// How its files are decoded.
    options: DecodeOptions,
    cache: RwLock<HashMap<u64, Picture>>,
}

impl Dataset {
    /// Opens `source` for pictures of a format. `seed` decides what synthetic sets draw; these are drawn in the format's size,
    /// so that nothing of it is left to be prepared.
    ///
    /// # Errors
    /// [`DataError`] naming the file or folder.
    pub fn open(source: &Source, mut format: PictureFormat, seed: u64) -> Result<Self, DataError> {
        let broke = |path: &Path, panic: &str| DataError::Format {
            path: path.to_owned(),
            kind: "a set of pictures",
            cause: format!("its reader failed on it ({panic}); it is damaged"),
        };
        let reader = |open: fn(&Path) -> Result<Opened, DataError>, path: &Path| {
            // A reader that panics on a strange file must not take the window down.
            guarded(|| open(path)).unwrap_or_else(|panic| Err(broke(path, &panic)))
        };
        let mut opened = match source {
            Source::Folder(path) => reader(formats::open_folder, path)?,
            Source::File(path) => reader(formats::open_file, path)?,
            Source::Synth(scene) => formats::draw(*scene, seed),
        };
        if let (Source::Folder(path) | Source::File(path), Some(0)) = (source, opened.pictures.len()) {
            return Err(DataError::nothing(path, opened.pictures.left_out()));
        }
        if let Source::Synth(scene) = source
            && format.preparation != Preparation::default()
        {
            let size = format.size;
            opened
                .notes
                .push(format!("synth:{scene} is drawn at {size}x{size}, so there is nothing to crop or to resize"));
            format.preparation = Preparation::default();
        }
        let (ranges, notes) = guarded(|| depth::find(&*opened.pictures)).unwrap_or_default();
        opened.notes.extend(notes);
        let options = DecodeOptions { ranges, background: format.preparation.background.rgb() };
        Ok(Self { source: source.clone(), opened, format, options, cache: RwLock::default() })
    }

    /// The pictures `kept` of this set, and a `note` on that.
    pub(super) fn picked(self, kept: Vec<u32>, note: String) -> Self {
        let mut opened = formats::picked(self.opened, kept);
        opened.notes.push(note);
        Self { opened, cache: RwLock::default(), ..self }
    }

    /// How many pictures; `None` when they never end.
    pub fn len(&self) -> Option<usize> {
        self.opened.pictures.len().map(|length| length as usize)
    }

    /// Whether there are no pictures; an opened set always has some.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Where the pictures come from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// What every picture becomes.
    pub fn format(&self) -> PictureFormat {
        self.format
    }

    /// The names of the classes, in the order of their numbers where the set numbers them and sorted otherwise; empty with
    /// fewer than two. In a folder they are the first folders below the one that all pictures have in common, or the next
    /// level where those only part the set (`train`, `test`).
    pub fn classes(&self) -> &[String] {
        self.opened.labels.names()
    }

    /// The class of picture `index`, as an index into [`Dataset::classes`]; `None` where it has none.
    pub fn class(&self, index: u64) -> Option<usize> {
        self.opened.labels.of(index)
    }

    /// What picture `index` is called.
    pub fn name(&self, index: u64) -> String {
        self.opened.pictures.name(index)
    }

    /// What there is, in a few words: how many pictures, and the first classes by name.
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

    /// Where the classes are from.
    pub fn classes_from(&self) -> ClassesFrom {
        self.opened.labels.source()
    }

    /// The files that lie among the pictures and are left out, by reason and kind.
    pub fn left_out(&self) -> &[LeftOut] {
        self.opened.pictures.left_out()
    }

    /// What was guessed when it was opened, such as which values are black and white.
    pub fn notes(&self) -> &[String] {
        &self.opened.notes
    }

    /// Picture `index`, prepared as the set's format says.
    ///
    /// # Errors
    /// A [`Problem`] naming the file and what is wrong with it.
    pub fn picture(&self, index: u64) -> Result<Picture, Problem> {
        if let Some(picture) = self.cache.read().ok().and_then(|cache| cache.get(&index).cloned()) {
            return Ok(picture);
        }
        self.examined(index).map(|(picture, _)| picture)
    }

    /// As [`Self::picture`], with what was done to the picture, which is decoded for that in any case.
    ///
    /// # Errors
    /// As [`Self::picture`].
    pub fn examined(&self, index: u64) -> Result<(Picture, Treatment), Problem> {
        let examined = self.guarded(index, || match self.read(index)? {
            Found::Encoded(bytes) => fitted(&bytes, self.format, &self.options),
            Found::Decoded(picture) => prepared(self.whole(picture), self.format),
        })?;
        if self.len().is_some()
            && let Ok(mut cache) = self.cache.write()
            && (cache.len() + 1) * self.format.size * self.format.size * self.format.channels <= CACHE_BYTES
        {
            cache.insert(index, examined.0.clone());
        }
        Ok(examined)
    }

    /// Picture `index` as it is stored, neither cut nor resized; a synthetic one in the set's size.
    ///
    /// # Errors
    /// As [`Self::picture`].
    pub fn original(&self, index: u64) -> Result<Picture, Problem> {
        let decoded = self.guarded(index, || match self.read(index)? {
            Found::Encoded(bytes) => decode(&bytes, &self.options).map_err(|e| e.to_string()),
            Found::Decoded(picture) => Ok(self.whole(picture)),
        });
        decoded.map(|(picture, _)| picture)
    }

    fn read(&self, index: u64) -> Result<Found, String> {
        self.opened.pictures.read(index, self.format.size)
    }

    /// A picture that the set holds as pixels.
    fn whole(&self, picture: Picture) -> Decoded {
        let (samples, range) = self.opened.pictures.samples();
        let treatment = Treatment { samples, range, ..Treatment::none(&picture) };
        Decoded { picture, treatment }
    }

    /// A reader that panics on a strange file must not take the training down.
    fn guarded(
        &self,
        index: u64,
        work: impl FnOnce() -> Result<Decoded, String>,
    ) -> Result<(Picture, Treatment), Problem> {
        let done = guarded(work).unwrap_or_else(|panic| Err(format!("its reader failed on it ({panic})")));
        done.map(|decoded| (decoded.picture, decoded.treatment))
            .map_err(|cause| Problem { name: self.name(index), cause })
    }
}

/// The numbers of pictures among which `count` that can be read are looked for.
pub(super) fn picked(dataset: &Dataset, count: usize, seed: u64) -> Vec<u64> {
    let tries = count.saturating_mul(TRIES);
    match dataset.len() {
        Some(length) => {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            index::sample(&mut rng, length, tries.min(length)).iter().map(|i| i as u64).collect()
        }
        None => (0..tries as u64).collect(),
    }
}

/// Up to `count` pictures, picked by `seed`, for a look before training, and those that could not be read on the way.
///
/// Reads and decodes on the calling thread; a window calls it from another than its own.
pub fn peek(dataset: &Dataset, count: usize, seed: u64) -> (Vec<(u64, Picture)>, Vec<Problem>) {
    let mut pictures = Vec::new();
    let mut problems = Vec::new();
    for index in picked(dataset, count, seed) {
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
        Dataset::open(&Source::parse(&path.to_string_lossy())?, PictureFormat::new(8, 3), 1)
    }

    fn shades(dataset: &Dataset) -> Vec<u8> {
        (0..dataset.len().unwrap() as u64).map(|i| dataset.picture(i).unwrap().pixels()[0]).collect()
    }

    #[test]
    fn sub_folders_are_classes_and_other_files_are_passed_over() {
        let folder = folder();
        let dataset = open(folder.path()).unwrap();
        assert_eq!(dataset.classes(), ["cats", "dogs"]);
        assert_eq!((0..3).map(|i| dataset.class(i).unwrap()).collect::<Vec<_>>(), [0, 0, 1]);
        assert_eq!(shades(&dataset), [0, 40, 80]);
        let first = dataset.picture(0).unwrap();
        assert_eq!((first.width(), first.height(), first.channels()), (8, 8, 3));
    }

    #[test]
    fn archives_hold_what_their_folder_held() {
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
    fn a_path_goes_on_into_an_archive() {
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
    fn a_broken_picture_is_a_problem_with_a_name() {
        let folder = folder();
        std::fs::write(folder.path().join("cats/9.png"), "text").unwrap();
        std::fs::write(folder.path().join("cats/8.jpg"), "").unwrap();
        let dataset = open(folder.path()).unwrap();
        let (pictures, mut problems) = peek(&dataset, 100, 1);
        problems.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(pictures.len(), 3);
        let names: Vec<_> = problems.iter().map(|problem| problem.name.as_str()).collect();
        assert_eq!(names, ["cats/8.jpg", "cats/9.png"]);
        assert!(problems.iter().all(|problem| !problem.cause.is_empty()));
    }

    #[test]
    fn a_picture_smaller_than_the_crop_is_a_problem_with_a_name_and_drawn_ones_are_not_cropped() {
        let folder = folder();
        picture(200).write_png(&folder.path().join("cats/large.png")).unwrap();
        Picture::new(30, 30, 3, vec![90; 2700]).write_png(&folder.path().join("cats/larger.png")).unwrap();
        let preparation = Preparation { crop: Some(18), ..Preparation::default() };
        let format = PictureFormat { preparation, ..PictureFormat::new(8, 3) };
        let dataset = Dataset::open(&Source::Folder(folder.path().to_owned()), format, 1).unwrap();
        let (pictures, problems) = peek(&dataset, 9, 1);
        assert_eq!((pictures.len(), problems.len()), (1, 4));
        assert!(problems.iter().all(|problem| problem.cause.contains("20x16 pixels, smaller than the 18x18")));
        let dataset = Dataset::open(&Source::parse("synth:rooms").unwrap(), format, 1).unwrap();
        assert_eq!(dataset.picture(0).unwrap().width(), 8);
        assert!(dataset.notes().iter().any(|note| note.contains("drawn at 8x8")), "{:?}", dataset.notes());
    }

    #[test]
    fn a_folder_without_pictures_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let message = open(folder.path()).unwrap_err().to_string();
        assert!(message.contains("holds no pictures"), "{message}");
    }

    #[test]
    fn a_look_shows_other_pictures_in_place_of_broken_ones() {
        let folder = folder();
        std::fs::write(folder.path().join("cats/9.png"), "text").unwrap();
        let dataset = open(folder.path()).unwrap();
        for seed in 0..8 {
            assert_eq!(peek(&dataset, 3, seed).0.len(), 3, "seed {seed}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_not_unicode_is_read_and_a_dangling_link_is_a_problem() {
        use std::os::unix::ffi::OsStrExt;
        let folder = folder();
        picture(9).write_png(&folder.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9.png"))).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("dogs/7.png")).unwrap();
        let (pictures, problems) = peek(&open(folder.path()).unwrap(), 9, 1);
        assert_eq!(pictures.len(), 4);
        assert_eq!(problems.iter().map(|problem| problem.name.as_str()).collect::<Vec<_>>(), ["dogs/7.png"]);
    }
}
