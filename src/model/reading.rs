//! How a model is read where its file leaves it open, and of how many checkpoints it is the mean; and how that is named:
//! `netG.pth@prior=uniform,flipped=true` or `RUN@average=20` stands wherever a model's path does, so that a session, the window
//! and every command can say it.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::import::{Asked, Join, Wanted};
use super::{ModelConfig, Output, Prior, Provenance, Statistics};
use crate::image::{Background, Fit, MAX_CROP, Preparation, Resize};

/// What parts a path from the choices.
const MARK: char = '@';

/// What no file of another program says, and what a person can therefore choose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Whether the kernels are turned by half a turn from how they lie in the file.
    pub flipped: bool,
    /// Where z is drawn from.
    pub prior: Prior,
    /// The statistics that sampling uses.
    pub sampling: Statistics,
    /// What the generator ends in.
    pub output: Output,
    /// Slope of its rectifiers below zero.
    pub leak: f64,
    /// How real pictures are prepared for it.
    pub preparation: Preparation,
}

/// Those of a [`Reading`] that somebody chose, and how many checkpoints are averaged.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Choices {
    /// How many, where it is a mean.
    pub average: Option<usize>,
    /// Of the convolutions after the projection of z.
    strides: Option<Strides>,
    /// Side of the pictures.
    size: Option<usize>,
    /// Added to the variance in batch norm.
    epsilon: Option<f64>,
    /// The class of a conditional generator.
    class: Option<usize>,
    /// How its row joins z.
    labels: Option<Join>,
    flipped: Option<bool>,
    prior: Option<Prior>,
    sampling: Option<Statistics>,
    output: Option<Output>,
    leak: Option<f64>,
    /// 0 for none.
    crop: Option<usize>,
    fit: Option<Fit>,
    resize: Option<Resize>,
    background: Option<Background>,
}

/// Strides of a network's convolutions, each 1 or 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Strides {
    values: [u8; MAX_STRIDES],
    count: usize,
}

/// Most convolutions that a network has.
const MAX_STRIDES: usize = 16;

impl Strides {
    fn read(text: &str) -> Option<Self> {
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

impl Display for Strides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let strides: Vec<String> = self.values[..self.count].iter().map(u8::to_string).collect();
        f.write_str(&strides.join(","))
    }
}

impl Choices {
    /// What is asked for of a file of another program.
    pub fn wanted(self) -> Wanted {
        let strides = self.strides.map(|strides| strides.values[..strides.count].iter().map(|&s| s.into()).collect());
        let Self { size, epsilon, prior, leak, class, labels: join, .. } = self;
        Wanted { asked: Asked { strides, size, epsilon, prior, leak }, class, join }
    }

    /// Whether a part of a [`Reading`] was chosen.
    pub fn is_reading(self) -> bool {
        let Self { flipped, prior, sampling, output, leak, .. } = self;
        flipped.is_some() || prior.is_some() || sampling.is_some() || output.is_some() || leak.is_some()
    }

    /// The first choice that only files of other programs leave open.
    pub fn of_other_programs(self) -> Option<&'static str> {
        let chosen = [
            (self.strides.is_some(), "strides"),
            (self.size.is_some(), "size"),
            (self.epsilon.is_some(), "eps"),
            (self.class.is_some(), "class"),
            (self.labels.is_some(), "labels"),
        ];
        chosen.into_iter().find_map(|(chosen, key)| chosen.then_some(key))
    }

    /// The reading with these choices in it.
    pub fn on(self, reading: Reading) -> Reading {
        Reading {
            flipped: self.flipped.unwrap_or(reading.flipped),
            prior: self.prior.unwrap_or(reading.prior),
            sampling: self.sampling.unwrap_or(reading.sampling),
            output: self.output.unwrap_or(reading.output),
            leak: self.leak.unwrap_or(reading.leak),
            preparation: reading.preparation.with(self.crop, self.fit, self.resize, self.background),
        }
    }

    fn choose(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "flipped" => self.flipped = Some(value.parse().ok()?),
            "prior" => self.prior = Some(Prior::from_str(value, true).ok()?),
            "sampling" => self.sampling = Some(Statistics::from_str(value, true).ok()?),
            "output" => self.output = Some(Output::from_str(value, true).ok()?),
            "strides" => self.strides = Some(Strides::read(value)?),
            "size" => self.size = Some(value.parse().ok()?),
            "eps" => self.epsilon = Some(value.parse().ok().filter(|&epsilon| epsilon > 0.0 && epsilon <= 1.0)?),
            "class" => self.class = Some(value.parse().ok()?),
            "labels" => {
                self.labels = Some(match value {
                    "before" => Join::Before,
                    "after" => Join::After,
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

    /// The name of the model at `path` with these choices.
    fn name(self, path: PathBuf) -> PathBuf {
        fn chosen<T: Display>(key: &str, value: Option<T>) -> Option<String> {
            value.map(|value| format!("{key}={value}"))
        }
        let Self { average, strides, size, epsilon, class, labels, .. } = self;
        let Self { flipped, prior, sampling, output, leak, crop, fit, resize, background, .. } = self;
        let labels = labels.map(|join| if join == Join::Before { "before" } else { "after" });
        let choices = [
            chosen("average", average),
            chosen("strides", strides),
            chosen("size", size),
            chosen("eps", epsilon),
            chosen("labels", labels),
            chosen("class", class),
            chosen("prior", prior),
            chosen("sampling", sampling),
            chosen("output", output),
            chosen("leak", leak),
            chosen("flipped", flipped),
            chosen("crop", crop),
            chosen("fit", fit),
            chosen("resize", resize),
            chosen("background", background),
        ];
        let choices: Vec<String> = choices.into_iter().flatten().collect();
        if choices.is_empty() {
            return path;
        }
        let mut named = path.into_os_string();
        named.push(format!("{MARK}{}", choices.join(",")));
        named.into()
    }
}

/// Parts a model's name into its path and the choices after it. A name without such choices is a path as it is.
pub(super) fn split(name: &Path) -> (PathBuf, Choices) {
    let whole = || (name.to_owned(), Choices::default());
    let Some((path, tail)) = name.to_str().and_then(|name| name.rsplit_once(MARK)) else { return whole() };
    let mut choices = Choices::default();
    let mut listing = false;
    for choice in tail.split(',') {
        let read = match (choice.split_once('='), &mut choices.strides) {
            (Some((key, value)), _) => {
                listing = key.trim() == "strides";
                choices.choose(key.trim(), value.trim())
            }
            // Further strides have no key.
            (None, Some(strides)) if listing => strides.push(choice.trim()),
            (None, _) => None,
        };
        if read.is_none() {
            return whole();
        }
    }
    (PathBuf::from(path), choices)
}

/// Why what stands after a model's path cannot be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// There is no such thing to choose.
    #[error("{name}: {key:?} cannot be chosen; after the @ can stand {}", choosable())]
    Key {
        /// The model's name.
        name: String,
        /// What was to be chosen.
        key: String,
    },
    /// It cannot be that.
    #[error("{name}: {key} cannot be {value:?}; it is {known}")]
    Value {
        /// The model's name.
        name: String,
        /// What was to be chosen.
        key: &'static str,
        /// What it was to be.
        value: String,
        /// What it can be.
        known: &'static str,
    },
}

/// What can be chosen after a model's path, and what it can be.
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

fn choosable() -> String {
    let known = KNOWN.map(|(key, known)| format!("{key}= ({known})"));
    known.join(", ")
}

/// Checks that a name that is no path is one with choices that can be made: `netG.pth@prior=gauss` is neither.
///
/// # Errors
/// [`ChoiceError`] with what can be chosen.
pub(super) fn check(name: &Path) -> Result<(), ChoiceError> {
    let Some((path, tail)) = name.to_str().and_then(|name| name.rsplit_once(MARK)) else { return Ok(()) };
    let there = Path::new(path).exists() || path.starts_with("bundled:");
    if name.exists() || !there {
        return Ok(());
    }
    let mut choices = Choices::default();
    let mut listing = false;
    for choice in tail.split(',') {
        if let (None, Some(strides), true) = (choice.split_once('='), &mut choices.strides, listing)
            && strides.push(choice.trim()).is_some()
        {
            continue;
        }
        let (key, value) = choice.split_once('=').unwrap_or((choice, ""));
        let (key, value) = (key.trim(), value.trim());
        listing = key == "strides";
        if choices.choose(key, value).is_none() {
            let name = name.display().to_string();
            return Err(match KNOWN.iter().find(|(known, _)| *known == key) {
                Some((key, known)) => ChoiceError::Value { name, key, value: value.to_owned(), known },
                None => ChoiceError::Key { name, key: key.to_owned() },
            });
        }
    }
    Ok(())
}

/// The file or folder of a model's name, without what was chosen of it.
pub fn file_of(name: &Path) -> PathBuf {
    split(name).0
}

/// Of how many checkpoints a model's name says that it is the mean: one, where it says nothing.
pub fn average_of(name: &Path) -> usize {
    split(name).1.average.unwrap_or(1)
}

/// The name of the mean of `count` checkpoints up to the one that `name` names, read as `name` says.
pub fn averaging(name: &Path, count: usize) -> PathBuf {
    let (path, choices) = split(name);
    Choices { average: (count > 1).then_some(count), ..choices }.name(path)
}

/// The name of a conditional model drawing `class`, read as `name` says.
pub fn choosing_class(name: &Path, class: usize) -> PathBuf {
    let (path, choices) = split(name);
    Choices { class: Some(class), ..choices }.name(path)
}

impl Reading {
    /// How a model of this config and provenance is read.
    pub fn of(config: &ModelConfig, provenance: &Provenance) -> Self {
        let ModelConfig { prior, sampling, output, leak, preparation, .. } = *config;
        let flipped = provenance.origin.as_ref().is_some_and(|origin| origin.flipped);
        Self { flipped, prior, sampling, output, leak, preparation }
    }

    /// The name of the model `name` read like this.
    pub fn name(&self, name: &Path) -> PathBuf {
        let (path, choices) = split(name);
        let Self { flipped, prior, sampling, output, leak, preparation } = *self;
        Choices {
            flipped: Some(flipped),
            prior: Some(prior),
            sampling: Some(sampling),
            output: Some(output),
            leak: Some(leak),
            crop: Some(preparation.crop.unwrap_or(0)),
            fit: Some(preparation.fit),
            resize: Some(preparation.resize),
            background: Some(preparation.background),
            ..choices
        }
        .name(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_named_as_it_is_understood() {
        let (prior, sampling, output) = (Prior::Uniform, Statistics::Batch, Output::Sigmoid);
        let preparation = Preparation {
            crop: Some(108),
            fit: Fit::Pad,
            resize: Resize::Area,
            background: Background::new([1, 2, 3]),
        };
        let reading = Reading { flipped: true, prior, sampling, output, leak: 0.2, preparation };
        let (prior, sampling, output) = (Prior::Normal, Statistics::Running, Output::Tanh);
        let other = Reading { flipped: false, prior, sampling, output, leak: 0.0, preparation: Preparation::default() };
        let named = reading.name(Path::new("a@b/netG.pth"));
        let (path, choices) = split(&named);
        assert_eq!((path.as_path(), choices.on(other)), (Path::new("a@b/netG.pth"), reading));
        // Chosen anew, it is not chosen twice.
        assert_eq!(other.name(&named), other.name(&path));
        let (path, choices) = split(Path::new("netG.pth@prior=uniform"));
        assert_eq!((path.as_path(), choices.on(other).prior), (Path::new("netG.pth"), Prior::Uniform));
        let (_, choices) = split(Path::new("run@crop=0"));
        assert_eq!(choices.on(reading).preparation, Preparation { crop: None, ..preparation }, "0 takes no crop");
    }

    #[test]
    fn what_only_other_programs_leave_open_is_named_and_kept() {
        let name = "G.pth@strides=1,2,2,eps=0.001,class=3,labels=before,size=28";
        let (path, choices) = split(Path::new(name));
        assert_eq!(path, Path::new("G.pth"));
        let wanted = choices.wanted();
        assert_eq!(wanted.asked.strides, Some(vec![1, 2, 2]));
        assert_eq!((wanted.asked.epsilon, wanted.asked.size, wanted.class), (Some(0.001), Some(28), Some(3)));
        assert_eq!(split(&choosing_class(Path::new(name), 1)).1.wanted().class, Some(1));
        assert_eq!(split(&choosing_class(Path::new(name), 3)).1, choices);
        assert_eq!(split(Path::new("G.pth@strides=1,3")).0, Path::new("G.pth@strides=1,3"));
        assert_eq!(split(Path::new("G.pth@eps=1,2")).0, Path::new("G.pth@eps=1,2"));
    }

    #[test]
    fn a_mean_of_checkpoints_is_named_beside_the_reading() {
        let run = Path::new("runs/faces");
        let mean = averaging(run, 20);
        assert_eq!(mean, Path::new("runs/faces@average=20"));
        assert_eq!((file_of(&mean).as_path(), average_of(&mean), average_of(run)), (run, 20, 1));
        assert_eq!(averaging(&mean, 1), run);
        let (prior, sampling, output) = (Prior::Normal, Statistics::Batch, Output::Tanh);
        let preparation = Preparation::default();
        let reading = Reading { flipped: false, prior, sampling, output, leak: 0.0, preparation };
        let both = reading.name(&mean);
        assert_eq!((average_of(&both), averaging(&both, 1)), (20, reading.name(run)));
        assert_eq!(averaging(&reading.name(run), 20), both);
    }

    #[test]
    fn a_choice_that_cannot_be_made_is_told_those_that_can() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("netG.pth");
        std::fs::write(&file, "").unwrap();
        let refused = |tail: &str| check(Path::new(&format!("{}@{tail}", file.display()))).unwrap_err().to_string();
        assert!(refused("prior=gauss").ends_with("prior cannot be \"gauss\"; it is uniform or normal"));
        for (key, known) in KNOWN {
            let message = refused(&format!("{key}=?"));
            assert!(message.contains(key) && message.contains(known), "{message}");
            assert!(refused(key).contains(known));
            assert!(refused("epoch=3").contains(key) && refused("prior=normal,epoch").contains(known));
        }
        check(Path::new(&format!("{}@prior=normal,strides=1,2,2,leak=0.2", file.display()))).unwrap();
        assert!(check(Path::new("bundled:faces@prior=gauss")).is_err());
        // Nothing of that name: it says so, and not that something cannot be chosen.
        check(Path::new("me@home/netG.pth")).unwrap();
        std::fs::write(folder.path().join("netG.pth@old"), "").unwrap();
        check(&folder.path().join("netG.pth@old")).unwrap();
    }

    #[test]
    fn other_names_with_the_mark_are_paths() {
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
            assert_eq!(split(Path::new(name)), (PathBuf::from(name), Choices::default()), "{name}");
        }
    }
}
