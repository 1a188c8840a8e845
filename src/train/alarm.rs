//! What is said of a training that fails: the trouble, its numbers, what helps, and the change of settings that this is.

use std::fmt;

use serde::Serialize;

use super::checkpoint::State;
use super::config::TrainConfig;
use super::health::FEW_PICTURES;
use super::messages::Rates;

/// What is wrong, with the numbers that show it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "trouble", rename_all = "kebab-case")]
pub enum Trouble {
    /// The discriminator tells real and generated pictures apart without effort, so the generator learns nothing from it.
    DiscriminatorWon {
        /// Mean D(x) over about 25 steps.
        d_real: f32,
        /// Mean D(G(z)) over them.
        d_fake: f32,
        /// The discriminator's mean loss over them.
        loss_d: f32,
    },
    /// The samples of different z are alike.
    SamplesAlike {
        /// How much they differ, as a share of how much real pictures do.
        variety: f32,
    },
    /// Losses or gradients are beyond all measure.
    ValuesExploded {
        /// The largest loss since it began.
        loss: f32,
        /// The largest gradient norm since it began.
        norm: f32,
    },
    /// There are few pictures to learn from.
    SetTooSmall {
        /// So many.
        pictures: usize,
    },
}

impl Trouble {
    /// A few words for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::DiscriminatorWon { .. } => "the discriminator has won",
            Self::SamplesAlike { .. } => "the samples are all alike",
            Self::ValuesExploded { .. } => "the values exploded",
            Self::SetTooSmall { .. } => "the set is small",
        }
    }

    /// Whether it is the same trouble, whatever the numbers.
    pub fn same(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// What is wrong and what shows it, in words.
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DiscriminatorWon { d_real, d_fake, loss_d } => write!(
                f,
                "the discriminator has won: D(x) {d_real:.2}, D(G(z)) {d_fake:.2}, loss {loss_d:.3}; the generator learns \
                 nothing more from it"
            ),
            Self::SamplesAlike { variety } => write!(
                f,
                "the samples are all alike: they differ by {:.0} % of what real pictures differ by",
                variety * 100.0
            ),
            Self::ValuesExploded { loss, norm } => {
                write!(
                    f,
                    "the values exploded: losses up to {loss:.0}, gradients up to {norm:.0}; the rate is too high"
                )
            }
            Self::SetTooSmall { pictures } => write!(
                f,
                "the set is small, {pictures} pictures: the discriminator learns them by heart, and samples become copies \
                 of them. {FEW_PICTURES} are a minimum, several thousand are better"
            ),
        }
    }
}

/// A setting that helps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "remedy", rename_all = "kebab-case")]
pub enum Remedy {
    /// Noise on what the discriminator sees.
    Noise {
        /// Its deviation.
        deviation: f32,
        /// Steps over which it fades.
        steps: u64,
    },
    /// Other learning rates.
    LowerRates {
        /// The generator's.
        generator: f64,
        /// The discriminator's.
        discriminator: f64,
    },
    /// Every picture is also shown mirrored.
    Mirror,
}

impl Remedy {
    /// The command line's flags for it.
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

    /// A button's text.
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

    /// The change of a run that it is.
    pub fn change(&self, back_to: Option<u64>) -> Change {
        let change = Change { back_to, ..Change::default() };
        match *self {
            Self::Noise { deviation, steps } => Change { noise: Some((deviation, steps)), ..change },
            Self::LowerRates { generator, discriminator } => {
                Change { rates: Some(Rates { generator, discriminator }), ..change }
            }
            Self::Mirror => Change { mirror: Some(true), ..change },
        }
    }
}

/// A change of settings in the middle of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Change {
    /// First go back to the checkpoint of this step.
    pub back_to: Option<u64>,
    /// Learning rates.
    pub rates: Option<Rates>,
    /// Deviation of the noise, and the steps over which it fades from now on; 0 for never.
    pub noise: Option<(f32, u64)>,
    /// Whether pictures are mirrored.
    pub mirror: Option<bool>,
}

impl Change {
    /// Puts it into the state that later sessions go on with.
    pub(super) fn apply(&self, state: &mut State) {
        if let Some(rates) = self.rates {
            (state.generator_rate, state.discriminator_rate) = (rates.generator, rates.discriminator);
        }
        if let Some((deviation, steps)) = self.noise {
            state.noise = Some((deviation, steps, state.step));
        }
        state.mirror = self.mirror.or(state.mirror);
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if let Some(Rates { generator, discriminator }) = self.rates {
            words.push(format!("learning rates of {generator} (generator) and {discriminator} (discriminator)"));
        }
        if let Some((deviation, steps)) = self.noise {
            words.push(format!("noise of {deviation} that fades over {steps} steps"));
        }
        if let Some(mirror) = self.mirror {
            words.push(if mirror { "mirrored pictures too" } else { "no mirrored pictures" }.to_owned());
        }
        if words.is_empty() { f.write_str("the settings as they were") } else { f.write_str(&words.join(", ")) }
    }
}

/// Something is wrong with a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alarm {
    /// What.
    #[serde(flatten)]
    pub trouble: Trouble,
    /// The first step that showed it.
    pub since: u64,
    /// The step that made it certain.
    pub step: u64,
    /// What helps.
    pub remedies: Vec<Remedy>,
    /// The step of a checkpoint from before it began, which is kept.
    pub kept: Option<u64>,
}

impl Alarm {
    /// The flags of everything that helps, for people.
    fn help(&self) -> String {
        let flags: Vec<String> = self.remedies.iter().map(Remedy::flags).collect();
        flags.join(", or ")
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trouble, since, step, kept, .. } = self;
        if matches!(trouble, Trouble::SetTooSmall { .. }) {
            write!(f, "{trouble}")?;
            let help = self.help();
            return if help.is_empty() { Ok(()) } else { write!(f, ". What helps a little: {help}") };
        }
        write!(f, "step {step}: {trouble} (since step {since}). What helps: {}", self.help())?;
        match kept {
            Some(kept) => write!(f, ". The checkpoint of step {kept}, from before, is kept: --resume --back-to {kept}"),
            None => Ok(()),
        }
    }
}

/// What is new about the health of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "health", rename_all = "kebab-case")]
pub enum Health {
    /// Something is wrong.
    Failing(Alarm),
    /// It is no longer.
    Recovered {
        /// What was wrong, with its numbers now.
        #[serde(flatten)]
        trouble: Trouble,
        /// The step that showed it.
        step: u64,
    },
}

impl Health {
    /// The alarms of a run that were not followed by a recovery. A small set is no failure.
    pub fn failing(all: &[Self]) -> impl Iterator<Item = &Alarm> {
        all.iter().enumerate().filter_map(|(i, health)| match health {
            Self::Failing(alarm) if !matches!(alarm.trouble, Trouble::SetTooSmall { .. }) => {
                let over =
                    |later: &Self| matches!(later, Self::Recovered { trouble, .. } if trouble.same(&alarm.trouble));
                (!all[i..].iter().any(over)).then_some(alarm)
            }
            _ => None,
        })
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failing(alarm) => write!(f, "{alarm}"),
            Self::Recovered { trouble, step } => write!(f, "step {step}: no longer: {}", trouble.name()),
        }
    }
}

/// The settings of a run that began with `begun`, in a state that may have other ones.
pub(super) fn in_effect(train: &mut TrainConfig, begun: &TrainConfig, state: &State) {
    (train.noise, train.noise_steps, train.noise_from) =
        state.noise.unwrap_or((begun.noise, begun.noise_steps, begun.noise_from));
    train.mirror = state.mirror.unwrap_or(begun.mirror);
    train.precision = state.precision.unwrap_or(begun.precision);
}
