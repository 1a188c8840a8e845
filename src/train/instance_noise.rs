//! Instance noise (Sønderby et al. 2017, "Amortised MAP inference for image super-resolution", section 3.3): Gaussian
//! noise on the discriminator's input, real and generated, which fades during the run.
//!
//! The discriminator separates pictures without any noise of their own, such as rendered ones, from a young
//! generator's at a glance, and a discriminator that is certain has no useful gradients.
//!
//! Each value is a function of seed, step, batch and position, computed where the pictures are. It uses only integers
//! and sums of products, no logarithm or cosine, so that all devices agree up to rounding.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::config::TrainConfig;
use crate::device::uses_wgpu;

/// Separates this random stream from others of the same seed: the bytes "noise___".
const NOISE: u64 = 0x6e6f_6973_655f_5f5f;

/// Hash input from one position to the next, so that neighbors differ in many bits.
const STRIDE: u32 = 0x9e37_79b9;
/// Shifts and factors of MurmurHash3's finalizer: each output bit depends on all input bits.
const MIX: [(u32, u32); 2] = [(16, 0x85eb_ca6b), (13, 0xc2b2_ae35)];
const LAST_SHIFT: u32 = 16;
/// Every other byte of a word, so that twelve of them can be added without a carry.
const LANES: u32 = 0x00ff_00ff;

/// Mean of a sum of twelve bytes, and four times its standard deviation.
const MEAN: f32 = 1530.0;
const WIDTH: f32 = 1024.0;
/// Teichroew's polynomial in odd powers, from the ninth down to the first, which turns a sum of twelve uniform
/// numbers into a normal one, to about 2e-4 within three standard deviations (Knuth, "The Art of Computer
/// Programming", volume 2, section 3.4.1).
const NORMAL: [f32; 5] = [0.029_899_776, 0.008_355_968, 0.076_542_91, 0.252_408_8, 3.949_846];

/// The noise of one step. It depends only on seed and step, so that a resumed run needs no stored random state.
pub(super) struct InstanceNoise {
    deviation: f32,
    seed: u64,
    step: u64,
}

impl InstanceNoise {
    pub fn new(train: &TrainConfig, seed: u64, step: u64) -> Self {
        let steps = (step - 1).saturating_sub(train.noise_from);
        let faded = if train.noise_steps == 0 { 0.0 } else { steps as f32 / train.noise_steps as f32 };
        Self { deviation: train.noise * (1.0 - faded).max(0.0), seed, step }
    }

    /// Adds noise to pictures `[batch, channels, size, size]`. `number` identifies the batch within the step.
    pub fn add_to(&self, pictures: Tensor<4>, number: u64) -> Tensor<4> {
        if self.deviation == 0.0 {
            return pictures;
        }
        let (dims, device) = (pictures.dims(), pictures.device());
        let keys = self.keys(number);
        let noise = match uses_wgpu(&device) {
            true => normal_on_card(keys, dims, &device),
            false => Tensor::from_data(TensorData::new(normal(keys, dims), dims), &device),
        };
        pictures + noise * self.deviation
    }

    /// Hash keys of one batch.
    fn keys(&self, number: u64) -> [u32; 3] {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ NOISE ^ number << 32);
        rng.set_stream(self.step);
        [(); 3].map(|()| rng.next_u32())
    }
}

/// Normally distributed values of a batch: the sum of the twelve bytes of three hashes of each position. They come in
/// steps of 1/256 of a standard deviation.
fn normal(keys: [u32; 3], dims: [usize; 4]) -> Vec<f32> {
    let picture: usize = dims[1..].iter().product();
    let mut values = vec![0.0f32; dims[0] * picture];
    values.par_chunks_mut(picture.max(1)).enumerate().for_each(|(i, values)| {
        for (j, value) in values.iter_mut().enumerate() {
            let position = ((i * picture + j) as u32).wrapping_mul(STRIDE);
            let mut lanes = 0;
            for key in keys {
                let mut word = position.wrapping_add(key);
                for (shift, factor) in MIX {
                    word = (word ^ word >> shift).wrapping_mul(factor);
                }
                word ^= word >> LAST_SHIFT;
                lanes += (word & LANES) + (word >> 8 & LANES);
            }
            let x = (((lanes & 0xffff) + (lanes >> 16)) as f32 - MEAN) / WIDTH;
            let [high @ .., last] = NORMAL;
            *value = (high.iter().fold(0.0, |sum, factor| (sum + factor) * (x * x)) + last) * x;
        }
    });
    values
}

/// [`normal`] on a graphics card, which receives only the indices along each axis.
fn normal_on_card(keys: [u32; 3], dims: [usize; 4], device: &Device) -> Tensor<4> {
    // Graphics cards compute with signed integers, which wrap around with the same bits.
    let signed = |word: u32| word as i32;
    let mut step = dims.iter().product::<usize>() as u32;
    let axes = std::array::from_fn::<Tensor<4, Int>, 4, _>(|axis| {
        step /= dims[axis] as u32;
        let mut shape = [1; 4];
        shape[axis] = dims[axis];
        let indices = (0..dims[axis] as u32).map(|i| signed((i * step).wrapping_mul(STRIDE))).collect();
        Tensor::from_data(TensorData::new::<i32, _>(indices, shape), (device, DType::I32))
    });
    let [batch, channels, rows, columns] = axes;
    let positions = batch + channels + rows + columns;
    let shifted = |words: Tensor<4, Int>, shift: u32| {
        words.bitwise_right_shift_scalar(signed(shift)).bitwise_and_scalar(signed(u32::MAX >> shift))
    };
    let pairs = |words: Tensor<4, Int>| words.bitwise_and_scalar(signed(LANES));
    let lanes = keys.map(|key| {
        let mut words = positions.clone() + signed(key);
        for (shift, factor) in MIX {
            words = words.clone().bitwise_xor(shifted(words, shift)) * signed(factor);
        }
        let words = words.clone().bitwise_xor(shifted(words, LAST_SHIFT));
        pairs(words.clone()) + pairs(shifted(words, 8))
    });
    let [one, two, three] = lanes;
    let lanes = one + two + three;
    let sums = lanes.clone().bitwise_and_scalar(0xffff) + shifted(lanes, 16);
    let x = (sums.float() - MEAN) / WIDTH;
    let square = x.clone() * x.clone();
    let [high @ .., last] = NORMAL;
    let [first, rest @ ..] = high;
    let odd = rest.iter().fold(square.clone() * first, |sum, factor| (sum + *factor) * square.clone());
    (odd + last) * x
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::model::Preset;

    fn spread(train: &TrainConfig, step: u64, number: u64) -> (f32, Vec<f32>) {
        let values = InstanceNoise::new(train, 7, step).add_to(Tensor::zeros([4, 1, 32, 32], &Device::flex()), number);
        let values: Vec<f32> = values.into_data().iter::<f32>().collect();
        ((values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32).sqrt(), values)
    }

    #[test]
    fn noise_fades_and_is_the_same_for_the_same_step() {
        let train = TrainConfig { noise: 0.2, noise_steps: 100, ..TrainConfig::preset(Preset::Pytorch) };
        for (step, deviation) in [(1, 0.2), (51, 0.1), (101, 0.0), (5000, 0.0)] {
            let (found, _) = spread(&train, step, 0);
            assert!((found - deviation).abs() < 0.01, "step {step}: {found}");
        }
        let endless = TrainConfig { noise_steps: 0, ..train };
        assert!(spread(&endless, 1_000_000, 0).0 > 0.19, "0 steps never fade");
        assert_eq!(spread(&train, 9, 1).1, spread(&train, 9, 1).1);
        assert_ne!(spread(&train, 9, 1).1, spread(&train, 9, 2).1);
        assert_ne!(spread(&train, 9, 1).1, spread(&train, 10, 1).1);
        assert_eq!(spread(&TrainConfig::preset(Preset::Paper), 1, 0).0, 0.0, "the paper adds none");
    }

    const LARGE: [usize; 4] = [16, 3, 64, 64];

    fn sample(seed: u64, step: u64, number: u64) -> Vec<f32> {
        normal(InstanceNoise { deviation: 1.0, seed, step }.keys(number), LARGE)
    }

    fn correlation(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>() / a.len().min(b.len()) as f32
    }

    #[test]
    fn noise_is_normal_and_uncorrelated() {
        let values = sample(7, 3, 1);
        let count = values.len() as f32;
        let moment = |power: i32| values.iter().map(|v| f64::from(*v).powi(power)).sum::<f64>() as f32 / count;
        // Five standard errors of 196,608 values.
        assert!(moment(1).abs() < 0.011, "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.016, "variance {}", moment(2));
        assert!(moment(3).abs() < 0.045, "skew {}", moment(3));
        assert!((moment(4) - 3.0).abs() < 0.11, "kurtosis {}", moment(4));
        for (below, share) in [(-2.0, 0.02275), (-0.5, 0.30854), (1.0, 0.84134)] {
            let found = values.iter().filter(|&&value| value < below).count() as f32 / count;
            assert!((found - share).abs() < 0.006, "{found} instead of {share} below {below}");
        }
        let most = 5.0 / count.sqrt();
        for apart in [1, 2, 63, 64, 65, 4096, 12_288] {
            let found = correlation(&values, &values[apart..]);
            assert!(found.abs() < most, "{apart} apart: {found}");
        }
        for (what, others) in [
            ("the next step", sample(7, 4, 1)),
            ("the next batch", sample(7, 3, 2)),
            ("another seed", sample(8, 3, 1)),
            ("the same batch of a far step", sample(7, 3 + (1 << 32), 1)),
        ] {
            let found = correlation(&values, &others);
            assert!(found.abs() < most, "{what}: {found}");
        }
    }

    #[test]
    fn a_graphics_card_adds_the_same_noise() {
        let device = &crate::device::Compute::shared_software().device;
        let noise = InstanceNoise { deviation: 0.3, seed: u64::MAX, step: 12 };
        for dims in [[1, 1, 16, 16], [5, 3, 8, 12], [64, 3, 64, 64]] {
            let on =
                |device: &Device| noise.add_to(Tensor::ones(dims, device), 2).into_data().try_to_vec::<f32>().unwrap();
            let (here, there) = (on(&Device::flex()), on(device));
            let off = here.iter().zip(&there).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 1e-5, "{dims:?}: {off}");
        }
        // Gradients of the generator's update pass through unchanged.
        let pictures = Tensor::<4>::ones([2, 1, 8, 8], device).autodiff().require_grad();
        let grads = noise.add_to(pictures.clone(), 2).sum().backward();
        let grad = pictures.grad(&grads).unwrap().into_data().try_to_vec::<f32>().unwrap();
        assert!(grad.iter().all(|&grad| grad == 1.0));
    }
}
