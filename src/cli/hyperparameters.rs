//! Flags for single hyperparameters of a preset.

use clap::Args;

use crate::train::{RunConfig, Schedule};

/// Hyperparameters of the networks and of Adam. Flags that are not given leave the preset's values.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Hyperparameters [default: the preset's]")]
pub(super) struct HyperparameterArgs {
    /// Dimensions of z (the paper: 100)
    #[arg(long, value_name = "COUNT")]
    z_dim: Option<usize>,
    /// Whether the convolutions have biases (tensorflow: true)
    #[arg(long, value_name = "true|false")]
    bias: Option<bool>,
    /// Batch norm's epsilon, added to the variance (PyTorch: 1e-5, the authors: 1e-8)
    #[arg(long, value_name = "EPSILON", allow_negative_numbers = true)]
    norm_epsilon: Option<f64>,
    /// Weight of the newest batch in batch norm's running statistics: PyTorch's momentum, or one minus TensorFlow's
    /// [default: 0.1]
    #[arg(long, value_name = "WEIGHT", allow_negative_numbers = true)]
    norm_momentum: Option<f64>,
    /// Adam's beta1, at least 0 and below 1 (the paper: 0.5; with 0.9 training oscillated)
    #[arg(long, value_name = "BETA", allow_negative_numbers = true)]
    beta1: Option<f32>,
    /// Adam's beta2, at least 0 and below 1 (usual: 0.999)
    #[arg(long, value_name = "BETA", allow_negative_numbers = true)]
    beta2: Option<f32>,
    /// Adam's epsilon, added to the denominator (usual: 1e-8)
    #[arg(long, value_name = "EPSILON", allow_negative_numbers = true)]
    adam_epsilon: Option<f32>,
    /// L2 penalty on the weights, 0 to 1 (the authors' face code: 1e-5)
    #[arg(long, value_name = "WEIGHT", allow_negative_numbers = true)]
    l2: Option<f32>,
    /// Generator updates per discriminator update, 1 to 100; or alternate: each step updates one network, the
    /// discriminator first; or alternate-generator-first (the authors' face code)
    #[arg(long, value_name = "COUNT|alternate", allow_negative_numbers = true)]
    schedule: Option<Schedule>,
}

impl HyperparameterArgs {
    /// Overwrites the settings of a run with the given flags.
    pub fn apply(&self, config: &mut RunConfig) {
        let RunConfig { model, train, .. } = config;
        apply_flags!(self => model; z_dim, bias, norm_epsilon, norm_momentum);
        apply_flags!(self => train; beta1, beta2, schedule);
        train.epsilon = self.adam_epsilon.unwrap_or(train.epsilon);
        train.decay = self.l2.unwrap_or(train.decay);
    }
}
