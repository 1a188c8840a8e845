//! Self-test of a device: trains tiny networks and compares the metrics with those of another device.

use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};

use super::config::TrainConfig;
use super::messages::LearningRates;
use super::step::Networks;
use super::step_metrics::StepMetrics;
use crate::data::synth::Scene;
use crate::model::{ModelConfig, Preset};

/// Batch size.
const BATCH: usize = 8;
/// Training steps: the last one shows whether the first ones updated the networks correctly.
const STEPS: u64 = 2;
/// Largest relative difference between two correct devices, which add in different orders.
const TOLERANCE: f32 = 0.01;

/// Result of a self-test.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SelfTest {
    /// Metrics of the last step.
    pub metrics: StepMetrics,
    /// Duration in seconds, including the device's initialization.
    pub seconds: f64,
}

impl SelfTest {
    /// Trains tiny networks on `device` for a few steps.
    ///
    /// # Errors
    /// The device's message, if it fails.
    pub fn run(device: &Device) -> Result<Self, String> {
        let began = Instant::now();
        let model = ModelConfig { size: 16, base: 8, z_dim: 8, ..ModelConfig::preset(Preset::Pytorch) };
        let train = TrainConfig { batch: BATCH, ..TrainConfig::preset(Preset::Pytorch) };
        let mut values = vec![0.0; BATCH * model.values()];
        for (number, values) in (0..).zip(values.chunks_exact_mut(model.values())) {
            Scene::Rooms.draw(1, number, model.size).picture.write_chw(values);
        }
        let real = TensorData::new(values, [BATCH, model.channels, model.size, model.size]);
        let rates = LearningRates { generator: train.generator_rate, discriminator: train.discriminator_rate };
        let mut networks = Networks::new(&model, &train, 1, device);
        let mut metrics = StepMetrics::default();
        for step in 1..=STEPS {
            let real = Tensor::from_data(real.clone(), device);
            metrics = networks.step(real, step, 1, &train, rates).read()?;
        }
        Ok(Self { metrics, seconds: began.elapsed().as_secs_f64() })
    }

    /// Compares with the result of a trusted device.
    ///
    /// # Errors
    /// A sentence about the first metric that differs.
    pub fn check_against(&self, trusted: &Self) -> Result<(), String> {
        const NAMES: [&str; 6] =
            ["loss of D", "loss of G", "D(x)", "D(G(z))", "gradient norm of D", "gradient norm of G"];
        for ((name, value), expected) in NAMES.iter().zip(self.metrics.values()).zip(trusted.metrics.values()) {
            // JSON, through which the results of other processes come, has no NaN.
            let [value, expected] = [value, expected].map(|value| value.unwrap_or(f32::NAN));
            let difference = (value - expected).abs();
            if difference.is_nan() || difference > TOLERANCE * expected.abs().max(0.1) {
                return Err(format!(
                    "it computes wrong results: a training step gives a {name} of {value}, and {expected} on the CPU"
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
    fn a_device_with_wrong_results_is_detected() {
        let cpu = SelfTest::run(&Device::flex()).unwrap();
        assert!(cpu.metrics.values().iter().all(|value| value.is_some_and(|value| value > 0.0)), "{cpu:?}");
        cpu.check_against(&SelfTest::run(&Device::flex()).unwrap()).unwrap();
        for wrong in [Some(f32::NAN), Some(0.0), cpu.metrics.loss_g.map(|loss| loss * 1.1), None] {
            let mut other = cpu.clone();
            other.metrics.loss_g = wrong;
            assert!(other.check_against(&cpu).unwrap_err().contains("loss of G"));
        }
    }
}
