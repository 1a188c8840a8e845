//! The kernels of a device on trial: beside the CPU's, and timed.

use std::time::{Duration, Instant};

use burn::backend::Dispatch;
use burn::tensor::{Device, Tensor, TensorData};

use super::{Convolving, Geometry, Kernels};
use crate::device::Operands;
use crate::model::ModelConfig;

/// How long a kernel runs before it is timed: an idle card raises its clock only after a while.
const WARM: Duration = Duration::from_millis(300);
/// Runs of a measurement, and measurements, whose median counts.
const RUNS: usize = 10;
const MEASUREMENTS: usize = 5;

/// One convolution of a network: the small map is `[batch, small, side, side]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Shape {
    /// Pictures.
    pub batch: usize,
    /// Maps of the small map.
    pub small: usize,
    /// Maps of the large one, whose sides are `stride` times as long.
    pub large: usize,
    /// Rows and columns of the small map.
    pub side: usize,
    /// Side of the convolution's kernel.
    pub kernel: usize,
    /// Positions of the large map between neighbors of the small one.
    pub stride: usize,
    /// Rows and columns of zeros before the large map.
    pub before: usize,
}

/// What is tried of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Strided convolution.
    Down,
    /// Fractionally-strided convolution.
    Up,
    /// The gradient of the weights of either.
    WeightGradient,
    /// Batch norm with its rectifier.
    Norm,
    /// Its gradients.
    NormBackward,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Down, Self::Up, Self::WeightGradient, Self::Norm, Self::NormBackward];
}

/// How far a device's result is from the CPU's.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Agreement {
    /// What was computed.
    pub operation: Operation,
    /// Of which shape.
    pub shape: Shape,
    /// `|a - b| / |b|` over all numbers of all results.
    pub error: f64,
    /// What rounding explains.
    pub allowed: f64,
}

impl Agreement {
    /// Whether rounding explains the difference.
    pub fn holds(&self) -> bool {
        self.error <= self.allowed
    }
}

/// What an operation takes.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Timing {
    /// What was computed.
    pub operation: Operation,
    /// Of which shape.
    pub shape: Shape,
    /// Median, in milliseconds.
    pub ms: f64,
    /// Multiplications and additions.
    pub flop: f64,
    /// Bytes that are read and written at least.
    pub bytes: f64,
}

impl Shape {
    /// The convolutions between the hidden layers of a config's generator, and to its picture; the discriminator's are the same.
    pub fn of(config: &ModelConfig, batch: usize) -> Vec<Self> {
        let layout = config.layers();
        let layers = &layout.generator;
        let mut side = config.start();
        let mut shapes = Vec::new();
        for pair in layers.windows(2) {
            let convolution = config.convolution(&pair[1]);
            let Geometry { stride, before } = convolution.geometry;
            let kernel = pair[1].kernel;
            shapes.push(Self { batch, small: pair[0].maps, large: pair[1].maps, side, kernel, stride, before });
            side = pair[1].grown(side);
        }
        shapes
    }

    /// Shapes that tiles fit badly, of every kernel and geometry that networks have.
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

    /// The results of an operation on made-up numbers, as a closure that can be called again.
    fn prepare(self, operation: Operation, operands: Operands, device: &Device) -> impl Fn() -> Vec<Tensor<1>> {
        let geometry = Geometry { stride: self.stride, before: self.before };
        let convolving = Convolving { kernel: self.kernel, geometry, operands, together: true };
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
                Operation::Down => flat(super::down(large.clone(), weights.clone(), geometry, operands)),
                Operation::Up => flat(super::up(small.clone(), weights.clone(), geometry, operands)),
                Operation::WeightGradient => {
                    let [small, large] = [&small, &large].map(|map| map.clone().into_dispatch());
                    flat(Tensor::from_dispatch(<Dispatch as Kernels>::weight_gradient(small, large, convolving)))
                }
                Operation::Norm => {
                    let (y, mean, variance) = super::norm(small.clone(), gain.clone(), shift.clone(), epsilon, slope);
                    vec![y.reshape([-1]), mean, variance]
                }
                Operation::NormBackward => {
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

    /// How far the device's result is from the CPU's.
    ///
    /// # Errors
    /// What the device says, if it fails.
    pub fn compare(self, operation: Operation, operands: Operands, device: &Device) -> Result<Agreement, String> {
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
        let convolves = !matches!(operation, Operation::Norm | Operation::NormBackward);
        // Operands are off by half of their last bit, in two factors; sums of single precision by far less than this bound.
        let allowed = match operands {
            Operands::F16 if convolves => 1e-3,
            Operands::Bf16 | Operands::Rounded if convolves => 8e-3,
            _ => 1e-5,
        };
        Ok(Agreement { operation, shape: self, error: off / all.max(f64::MIN_POSITIVE), allowed })
    }

    /// What an operation takes on a device.
    ///
    /// # Errors
    /// What the device says, if it fails.
    pub fn time(self, operation: Operation, operands: Operands, device: &Device) -> Result<Timing, String> {
        let run = self.prepare(operation, operands, device);
        let ms = median(device, run)?;
        let count = |sides: [usize; 4]| sides.iter().product::<usize>() as f64;
        let (small, large, weights) = (count(self.small_map()), count(self.large_map()), count(self.weights()));
        let positions = (self.batch * self.side * self.side) as f64;
        let (flop, numbers) = match operation {
            Operation::Norm => (0.0, 2.0 * small),
            Operation::NormBackward => (0.0, 4.0 * small),
            _ => (2.0 * positions * weights, small + large + weights),
        };
        Ok(Timing { operation, shape: self, ms, flop, bytes: 4.0 * numbers })
    }
}

/// Bytes a second that a copy reads and writes, in GB, and what products of square matrices reach, in TFLOP/s: in single
/// precision and in half floats, where the device has them.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Ceilings {
    /// GB/s.
    pub copy: f64,
    /// TFLOP/s.
    pub product_f32: f64,
    /// TFLOP/s.
    pub product_f16: Option<f64>,
}

/// Measures the ceilings with Burn's own kernels, on `megabytes` and matrices of `side`.
///
/// # Errors
/// What the device says, if it fails.
pub fn ceilings(device: &Device, megabytes: usize, side: usize) -> Result<Ceilings, String> {
    let count = megabytes << 18;
    let source = Tensor::<1>::ones([count], device);
    let copied = median(device, || source.clone() + 1.0)?;
    let matrix = numbers([1, 1, side, side], 1, device).reshape([side, side]);
    let flop = 2.0 * (side as f64).powi(3);
    let product = median(device, || matrix.clone().matmul(matrix.clone()))?;
    let halves = device.supports_dtype(burn::tensor::DType::F16).then(|| matrix.cast(burn::tensor::DType::F16));
    let half = halves.map(|half| median(device, || half.clone().matmul(half.clone()))).transpose()?;
    Ok(Ceilings {
        copy: (8 * count) as f64 / copied / 1e6,
        product_f32: flop / product / 1e9,
        product_f16: half.map(|ms| flop / ms / 1e9),
    })
}

/// The median time of `run`, in milliseconds. Results live until the device is done: what nobody holds may never be computed.
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

/// Numbers in -1..=1 that are the same on every device.
fn numbers(sides: [usize; 4], seed: u32, device: &Device) -> Tensor<4> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        // Marsaglia's xorshift: nothing here needs better.
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
            let presets = Preset::ALL.map(|preset| ModelConfig { base: 8, ..ModelConfig::preset(preset) });
            let layers = presets.iter().flat_map(|config| Shape::of(config, 2));
            for shape in Shape::odd().into_iter().chain(layers) {
                for operation in Operation::ALL {
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
