//! Training steps of tiny networks, to see whether a device computes what it should.

use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};

use super::config::TrainConfig;
use super::messages::LearningRates;
use super::step::Networks;
use crate::data::synth::Scene;
use crate::model::{ModelConfig, Preset};

/// Pictures in a step.
const BATCH: usize = 8;
/// Steps: the last one sees what the first ones learnt.
const STEPS: u64 = 2;
/// How far two devices may differ, as a share of the number. They add in different orders.
const TOLERANCE: f32 = 0.01;

/// What a trial measured.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Trial {
    /// Losses, probabilities and gradients' norms of the last step.
    pub numbers: [f32; 6],
    /// Seconds that it took, with everything that a device does at first.
    pub seconds: f64,
}

impl Trial {
    /// Trains tiny networks on a device for some steps.
    ///
    /// # Errors
    /// What the device says, if it fails.
    pub fn run(device: &Device) -> Result<Self, String> {
        let began = Instant::now();
        let model = ModelConfig { size: 16, base: 8, z_dim: 8, ..ModelConfig::preset(Preset::Pytorch) };
        let train = TrainConfig { batch: BATCH, ..TrainConfig::preset(Preset::Pytorch) };
        let mut values = vec![0.0; BATCH * model.channels * model.size * model.size];
        for (number, values) in (0..).zip(values.chunks_exact_mut(model.channels * model.size * model.size)) {
            Scene::Rooms.draw(1, number, model.size).picture.write_chw(values);
        }
        let real = TensorData::new(values, [BATCH, model.channels, model.size, model.size]);
        let rates = LearningRates { generator: train.generator_rate, discriminator: train.discriminator_rate };
        let mut networks = Networks::new(&model, &train, 1, device);
        let mut numbers = [0.0; 6];
        for step in 1..=STEPS {
            let real = Tensor::from_data(real.clone(), device);
            let read = networks.step(real, step, 1, &train, rates).read()?;
            numbers = read.map(Option::unwrap_or_default);
        }
        Ok(Self { numbers, seconds: began.elapsed().as_secs_f64() })
    }

    /// Whether these are the numbers that another device came to; the error says how they differ.
    ///
    /// # Errors
    /// The largest difference.
    pub fn agrees(&self, other: &Self) -> Result<(), String> {
        const NAMES: [&str; 6] =
            ["loss of D", "loss of G", "D(x)", "D(G(z))", "gradient norm of D", "gradient norm of G"];
        for ((name, mine), theirs) in NAMES.iter().zip(self.numbers).zip(other.numbers) {
            let apart = (mine - theirs).abs();
            if apart.is_nan() || apart > TOLERANCE * theirs.abs().max(0.1) {
                return Err(format!(
                    "it computes wrong: a training step gives a {name} of {mine}, and the CPU's {theirs}"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_computes_wrong_is_found() {
        let cpu = Trial::run(&Device::flex()).unwrap();
        assert!(cpu.numbers.iter().all(|number| number.is_finite() && *number > 0.0), "{cpu:?}");
        cpu.agrees(&Trial::run(&Device::flex()).unwrap()).unwrap();
        for wrong in [f32::NAN, 0.0, cpu.numbers[1] * 1.1] {
            let mut other = cpu.clone();
            other.numbers[1] = wrong;
            assert!(other.agrees(&cpu).unwrap_err().contains("loss of G"));
        }
    }
}
