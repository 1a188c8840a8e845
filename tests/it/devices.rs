//! The graphics path computes what the CPU computes.

use std::sync::LazyLock;

use burn::tensor::{Tensor, TensorData};
use zscape::data::synth::Scene;
use zscape::device::{Compute, Operands, Precision};
use zscape::model::{Activation, Layer, ModelConfig, NormPlacement, Padding, Preset, Resampling};
use zscape::train::{
    Checkpoint, Ending, Event, LearningRates, MetricsLog, Networks, TrainConfig, Trainer, TrainerCommand,
    TrainerOptions,
};

use super::support::tiny;

/// The software adapter, which a program can open once.
fn software() -> &'static Compute {
    static SOFTWARE: LazyLock<Compute> = LazyLock::new(|| {
        Compute::software().expect(
            "this test needs a software Vulkan driver (Debian, Ubuntu: apt-get install mesa-vulkan-drivers libvulkan1)",
        )
    });
    &SOFTWARE
}

fn step(compute: &Compute, model: &ModelConfig) -> (Vec<f32>, [f32; 6]) {
    let train = TrainConfig { batch: 4, ..TrainConfig::preset(Preset::Pytorch) };
    let mut networks = Networks::new(model, &train, 1, &compute.device);
    let values: Vec<f32> = (0..4 * 256).map(|i| ((i * 37 % 101) as f32 / 50.0) - 1.0).collect();
    let real = Tensor::<1>::from_floats(values.as_slice(), &compute.device).reshape([4, 1, 16, 16]);
    let rates = LearningRates { generator: train.generator_rate, discriminator: train.discriminator_rate };
    let metrics = networks.step(real, 1, 1, &train, rates).read().unwrap().values().map(|value| value.unwrap());
    let layers = networks.generator.layers().iter().chain(&networks.discriminator.layers);
    let weights = layers.flat_map(Layer::state).flat_map(|p| p.value.to_data().try_to_vec::<f32>().unwrap()).collect();
    (weights, metrics)
}

fn small() -> ModelConfig {
    ModelConfig { size: 16, base: 2, z_dim: 4, channels: 1, ..ModelConfig::preset(Preset::Pytorch) }
}

#[test]
fn paddings_strides_and_broken_rules_are_the_same_on_the_graphics_path() {
    let same = ModelConfig { kernel: 5, padding: Padding::Same, ..small() };
    let stride_1 = ModelConfig { kernel: 3, per_stage: 2, unit_norm: true, ..small() };
    let broken = ModelConfig {
        norms: NormPlacement::Everywhere,
        activation: Activation::Tanh,
        resampling: Resampling::Pooling,
        hidden: 5,
        ..small()
    };
    for model in [same, stride_1, broken] {
        let [(cpu, cpu_metrics), (gpu, gpu_metrics)] =
            [&Compute::cpu(), software()].map(|compute| step(compute, &model));
        for (a, b) in cpu_metrics.iter().zip(&gpu_metrics) {
            assert!((a - b).abs() < 1e-3 * a.abs().max(1.0), "{model:?}: {cpu_metrics:?} {gpu_metrics:?}");
        }
        // Adam's first step is as long as the learning rate; if a gradient is zero, rounding decides its direction.
        let off = cpu.iter().zip(&gpu).filter(|(a, b)| (*a - *b).abs() > 1e-4).count();
        assert!(off * 100 <= cpu.len(), "{model:?}: {off} of {} values differ", cpu.len());
    }
}

#[test]
fn one_training_step_is_the_same_on_the_graphics_path() {
    let (cpu, cpu_metrics) = step(&Compute::cpu(), &small());
    let (gpu, gpu_metrics) = step(software(), &small());
    assert_eq!(cpu.len(), gpu.len());
    let largest = cpu.iter().zip(&gpu).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("largest difference of a weight after one step: {largest:e}");
    assert!(largest < 1e-4, "weights differ by up to {largest:e}");
    for (a, b) in cpu_metrics.iter().zip(&gpu_metrics) {
        assert!((a - b).abs() < 1e-3 * a.abs().max(1.0), "{cpu_metrics:?} {gpu_metrics:?}");
    }
}

/// The losses of D and G at each step of a training on faces, and the generator's samples at its end.
fn training(compute: &Compute, precision: Precision, steps: u64) -> (Vec<[f32; 2]>, Vec<f32>) {
    const BATCH: u64 = 8;
    let model = ModelConfig { size: 16, base: 4, z_dim: 16, ..ModelConfig::preset(Preset::Pytorch) };
    let train = TrainConfig { batch: BATCH as usize, ..TrainConfig::preset(Preset::Pytorch) };
    let rates = LearningRates { generator: train.generator_rate, discriminator: train.discriminator_rate };
    let mut networks = Networks::new(&model, &train, 1, &compute.device);
    networks.multiply(compute.operands(precision).0);
    let mut losses = Vec::new();
    for step in 1..=steps {
        let mut real = vec![0.0; BATCH as usize * model.values()];
        for (i, values) in real.chunks_exact_mut(model.values()).enumerate() {
            Scene::Faces.draw(1, step * BATCH + i as u64, model.size).picture.write_chw(values);
        }
        let real = TensorData::new(real, [BATCH as usize, 3, 16, 16]);
        let real = Tensor::from_data(real, &compute.device);
        let metrics = networks.step(real, step, 1, &train, rates).read().unwrap();
        losses.push([metrics.loss_d.unwrap(), metrics.loss_g.unwrap()]);
    }
    let z: Vec<f32> = (0..64 * 16).map(|i| (i * 37 % 101) as f32 / 40.0 - 1.25).collect();
    let z = Tensor::from_data(TensorData::new(z, [64, 16]), &compute.device);
    (losses, networks.generator.sample(z).into_data().iter().collect())
}

#[test]
fn two_hundred_steps_have_the_same_losses_on_the_graphics_path() {
    let (cpu, cpu_grid) = training(&Compute::cpu(), Precision::F32, 200);
    let (gpu, gpu_grid) = training(software(), Precision::F32, 200);
    for (step, (cpu, gpu)) in cpu.iter().zip(&gpu).enumerate() {
        // Rounding differs, and its effect grows in any training.
        let most = if step < 100 { 1e-5 } else { 1e-2 };
        let difference = cpu.iter().zip(gpu).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < most, "step {}: {cpu:?} and {gpu:?}", step + 1);
    }
    let difference = cpu_grid.iter().zip(&gpu_grid).map(|(a, b)| (a - b).abs()).sum::<f32>() / cpu_grid.len() as f32;
    assert!(difference < 0.02, "the samples differ by {difference} of -1..=1 on average");
}

#[test]
fn mixed_precision_trains_as_well_as_single_precision() {
    let (single, _) = training(&Compute::cpu(), Precision::F32, 200);
    let (mixed, _) = training(software(), Precision::Mixed, 200);
    for (step, (single, mixed)) in single.iter().zip(&mixed).enumerate().take(50) {
        // Operands have a relative error of 2^-9, and Adam's first steps have the same length whatever the gradient is.
        let difference = single.iter().zip(mixed).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < 0.05, "step {}: {single:?} and {mixed:?}", step + 1);
    }
    // Later the runs diverge as two seeds do, with losses of the same size.
    let mean = |losses: &[[f32; 2]], i: usize| losses[150..].iter().map(|loss| loss[i]).sum::<f32>() / 50.0;
    for i in 0..2 {
        let (single, mixed) = (mean(&single, i), mean(&mixed, i));
        assert!((single - mixed).abs() < 0.25 * single, "loss {i}: {single} and {mixed}");
    }
}

#[test]
fn mixed_precision_is_refused_on_the_cpu() {
    let (operands, why) = Compute::cpu().operands(Precision::Mixed);
    assert_eq!(operands, Operands::F32);
    assert!(why.unwrap().contains("single precision"));
    assert_eq!(Compute::cpu().operands(Precision::F32), (Operands::F32, None));
}

fn finish(options: TrainerOptions, compute: &Compute) -> (Ending, Vec<Event>) {
    let trainer = Trainer::start(options, compute.clone(), || ());
    let mut events = Vec::new();
    loop {
        match trainer
            .events()
            .recv_timeout(std::time::Duration::from_secs(300))
            .expect("the trainer reports how it ended")
        {
            Event::Ended(ending) => return (ending, events),
            event => events.push(event),
        }
    }
}

#[test]
fn a_run_on_the_graphics_path_logs_every_step_as_one_on_the_cpu() {
    let folder = tempfile::tempdir().unwrap();
    let [cpu, gpu] = ["cpu", "gpu"].map(|name| folder.path().join(name));
    for (run, compute) in [(&cpu, &Compute::cpu()), (&gpu, software())] {
        let mut options = TrainerOptions { steps: Some(31), ..tiny(run, 3) };
        options.config.train.noise = 0.1;
        let (ending, events) = finish(options, compute);
        assert_eq!(ending, Ending::Finished);
        let summary = events.iter().filter_map(|event| match event {
            Event::Stepped(progress) => Some((progress.metrics.step, progress.images)),
            _ => None,
        });
        assert_eq!(summary.collect::<Vec<_>>(), (1..=31).map(|step| (step, step * 4)).collect::<Vec<_>>());
        // The preview of step 25 comes after its metrics.
        let place = |wanted: &dyn Fn(&Event) -> bool| events.iter().position(wanted).unwrap();
        let shown = place(&|event| matches!(event, Event::Previewed(preview) if preview.step == 25));
        assert!(place(&|event| matches!(event, Event::Stepped(progress) if progress.metrics.step == 25)) < shown);
        assert!(place(&|event| matches!(event, Event::Stepped(progress) if progress.metrics.step == 26)) > shown);
    }
    let [cpu, gpu] = [cpu, gpu].map(|run| MetricsLog::read(&run.join("metrics.csv")).unwrap());
    assert_eq!((cpu.len(), gpu.len()), (31, 31));
    for (step, (cpu, gpu)) in (1..).zip(cpu.iter().zip(&gpu)) {
        assert_eq!((cpu.step, gpu.step), (step, step));
        for (a, b) in [(cpu.loss_d, gpu.loss_d), (cpu.loss_g, gpu.loss_g), (cpu.d_real, gpu.d_real)] {
            assert!((a - b).abs() < 1e-3, "{cpu:?} {gpu:?}");
        }
    }
    assert!(gpu.windows(2).all(|pair| pair[0].seconds < pair[1].seconds), "times increase from step to step");
}

#[test]
fn a_diverged_run_on_the_graphics_path_saves_its_last_finite_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = TrainerOptions { steps: Some(2000), ..tiny(folder.path(), 1) };
    (options.config.train.generator_rate, options.config.train.discriminator_rate) = (1e38, 1e38);
    let train = options.config.train.clone();
    let (ending, events) = finish(options, software());
    let Ending::Failed(message) = ending else { panic!("it should fail, not {ending:?}") };
    assert!(message.contains("no longer numbers") && message.contains("saved"), "{message}");
    let saved = events.iter().rev().find_map(|event| match event {
        Event::Saved { step, folder } => Some((*step, folder.clone())),
        _ => None,
    });
    let (step, folder) = saved.expect("the run is saved");
    assert!(message.contains(&format!("after step {step})")), "{message}");
    let checkpoint = Checkpoint::read(&folder, &train, &software().device).unwrap();
    let layers = checkpoint.networks.generator.layers().iter().flat_map(Layer::state);
    let values = layers.flat_map(|p| p.value.to_data().try_to_vec::<f32>().unwrap()).collect::<Vec<_>>();
    assert!(values.iter().all(|value| value.is_finite()));
}

#[test]
fn commands_take_effect_between_steps_on_the_graphics_path() {
    let folder = tempfile::tempdir().unwrap();
    let trainer = Trainer::start(TrainerOptions { paused: true, ..tiny(folder.path(), 1) }, software().clone(), || ());
    let until = |wanted: &dyn Fn(&Event) -> bool| {
        while !wanted(&trainer.events().recv_timeout(std::time::Duration::from_secs(120)).unwrap()) {}
    };
    until(&|event| matches!(event, Event::Paused));
    trainer.send(TrainerCommand::Step);
    until(&|event| matches!(event, Event::Stepped(progress) if progress.metrics.step == 1));
    until(&|event| matches!(event, Event::Previewed(preview) if preview.step == 1));
    trainer.send(TrainerCommand::Save);
    until(&|event| matches!(event, Event::Saved { step: 1, .. }));
    trainer.send(TrainerCommand::Resume);
    until(&|event| matches!(event, Event::Stepped(progress) if progress.metrics.step == 2));
    // Steps in flight are read before the run is saved.
    trainer.send(TrainerCommand::Stop);
    until(&|event| matches!(event, Event::Saved { .. }));
    let log = MetricsLog::read(&folder.path().join("metrics.csv")).unwrap();
    let saved = zscape::model::checkpoints(&folder.path().join("checkpoints")).last().unwrap().0;
    assert_eq!(log.iter().map(|line| line.step).collect::<Vec<_>>(), (1..=saved).collect::<Vec<_>>());
}
