//! Settings of a run: [`RunConfig`], which `run.toml` stores, and [`TrainConfig`] in it.

use super::schedule::{MAX_UPDATES, Schedule};
use crate::data::Source;
use crate::device::Precision;
use crate::files::is_default;
use crate::model::{ModelConfig, Preset};

/// Instance noise for rendered pictures: standard deviation, and steps over which it fades. One run with it, at
/// 64x64, showed heads after 200 steps; runs without it showed noise for 300 to 500. Other values were not tried.
const RENDERED_NOISE: (f32, u64) = (0.2, 3000);

/// An invalid training setting.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum TrainConfigError {
    /// An empty batch.
    #[error("--batch must be at least 1")]
    Batch,
    /// An exponential decay rate of Adam outside [0, 1).
    #[error("{flag} must be at least 0 and below 1, got {value} (the paper: --beta1 0.5, --beta2 0.999)")]
    Momentum {
        /// The flag.
        flag: &'static str,
        /// The value.
        value: f32,
    },
    /// Adam's epsilon outside (0, 1].
    #[error("--adam-epsilon must be above 0 and at most 1, got {0} (usual: 1e-8)")]
    Epsilon(f32),
    /// An L2 penalty outside [0, 1].
    #[error("--l2 must be from 0 to 1, got {0} (the authors' face code: 1e-5)")]
    Decay(f32),
    /// A number of generator updates outside 1 to [`MAX_UPDATES`].
    #[error("--schedule must be {syntax}, got {0} updates", syntax = Schedule::SYNTAX)]
    Schedule(usize),
    /// Instance noise outside [0, 1].
    #[error("--noise must be from 0 to 1, got {0}")]
    Noise(f32),
}

/// How the networks are trained. [`TrainConfig::preset`] has published values.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TrainConfig {
    /// Batch size.
    pub batch: usize,
    /// Adam's learning rate for the generator, above 0. The paper found 1e-3 too high.
    pub generator_rate: f64,
    /// Adam's learning rate for the discriminator, above 0.
    pub discriminator_rate: f64,
    /// Adam's decay rate of the first moment, in [0, 1). The paper found that training oscillates with 0.9.
    pub beta1: f32,
    /// Adam's decay rate of the second moment, in [0, 1).
    pub beta2: f32,
    /// Adam's epsilon, added to the denominator.
    pub epsilon: f32,
    /// L2 penalty on all parameters, batch norm's and biases included, as in the authors' `Regularizer`.
    pub decay: f32,
    /// The order of updates.
    pub schedule: Schedule,
    /// Whether all updates of a step use the same z's, instead of new ones each.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub same_z: bool,
    /// Standard deviation of the instance noise on the discriminator's input (Sønderby et al. 2017), for pixel values
    /// in [-1, 1]. The paper adds none.
    #[serde(default)]
    pub noise: f32,
    /// Steps over which the noise fades to 0; 0 for never.
    #[serde(default)]
    pub noise_steps: u64,
    /// The step after which the noise begins to fade: 0, or the step of a change in the middle of the run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub noise_from: u64,
    /// Whether pictures are mirrored horizontally, each in half of the epochs. The paper mirrors none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mirror: bool,
    /// Precision of multiplications in convolutions on a graphics card. The CPU always uses `f32`.
    #[serde(default)]
    pub precision: Precision,
}

impl TrainConfig {
    /// The values of a preset, each from its authors' source ([`ModelConfig::preset`] names the files):
    ///
    /// - `paper`: section 4. One update of each network per step is algorithm 1 of Goodfellow et al. 2014 with one
    ///   discriminator update.
    /// - `authors-faces`: Adam with `lr=0.0002, b1=0.5`, otherwise the defaults of `lib/updates.py` (`b2=0.999,
    ///   e=1e-8`; its `l=1-1e-8`, which shrinks `b1` by a factor of 1 - 1e-8 per step, is omitted). `l2=1e-5` is added
    ///   to the gradients of all parameters, batch norm's too. Every batch of 128 serves one update, the first the
    ///   generator's.
    /// - `authors-svhn`: rate 0.0005 and batch 64 are in the folder's name; the rest is the paper's.
    /// - `paper-imagenet`: the paper's.
    /// - `pytorch`: the tutorial.
    /// - `tensorflow`: `learning_rate=0.0002, beta1=0.5`, batches of 64; one update of the discriminator and two of the
    ///   generator, all three with the same `batch_z`. TensorFlow's Adam adds epsilon after its bias correction,
    ///   PyTorch's and this one before: 1e-8 or, in the first step, 3e-10, which matters only for gradients below 1e-7.
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

    /// Checks the ranges of all settings.
    ///
    /// # Errors
    /// The first setting out of range.
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

/// All settings of a run, which determine its result; stored in `run.toml`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RunConfig {
    /// The data source, as in `--data`.
    pub data: Source,
    /// Seed of the weights, the order of the pictures, and every z.
    pub seed: u64,
    /// Names of pictures that are left out. The names are stored here, not the path of their list, so that a resumed
    /// run has the same pictures in the same order even if the list has changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<String>,
    /// The networks.
    pub model: ModelConfig,
    /// The training.
    pub train: TrainConfig,
}

impl RunConfig {
    /// The settings of a preset for a data source, with instance noise if the source needs it.
    pub fn preset(preset: Preset, data: impl Into<Source>) -> Self {
        let (model, train) = (ModelConfig::preset(preset), TrainConfig::preset(preset));
        let data = data.into();
        let mut config = Self { data: data.clone(), seed: 1, skip: Vec::new(), model, train };
        config.use_data(data);
        config
    }

    /// Sets the data source, without skipped pictures, and its instance noise: rendered pictures have no noise of
    /// their own, so a discriminator would separate them from a young generator's at a glance. Photographs need none.
    pub fn use_data(&mut self, data: Source) {
        let rendered = data.is_synthetic();
        (self.train.noise, self.train.noise_steps) = if rendered { RENDERED_NOISE } else { (0.0, 0) };
        if data != self.data {
            self.skip.clear();
        }
        self.data = data;
    }

    /// The fields in which `other` differs, as `field: own value, not the other's`.
    ///
    /// Learning rates, instance noise, mirroring and precision may differ, since they can change in the middle of a
    /// run.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        compare("", &as_json(self), &as_json(other), &mut found);
        if !self.data.is_same_place(&other.data) {
            found.push(format!("data: {:?}, not {:?}", self.data.to_string(), other.data.to_string()));
        }
        if self.skip != other.skip {
            // The lists may have thousands of names.
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
    // A missing field has its default value, and a missing table the defaults of all fields.
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
            let shown = |value: &serde_json::Value| match value {
                serde_json::Value::Null => "the default".to_owned(),
                // A single-precision value as it was entered: 0.8, not 0.800000011920929.
                value => match value.as_f64().filter(|double| f64::from(*double as f32) == *double) {
                    Some(double) if value.is_f64() => (double as f32).to_string(),
                    _ => value.to_string(),
                },
            };
            found.push(format!("{path}: {}, not {}", shown(mine), shown(theirs)));
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
        skips.use_data("faces".into());
        assert!(skips.skip.is_empty(), "names of one set mean nothing in another");
    }

    #[test]
    fn presets_have_their_published_values() {
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
    fn runs_from_before_the_presets_were_corrected_keep_their_settings() {
        // `run.toml` of older versions, with presets whose values have changed.
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
        assert_eq!(faces.train.schedule, Schedule::Alternate, "step 1 still trains the discriminator");
        assert_eq!(faces.model.layers().generator[0].norm, crate::model::ParameterScope::Map);
        let tensorflow =
            read(model("tensorflow", 64, 64, true, "1e-5", "running"), train(64, "0.0", "{ generator = 2 }"));
        assert_eq!((tensorflow.train.schedule, tensorflow.train.same_z), (Schedule::Generator(2), false));
        assert_eq!(tensorflow.model.layers().generator[0].bias, crate::model::ParameterScope::Map);
        assert_eq!(tensorflow.model.padding, crate::model::Padding::Symmetric);
        assert!(!tensorflow.differences(&RunConfig::preset(Preset::Tensorflow, "a folder")).is_empty());
    }

    #[test]
    fn a_difference_from_an_omitted_default_is_named() {
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
    fn an_old_run_without_newer_settings_gets_their_defaults() {
        let written = toml::to_string(&RunConfig::preset(Preset::Pytorch, "faces")).unwrap();
        assert!(!written.contains("preparation") && !written.contains("mirror"), "{written}");
        let read: RunConfig = toml::from_str(&written).unwrap();
        assert_eq!((read.model.preparation, read.train.mirror), (Preparation::default(), false));
    }

    #[test]
    fn invalid_settings_are_refused_with_their_flags() {
        let paper = TrainConfig::preset(Preset::Paper);
        for &preset in Preset::ALL {
            TrainConfig::preset(preset).check().unwrap();
        }
        for (config, expected) in [
            (TrainConfig { batch: 0, ..paper.clone() }, "--batch"),
            (TrainConfig { beta1: 1.0, ..paper.clone() }, "--beta1 must"),
            (TrainConfig { beta1: f32::NAN, ..paper.clone() }, "--beta1"),
            (TrainConfig { beta2: -0.1, ..paper.clone() }, "got -0.1"),
            (TrainConfig { epsilon: 0.0, ..paper.clone() }, "--adam-epsilon"),
            (TrainConfig { decay: -1.0, ..paper.clone() }, "--l2"),
            (TrainConfig { noise: 2.0, ..paper.clone() }, "--noise"),
            (TrainConfig { schedule: Schedule::Generator(0), ..paper.clone() }, "--schedule"),
            (TrainConfig { schedule: Schedule::Generator(101), ..paper }, "1 to 100, alternate"),
        ] {
            let message = config.check().unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
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
    fn a_config_survives_a_round_trip_through_toml() {
        for &preset in Preset::ALL {
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
