//! Import and export of other programs' models. PyTorch wrote the files in `tests/models` (`make.py` there).

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use egui_kittest::kittest::Queryable;
use proptest::prelude::*;
use zscape::app::Start;
use zscape::latent::session::Session;
use zscape::model::{Model, OutputActivation, Prior, SamplingStatistics, is_model};

use super::support::{DroppedFile, json, stderr, text, until, window, zscape};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(name)
}

fn array(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    npyz::NpyFile::new(bytes.as_slice()).unwrap().into_vec().unwrap()
}

fn write(path: &Path, shape: &[u64], values: &[f32]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    use npyz::WriterBuilder;
    let mut bytes = Vec::new();
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut bytes).begin_nd().unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// What `model` renders from the z's in `z`.
fn rendered(model: &str, z: &Path) -> Vec<f32> {
    let folder = tempfile::tempdir().unwrap();
    let (grid, tensor) = (folder.path().join("grid.png"), folder.path().join("pictures.npy"));
    let (z, grid) = (text(z), text(&grid).to_owned());
    let arguments =
        ["sample", "--device", "cpu", "--model", model, "--z", z, "--out", &grid, "--tensor", text(&tensor)];
    zscape(&arguments).assert().success();
    array(&tensor)
}

fn assert_close(ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len());
    let furthest = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(furthest < 1e-4, "{furthest}");
}

#[test]
fn every_kind_of_pytorch_file_renders_what_pytorch_renders() {
    let theirs = array(&file("pictures.npy"));
    for name in ["netG.pth", "legacy.pt", "nested.tar", "whole.ckpt"] {
        assert_close(&rendered(text(&file(name)), &file("z.npy")), &theirs);
    }
    let odd = format!("{}@output=sigmoid", text(&file("odd.pth")));
    assert_close(&rendered(&odd, &file("odd-z.npy")), &array(&file("odd-pictures.npy")));
}

#[test]
fn small_kernels_leaks_and_normalized_weights_match_pytorch() {
    let unlike = file("unlike.pth");
    let pictures = array(&file("unlike-pictures.npy"));
    assert_close(&rendered(&format!("{}@leak=0.2", text(&unlike)), &file("unlike-z.npy")), &pictures);

    let device = Device::flex();
    let model = Model::open(&unlike, &device).unwrap();
    let judge = model.discriminator.as_ref().unwrap();
    let pictures = Tensor::from_data(TensorData::new(pictures, [3, 1, 16, 16]), &device);
    let verdicts: Vec<f32> = judge.forward_features(pictures).1.into_data().iter().collect();
    assert_close(&verdicts, &array(&file("unlike-verdicts.npy")));

    let remarks = remarks(&model);
    for expected in ["spectral normalization", "strides 2,2", "rectifiers are ReLU"] {
        assert!(remarks.contains(expected), "{remarks}");
    }
    // The leak is stored with the model.
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept.safetensors");
    zscape(&["convert", &format!("{}@leak=0.2", text(&unlike)), text(&kept)]).assert().success();
    assert_close(&rendered(text(&kept), &file("unlike-z.npy")), &array(&file("unlike-pictures.npy")));
    // Chosen settings replace the guesses that they decide; the kernels' orientation is not among them.
    let remarks = self::remarks(&Model::open(&kept, &device).unwrap());
    assert!(remarks.contains("chosen: ") && remarks.contains("strides 2,2"), "{remarks}");
    assert!(!remarks.contains("rectifiers are") && !remarks.contains("z has a"), "{remarks}");
}

/// The remarks on another program's file.
fn remarks(model: &Model) -> String {
    let remarks = &model.provenance.origin.as_ref().unwrap().notes;
    remarks.iter().map(|remark| remark.text.as_str()).collect::<Vec<_>>().join("; ")
}

#[test]
fn info_lists_what_was_read_and_what_was_inferred() {
    let summary = json(&mut zscape(&["info", "--json", text(&file("nested.tar"))]));
    assert_eq!(summary["config"]["size"], 16);
    assert_eq!(summary["config"]["z_dim"], 6);
    assert_eq!(summary["discriminator"]["layers"][0]["shape"], serde_json::json!([3, 1, 4, 4]));
    assert_eq!(summary["provenance"]["origin"]["format"], "PyTorch");
    let remarks = summary["provenance"]["origin"]["remarks"].to_string();
    for guess in ["prior", "running statistics", "tanh", "kernels"] {
        assert!(remarks.contains(guess), "{remarks}");
    }
    let sentences = summary["provenance"]["origin"]["remarks"].as_array().unwrap();
    assert!(sentences.iter().all(serde_json::Value::is_string), "remarks are strings");
    let guesses = summary["guesses"].as_array().unwrap();
    assert!(guesses.iter().any(|guess| guess["guess"] == "prior"), "{guesses:?}");
    // The run's other network is beside it.
    let summary = json(&mut zscape(&["info", "--json", text(&file("netG.pth"))]));
    assert!(summary["provenance"]["origin"]["remarks"].to_string().contains("netD.pth"), "{summary}");
    assert!(summary["discriminator"].is_object());
    let summary = json(&mut zscape(&["info", "--json", text(&file("odd.pth"))]));
    assert_eq!(summary["config"]["layout"]["generator"][0]["norm"], "unit");
    assert!(summary["discriminator"].is_null());
}

#[test]
fn the_authors_arrays_open_with_flipped_kernels_and_measured_statistics() {
    let folder = tempfile::tempdir().unwrap();
    let values = |count: usize| (0..count).map(|i| ((i * 37 % 101) as f32 - 50.0) / 200.0).collect::<Vec<_>>();
    let shapes: [(&str, &[&[u64]]); 2] = [
        ("gen", &[&[5, 64], &[64], &[64], &[4, 2, 5, 5], &[2], &[2], &[2, 3, 5, 5]]),
        ("discrim", &[&[2, 3, 5, 5], &[4, 2, 5, 5], &[4], &[4], &[64, 1]]),
    ];
    for (network, shapes) in shapes {
        for (i, shape) in shapes.iter().enumerate() {
            let path = folder.path().join("models/uniform").join(format!("9_{network}_params.jl_{:02}.npy", i + 1));
            write(&path, shape, &values(shape.iter().product::<u64>() as usize));
        }
    }
    let model = Model::open(folder.path(), &Device::flex()).unwrap();
    let (config, reading) = (model.config(), model.import_settings());
    assert_eq!((config.size, config.channels, config.z_dim, config.kernel), (16, 3, 5, 5));
    assert!(reading.flipped);
    assert_eq!(
        (reading.prior, reading.sampling, reading.output),
        (Prior::Uniform, SamplingStatistics::Batch, OutputActivation::Tanh)
    );
    assert!(model.discriminator.is_some());
    let kernel = |model: &Model| model.generator.layers()[2].weight.value.to_data().try_to_vec::<f32>().unwrap();
    let turned: Vec<f32> = values(150).chunks(25).flat_map(|kernel| kernel.iter().rev().copied()).collect();
    assert_eq!(kernel(&model), turned);
    let named = format!("{}@flipped=false", text(folder.path()));
    assert_eq!(kernel(&Model::open(Path::new(&named), &Device::flex()).unwrap()), values(150));
    // Measured, not the zeros and ones of an absent norm.
    let norm = model.generator.layers()[1].norm.clone().unwrap();
    assert!(norm.mean.value.to_data().try_to_vec::<f32>().unwrap().iter().all(|mean| *mean != 0.0));
    assert!(is_model(folder.path()));
}

#[test]
fn pairs_of_3x3_kernels_open_as_the_papers_32x32_network() {
    let folder = tempfile::tempdir().unwrap();
    let norm = |maps: u64| [vec![maps], vec![maps]];
    let convolution = |a: u64, b: u64| vec![a, b, 3, 3];
    let (mut generator, mut discriminator) = (vec![vec![5, 8 * 16]], vec![convolution(2, 3)]);
    generator.extend(norm(8 * 16));
    for (from, to) in [(8, 8), (8, 4), (4, 4), (4, 2), (2, 2)] {
        generator.push(convolution(from, to));
        generator.extend(norm(to));
    }
    generator.push(convolution(2, 3));
    for (to, from) in [(2, 2), (4, 2), (4, 4), (8, 4), (8, 8)] {
        discriminator.push(convolution(to, from));
        discriminator.extend(norm(to));
    }
    discriminator.push(vec![8 * 16, 1]);
    for (network, shapes) in [("gen", generator), ("discrim", discriminator)] {
        for (i, shape) in shapes.iter().enumerate() {
            let count = shape.iter().product::<u64>() as usize;
            let values: Vec<f32> = (0..count).map(|i| ((i * 37 % 101) as f32 - 45.0) / 200.0).collect();
            write(&folder.path().join(format!("30_{network}_params.jl_{:02}.npy", i + 1)), shape, &values);
        }
    }
    let summary = json(&mut zscape(&["info", "--json", text(folder.path())]));
    let config = &summary["config"];
    assert_eq!(
        (&config["size"], &config["kernel"], &config["per_stage"]),
        (&32.into(), &3.into(), &2.into()),
        "{summary}"
    );
    assert_eq!(config["prior"], "uniform");
    assert!(
        summary["provenance"]["origin"]["remarks"].to_string().contains("every other of its 3x3 kernels has stride 1")
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let z = elsewhere.path().join("z.npy");
    write(&z, &[3, 5], &(0..15).map(|i| (i % 7) as f32 / 3.5 - 1.0).collect::<Vec<_>>());
    assert_eq!(rendered(text(folder.path()), &z).len(), 3 * 3 * 32 * 32);
}

#[test]
fn models_survive_export_and_import_exactly() {
    let folder = tempfile::tempdir().unwrap();
    for (name, z) in [("nested.tar", "z.npy"), ("odd.pth@output=sigmoid,prior=uniform", "odd-z.npy")] {
        let [own, torch] = ["own.safetensors", "torch.pth"].map(|name| folder.path().join(name));
        let model = text(&file(name)).to_owned();
        zscape(&["convert", &model, text(&own)]).assert().success();
        zscape(&["convert", text(&own), text(&torch)]).assert().success();
        let before = rendered(&model, &file(z));
        assert_eq!(rendered(text(&own), &file(z)), before);
        // A state dict does not say what the generator ends in.
        let sigmoid = name.contains("sigmoid");
        let back = if sigmoid { format!("{}@output=sigmoid", text(&torch)) } else { text(&torch).to_owned() };
        assert_eq!(rendered(&back, &file(z)), before);
    }
    let device = Device::flex();
    let (was, back) = (file("nested.tar"), folder.path().join("torch.pth"));
    zscape(&["convert", text(&was), text(&back)]).assert().success();
    let weights = |path: &Path| {
        let discriminator = Model::open(path, &device).unwrap().discriminator.unwrap();
        discriminator.layers.iter().flat_map(|layer| layer.state().cloned().collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    for (was, back) in weights(&was).iter().zip(weights(&back)) {
        assert_eq!(was.value.to_data(), back.value.to_data(), "{}", was.name);
    }
}

#[test]
fn average_takes_the_newest_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let [run, mean] = ["run", "mean.safetensors"].map(|name| folder.path().join(name));
    let arguments = ["--size", "16", "--base", "2", "--batch", "4", "--steps", "6", "--save-every", "2"];
    zscape(&["train", "--data", "synth:rooms", "--device", "cpu", "--run", text(&run)])
        .args(arguments)
        .assert()
        .success();
    let summary = json(&mut zscape(&["convert", &format!("{}@average=2", text(&run)), text(&mean), "--json"]));
    assert_eq!(summary["averaged"], 2);
    let device = Device::flex();
    let open = |path: &Path| Model::open(path, &device).unwrap();
    let [four, six] = [4, 6].map(|step| open(&run.join(format!("checkpoints/step-{step:08}"))));
    let mean = open(&mean);
    let values = |model: &Model| -> Vec<f32> {
        let kept = model.generator.layers().iter().flat_map(|layer| layer.state());
        kept.flat_map(|parameter| parameter.value.to_data().try_to_vec::<f32>().unwrap()).collect()
    };
    let expected: Vec<f32> = values(&four).iter().zip(values(&six)).map(|(a, b)| (a + b) / 2.0).collect();
    assert_close(&values(&mean), &expected);
    assert_ne!(values(&mean), values(&six));
    assert_eq!((mean.provenance.steps, mean.provenance.averaged), (6, 2));
    let judge = |model: &Model| model.discriminator.as_ref().unwrap().layers[0].weight.value.to_data();
    assert_eq!(judge(&mean), judge(&six), "the discriminator is the newest");

    let until_four = open(&run.join("checkpoints/step-00000004@average=9"));
    assert_eq!((until_four.provenance.steps, until_four.provenance.averaged), (4, 2), "all that exist");
    let two = open(&run.join("checkpoints/step-00000002"));
    let expected: Vec<f32> = values(&two).iter().zip(values(&four)).map(|(a, b)| (a + b) / 2.0).collect();
    assert_close(&values(&until_four), &expected);
    let refused =
        stderr(&mut zscape(&["convert", &format!("{}@average=2", text(&file("netG.pth"))), "a.safetensors"]), 1);
    assert!(refused.contains("netG.pth is neither a run folder"), "{refused}");

    let wider = folder.path().join("wider");
    let arguments = ["--size", "16", "--base", "4", "--batch", "4", "--steps", "2", "--device", "cpu"];
    zscape(&["train", "--data", "synth:rooms", "--run", text(&wider)]).args(arguments).assert().success();
    let [theirs, ours] = [&wider, &run].map(|run| run.join("checkpoints/step-00000002"));
    std::fs::remove_dir_all(&ours).unwrap();
    std::fs::rename(theirs, &ours).unwrap();
    let refused = stderr(&mut zscape(&["convert", &format!("{}@average=3", text(&run)), "a.safetensors"]), 1);
    assert!(refused.contains("step-00000002") && refused.contains("it differs from that of"), "{refused}");
}

#[test]
fn models_of_28x28_start_at_7x7_and_survive_export() {
    let folder = tempfile::tempdir().unwrap();
    let [run, torch, z] = ["run", "torch.pth", "z.npy"].map(|name| folder.path().join(name));
    zscape(&["train", "--device", "cpu", "--data", "synth:faces", "--size", "28", "--channels", "1", "--base", "4"])
        .args(["--batch", "4", "--steps", "2", "--run", text(&run)])
        .assert()
        .success();
    write(&z, &[2, 100], &(0..200).map(|i| (i % 7) as f32 / 3.5 - 1.0).collect::<Vec<_>>());
    let before = rendered(text(&run), &z);
    assert_eq!(before.len(), 2 * 28 * 28);
    zscape(&["convert", text(&run), text(&torch)]).assert().success();
    assert_eq!(rendered(text(&torch), &z), before);
    let summary = json(&mut zscape(&["info", "--json", text(&torch)]));
    assert_eq!(summary["config"]["size"], 28, "{summary}");
    // Its discriminator's features are pooled to 4x4 from 14x14 and 7x7.
    let summary = json(
        zscape(&["distances", "--json", "--device", "cpu", "--data", "synth:faces", "--count", "50"])
            .args(["--model", text(&torch)]),
    );
    assert_eq!(summary["features"], (4 + 8) * 16);
}

#[test]
fn files_that_are_no_dcgan_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path| stderr(&mut zscape(&["info", text(path)]), 1);
    // Never called: it would leave a file behind.
    let evil = Model::open(&file("evil.pth"), &Device::flex()).unwrap();
    assert!(remarks(&evil).contains("skipped") && remarks(&evil).contains("posix.system"));
    assert_eq!(evil.provenance.origin.unwrap().skipped, ["posix.system"]);
    assert!(!Path::new("pwned").exists());
    let alone = folder.path().join("judge.pth");
    std::fs::copy(file("netD.pth"), &alone).unwrap();
    let error = refused(&alone);
    assert!(error.contains("a discriminator but no generator"), "{error}");
    let empty = folder.path().join("empty.pth");
    std::fs::write(&empty, "").unwrap();
    assert!(refused(&empty).contains("is an empty file"));
    let picture = refused(&Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    assert!(picture.contains("README.md"), "{picture}");
    // Safetensors of something else.
    let mut other = zscape::model::TensorFile::default();
    other.tensors.insert("encoder.weight".into(), (vec![8, 4], vec![0.5; 32]));
    let path = folder.path().join("other.safetensors");
    other.write(&path, false).unwrap();
    let error = refused(&path);
    assert!(error.contains("no convolutions") && error.contains("encoder.weight [8, 4]"), "{error}");
    other.tensors.insert("up.weight".into(), (vec![4, 3, 7, 7], vec![0.5; 588]));
    other.tensors.insert("project.weight".into(), (vec![64, 6], vec![0.5; 384]));
    other.tensors.remove("encoder.weight");
    other.write(&path, false).unwrap();
    assert!(refused(&path).contains("a DCGAN has at least two"));
    let unwritten = stderr(&mut zscape(&["convert", text(&file("netG.pth")), "a.h5"]), 1);
    assert!(unwritten.contains(".onnx") && unwritten.contains(".pth"), "{unwritten}");
}

#[test]
fn a_dropped_model_is_explored_with_other_import_settings() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("last.zscape");
    let mut harness = window(Start { autosave: Some(kept.clone()), ..Start::default() });
    until(&mut harness, "a sample", |h| h.query_by_label("sample 0").is_some());
    // PyTorch's examples call it .tar, and it is a model all the same.
    harness.input_mut().dropped_files.push(std::sync::Arc::new(DroppedFile(file("nested.tar"))));
    harness.step();
    until(&mut harness, "the model", |h| h.query_by_label("nested.tar").is_some());
    harness.get_by_label("Read as...").click();
    harness.run_steps(3);
    assert!(harness.query_by_label_contains("guessed: z has a normal prior").is_some());
    harness.get_by_label("uniform").click();
    let named = |session: &Session| text(&session.model).contains("nested.tar@prior=uniform");
    until(&mut harness, "the other reading", |_| Session::read(&kept).is_ok_and(|session| named(&session)));
    // The menu stays open, so that the next setting is one click away.
    harness.get_by_label("sigmoid").click();
    until(&mut harness, "another output", |_| {
        Session::read(&kept).is_ok_and(|session| text(&session.model).contains("output=sigmoid"))
    });
    harness.get_by_label("leaky 0.2").click();
    until(&mut harness, "other rectifiers", |_| {
        Session::read(&kept).is_ok_and(|session| text(&session.model).contains("leak=0.2"))
    });
    // Any other file is data to train on.
    let pictures = folder.path().join("pictures");
    std::fs::create_dir(&pictures).unwrap();
    harness.input_mut().dropped_files.push(std::sync::Arc::new(DroppedFile(pictures)));
    harness.step();
    until(&mut harness, "training", |h| h.query_by_label("Base filters").is_some());
}

/// Another program's safetensors file.
const FOREIGN: &str = "foreign.safetensors";

fn foreign() -> Vec<u8> {
    let mut tensors = Model::open(&file("netG.pth"), &Device::flex()).unwrap().to_file().unwrap();
    tensors.note = None;
    tensors.to_bytes(false)
}

#[test]
fn foreign_safetensors_render_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FOREIGN);
    std::fs::write(&path, foreign()).unwrap();
    assert_close(&rendered(text(&path), &file("z.npy")), &array(&file("pictures.npy")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn damaged_model_files_are_errors_and_never_panics(
        name in prop::sample::select(vec!["netG.pth", "legacy.pt", "nested.tar", "whole.ckpt", "odd.pth", FOREIGN]),
        cut in 0.0f64..1.0,
        changed in prop::collection::vec((0.0f64..1.0, any::<u8>()), 0..4),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = if name == FOREIGN { foreign() } else { std::fs::read(file(name)).unwrap() };
        for (place, byte) in &changed {
            let place = (place * bytes.len() as f64) as usize;
            bytes[place] = *byte;
        }
        if changed.is_empty() {
            bytes.truncate((cut * bytes.len() as f64) as usize);
        }
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let opened = Model::open(&path, &Device::flex());
        if changed.is_empty() {
            prop_assert!(opened.is_err());
        }
    }
}
