//! Checks the kernels of a device against the CPU, and times them: `zscape bench --check` and `--per-op`.

use std::time::{Duration, Instant};

use burn::backend::Dispatch;
use burn::tensor::{Device, Tensor, TensorData};

use super::{ConvSpec, Geometry, Kernels};
use crate::device::Operands;
use crate::model::ModelConfig;

/// Warm-up before timing: an idle GPU takes a while to raise its clock.
const WARM: Duration = Duration::from_millis(300);
/// Runs per measurement, and measurements, of which the median counts.
const RUNS: usize = 10;
const MEASUREMENTS: usize = 5;

/// LayerShape of one convolution of a network: the small map is `[batch, small, side, side]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct LayerShape {
    /// Images in the batch.
    pub batch: usize,
    /// Channels of the small map.
    pub small: usize,
    /// Channels of the large map, whose sides are `stride` times as long.
    pub large: usize,
    /// Rows and columns of the small map.
    pub side: usize,
    /// Kernel size.
    pub kernel: usize,
    /// Stride.
    pub stride: usize,
    /// Padding before the large map, in rows and columns.
    pub before: usize,
}

/// A kernel operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelOperation {
    /// Strided convolution.
    Down,
    /// Fractionally-strided convolution.
    Up,
    /// Gradient of the weights.
    WeightGradient,
    /// Batch norm with rectifier.
    Norm,
    /// Gradients of batch norm with rectifier.
    NormBackward,
}

impl KernelOperation {
    /// All operations.
    pub const ALL: [Self; 5] = [Self::Down, Self::Up, Self::WeightGradient, Self::Norm, Self::NormBackward];
}

/// Difference between the result of a device and of the CPU.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Agreement {
    /// What was computed.
    pub operation: KernelOperation,
    /// Of which shape.
    pub shape: LayerShape,
    /// `|a - b| / |b|` over all numbers of all results.
    pub error: f64,
    /// Tolerance: the difference that rounding explains.
    pub allowed: f64,
}

impl Agreement {
    /// Whether the difference is within the tolerance.
    pub fn holds(&self) -> bool {
        self.error <= self.allowed
    }
}

/// Duration and work of an operation.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Timing {
    /// What was computed.
    pub operation: KernelOperation,
    /// Of which shape.
    pub shape: LayerShape,
    /// Median duration in milliseconds.
    pub ms: f64,
    /// Floating-point operations.
    pub flop: f64,
    /// Minimum bytes read and written.
    pub bytes: f64,
}

impl LayerShape {
    /// The convolutions between the hidden layers of a config's generator, and the last one to the image. The
    /// discriminator has the same.
    pub fn of(config: &ModelConfig, batch: usize) -> Vec<Self> {
        let layout = config.layers();
        let layers = &layout.generator;
        let mut side = config.smallest_side();
        let mut shapes = Vec::new();
        for pair in layers.windows(2) {
            let convolution = config.convolution(&pair[1]);
            let Geometry { stride, before } = convolution.geometry;
            let kernel = pair[1].kernel;
            shapes.push(Self { batch, small: pair[0].maps, large: pair[1].maps, side, kernel, stride, before });
            side = pair[1].output_side_up(side);
        }
        shapes
    }

    /// Shapes that do not fit tiles, with every kernel and geometry that networks can have.
    pub fn odd() -> Vec<Self> {
        let maps = [(2, 4, 64, 32), (7, 3, 6, 4), (2, 8, 20, 3), (1, 4, 7, 1), (3, 5, 130, 68), (64, 2, 16, 8)];
        let geometries = [(4, 2, 1), (5, 2, 2), (5, 2, 1), (3, 2, 1), (3, 2, 0), (3, 1, 1), (4, 1, 1), (1, 1, 0)];
        let every = maps.iter().flat_map(|maps| geometries.iter().map(move |geometry| (*maps, *geometry)));
        every
            .map(|((batch, side, small, large), (kernel, stride, before))| Self {
                batch,
                small,
                large,
                side,
                kernel,
                stride,
                before,
            })
            .collect()
    }

    fn small_map(self) -> [usize; 4] {
        [self.batch, self.small, self.side, self.side]
    }

    fn large_map(self) -> [usize; 4] {
        [self.batch, self.large, self.stride * self.side, self.stride * self.side]
    }

    fn weights(self) -> [usize; 4] {
        [self.small, self.large, self.kernel, self.kernel]
    }

    /// Returns a closure that computes the operation on deterministic pseudo-random values.
    fn prepare(self, operation: KernelOperation, operands: Operands, device: &Device) -> impl Fn() -> Vec<Tensor<1>> {
        let geometry = Geometry { stride: self.stride, before: self.before };
        let spec = ConvSpec { kernel: self.kernel, geometry, operands, whole_batch: true };
        let small = numbers(self.small_map(), 1, device);
        let large = numbers(self.large_map(), 2, device);
        let weights = numbers(self.weights(), 3, device);
        let [gain, shift] = [4, 5].map(|seed| numbers([self.small, 1, 1, 1], seed, device).reshape([self.small]));
        let slope = 0.2;
        let epsilon = 1e-5;
        let (y, mean, variance) = super::norm(small.clone(), gain.clone(), shift.clone(), epsilon, slope);
        move || {
            let flat = |x: Tensor<4>| vec![x.reshape([-1])];
            match operation {
                KernelOperation::Down => flat(super::down(large.clone(), weights.clone(), geometry, operands)),
                KernelOperation::Up => flat(super::up(small.clone(), weights.clone(), geometry, operands)),
                KernelOperation::WeightGradient => {
                    let [small, large] = [&small, &large].map(|map| map.clone().into_dispatch());
                    flat(Tensor::from_dispatch(<Dispatch as Kernels>::weight_gradient(small, large, spec)))
                }
                KernelOperation::Norm => {
                    let (y, mean, variance) = super::norm(small.clone(), gain.clone(), shift.clone(), epsilon, slope);
                    vec![y.reshape([-1]), mean, variance]
                }
                KernelOperation::NormBackward => {
                    let [x, y, gradient] = [&small, &y, &small].map(|x| x.clone().into_dispatch());
                    let [gain, mean, variance] = [&gain, &mean, &variance].map(|x| x.clone().into_dispatch());
                    let back =
                        <Dispatch as Kernels>::norm_backward(x, y, gradient, gain, mean, variance, epsilon, slope);
                    let x: Tensor<4> = Tensor::from_dispatch(back.0);
                    vec![x.reshape([-1]), Tensor::from_dispatch(back.1), Tensor::from_dispatch(back.2)]
                }
            }
        }
    }

    /// Compares the result of the device with that of the CPU.
    ///
    /// # Errors
    /// What the device says, if it fails.
    pub fn compare(self, operation: KernelOperation, operands: Operands, device: &Device) -> Result<Agreement, String> {
        let read = |device: &Device, operands| -> Result<Vec<f32>, String> {
            let results = self.prepare(operation, operands, device)();
            let values = results.into_iter().map(|result| result.try_into_data().map_err(|error| error.to_string()));
            values
                .map(|data| Ok(data?.iter::<f32>().collect::<Vec<_>>()))
                .collect::<Result<Vec<_>, _>>()
                .map(|v| v.concat())
        };
        let (found, exact) = (read(device, operands)?, read(&Device::flex(), Operands::F32)?);
        if found.len() != exact.len() {
            return Err(format!("{operation:?} of {self:?} has {} numbers, not {}", found.len(), exact.len()));
        }
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
        let off = norm(&mut found.iter().zip(&exact).map(|(a, b)| f64::from(a - b)));
        let all = norm(&mut exact.iter().map(|&value| f64::from(value)));
        let convolves = !matches!(operation, KernelOperation::Norm | KernelOperation::NormBackward);
        // Each of two factors is rounded by half of its last bit; the rounding of single-precision sums is
        // far below this bound.
        let allowed = match operands {
            Operands::F16 if convolves => 1e-3,
            Operands::Bf16 | Operands::Rounded if convolves => 8e-3,
            _ => 1e-5,
        };
        Ok(Agreement { operation, shape: self, error: off / all.max(f64::MIN_POSITIVE), allowed })
    }

    /// Times an operation on a device.
    ///
    /// # Errors
    /// What the device says, if it fails.
    pub fn time(self, operation: KernelOperation, operands: Operands, device: &Device) -> Result<Timing, String> {
        let run = self.prepare(operation, operands, device);
        let ms = median(device, run)?;
        let count = |sides: [usize; 4]| sides.iter().product::<usize>() as f64;
        let (small, large, weights) = (count(self.small_map()), count(self.large_map()), count(self.weights()));
        let positions = (self.batch * self.side * self.side) as f64;
        let (flop, numbers) = match operation {
            KernelOperation::Norm => (0.0, 2.0 * small),
            KernelOperation::NormBackward => (0.0, 4.0 * small),
            _ => (2.0 * positions * weights, small + large + weights),
        };
        Ok(Timing { operation, shape: self, ms, flop, bytes: 4.0 * numbers })
    }
}

/// Peak rates: memory bandwidth of a copy in GB/s, and TFLOP/s of square matrix products in single and, where
/// supported, half precision.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct PeakRates {
    /// GB/s.
    pub copy: f64,
    /// TFLOP/s.
    pub product_f32: f64,
    /// TFLOP/s.
    pub product_f16: Option<f64>,
}

/// Measures the peak rates with Burn's own kernels, on a copy of `megabytes` and matrices of `side`.
///
/// # Errors
/// What the device says, if it fails.
pub fn peak_rates(device: &Device, megabytes: usize, side: usize) -> Result<PeakRates, String> {
    let count = megabytes << 18;
    let source = Tensor::<1>::ones([count], device);
    let copied = median(device, || source.clone() + 1.0)?;
    let matrix = numbers([1, 1, side, side], 1, device).reshape([side, side]);
    let flop = 2.0 * (side as f64).powi(3);
    let product = median(device, || matrix.clone().matmul(matrix.clone()))?;
    let halves = device.supports_dtype(burn::tensor::DType::F16).then(|| matrix.cast(burn::tensor::DType::F16));
    let half = halves.map(|half| median(device, || half.clone().matmul(half.clone()))).transpose()?;
    Ok(PeakRates {
        copy: (8 * count) as f64 / copied / 1e6,
        product_f32: flop / product / 1e9,
        product_f16: half.map(|ms| flop / ms / 1e9),
    })
}

/// Median duration of `run` in milliseconds. Results are held until the device has finished: a result that is dropped
/// may never be computed.
fn median<R>(device: &Device, run: impl Fn() -> R) -> Result<f64, String> {
    let wait = || device.sync().map_err(|error| error.to_string());
    let began = Instant::now();
    while began.elapsed() < WARM {
        let results: Vec<R> = (0..RUNS).map(|_| run()).collect();
        wait()?;
        drop(results);
    }
    let mut times = Vec::with_capacity(MEASUREMENTS);
    for _ in 0..MEASUREMENTS {
        let began = Instant::now();
        let results: Vec<R> = (0..RUNS).map(|_| run()).collect();
        wait()?;
        times.push(began.elapsed().as_secs_f64() * 1e3 / RUNS as f64);
        drop(results);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[MEASUREMENTS / 2])
}

/// Values in -1..=1 that are the same on every device.
fn numbers(sides: [usize; 4], seed: u32, device: &Device) -> Tensor<4> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        // Marsaglia's xorshift is good enough for test data.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    let values: Vec<f32> = (0..sides.iter().product()).map(|_| next()).collect();
    Tensor::from_data(TensorData::new(values, sides), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Compute;
    use crate::model::Preset;

    #[test]
    fn the_graphics_kernels_compute_what_the_cpus_do() {
        let software = Compute::software().expect("tests need a software Vulkan driver");
        let mut wrong = Vec::new();
        for operands in [Operands::F32, Operands::Rounded] {
            let presets: Vec<_> =
                Preset::ALL.iter().map(|&preset| ModelConfig { base: 8, ..ModelConfig::preset(preset) }).collect();
            let layers = presets.iter().flat_map(|config| LayerShape::of(config, 2));
            for shape in LayerShape::odd().into_iter().chain(layers) {
                for operation in KernelOperation::ALL {
                    let agreement = shape.compare(operation, operands, &software.device).unwrap();
                    if !agreement.holds() {
                        wrong.push(format!("{operands:?} {agreement:?}"));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{} differ: {wrong:#?}", wrong.len());
    }
}
