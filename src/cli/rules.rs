//! The paper's rules for stable networks as switches, to see what becomes of training without one; and the details in which the
//! published sources differ.

use clap::{Args, ValueEnum};

use crate::model::{Activation, ModelConfig, Norms, Padding, Resampling};
use crate::train::TrainConfig;

/// Slope below zero of the generator's LeakyReLU: the discriminator's.
const LEAK: f64 = 0.2;

#[derive(Args, Debug)]
#[command(next_help_heading = "The paper's rules")]
pub(super) struct Rules {
    /// Batch norm: off; on, but not on the generator's output and the discriminator's input (the paper); or everywhere
    #[arg(long, value_enum, value_name = "WHERE")]
    batch_norm: Option<Norms>,
    /// What follows the generator's hidden layers (the paper: relu)
    #[arg(long, value_enum, value_name = "KIND")]
    activation: Option<After>,
    /// How sides are halved and doubled: by strided convolutions (the paper), or by 2x2 max pooling and by repeating positions
    #[arg(long, value_enum, value_name = "HOW")]
    resampling: Option<Resampling>,
    /// Units of a fully connected hidden layer in both networks; 0 for none (the paper)
    #[arg(long, value_name = "UNITS")]
    hidden: Option<usize>,
    /// Standard deviation of the weights before training (the paper: 0.02)
    #[arg(long, value_name = "DEVIATION")]
    init_std: Option<f64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum After {
    /// ReLU
    Relu,
    /// LeakyReLU with a slope of 0.2 below zero, as in the discriminator
    LeakyRelu,
    /// The hyperbolic tangent
    Tanh,
}

impl Rules {
    /// Writes down what was said.
    pub fn apply(&self, model: &mut ModelConfig) {
        if let Some(norms) = self.batch_norm {
            model.norms = norms;
        }
        if let Some(after) = self.activation {
            (model.activation, model.leak) = match after {
                After::Relu => (Activation::Rectifier, 0.0),
                After::LeakyRelu => (Activation::Rectifier, LEAK),
                After::Tanh => (Activation::Tanh, 0.0),
            };
        }
        if let Some(resampling) = self.resampling {
            model.resampling = resampling;
        }
        if let Some(hidden) = self.hidden {
            model.hidden = hidden;
        }
        if let Some(deviation) = self.init_std {
            model.initial.weights = deviation;
        }
    }
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Details in which the presets' sources differ")]
pub(super) struct Details {
    /// Convolutions in each stage: 1, or 2 of which one has stride 1 (the paper's 32x32 network)
    #[arg(long, value_name = "COUNT")]
    per_stage: Option<usize>,
    /// Where a zero more is added if a convolution's zeros cannot be equal: before, symmetric (PyTorch), or behind, same (TensorFlow)
    #[arg(long, value_enum)]
    padding: Option<Padding>,
    /// Batch norm of each unit of the projection (the authors) and not of each map
    #[arg(long, value_name = "true|false")]
    unit_norm: Option<bool>,
    /// Biases of each unit of the projection (carpedm20), where there are biases, and not of each map
    #[arg(long, value_name = "true|false")]
    unit_bias: Option<bool>,
    /// Standard deviation of batch norm's gains before training (the authors: 0.02; carpedm20: 0)
    #[arg(long, value_name = "DEVIATION")]
    gain_std: Option<f64>,
    /// Draw initial weights of the discriminator's convolutions again where they are beyond two deviations (carpedm20)
    #[arg(long, value_name = "true|false")]
    truncated: Option<bool>,
    /// Use the same z's for all updates of a step (carpedm20)
    #[arg(long, value_name = "true|false")]
    same_z: Option<bool>,
}

impl Details {
    /// Writes down what was said.
    pub fn apply(&self, model: &mut ModelConfig, train: &mut TrainConfig) {
        let set = |field: &mut bool, said: Option<bool>| *field = said.unwrap_or(*field);
        model.per_stage = self.per_stage.unwrap_or(model.per_stage);
        model.padding = self.padding.unwrap_or(model.padding);
        model.initial.gains = self.gain_std.unwrap_or(model.initial.gains);
        set(&mut model.unit_norm, self.unit_norm);
        set(&mut model.unit_bias, self.unit_bias);
        set(&mut model.initial.truncated, self.truncated);
        set(&mut train.same_z, self.same_z);
    }
}
