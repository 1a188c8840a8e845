//! The paper's rules for stable networks as switches: what becomes of training without one.

use clap::{Args, ValueEnum};

use crate::model::{Activation, ModelConfig, Norms, Resampling};

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
