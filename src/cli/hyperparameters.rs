//! The flags of a training's plain numbers, which a preset sets otherwise.

use clap::Args;

use crate::train::{RunConfig, Schedule};

/// Hyperparameters of the networks and of Adam. What is not given is the preset's.
#[derive(Args, Debug, Clone, Default)]
pub(super) struct Hyperparameters {
    /// Coordinates of z (the paper: 100)
    #[arg(long, value_name = "COUNT")]
    z_dim: Option<usize>,
    /// Whether the convolutions have biases (tensorflow: true)
    #[arg(long, value_name = "true|false")]
    bias: Option<bool>,
    /// Added to the variance in batch norm (PyTorch: 1e-5, the authors: 1e-8)
    #[arg(long, value_name = "EPSILON", allow_negative_numbers = true)]
    norm_epsilon: Option<f64>,
    /// Share of the newest batch in batch norm's running statistics: PyTorch's momentum, one minus TensorFlow's [default: 0.1]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    norm_momentum: Option<f64>,
    /// Adam's first momentum (the paper: 0.5; 0.9 made training oscillate)
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    beta1: Option<f32>,
    /// Adam's second momentum (usual: 0.999)
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    beta2: Option<f32>,
    /// Added to Adam's denominator (usual: 1e-8)
    #[arg(long, value_name = "EPSILON", allow_negative_numbers = true)]
    adam_epsilon: Option<f32>,
    /// L2 penalty on the weights (the authors' face code: 1e-5)
    #[arg(long, value_name = "WEIGHT", allow_negative_numbers = true)]
    l2: Option<f32>,
    /// Generator updates for each of the discriminator's, 1 to 100; alternate: one network a step, the discriminator first; or
    /// alternate-generator-first (the authors' face code)
    #[arg(long, value_name = "COUNT|alternate", allow_negative_numbers = true)]
    schedule: Option<Schedule>,
}

impl Hyperparameters {
    /// Puts what was given into a run's settings, which are checked when the run starts.
    pub fn put(&self, config: &mut RunConfig) {
        fn set<T: Copy>(field: &mut T, given: Option<T>) {
            *field = given.unwrap_or(*field);
        }
        let (model, train) = (&mut config.model, &mut config.train);
        set(&mut model.z_dim, self.z_dim);
        set(&mut model.bias, self.bias);
        set(&mut model.norm_epsilon, self.norm_epsilon);
        set(&mut model.norm_momentum, self.norm_momentum);
        set(&mut train.beta1, self.beta1);
        set(&mut train.beta2, self.beta2);
        set(&mut train.epsilon, self.adam_epsilon);
        set(&mut train.decay, self.l2);
        set(&mut train.schedule, self.schedule);
    }
}
