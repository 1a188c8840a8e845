//! Import settings: the settings of a model that its file does not store, given after the path as in
//! `netG.pth@prior=uniform,flipped=true`. `RUN@average=20` also sets how many checkpoints are averaged.
//!
//! Such a name can be used wherever a model's path is expected, so that sessions, the window and every command support
//! it. [`split`] parses it, [`validate`] explains what is wrong with it, [`ImportSettings::name`] and the `with_*`
//! functions write it.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::import::{ClassConditioning, ImportRequest, SearchConstraints};
use super::{ModelConfig, OutputActivation, Prior, Provenance, SamplingStatistics};
use crate::image::{Background, Fit, MAX_CROP, Preparation, Resize};

/// Separates the path from the settings.
const SEPARATOR: char = '@';

/// Settings that other programs' files do not store, so that the user can set them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImportSettings {
    /// Whether the kernels are rotated by 180 degrees relative to the file.
    pub flipped: bool,
    /// Distribution of z.
    pub prior: Prior,
    /// Batch-norm statistics used when sampling.
    pub sampling: SamplingStatistics,
    /// The generator's output activation.
    pub output: OutputActivation,
    /// Negative slope of the generator's activations.
    pub leak: f64,
    /// How real images are prepared for the networks.
    pub preparation: Preparation,
}

/// The settings given after a model's path; `None` where the user gave none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Overrides {
    /// Number of checkpoints to average.
    pub average: Option<usize>,
    /// Strides of the convolutions after the projection of z.
    strides: Option<StrideList>,
    /// Side of the images.
    size: Option<usize>,
    /// Epsilon of batch norm.
    epsilon: Option<f64>,
    /// Class of a conditional generator.
    class: Option<usize>,
    /// How the class embedding is combined with z.
    labels: Option<ClassConditioning>,
    flipped: Option<bool>,
    prior: Option<Prior>,
    sampling: Option<SamplingStatistics>,
    output: Option<OutputActivation>,
    leak: Option<f64>,
    /// Side of the center crop; 0 for none.
    crop: Option<usize>,
    fit: Option<Fit>,
    resize: Option<Resize>,
    background: Option<Background>,
}

/// Strides of a network's convolutions, each 1 or 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StrideList {
    values: [u8; MAX_STRIDES],
    count: usize,
}

/// Maximum number of strides.
const MAX_STRIDES: usize = 16;

impl StrideList {
    fn parse(text: &str) -> Option<Self> {
        let mut strides = Self { values: [0; MAX_STRIDES], count: 0 };
        text.split(',').try_for_each(|stride| strides.push(stride.trim()))?;
        Some(strides)
    }

    fn push(&mut self, stride: &str) -> Option<()> {
        let stride = stride.parse().ok().filter(|stride| (1..=2).contains(stride))?;
        *self.values.get_mut(self.count)? = stride;
        self.count += 1;
        Some(())
    }
}

impl Display for StrideList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let strides: Vec<String> = self.values[..self.count].iter().map(u8::to_string).collect();
        f.write_str(&strides.join(","))
    }
}

impl Overrides {
    /// The settings for importing another program's file.
    pub fn import_request(self) -> ImportRequest {
        let strides = self.strides.map(|strides| strides.values[..strides.count].iter().map(|&s| s.into()).collect());
        let Self { size, epsilon, prior, leak, class, labels: conditioning, .. } = self;
        let constraints = SearchConstraints { strides, size, epsilon, prior, leak };
        ImportRequest { constraints, class, conditioning }
    }

    /// Whether any of the [`ImportSettings`] is given, apart from the preparation.
    pub fn has_import_settings(self) -> bool {
        let Self { flipped, prior, sampling, output, leak, .. } = self;
        flipped.is_some() || prior.is_some() || sampling.is_some() || output.is_some() || leak.is_some()
    }

    /// Key of the first given setting that applies only to other programs' files.
    pub fn first_for_imports_only(self) -> Option<&'static str> {
        let given = [
            (self.strides.is_some(), "strides"),
            (self.size.is_some(), "size"),
            (self.epsilon.is_some(), "eps"),
            (self.class.is_some(), "class"),
            (self.labels.is_some(), "labels"),
        ];
        given.into_iter().find_map(|(given, key)| given.then_some(key))
    }

    /// Replaces those of `settings` that are given.
    pub fn apply(self, settings: ImportSettings) -> ImportSettings {
        ImportSettings {
            flipped: self.flipped.unwrap_or(settings.flipped),
            prior: self.prior.unwrap_or(settings.prior),
            sampling: self.sampling.unwrap_or(settings.sampling),
            output: self.output.unwrap_or(settings.output),
            leak: self.leak.unwrap_or(settings.leak),
            preparation: settings.preparation.with(self.crop, self.fit, self.resize, self.background),
        }
    }

    /// Parses one setting; `None` if the key is unknown or the value is invalid.
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "flipped" => self.flipped = Some(value.parse().ok()?),
            "prior" => self.prior = Some(Prior::from_str(value, true).ok()?),
            "sampling" => self.sampling = Some(SamplingStatistics::from_str(value, true).ok()?),
            "output" => self.output = Some(OutputActivation::from_str(value, true).ok()?),
            "strides" => self.strides = Some(StrideList::parse(value)?),
            "size" => self.size = Some(value.parse().ok()?),
            "eps" => self.epsilon = Some(value.parse().ok().filter(|&epsilon| epsilon > 0.0 && epsilon <= 1.0)?),
            "class" => self.class = Some(value.parse().ok()?),
            "labels" => {
                self.labels = Some(match value {
                    "before" => ClassConditioning::ConcatBefore,
                    "after" => ClassConditioning::ConcatAfter,
                    _ => return None,
                });
            }
            "average" => self.average = Some(value.parse().ok().filter(|&count| count > 0)?),
            "leak" => self.leak = Some(value.parse().ok().filter(|leak| (0.0..=1.0).contains(leak))?),
            "crop" => self.crop = Some(value.parse().ok().filter(|&side| side <= MAX_CROP)?),
            "fit" => self.fit = Some(Fit::from_str(value, true).ok()?),
            "resize" => self.resize = Some(Resize::from_str(value, true).ok()?),
            "background" => self.background = Some(value.parse().ok()?),
            _ => return None,
        }
        Some(())
    }

    /// Appends these settings to `path`.
    fn name(self, path: PathBuf) -> PathBuf {
        fn setting<T: Display>(key: &str, value: Option<T>) -> Option<String> {
            value.map(|value| format!("{key}={value}"))
        }
        let Self { average, strides, size, epsilon, class, labels, .. } = self;
        let Self { flipped, prior, sampling, output, leak, crop, fit, resize, background, .. } = self;
        let before = |labels| labels == ClassConditioning::ConcatBefore;
        let labels = labels.map(|labels| if before(labels) { "before" } else { "after" });
        let settings = [
            setting("average", average),
            setting("strides", strides),
            setting("size", size),
            setting("eps", epsilon),
            setting("labels", labels),
            setting("class", class),
            setting("prior", prior),
            setting("sampling", sampling),
            setting("output", output),
            setting("leak", leak),
            setting("flipped", flipped),
            setting("crop", crop),
            setting("fit", fit),
            setting("resize", resize),
            setting("background", background),
        ];
        let settings: Vec<String> = settings.into_iter().flatten().collect();
        if settings.is_empty() {
            return path;
        }
        let mut name = path.into_os_string();
        name.push(format!("{SEPARATOR}{}", settings.join(",")));
        name.into()
    }
}

/// Splits a model's name into its path and the settings after it. If the part after the last `@` is not a list of valid
/// settings, the whole name is the path.
pub(super) fn split(name: &Path) -> (PathBuf, Overrides) {
    let whole = || (name.to_owned(), Overrides::default());
    let Some((path, tail)) = name.to_str().and_then(|name| name.rsplit_once(SEPARATOR)) else { return whole() };
    match parse(tail) {
        Ok(overrides) => (PathBuf::from(path), overrides),
        Err(_) => whole(),
    }
}

/// Parses the comma-separated settings after the `@`.
///
/// # Errors
/// Key and value of the first invalid setting.
fn parse(tail: &str) -> Result<Overrides, (&str, &str)> {
    let mut overrides = Overrides::default();
    let mut in_strides = false;
    for item in tail.split(',') {
        // Strides after the first have no key.
        if let (None, Some(strides), true) = (item.split_once('='), &mut overrides.strides, in_strides)
            && strides.push(item.trim()).is_some()
        {
            continue;
        }
        let (key, value) = item.split_once('=').unwrap_or((item, ""));
        let (key, value) = (key.trim(), value.trim());
        in_strides = key == "strides";
        overrides.set(key, value).ok_or((key, value))?;
    }
    Ok(overrides)
}

/// An invalid setting after a model's path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportSettingsError {
    /// The key is unknown.
    #[error("{name}: there is no setting {key:?}; after the @ you can give {}", known_settings())]
    Key {
        /// The model's name.
        name: String,
        /// The unknown key.
        key: String,
    },
    /// The value is invalid.
    #[error("{name}: {key} cannot be {value:?}; it must be {expected}")]
    Value {
        /// The model's name.
        name: String,
        /// The setting's key.
        key: &'static str,
        /// The invalid value.
        value: String,
        /// Description of the valid values.
        expected: &'static str,
    },
}

/// Keys of all settings, and their valid values.
const KNOWN: [(&str, &str); 15] = [
    ("average", "a number of checkpoints, from 1 on"),
    ("prior", "uniform or normal"),
    ("sampling", "batch or running"),
    ("output", "tanh or sigmoid"),
    ("leak", "a slope from 0 to 1"),
    ("flipped", "true or false"),
    ("crop", "a side in pixels, or 0 for none"),
    ("fit", "crop, pad or stretch"),
    ("resize", "lanczos, bilinear or area"),
    ("background", "white, black, gray or a color such as #336699"),
    ("strides", "1 or 2 for each convolution, from z to the picture, as 1,2,2"),
    ("size", "the side of its pictures in pixels"),
    ("eps", "a number above 0 and at most 1"),
    ("class", "a class's number, from 0 on"),
    ("labels", "before or after"),
];

fn known_settings() -> String {
    KNOWN.map(|(key, values)| format!("{key}= ({values})")).join(", ")
}

/// Checks the settings of a name whose part before the `@` exists, unless the whole name is an existing path. A typo
/// such as `netG.pth@prior=gauss` would otherwise be reported as a missing file.
///
/// # Errors
/// [`ImportSettingsError`] with the valid settings.
pub(super) fn validate(name: &Path) -> Result<(), ImportSettingsError> {
    let Some((path, tail)) = name.to_str().and_then(|name| name.rsplit_once(SEPARATOR)) else { return Ok(()) };
    let base_exists = Path::new(path).exists() || path.starts_with("bundled:");
    if name.exists() || !base_exists {
        return Ok(());
    }
    let Err((key, value)) = parse(tail) else { return Ok(()) };
    let name = name.display().to_string();
    Err(match KNOWN.iter().find(|(known, _)| *known == key) {
        Some((key, expected)) => ImportSettingsError::Value { name, key, value: value.to_owned(), expected },
        None => ImportSettingsError::Key { name, key: key.to_owned() },
    })
}

/// The file or folder of a model's name, without the settings.
pub fn base_path(name: &Path) -> PathBuf {
    split(name).0
}

/// Number of checkpoints that a model's name averages; 1 without `average=`.
pub fn averaged_checkpoints(name: &Path) -> usize {
    split(name).1.average.unwrap_or(1)
}

/// `name` with its other settings, averaging `count` checkpoints; a count of 1 removes the setting.
pub fn with_average(name: &Path, count: usize) -> PathBuf {
    let (path, overrides) = split(name);
    Overrides { average: (count > 1).then_some(count), ..overrides }.name(path)
}

/// `name` with its other settings, generating `class` of a conditional model.
pub fn with_class(name: &Path, class: usize) -> PathBuf {
    let (path, overrides) = split(name);
    Overrides { class: Some(class), ..overrides }.name(path)
}

impl ImportSettings {
    /// The settings of a model with this config and provenance.
    pub fn of(config: &ModelConfig, provenance: &Provenance) -> Self {
        let ModelConfig { prior, sampling, output, leak, preparation, .. } = *config;
        let flipped = provenance.origin.as_ref().is_some_and(|origin| origin.flipped);
        Self { flipped, prior, sampling, output, leak, preparation }
    }

    /// `name` with these settings; others that it has, such as strides, stay.
    pub fn name(&self, name: &Path) -> PathBuf {
        let (path, overrides) = split(name);
        let Self { flipped, prior, sampling, output, leak, preparation } = *self;
        Overrides {
            flipped: Some(flipped),
            prior: Some(prior),
            sampling: Some(sampling),
            output: Some(output),
            leak: Some(leak),
            crop: Some(preparation.crop.unwrap_or(0)),
            fit: Some(preparation.fit),
            resize: Some(preparation.resize),
            background: Some(preparation.background),
            ..overrides
        }
        .name(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_written_into_a_name_are_parsed_back() {
        let (prior, sampling, output) = (Prior::Uniform, SamplingStatistics::Batch, OutputActivation::Sigmoid);
        let preparation = Preparation {
            crop: Some(108),
            fit: Fit::Pad,
            resize: Resize::Area,
            background: Background::new([1, 2, 3]),
        };
        let settings = ImportSettings { flipped: true, prior, sampling, output, leak: 0.2, preparation };
        let (prior, sampling, output) = (Prior::Normal, SamplingStatistics::Running, OutputActivation::Tanh);
        let other =
            ImportSettings { flipped: false, prior, sampling, output, leak: 0.0, preparation: Preparation::default() };
        let named = settings.name(Path::new("a@b/netG.pth"));
        let (path, overrides) = split(&named);
        assert_eq!((path.as_path(), overrides.apply(other)), (Path::new("a@b/netG.pth"), settings));
        // Writing settings again replaces the old ones.
        assert_eq!(other.name(&named), other.name(&path));
        let (path, overrides) = split(Path::new("netG.pth@prior=uniform"));
        assert_eq!((path.as_path(), overrides.apply(other).prior), (Path::new("netG.pth"), Prior::Uniform));
        let (_, overrides) = split(Path::new("run@crop=0"));
        assert_eq!(
            overrides.apply(settings).preparation,
            Preparation { crop: None, ..preparation },
            "0 removes the crop"
        );
    }

    #[test]
    fn settings_for_imports_only_are_parsed_and_written() {
        let name = "G.pth@strides=1,2,2,eps=0.001,class=3,labels=before,size=28";
        let (path, overrides) = split(Path::new(name));
        assert_eq!(path, Path::new("G.pth"));
        let request = overrides.import_request();
        assert_eq!(request.constraints.strides, Some(vec![1, 2, 2]));
        assert_eq!(
            (request.constraints.epsilon, request.constraints.size, request.class),
            (Some(0.001), Some(28), Some(3))
        );
        assert_eq!(split(&with_class(Path::new(name), 1)).1.import_request().class, Some(1));
        assert_eq!(split(&with_class(Path::new(name), 3)).1, overrides);
        assert_eq!(split(Path::new("G.pth@strides=1,3")).0, Path::new("G.pth@strides=1,3"));
        assert_eq!(split(Path::new("G.pth@eps=1,2")).0, Path::new("G.pth@eps=1,2"));
    }

    #[test]
    fn averaging_and_settings_are_written_side_by_side() {
        let run = Path::new("runs/faces");
        let mean = with_average(run, 20);
        assert_eq!(mean, Path::new("runs/faces@average=20"));
        assert_eq!((base_path(&mean).as_path(), averaged_checkpoints(&mean), averaged_checkpoints(run)), (run, 20, 1));
        assert_eq!(with_average(&mean, 1), run);
        let (prior, sampling, output) = (Prior::Normal, SamplingStatistics::Batch, OutputActivation::Tanh);
        let preparation = Preparation::default();
        let settings = ImportSettings { flipped: false, prior, sampling, output, leak: 0.0, preparation };
        let both = settings.name(&mean);
        assert_eq!((averaged_checkpoints(&both), with_average(&both, 1)), (20, settings.name(run)));
        assert_eq!(with_average(&settings.name(run), 20), both);
    }

    #[test]
    fn an_invalid_setting_is_reported_with_the_valid_ones() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("netG.pth");
        std::fs::write(&file, "").unwrap();
        let rejected = |tail: &str| validate(Path::new(&format!("{}@{tail}", file.display()))).unwrap_err().to_string();
        assert!(rejected("prior=gauss").ends_with("prior cannot be \"gauss\"; it must be uniform or normal"));
        for (key, known) in KNOWN {
            let message = rejected(&format!("{key}=?"));
            assert!(message.contains(key) && message.contains(known), "{message}");
            assert!(rejected(key).contains(known));
            assert!(rejected("epoch=3").contains(key) && rejected("prior=normal,epoch").contains(known));
        }
        validate(Path::new(&format!("{}@prior=normal,strides=1,2,2,leak=0.2", file.display()))).unwrap();
        assert!(validate(Path::new("bundled:faces@prior=gauss")).is_err());
        // Nothing of that name exists: the error is about the missing file, not about settings.
        validate(Path::new("me@home/netG.pth")).unwrap();
        std::fs::write(folder.path().join("netG.pth@old"), "").unwrap();
        validate(&folder.path().join("netG.pth@old")).unwrap();
    }

    #[test]
    fn other_names_with_an_at_sign_are_paths() {
        for name in [
            "me@home/netG.pth",
            "netG.pth@",
            "netG.pth@prior=maybe",
            "netG.pth@epoch=3",
            "a@average=0",
            "a@leak=2",
            "a@crop=65536",
            "a@fit=tile",
            "a@background=pink",
            "a@prior",
        ] {
            assert_eq!(split(Path::new(name)), (PathBuf::from(name), Overrides::default()), "{name}");
        }
    }
}
