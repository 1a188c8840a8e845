//! What a training step measures, on the device or read back.

use burn::tensor::Tensor;

/// What one step measured: one-element tensors on the device, or numbers. A step that trains only one network leaves
/// out the other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StepMetrics<T = f32> {
    /// Loss of the discriminator, real and generated pictures added.
    pub loss_d: Option<T>,
    /// Non-saturating loss of the generator.
    pub loss_g: Option<T>,
    /// Mean D(x), 0 to 1.
    pub d_real: Option<T>,
    /// Mean D(G(z)), 0 to 1.
    pub d_fake: Option<T>,
    /// Euclidean norm of the discriminator's gradient.
    pub norm_d: Option<T>,
    /// Euclidean norm of the generator's gradient.
    pub norm_g: Option<T>,
}

impl<T> Default for StepMetrics<T> {
    fn default() -> Self {
        Self { loss_d: None, loss_g: None, d_real: None, d_fake: None, norm_d: None, norm_g: None }
    }
}

impl<T> StepMetrics<T> {
    /// All metrics, in the order of the fields.
    pub fn values(&self) -> [&Option<T>; 6] {
        let Self { loss_d, loss_g, d_real, d_fake, norm_d, norm_g } = self;
        [loss_d, loss_g, d_real, d_fake, norm_d, norm_g]
    }

    /// Applies `f` to each metric, in the order of the fields.
    pub(super) fn map<U>(&self, f: impl FnMut(&Option<T>) -> Option<U>) -> StepMetrics<U> {
        let [loss_d, loss_g, d_real, d_fake, norm_d, norm_g] = self.values().map(f);
        StepMetrics { loss_d, loss_g, d_real, d_fake, norm_d, norm_g }
    }
}

impl StepMetrics {
    /// Whether no metric is infinite or NaN.
    pub(super) fn is_finite(&self) -> bool {
        self.values().into_iter().flatten().all(|value| value.is_finite())
    }
}

impl StepMetrics<Tensor<1>> {
    /// Waits for the device and reads the numbers.
    ///
    /// # Errors
    /// The device's message, if it failed.
    pub fn read(self) -> Result<StepMetrics, String> {
        Self::read_all(&[self]).map(|read| read[0])
    }

    /// Reads the numbers of several steps in one transfer.
    ///
    /// # Errors
    /// The device's message, if it failed.
    pub(super) fn read_all(steps: &[Self]) -> Result<Vec<StepMetrics>, String> {
        let measured = |step: &Self| Tensor::cat(step.values().into_iter().flatten().cloned().collect(), 0);
        let all: Tensor<1> = Tensor::cat(steps.iter().map(measured).collect(), 0);
        let numbers: Vec<f32> = all.try_into_data().map_err(|e| e.to_string())?.iter::<f32>().collect();
        let mut numbers = numbers.into_iter();
        Ok(steps.iter().map(|step| step.map(|value| value.as_ref().and_then(|_| numbers.next()))).collect())
    }
}
