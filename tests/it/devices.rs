//! The graphics path computes what the CPU computes.

use burn::tensor::Tensor;
use zscape::device::Compute;
use zscape::model::{Layer, ModelConfig, Preset};
use zscape::train::{Networks, Rates, TrainConfig};

fn step(compute: &Compute) -> (Vec<f32>, [f32; 6]) {
    let model = ModelConfig { size: 16, base: 2, z_dim: 4, channels: 1, ..ModelConfig::preset(Preset::Pytorch) };
    let train = TrainConfig { batch: 4, ..TrainConfig::preset(Preset::Pytorch) };
    let mut networks = Networks::new(&model, &train, 1, &compute.device);
    let values: Vec<f32> = (0..4 * 256).map(|i| ((i * 37 % 101) as f32 / 50.0) - 1.0).collect();
    let real = Tensor::<1>::from_floats(values.as_slice(), &compute.device).reshape([4, 1, 16, 16]);
    let rates = Rates { generator: train.generator_rate, discriminator: train.discriminator_rate };
    let report = networks.step(real, 1, 1, &train, rates).read().unwrap().map(Option::unwrap);
    let layers = networks.generator.layers.iter().chain(&networks.discriminator.layers);
    let weights = layers.flat_map(Layer::kept).flat_map(|p| p.value.to_data().try_to_vec::<f32>().unwrap()).collect();
    (weights, report)
}

#[test]
fn one_training_step_is_the_same_on_the_graphics_path() {
    let software = Compute::software().expect(
        "this test needs a software Vulkan driver (Debian, Ubuntu: apt-get install mesa-vulkan-drivers libvulkan1)",
    );
    let (cpu, cpu_report) = step(&Compute::cpu());
    let (gpu, gpu_report) = step(&software);
    assert_eq!(cpu.len(), gpu.len());
    let largest = cpu.iter().zip(&gpu).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("largest difference of a weight after one step: {largest:e}");
    assert!(largest < 1e-4, "weights differ by up to {largest:e}");
    for (a, b) in cpu_report.iter().zip(&gpu_report) {
        assert!((a - b).abs() < 1e-3 * a.abs().max(1.0), "{cpu_report:?} {gpu_report:?}");
    }
}
