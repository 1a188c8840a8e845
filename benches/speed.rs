//! Benchmarks of a training step, sampling, reading a photo, and rendering synthetic pictures: `cargo bench`. `zscape bench` times what a
//! user waits for, on any device.

use divan::Bencher;
use divan::counter::ItemsCount;
use zscape::data::read_prepared;
use zscape::data::synth::Scene;
use zscape::device::Compute;
use zscape::image::PictureFormat;
use zscape::latent;
use zscape::model::{Generator, ModelConfig, Preset};
use zscape::train::{LearningRates, Networks, TrainConfig};

fn main() {
    divan::main();
}

fn config(base: usize, kernel: usize) -> ModelConfig {
    ModelConfig { base, kernel, ..ModelConfig::preset(Preset::Pytorch) }
}

/// With initial weights and arbitrary pictures: the work does not depend on the values.
#[divan::bench(args = [(64, 4, 64), (128, 5, 16)], sample_count = 5, sample_size = 1)]
fn training_step(bencher: Bencher, (base, kernel, batch): (usize, usize, usize)) {
    let (compute, config) = (Compute::cpu(), config(base, kernel));
    let train = TrainConfig { batch, ..TrainConfig::preset(Preset::Pytorch) };
    let rates = LearningRates { generator: train.generator_rate, discriminator: train.discriminator_rate };
    let mut networks = Networks::new(&config, &train, 1, &compute.device);
    let z = latent::sample_zs(&config, 1, 0..batch as u64);
    let z = burn::tensor::Tensor::from_data(
        burn::tensor::TensorData::new(z.concat(), [batch, config.z_dim]),
        &compute.device,
    );
    let real = networks.generator.sample(z);
    let mut step = 0;
    bencher.counter(ItemsCount::new(batch)).bench_local(|| {
        step += 1;
        networks.step(real.clone(), step, 1, &train, rates).read().expect("the CPU does not fail")
    });
}

#[divan::bench(args = [1, 64], sample_count = 20)]
fn drawing(bencher: Bencher, count: u64) {
    let (compute, config) = (Compute::cpu(), config(64, 4));
    let generator = Generator::new(&config, 1, &compute.device);
    let z = latent::sample_zs(&config, 1, 0..count);
    bencher
        .counter(ItemsCount::new(count))
        .bench_local(|| latent::generate_pictures(&generator, &z, &compute.device).expect("the CPU does not fail"));
}

/// Photos of the size of LFW's, and of an early digital camera's, read from their files.
#[divan::bench(args = [250, 1000])]
fn jpeg_to_64(bencher: Bencher, side: usize) {
    let folder = tempfile::tempdir().expect("there is room for a picture");
    let path = folder.path().join("photograph.jpg");
    let room = Scene::Rooms.draw(1, 0, side).picture;
    image::save_buffer(&path, room.pixels(), side as u32, side as u32, image::ExtendedColorType::Rgb8)
        .expect("a picture is encoded");
    bencher
        .counter(ItemsCount::new(1usize))
        .bench_local(|| read_prepared(&path, PictureFormat::new(64, 3)).expect("it was just written"));
}

#[divan::bench(args = [Scene::Rooms, Scene::Faces])]
fn synthetic(bencher: Bencher, scene: Scene) {
    let mut index = 0;
    bencher.counter(ItemsCount::new(1usize)).bench_local(|| {
        index += 1;
        scene.draw(1, index, 64)
    });
}
