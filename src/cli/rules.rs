//! Flags that break the paper's rules for stable networks one by one, and flags for details in which published
//! sources differ.

use clap::{Args, ValueEnum};

use crate::model::{Activation, ModelConfig, NormPlacement, Padding, Resampling};
use crate::train::TrainConfig;

/// Negative slope of the generator's LeakyReLU; the same as in the discriminator.
const LEAKY_SLOPE: f64 = 0.2;

#[derive(Args, Debug)]
#[command(next_help_heading = "The paper's rules")]
pub(super) struct RuleArgs {
    /// Batch norm: off; on, except at the generator's output and the discriminator's input (the paper); or everywhere
    #[arg(long, value_enum, value_name = "WHERE")]
    batch_norm: Option<NormPlacement>,
    /// Activation after the generator's hidden layers (the paper: relu)
    #[arg(long, value_enum, value_name = "KIND")]
    activation: Option<ActivationChoice>,
    /// Up- and downsampling: by strided convolutions (the paper), or by nearest-neighbor upsampling and 2x2 max pooling
    #[arg(long, value_enum, value_name = "HOW")]
    resampling: Option<Resampling>,
    /// Units of a fully connected hidden layer in both networks; 0 for none (the paper)
    #[arg(long, value_name = "UNITS")]
    hidden: Option<usize>,
    /// Standard deviation of the initial weights (the paper: 0.02)
    #[arg(long, value_name = "DEVIATION")]
    init_std: Option<f64>,
}

/// `--activation`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ActivationChoice {
    /// ReLU
    Relu,
    /// LeakyReLU with a negative slope of 0.2, as in the discriminator
    LeakyRelu,
    /// Hyperbolic tangent
    Tanh,
}

impl RuleArgs {
    /// Overwrites the networks' settings with the given flags.
    pub fn apply(&self, model: &mut ModelConfig) {
        apply_flags!(self => model; resampling, hidden);
        model.norms = self.batch_norm.unwrap_or(model.norms);
        model.initial.weights = self.init_std.unwrap_or(model.initial.weights);
        if let Some(activation) = self.activation {
            (model.activation, model.leak) = match activation {
                ActivationChoice::Relu => (Activation::Rectifier, 0.0),
                ActivationChoice::LeakyRelu => (Activation::Rectifier, LEAKY_SLOPE),
                ActivationChoice::Tanh => (Activation::Tanh, 0.0),
            };
        }
    }
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Details in which the presets' sources differ")]
pub(super) struct DetailArgs {
    /// Convolutions per stage: 1, or 2 of which one has stride 1 (the paper's 32x32 network)
    #[arg(long, value_name = "COUNT")]
    per_stage: Option<usize>,
    /// Where a convolution puts the extra zero if its padding cannot be equal on both sides: before, symmetric
    /// (PyTorch), or after, same (TensorFlow)
    #[arg(long, value_enum)]
    padding: Option<Padding>,
    /// Batch norm of the projection per unit (the authors) instead of per feature map
    #[arg(long, value_name = "true|false")]
    unit_norm: Option<bool>,
    /// Biases of the projection per unit (carpedm20) instead of per feature map, if there are biases
    #[arg(long, value_name = "true|false")]
    unit_bias: Option<bool>,
    /// Standard deviation of batch norm's initial gains (the authors: 0.02; carpedm20: 0)
    #[arg(long, value_name = "DEVIATION")]
    gain_std: Option<f64>,
    /// Truncate the initial weights of the discriminator's convolutions at two standard deviations (carpedm20)
    #[arg(long, value_name = "true|false")]
    truncated: Option<bool>,
    /// Use the same z's for all updates of a step (carpedm20)
    #[arg(long, value_name = "true|false")]
    same_z: Option<bool>,
}

impl DetailArgs {
    /// Overwrites the settings with the given flags.
    pub fn apply(&self, model: &mut ModelConfig, train: &mut TrainConfig) {
        apply_flags!(self => model; per_stage, padding, unit_norm, unit_bias);
        apply_flags!(self => model.initial; truncated);
        apply_flags!(self => train; same_z);
        model.initial.gains = self.gain_std.unwrap_or(model.initial.gains);
    }
}
