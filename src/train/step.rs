//! One DCGAN training step (Radford et al. 2016, sections 3 and 4): the non-saturating loss on logits, Adam, and
//! batch normalization with the batch's own statistics.
//!
//! [`Networks::step`] trains one step and returns its [`StepMetrics`], which stay on the device until
//! [`StepMetrics::read`].

use burn::tensor::{Device, Gradients, Tensor};

use super::config::TrainConfig;
use super::instance_noise::InstanceNoise;
use super::messages::LearningRates;
use super::schedule::Schedule;
use super::step_metrics::StepMetrics;
use crate::device::Operands;
use crate::latent;
use crate::model::{
    AdamOptimizer, AdamSettings, Discriminator, Generator, Layer, ModelConfig, copy_running_statistics, logistic,
    require_grad,
};

/// Both networks in training, and their optimizers.
#[derive(Clone)]
pub struct Networks {
    /// The generator: z to pictures.
    pub generator: Generator,
    /// The discriminator: pictures to logits.
    pub discriminator: Discriminator,
    pub(super) optimiser_g: AdamOptimizer,
    pub(super) optimiser_d: AdamOptimizer,
    /// The factor on losses before backpropagation: 1, except with half floats, in which small gradients would
    /// underflow.
    pub(super) loss_scale: f32,
}

/// Puts the parameters on the autodiff tape as constants: gradients flow through the network but not into its weights.
fn freeze(layers: &mut [Layer]) {
    for parameter in layers.iter_mut().flat_map(Layer::parameters_mut) {
        parameter.value = parameter.value.clone().autodiff();
    }
}

impl Networks {
    /// Untrained networks.
    pub fn new(model: &ModelConfig, train: &TrainConfig, seed: u64, device: &Device) -> Self {
        Self::from_networks(Generator::new(model, seed, device), Discriminator::new(model, seed, device), train)
    }

    /// Existing networks with fresh optimizers.
    pub fn from_networks(generator: Generator, discriminator: Discriminator, train: &TrainConfig) -> Self {
        let adam = AdamSettings { beta1: train.beta1, beta2: train.beta2, epsilon: train.epsilon, decay: train.decay };
        let optimiser_g = AdamOptimizer::new(adam, generator.layers());
        let optimiser_d = AdamOptimizer::new(adam, &discriminator.layers);
        Self { generator, discriminator, optimiser_g, optimiser_d, loss_scale: 1.0 }
    }

    /// Sets the number format in which the convolutions of both networks multiply.
    pub fn multiply(&mut self, operands: Operands) {
        let layers = self.generator.layers_mut().iter_mut().chain(&mut self.discriminator.layers);
        layers.for_each(|layer| layer.set_operands(operands));
    }

    /// Backpropagates the scaled loss.
    fn gradients(&self, loss: Tensor<1>) -> Gradients {
        if self.loss_scale == 1.0 { loss.backward() } else { loss.mul_scalar(self.loss_scale).backward() }
    }

    /// Trains step number `step` (the first is 1) on real pictures `[batch, channels, size, size]` in [-1, 1].
    ///
    /// The discriminator's running batch-norm statistics are updated by the two batches of its own update, real and
    /// generated. In PyTorch's DCGAN tutorial they are updated a third time when the generator's update passes the
    /// generated batch through the discriminator; here that pass also uses the batch's own statistics, but leaves the
    /// running ones alone. No update depends on them: the discriminator uses them only to classify single pictures,
    /// and evaluation estimates them anew from data.
    pub fn step(
        &mut self,
        real: Tensor<4>,
        step: u64,
        seed: u64,
        train: &TrainConfig,
        rates: LearningRates,
    ) -> StepMetrics<Tensor<1>> {
        let (device, batch) = (real.device(), real.dims()[0]);
        let (prior, z_dim) = (self.generator.config().prior, self.generator.config().z_dim);
        let noise = InstanceNoise::new(train, seed, step);
        let z = |number| latent::training_z_tensor(prior, z_dim, seed, number, batch, &device);
        self.step_on(real, step, z, &noise, train, rates)
    }

    /// [`Self::step`] with z's `[batch, z_dim]` from `draw`, which must return the same z's for the same number.
    pub(super) fn step_on(
        &mut self,
        real: Tensor<4>,
        step: u64,
        draw: impl Fn(u64) -> Tensor<2>,
        noise: &InstanceNoise,
        train: &TrainConfig,
        rates: LearningRates,
    ) -> StepMetrics<Tensor<1>> {
        let (update_d, updates_g) = match train.schedule {
            Schedule::Generator(times) => (true, times.max(1)),
            Schedule::Alternate => (step % 2 == 1, usize::from(step.is_multiple_of(2))),
            Schedule::AlternateGeneratorFirst => (step.is_multiple_of(2), usize::from(step % 2 == 1)),
        };
        let mut metrics = StepMetrics::default();
        let z = |update: usize| {
            let update = if train.same_z { 0 } else { update as u64 };
            draw(z_number(step, update))
        };
        if updates_g == 0 {
            // The discriminator's update alone needs no gradients of the generator.
            let fake = self.generator.train(z(0));
            self.update_discriminator([noise.add_to(real.clone(), 0), noise.add_to(fake, 1)], rates, &mut metrics);
        }
        for update in 0..updates_g {
            // The discriminator's update uses the z's of the first generator update. With `same_z`, later updates
            // pass the same z's through the generator as the earlier updates changed it.
            let (generator, fake) = self.generate(z(update));
            if update == 0 && update_d {
                let fake = noise.add_to(fake.clone().inner(), 1);
                self.update_discriminator([noise.add_to(real.clone(), 0), fake], rates, &mut metrics);
            }
            let fake = noise.add_to(fake, 2 + update as u64);
            self.update_generator(&generator, fake, rates, &mut metrics);
        }
        metrics
    }

    /// Generates pictures of `z` on the autodiff tape. Returns the tracked generator and the pictures.
    fn generate(&mut self, z: Tensor<2>) -> (Generator, Tensor<4>) {
        let mut generator = self.generator.clone();
        require_grad(generator.layers_mut());
        let fake = generator.train(z.autodiff());
        copy_running_statistics(self.generator.layers_mut(), generator.layers());
        (generator, fake)
    }

    fn update_discriminator(
        &mut self,
        [real, fake]: [Tensor<4>; 2],
        rates: LearningRates,
        metrics: &mut StepMetrics<Tensor<1>>,
    ) {
        let mut discriminator = self.discriminator.clone();
        require_grad(&mut discriminator.layers);
        let on_real = discriminator.train(real.autodiff());
        let on_fake = discriminator.train(fake.autodiff());
        copy_running_statistics(&mut self.discriminator.layers, &discriminator.layers);
        let ((loss_real, on_real), (loss_fake, on_fake)) = (logistic(on_real, true), logistic(on_fake, false));
        let loss = loss_real + loss_fake;
        let mut grads = self.gradients(loss.clone());
        let layers = &mut self.discriminator.layers;
        let (rate, scale) = (rates.discriminator, self.loss_scale);
        let norm = self.optimiser_d.update_scaled(layers, &discriminator.layers, &mut grads, rate, scale);
        metrics.loss_d = Some(loss.inner());
        metrics.d_real = Some(on_real.inner());
        metrics.d_fake = Some(on_fake.inner());
        metrics.norm_d = Some(norm);
    }

    fn update_generator(
        &mut self,
        generator: &Generator,
        fake: Tensor<4>,
        rates: LearningRates,
        metrics: &mut StepMetrics<Tensor<1>>,
    ) {
        let mut frozen = self.discriminator.clone();
        freeze(&mut frozen.layers);
        let (loss, d_fake) = logistic(frozen.batch_logits(fake), true);
        let mut grads = self.gradients(loss.clone());
        let layers = self.generator.layers_mut();
        let norm =
            self.optimiser_g.update_scaled(layers, generator.layers(), &mut grads, rates.generator, self.loss_scale);
        metrics.loss_g = Some(loss.inner());
        metrics.d_fake.get_or_insert_with(|| d_fake.inner());
        metrics.norm_g = Some(norm);
    }
}

/// Low bits of a z number that hold the update within its step.
const UPDATE_BITS: u32 = 4;

/// The number that seeds the z's of an update, unique over all updates of a run. The first 16 updates of a step use
/// the low bits of the step's number, as old runs did; further updates count down from the largest number.
fn z_number(step: u64, update: u64) -> u64 {
    match update.checked_sub(1 << UPDATE_BITS) {
        None => step << UPDATE_BITS | update,
        Some(more) => !(step << 32 | more),
    }
}

#[cfg(test)]
mod tests;
