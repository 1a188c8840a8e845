//! Other programs' generators whose shapes leave strides, paddings and classes open. PyTorch wrote the files in
//! `tests/models/readings` and what they render (`readings.py` beside the folder).

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use zscape::app::Start;
use zscape::latent::session::Session;
use zscape::model::{ClassConditioning, Model, TensorFile};

use egui_kittest::kittest::Queryable;

use super::support::{DroppedFile, json, stderr, text, until, window, zscape};

fn file(name: &str) -> PathBuf {
    let file = format!("tests/models/readings/{name}.safetensors");
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn named(name: &str, choices: &str) -> PathBuf {
    PathBuf::from(format!("{}@{choices}", text(&file(name))))
}

fn open(path: &Path) -> Model {
    Model::open(path, &Device::flex()).unwrap()
}

fn remarks(model: &Model) -> String {
    let remarks = &model.provenance.origin.as_ref().unwrap().notes;
    remarks.iter().map(|remark| remark.text.as_str()).collect::<Vec<_>>().join("; ")
}

/// A z, and a subset of the values that PyTorch renders from it.
fn right(name: &str) -> (Vec<f32>, usize, Vec<f32>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/readings/readings.json");
    let all: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let numbers = |part: &str| -> Vec<f32> {
        all[name][part].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
    };
    (numbers("z"), all[name]["size"].as_u64().unwrap() as usize, numbers("values"))
}

/// The largest difference between what `model` and PyTorch render.
fn furthest(model: &Model, name: &str) -> f32 {
    let (z, size, values) = right(name);
    assert_eq!(model.config().size, size, "{name}: {}", remarks(model));
    let length = z.len();
    assert_eq!(model.config().z_dim, length, "{name}");
    let pictures = model.generator.sample(Tensor::from_data(TensorData::new(z, [1, length]), &Device::flex()));
    let drawn: Vec<f32> = pictures.into_data().iter().collect();
    let step = (drawn.len() / 97).max(1);
    drawn.iter().step_by(step).zip(&values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn running_statistics_resolve_strides_paddings_and_weight_orientation() {
    for name in
        ["extra", "tutorial", "four-seven", "unpadded", "last-seven", "six-two", "square", "cropped", "upsampled"]
    {
        let model = open(&file(name));
        let furthest = furthest(&model, name);
        assert!(furthest < 1e-3, "{name}: {furthest}; {}", remarks(&model));
    }
    let summary = remarks(&open(&file("extra")));
    assert!(summary.contains("its running statistics fit strides 2,1,2,2 and 32x32 pictures"), "{summary}");
    let summary = remarks(&open(&file("tutorial")));
    assert!(summary.contains("epsilon of 0.001") && summary.contains("LeakyReLU 0.3"), "{summary}");
    // What neither shapes nor statistics decide is reported.
    let summary = json(&mut zscape(&["info", "--json", text(&file("last-seven"))]));
    assert!(summary["guesses"].as_array().unwrap().iter().any(|guess| guess["guess"] == "output"), "{summary}");
}

#[test]
fn strides_can_be_chosen_in_the_name() {
    let model = open(&named("extra", "strides=2,2,2,2"));
    assert_eq!(model.config().size, 64);
    assert!(remarks(&model).contains("chosen: strides 2,2,2,2"), "{}", remarks(&model));
    let model = open(&named("four-seven", "size=32"));
    assert_eq!(model.config().size, 32);
    let refused = |choices: &str| stderr(&mut zscape(&["info", text(&named("extra", choices))]), 1);
    assert!(refused("strides=2,2").contains("it has 4 convolutions after the projection of z"));
    assert!(refused("strides=1,1,1,1").contains("no known strides and paddings"));
    let own = stderr(&mut zscape(&["info", "bundled:faces@strides=1,2,2"]), 1);
    assert!(own.contains("strides can only be set for files of other programs"), "{own}");
}

#[test]
fn imported_models_survive_export_and_import() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["unpadded", "upsampled", "cropped"] {
        let [own, torch, onnx] = ["own.safetensors", "torch.pth", "g.onnx"].map(|name| folder.path().join(name));
        for out in [&own, &torch, &onnx] {
            zscape(&["convert", text(&file(name)), text(out)]).assert().success();
        }
        for back in [&own, &torch] {
            let furthest = furthest(&open(back), name);
            assert!(furthest < 1e-3, "{name}: {furthest}");
        }
    }
}

#[test]
fn a_class_embedding_makes_a_generator_conditional() {
    for (name, join) in [
        ("after", ClassConditioning::ConcatAfter),
        ("before", ClassConditioning::ConcatBefore),
        ("times", ClassConditioning::Multiply),
    ] {
        let model = open(&named(name, "class=2"));
        let classes = model.provenance.origin.as_ref().unwrap().classes.clone().unwrap();
        assert_eq!((classes.count, classes.class, classes.conditioning), (3, 2, join), "{}", remarks(&model));
        let furthest = furthest(&model, name);
        assert!(furthest < 1e-3, "{name}: {furthest}");
    }
    let summary = remarks(&open(&file("after")));
    assert!(summary.contains("conditional, 3 classes: class 0 is drawn"), "{summary}");
    let refused = stderr(&mut zscape(&["info", text(&named("after", "class=3"))]), 1);
    assert!(refused.contains("there is no class 3; its 3 classes are 0 to 2"), "{refused}");
    let refused = stderr(&mut zscape(&["info", text(&named("extra", "class=1"))]), 1);
    assert!(refused.contains("it is not conditional"), "{refused}");
}

#[test]
fn unused_tensors_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = TensorFile::read(&file("extra")).unwrap();
    let all = std::mem::take(&mut tensors.tensors);
    tensors.tensors = all.into_iter().map(|(name, tensor)| (format!("netG.{name}"), tensor)).collect();
    tensors.tensors.insert("mapping.weight".into(), (vec![4, 4], vec![0.5; 16]));
    tensors.tensors.insert("fixed_noise".into(), (vec![2, 6, 1, 1], vec![0.5; 12]));
    let path = folder.path().join("more.safetensors");
    tensors.write(&path, false).unwrap();
    let summary = json(&mut zscape(&["info", "--json", text(&path)]));
    assert_eq!(
        summary["provenance"]["origin"]["unused"],
        serde_json::json!(["fixed_noise [2, 6, 1, 1]", "mapping.weight [4, 4]"]),
        "{summary}"
    );
    assert!(remarks(&open(&path)).contains("not used: fixed_noise [2, 6, 1, 1], mapping.weight [4, 4]"));
}

#[test]
fn a_class_can_be_chosen_in_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("last.zscape");
    let mut harness = window(Start { autosave: Some(kept.clone()), ..Start::default() });
    until(&mut harness, "a sample", |h| h.query_by_label("sample 0").is_some());
    harness.input_mut().dropped_files.push(std::sync::Arc::new(DroppedFile(file("after"))));
    harness.step();
    until(&mut harness, "the model", |h| h.query_by_label("Class").is_some());
    harness.get_by_label("next class").click();
    until(&mut harness, "another class", |_| {
        Session::read(&kept).is_ok_and(|session| text(&session.model).ends_with("@class=1"))
    });
}
