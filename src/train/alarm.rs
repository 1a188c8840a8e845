//! Training failures as data: [`Alarm`] is what went wrong ([`FailureMode`]), since when, and what helps ([`Remedy`]).
//! [`super::health`] detects them.

use std::fmt;

use serde::Serialize;

use super::change::SettingsChange;
use super::health::MIN_PICTURES;
use super::messages::LearningRates;

/// A way in which GAN training fails, with the numbers that show it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "trouble", rename_all = "kebab-case")]
pub enum FailureMode {
    /// The discriminator separates real and generated pictures almost perfectly, so its gradients teach the generator
    /// nothing.
    DiscriminatorWon {
        /// Mean D(x) over about 25 steps.
        d_real: f32,
        /// Mean D(G(z)) over them.
        d_fake: f32,
        /// The discriminator's mean loss over them.
        loss_d: f32,
    },
    /// The generator draws nearly the same picture for every z.
    #[serde(rename = "samples-alike")]
    ModeCollapse {
        /// Variety of the samples as a share of the variety of real pictures.
        variety: f32,
    },
    /// Losses or gradients grow without bound.
    #[serde(rename = "values-exploded")]
    Divergence {
        /// The largest loss since the failure began.
        loss: f32,
        /// The largest gradient norm since then.
        norm: f32,
    },
    /// The data set is small enough to be memorized.
    #[serde(rename = "set-too-small")]
    DatasetTooSmall {
        /// Number of pictures.
        pictures: usize,
    },
}

impl FailureMode {
    /// A short name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::DiscriminatorWon { .. } => "the discriminator has won",
            Self::ModeCollapse { .. } => "mode collapse",
            Self::Divergence { .. } => "the training diverges",
            Self::DatasetTooSmall { .. } => "the data set is small",
        }
    }

    /// Whether `other` is the same failure, whatever the numbers.
    pub fn same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl fmt::Display for FailureMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DiscriminatorWon { d_real, d_fake, loss_d } => write!(
                f,
                "the discriminator has won: D(x) {d_real:.2}, D(G(z)) {d_fake:.2}, loss {loss_d:.3}; its gradients no longer \
                 teach the generator anything"
            ),
            Self::ModeCollapse { variety } => {
                write!(f, "mode collapse: samples show only {:.0} % of the variety of real pictures", variety * 100.0)
            }
            Self::Divergence { loss, norm } => {
                write!(
                    f,
                    "the training diverges: losses up to {loss:.0}, gradient norms up to {norm:.0}; the learning rate is too high"
                )
            }
            Self::DatasetTooSmall { pictures } => write!(
                f,
                "the data set is small, {pictures} pictures: the discriminator memorizes them, and samples become copies of \
                 them. Use at least {MIN_PICTURES}, better several thousand"
            ),
        }
    }
}

/// A change of settings that helps against a failure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "remedy", rename_all = "kebab-case")]
pub enum Remedy {
    /// Instance noise on the discriminator's input.
    Noise {
        /// Its standard deviation.
        deviation: f32,
        /// Steps over which it fades to 0.
        steps: u64,
    },
    /// Lower learning rates.
    LowerRates {
        /// New rate of the generator.
        generator: f64,
        /// New rate of the discriminator.
        discriminator: f64,
    },
    /// Mirrored pictures as data augmentation.
    Mirror,
}

impl Remedy {
    /// The flags of `zscape train` that apply it.
    pub fn flags(&self) -> String {
        match *self {
            Self::Noise { deviation, steps } => format!("--noise {deviation} --noise-steps {steps}"),
            Self::LowerRates { generator, discriminator } if generator == discriminator => format!("--lr {generator}"),
            Self::LowerRates { generator, discriminator } => {
                format!("--generator-lr {generator} --discriminator-lr {discriminator}")
            }
            Self::Mirror => "--mirror".to_owned(),
        }
    }

    /// The text of the button that applies it.
    pub fn label(&self) -> String {
        match *self {
            Self::Noise { deviation, .. } => format!("Add noise of {deviation}"),
            Self::LowerRates { generator, discriminator } if generator == discriminator => {
                format!("Lower both rates to {generator}")
            }
            Self::LowerRates { discriminator, .. } => format!("Lower the discriminator's rate to {discriminator}"),
            Self::Mirror => "Mirror pictures".to_owned(),
        }
    }

    /// The change that applies it to a run, after rolling back to the checkpoint of step `back_to` if given.
    pub fn change(&self, back_to: Option<u64>) -> SettingsChange {
        let change = SettingsChange { back_to, ..SettingsChange::default() };
        match *self {
            Self::Noise { deviation, steps } => SettingsChange { noise: Some((deviation, steps)), ..change },
            Self::LowerRates { generator, discriminator } => {
                SettingsChange { rates: Some(LearningRates { generator, discriminator }), ..change }
            }
            Self::Mirror => SettingsChange { mirror: Some(true), ..change },
        }
    }
}

/// A failure of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alarm {
    /// What went wrong.
    #[serde(flatten)]
    pub failure: FailureMode,
    /// The first step that showed it.
    pub since: u64,
    /// The step at which it became certain.
    pub step: u64,
    /// What helps, the best first.
    pub remedies: Vec<Remedy>,
    /// Step of the newest checkpoint from before the failure, which is never removed.
    #[serde(rename = "kept")]
    pub checkpoint: Option<u64>,
}

impl Alarm {
    fn help(&self) -> String {
        let flags: Vec<String> = self.remedies.iter().map(Remedy::flags).collect();
        flags.join(", or ")
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { failure, since, step, checkpoint, .. } = self;
        if matches!(failure, FailureMode::DatasetTooSmall { .. }) {
            write!(f, "{failure}")?;
            let help = self.help();
            return if help.is_empty() { Ok(()) } else { write!(f, ". What helps a little: {help}") };
        }
        write!(f, "step {step}: {failure} (since step {since}). What helps: {}", self.help())?;
        match checkpoint {
            Some(step) => write!(f, ". To return to step {step}, before the failure: --resume --back-to {step}"),
            None => Ok(()),
        }
    }
}

/// A failure that was detected, or is over.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "health", rename_all = "kebab-case")]
pub enum HealthEvent {
    /// A failure was detected.
    Failing(Alarm),
    /// A failure is over.
    Recovered {
        /// The failure, with its numbers now.
        #[serde(flatten)]
        failure: FailureMode,
        /// The step at which it was over.
        step: u64,
    },
}

impl HealthEvent {
    /// The alarms in `events` that no recovery followed, without the warning of a small data set.
    pub fn failing(events: &[Self]) -> impl Iterator<Item = &Alarm> {
        events.iter().enumerate().filter_map(|(i, event)| match event {
            Self::Failing(alarm) if !matches!(alarm.failure, FailureMode::DatasetTooSmall { .. }) => {
                let ends = |later: &Self| {
                    matches!(later, Self::Recovered { failure, .. } if failure.same_kind(&alarm.failure))
                };
                (!events[i..].iter().any(ends)).then_some(alarm)
            }
            _ => None,
        })
    }
}

impl fmt::Display for HealthEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failing(alarm) => write!(f, "{alarm}"),
            Self::Recovered { failure, step } => write!(f, "step {step}: recovered: {}", failure.name()),
        }
    }
}
