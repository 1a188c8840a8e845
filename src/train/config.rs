//! The numbers of a run: what `run.toml` holds, and what must not change when it is resumed.

use std::fmt;
use std::str::FromStr;

use crate::data::same_place;
use crate::device::Precision;
use crate::files::is_default;
use crate::model::{ModelConfig, Preset};

/// Deviation of the instance noise for drawn pictures, and the steps over which it fades. One run with it, at 64x64, showed
/// heads after 200 steps; runs without it showed noise for 300 to 500. Other values were not tried.
const DRAWN_NOISE: (f32, u64) = (0.2, 3000);

/// Which network is updated when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Every step updates the discriminator once, then the generator so many times.
    Generator(usize),
    /// Steps take turns: the discriminator on the first, the generator on the second.
    Alternate,
    /// Steps take turns, and the generator's is the first: the authors' face code, whose updates count from 0 and are the
    /// generator's where `n_updates % (k + 1) == 0`.
    AlternateGeneratorFirst,
}

/// Generator updates of a step at most. The published numbers are 1 and 2; a step that takes longer shows nothing meanwhile.
pub const MAX_UPDATES: usize = 100;

impl Schedule {
    /// What [`FromStr`] understands, in words.
    const KNOWN: &str = "a number of generator updates from 1 to 100, alternate, or alternate-generator-first";
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generator(times) => write!(f, "{times}"),
            Self::Alternate => f.write_str("alternate"),
            Self::AlternateGeneratorFirst => f.write_str("alternate-generator-first"),
        }
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(times) if (1..=MAX_UPDATES).contains(&times) => Ok(Self::Generator(times)),
            Err(_) if text == "alternate" => Ok(Self::Alternate),
            Err(_) if text == "alternate-generator-first" => Ok(Self::AlternateGeneratorFirst),
            _ => Err(format!("a schedule is {}", Self::KNOWN)),
        }
    }
}

/// Settings that no network can be trained with.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum TrainConfigError {
    /// A batch without pictures.
    #[error("--batch must be at least 1")]
    Batch,
    /// A momentum of Adam's that forgets nothing, or is none.
    #[error("{flag} {value} is not possible: it is from 0 to less than 1 (the paper: --beta1 0.5, --beta2 0.999)")]
    Momentum {
        /// Which.
        flag: &'static str,
        /// What was asked for.
        value: f32,
    },
    /// Nothing, or too much, added to Adam's denominator.
    #[error("--adam-epsilon {0} is not possible: it is above 0 and at most 1 (usual: 1e-8)")]
    Epsilon(f32),
    /// A penalty that rewards, or that leaves nothing of the weights.
    #[error("--l2 {0} is not possible: it is from 0 to 1 (the authors' face code: 1e-5)")]
    Decay(f32),
    /// No updates of the generator, or more than a step should take.
    #[error("{0} generator updates a step are not possible: --schedule is {known}", known = Schedule::KNOWN)]
    Schedule(usize),
    /// Noise that is none, or hides everything.
    #[error("--noise {0} is not possible: it is from 0 to 1")]
    Noise(f32),
}

/// How the networks are trained. Defaults are the paper's (section 4) through [`TrainConfig::preset`].
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TrainConfig {
    /// Pictures in a batch.
    pub batch: usize,
    /// Adam's learning rate for the generator; the paper found 1e-3 too high.
    pub generator_rate: f64,
    /// Adam's learning rate for the discriminator.
    pub discriminator_rate: f64,
    /// Adam's first momentum; the paper found 0.9 to oscillate.
    pub beta1: f32,
    /// Adam's second momentum.
    pub beta2: f32,
    /// Added to Adam's denominator.
    pub epsilon: f32,
    /// L2 penalty on everything that is learnt, gains, shifts and biases included, as in the authors' `Regularizer`.
    pub decay: f32,
    /// Whose turn it is.
    pub schedule: Schedule,
    /// Whether all updates of a step use the z's of its first one, and not new ones each.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub same_z: bool,
    /// Standard deviation of the noise on what the discriminator sees, in pixel values of [-1, 1] (instance noise,
    /// Sønderby et al. 2017); the paper adds none.
    #[serde(default)]
    pub noise: f32,
    /// Steps over which the noise fades to nothing; 0 for never.
    #[serde(default)]
    pub noise_steps: u64,
    /// The step after which it begins to fade: that of the change where it was changed in the middle of a run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub noise_from: u64,
    /// Whether each picture is mirrored in half of the epochs, left and right exchanged; the paper mirrors none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mirror: bool,
    /// How precisely convolutions multiply on a graphics card; the CPU is always as precise as `f32`.
    #[serde(default)]
    pub precision: Precision,
}

impl TrainConfig {
    /// The preset's own numbers, each from its authors' source ([`ModelConfig::preset`] names the files):
    ///
    /// - `paper`: section 4. One update of each network a step is Goodfellow's algorithm 1 with one discriminator update.
    /// - `authors-faces`: Adam with `lr=0.0002, b1=0.5`, otherwise the defaults of `lib/updates.py` (`b2=0.999, e=1e-8`; its `l=1-1e-8`
    ///   makes `b1` smaller by 1e-8 of itself a step, which is left out); `l2=1e-5` added to the gradient of every parameter, gains and
    ///   shifts too; every batch of 128 is for one update, and the first is the generator's.
    /// - `authors-svhn`: rate 0.0005 and batch 64 are in the folder's name; the rest is the paper's.
    /// - `paper-imagenet`: the paper's.
    /// - `pytorch`: the tutorial.
    /// - `tensorflow`: `learning_rate=0.0002, beta1=0.5`, batches of 64; one update of the discriminator and two of the generator,
    ///   all three fed the same `batch_z`. TensorFlow's Adam adds epsilon after its bias correction where this one, as PyTorch's, adds it
    ///   before: 1e-8 or, at the first step, 3e-10, which matters only for gradients below 1e-7.
    pub fn preset(preset: Preset) -> Self {
        let paper = Self {
            batch: 128,
            generator_rate: 2e-4,
            discriminator_rate: 2e-4,
            beta1: 0.5,
            beta2: 0.999,
            epsilon: 1e-8,
            decay: 0.0,
            schedule: Schedule::Generator(1),
            same_z: false,
            noise: 0.0,
            noise_steps: 0,
            noise_from: 0,
            mirror: false,
            precision: Precision::F32,
        };
        match preset {
            Preset::Paper | Preset::PaperImagenet => paper,
            Preset::AuthorsFaces => Self { decay: 1e-5, schedule: Schedule::AlternateGeneratorFirst, ..paper },
            Preset::Pytorch => Self { batch: 64, ..paper },
            Preset::AuthorsSvhn => Self { batch: 64, generator_rate: 5e-4, discriminator_rate: 5e-4, ..paper },
            Preset::Tensorflow => Self { batch: 64, schedule: Schedule::Generator(2), same_z: true, ..paper },
        }
    }

    /// Checks that a network can be trained like this.
    ///
    /// # Errors
    /// The first setting that is impossible.
    pub fn check(&self) -> Result<(), TrainConfigError> {
        if self.batch == 0 {
            return Err(TrainConfigError::Batch);
        }
        for (flag, value) in [("--beta1", self.beta1), ("--beta2", self.beta2)] {
            if !(0.0..1.0).contains(&value) {
                return Err(TrainConfigError::Momentum { flag, value });
            }
        }
        if !(self.epsilon > 0.0 && self.epsilon <= 1.0) {
            return Err(TrainConfigError::Epsilon(self.epsilon));
        }
        if !(0.0..=1.0).contains(&self.decay) {
            return Err(TrainConfigError::Decay(self.decay));
        }
        if !(0.0..=1.0).contains(&self.noise) {
            return Err(TrainConfigError::Noise(self.noise));
        }
        match self.schedule {
            Schedule::Generator(times) if !(1..=MAX_UPDATES).contains(&times) => Err(TrainConfigError::Schedule(times)),
            _ => Ok(()),
        }
    }
}

/// Everything that decides a run; written to `run.toml`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RunConfig {
    /// The data's source, as `--data` names it.
    pub data: String,
    /// Decides the weights, the order of the pictures and every z.
    pub seed: u64,
    /// Pictures of the source that are left out, by their names. They are written down here and not where their list is, so
    /// that a resumed run sees the same pictures in the same order whatever became of the list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<String>,
    /// The networks.
    pub model: ModelConfig,
    /// How they are trained.
    pub train: TrainConfig,
}

impl RunConfig {
    /// A preset's numbers for a source, with the instance noise that the source needs.
    pub fn preset(preset: Preset, data: impl Into<String>) -> Self {
        let (model, train) = (ModelConfig::preset(preset), TrainConfig::preset(preset));
        let mut config = Self { data: String::new(), seed: 1, skip: Vec::new(), model, train };
        config.use_data(data.into());
        config
    }

    /// Chooses the source, all of it, and its instance noise: drawn pictures have no grain of their own, so a discriminator would tell
    /// them from a young generator's at a glance. Photographs need none.
    pub fn use_data(&mut self, data: String) {
        let drawn = data.starts_with("synth:");
        (self.train.noise, self.train.noise_steps) = if drawn { DRAWN_NOISE } else { (0.0, 0) };
        if data != self.data {
            self.skip.clear();
        }
        self.data = data;
    }

    /// Every field in which `other` differs, as `field: mine, not theirs`.
    ///
    /// Learning rates, noise, mirroring and precision may be changed while a run goes on, so they may differ.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        compare("", &as_json(self), &as_json(other), &mut found);
        if !same_place(&self.data, &other.data) {
            found.push(format!("data: {:?}, not {:?}", self.data, other.data));
        }
        if self.skip != other.skip {
            // The lists themselves may be of thousands.
            let [mine, theirs] = [self, other].map(|config| config.skip.len());
            found.push(match mine == theirs {
                true => format!("skip: {mine} pictures, not {theirs} others"),
                false => format!("skip: {mine} pictures, not {theirs}"),
            });
        }
        found
    }
}

fn as_json(config: &RunConfig) -> serde_json::Value {
    let mut value = serde_json::to_value(config).expect("plain structs are always JSON");
    if let Some(config) = value.as_object_mut() {
        config.remove("skip");
        config.remove("data");
    }
    if let Some(train) = value.get_mut("train").and_then(|train| train.as_object_mut()) {
        for changeable in
            ["generator_rate", "discriminator_rate", "noise", "noise_steps", "noise_from", "mirror", "precision"]
        {
            train.remove(changeable);
        }
    }
    value
}

fn compare(path: &str, mine: &serde_json::Value, theirs: &serde_json::Value, found: &mut Vec<String>) {
    // What is not written has its default: of a table, each field has.
    let (table, unset) = (serde_json::Map::new(), serde_json::Value::Null);
    let fields = |value: &serde_json::Value, other: &serde_json::Value| match value {
        serde_json::Value::Null if other.is_object() => Some(table.clone()),
        value => value.as_object().cloned(),
    };
    match (fields(mine, theirs), fields(theirs, mine)) {
        (Some(a), Some(b)) if !path.ends_with("schedule") => {
            let added = b.keys().filter(|key| !a.contains_key(*key));
            for key in a.keys().chain(added) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let [mine, theirs] = [&a, &b].map(|table| table.get(key).unwrap_or(&unset));
                compare(&path, mine, theirs, found);
            }
        }
        _ if mine != theirs => {
            let said = |value: &serde_json::Value| match value {
                serde_json::Value::Null => "the default".to_owned(),
                // A float of single precision as it was given: 0.8, not 0.800000011920929.
                value => match value.as_f64().filter(|double| f64::from(*double as f32) == *double) {
                    Some(double) if value.is_f64() => (double as f32).to_string(),
                    _ => value.to_string(),
                },
            };
            found.push(format!("{path}: {}, not {}", said(mine), said(theirs)));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Background, Fit, Preparation, Resize};

    #[test]
    fn every_difference_is_named_and_learning_rates_may_differ() {
        let a = RunConfig::preset(Preset::Pytorch, "synth:rooms");
        let mut b = a.clone();
        b.train.generator_rate = 1e-4;
        assert!(a.differences(&b).is_empty());
        b.model.base = 32;
        b.train.schedule = Schedule::Alternate;
        b.data = "faces".into();
        b.train.beta1 = 0.8;
        let differences = a.differences(&b);
        assert_eq!(differences.len(), 4, "{differences:?}");
        assert!(differences.contains(&"train.beta1: 0.5, not 0.8".to_owned()), "{differences:?}");
        assert!(differences.iter().any(|d| d == "model.base: 64, not 32"), "{differences:?}");
        assert!(differences.iter().any(|d| d.starts_with("train.schedule: ")), "{differences:?}");
        let mut leaks = a.clone();
        leaks.model.leak = 0.2;
        assert_eq!(a.differences(&leaks), ["model.leak: the default, not 0.2"]);
        assert_eq!(leaks.differences(&a), ["model.leak: 0.2, not the default"]);
        let mut skips = a.clone();
        skips.skip = vec!["a.png".to_owned()];
        assert_eq!(skips.differences(&a), ["skip: 1 pictures, not 0"]);
        skips.use_data("faces".to_owned());
        assert!(skips.skip.is_empty(), "names of one set mean nothing in another");
    }

    #[test]
    fn every_presets_training_is_that_of_its_source() {
        use Schedule::{AlternateGeneratorFirst, Generator};
        let published = [
            (Preset::Paper, 128, 2e-4, 0.0, Generator(1), false),
            (Preset::AuthorsFaces, 128, 2e-4, 1e-5, AlternateGeneratorFirst, false),
            (Preset::Pytorch, 64, 2e-4, 0.0, Generator(1), false),
            (Preset::Tensorflow, 64, 2e-4, 0.0, Generator(2), true),
            (Preset::AuthorsSvhn, 64, 5e-4, 0.0, Generator(1), false),
            (Preset::PaperImagenet, 128, 2e-4, 0.0, Generator(1), false),
        ];
        assert_eq!(published.map(|(preset, ..)| preset), Preset::ALL);
        for (preset, batch, rate, decay, schedule, same_z) in published {
            let train = TrainConfig::preset(preset);
            assert_eq!((train.batch, train.decay, train.schedule, train.same_z), (batch, decay, schedule, same_z));
            assert_eq!((train.generator_rate, train.discriminator_rate), (rate, rate), "{preset}");
            assert_eq!((train.beta1, train.beta2, train.epsilon), (0.5, 0.999, 1e-8), "{preset}");
        }
    }

    #[test]
    fn runs_from_before_the_presets_were_corrected_go_on_as_they_began() {
        // What `run.toml` held of the presets whose numbers changed.
        let model = |preset: &str, size, base, bias, epsilon, sampling: &str| {
            format!(
                "preset = \"{preset}\"\nsize = {size}\nchannels = 3\nkernel = 5\nbase = {base}\nz_dim = 100\n\
                 prior = \"uniform\"\nbias = {bias}\nnorm_epsilon = {epsilon}\nsampling = \"{sampling}\"\n"
            )
        };
        let train = |batch, decay, schedule: &str| {
            format!(
                "batch = {batch}\ngenerator_rate = 0.0002\ndiscriminator_rate = 0.0002\nbeta1 = 0.5\nbeta2 = 0.999\n\
                 epsilon = 1e-8\ndecay = {decay}\nnoise = 0.0\nnoise_steps = 0\nschedule = {schedule}\n"
            )
        };
        let read = |model: String, train: String| -> RunConfig {
            let text = format!("data = \"a folder\"\nseed = 1\n\n[model]\n{model}\n[train]\n{train}");
            toml::from_str(&text).unwrap()
        };
        let faces = read(model("authors-faces", 64, 128, false, "1e-8", "batch"), train(128, "1e-5", "\"alternate\""));
        assert_eq!(faces.train.schedule, Schedule::Alternate, "the discriminator began, and goes on so");
        assert_eq!(faces.model.layers().generator[0].norm, crate::model::Per::Map);
        let tensorflow =
            read(model("tensorflow", 64, 64, true, "1e-5", "running"), train(64, "0.0", "{ generator = 2 }"));
        assert_eq!((tensorflow.train.schedule, tensorflow.train.same_z), (Schedule::Generator(2), false));
        assert_eq!(tensorflow.model.layers().generator[0].bias, crate::model::Per::Map);
        assert_eq!(tensorflow.model.padding, crate::model::Padding::Symmetric);
        assert!(!tensorflow.differences(&RunConfig::preset(Preset::Tensorflow, "a folder")).is_empty());
    }

    #[test]
    fn a_difference_from_a_default_that_is_not_written_is_named() {
        let a = RunConfig::preset(Preset::Pytorch, "faces");
        let mut b = a.clone();
        b.model.preparation = Preparation { crop: Some(108), resize: Resize::Area, ..Preparation::default() };
        let mut differences = a.differences(&b);
        differences.sort();
        assert_eq!(
            differences,
            ["model.preparation.crop: the default, not 108", "model.preparation.resize: the default, not \"area\""]
        );
        let mut back = b.differences(&a);
        back.sort();
        assert_eq!(back[0], "model.preparation.crop: 108, not the default");
        let mut c = b.clone();
        c.model.preparation.crop = Some(138);
        assert_eq!(b.differences(&c), ["model.preparation.crop: 108, not 138"]);
        assert!(b.differences(&b.clone()).is_empty());
    }

    #[test]
    fn a_run_of_before_there_was_a_choice_is_read_with_what_it_had() {
        let written = toml::to_string(&RunConfig::preset(Preset::Pytorch, "faces")).unwrap();
        assert!(!written.contains("preparation") && !written.contains("mirror"), "{written}");
        let read: RunConfig = toml::from_str(&written).unwrap();
        assert_eq!((read.model.preparation, read.train.mirror), (Preparation::default(), false));
    }

    #[test]
    fn impossible_settings_are_refused_by_their_flags() {
        let paper = TrainConfig::preset(Preset::Paper);
        for preset in Preset::ALL {
            TrainConfig::preset(preset).check().unwrap();
        }
        for (config, said) in [
            (TrainConfig { batch: 0, ..paper.clone() }, "--batch"),
            (TrainConfig { beta1: 1.0, ..paper.clone() }, "--beta1 1"),
            (TrainConfig { beta1: f32::NAN, ..paper.clone() }, "--beta1"),
            (TrainConfig { beta2: -0.1, ..paper.clone() }, "--beta2 -0.1"),
            (TrainConfig { epsilon: 0.0, ..paper.clone() }, "--adam-epsilon 0"),
            (TrainConfig { decay: -1.0, ..paper.clone() }, "--l2 -1"),
            (TrainConfig { noise: 2.0, ..paper.clone() }, "--noise 2"),
            (TrainConfig { schedule: Schedule::Generator(0), ..paper.clone() }, "--schedule"),
            (TrainConfig { schedule: Schedule::Generator(101), ..paper.clone() }, "1 to 100, alternate"),
        ] {
            let message = config.check().unwrap_err().to_string();
            assert!(message.contains(said), "{message}");
        }
        for schedule in
            [Schedule::Generator(1), Schedule::Generator(100), Schedule::Alternate, Schedule::AlternateGeneratorFirst]
        {
            assert_eq!(schedule.to_string().parse(), Ok(schedule));
        }
        for text in ["0", "101", "-1", "both"] {
            assert!(text.parse::<Schedule>().unwrap_err().contains("alternate"), "{text}");
        }
    }

    #[test]
    fn a_config_survives_toml() {
        for preset in Preset::ALL {
            let mut config = RunConfig::preset(preset, "a folder");
            config.skip = vec!["cats/1, 2.png".to_owned(), "d\"ogs.png".to_owned()];
            config.model.preparation =
                Preparation { crop: Some(108), fit: Fit::Pad, resize: Resize::Bilinear, background: Background::GRAY };
            config.train.mirror = true;
            let text = toml::to_string(&config).unwrap();
            assert_eq!(toml::from_str::<RunConfig>(&text).unwrap(), config);
        }
    }
}
