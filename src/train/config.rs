//! The numbers of a run: what `run.toml` holds, and what must not change when it is resumed.

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
    /// Steps take turns: the discriminator on even ones, the generator on odd ones (the authors' face code).
    Alternate,
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
    /// L2 penalty on the weights.
    pub decay: f32,
    /// Whose turn it is.
    pub schedule: Schedule,
    /// Standard deviation of the noise on what the discriminator sees, in pixel values of [-1, 1] (instance noise,
    /// Sønderby et al. 2017); the paper adds none.
    #[serde(default)]
    pub noise: f32,
    /// Steps over which the noise fades to nothing; 0 for never.
    #[serde(default)]
    pub noise_steps: u64,
}

impl TrainConfig {
    /// The preset's own numbers.
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
            noise: 0.0,
            noise_steps: 0,
        };
        match preset {
            Preset::Paper => paper,
            Preset::AuthorsFaces => Self { decay: 1e-5, schedule: Schedule::Alternate, ..paper },
            Preset::Pytorch | Preset::AuthorsSvhn => Self { batch: 64, ..paper },
            Preset::Tensorflow => Self { batch: 64, schedule: Schedule::Generator(2), ..paper },
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
    /// The learning rates may be changed while a run goes on, so they may differ.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        compare("", &as_json(self), &as_json(other), &mut found);
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
    }
    if let Some(train) = value.get_mut("train").and_then(|train| train.as_object_mut()) {
        train.remove("generator_rate");
        train.remove("discriminator_rate");
    }
    value
}

fn compare(path: &str, mine: &serde_json::Value, theirs: &serde_json::Value, found: &mut Vec<String>) {
    match (mine.as_object(), theirs.as_object()) {
        (Some(a), Some(b)) if !path.ends_with("schedule") => {
            for (key, value) in a {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(&path, value, b.get(key).unwrap_or(&serde_json::Value::Null), found);
            }
        }
        _ if mine != theirs => found.push(format!("{path}: {mine}, not {theirs}")),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_named_and_learning_rates_may_differ() {
        let a = RunConfig::preset(Preset::Pytorch, "synth:rooms");
        let mut b = a.clone();
        b.train.generator_rate = 1e-4;
        assert!(a.differences(&b).is_empty());
        b.model.base = 32;
        b.train.schedule = Schedule::Alternate;
        b.data = "faces".into();
        let differences = a.differences(&b);
        assert_eq!(differences.len(), 3, "{differences:?}");
        assert!(differences.iter().any(|d| d == "model.base: 64, not 32"), "{differences:?}");
        assert!(differences.iter().any(|d| d.starts_with("train.schedule: ")), "{differences:?}");
        let mut skips = a.clone();
        skips.skip = vec!["a.png".to_owned()];
        assert_eq!(skips.differences(&a), ["skip: 1 pictures, not 0"]);
        skips.use_data("faces".to_owned());
        assert!(skips.skip.is_empty(), "names of one set mean nothing in another");
    }

    #[test]
    fn a_config_survives_toml() {
        for preset in Preset::ALL {
            let mut config = RunConfig::preset(preset, "a folder");
            config.skip = vec!["cats/1, 2.png".to_owned(), "d\"ogs.png".to_owned()];
            let text = toml::to_string(&config).unwrap();
            assert_eq!(toml::from_str::<RunConfig>(&text).unwrap(), config);
        }
    }
}
