use super::*;
use crate::model::{Discriminator, Generator, Preset, Provenance};

fn until<T>(inspector: &Inspector, mut wanted: impl FnMut(Told) -> Option<T>) -> T {
    loop {
        let reply = inspector.told.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
        if let Told::Failed(error) = &reply {
            panic!("{error}");
        }
        if let Some(wanted) = wanted(reply) {
            return wanted;
        }
    }
}

/// Both networks of a config that samples with batch statistics, opened by an inspector.
fn opened(folder: &std::path::Path, data: &str) -> (Inspector, Model) {
    let config = ModelConfig { size: 16, base: 4, z_dim: 8, ..ModelConfig::preset(Preset::Paper) };
    let device = Device::flex();
    let mut generator = Generator::new(&config, 4, &device);
    for layer in generator.layers_mut() {
        layer.weight.value = layer.weight.value.clone() * 12.0;
    }
    let discriminator = Some(Discriminator::new(&config, 5, &device));
    let provenance = Provenance { data: data.to_owned(), ..Provenance::default() };
    let model = Model { generator, discriminator, provenance };
    let path = folder.join("model.safetensors");
    model.write(&path, false).unwrap();
    let inspector = Inspector::start(device, &egui::Context::default());
    inspector.ask(Ask::Open(path));
    until(&inspector, |reply| matches!(reply, Told::Opened(_)).then_some(()));
    (inspector, model)
}

fn subject(model: &Model, number: u64, norms: Norms) -> Subject {
    let z = samples(model.config(), 1, [number]).remove(0);
    Subject { z, seed: 1, ablations: Vec::new(), norms }
}

#[test]
fn the_inside_shows_the_picture_that_every_other_tool_shows() {
    let folder = tempfile::tempdir().unwrap();
    let (inspector, model) = opened(folder.path(), "synth:rooms");
    let data = Norms::Data("synth:rooms".to_owned());
    let z = samples(model.config(), 1, 0..7);
    let alone: Vec<Picture> = z
        .iter()
        .map(|z| latent::pictures(&model.generator, std::slice::from_ref(z), &Device::flex()).unwrap().remove(0))
        .collect();
    assert_ne!(alone[2], alone[3]);
    let subject = subject(&model, 3, data.clone());
    inspector.ask(Ask::Layers(subject.clone()));
    let shown = until(&inspector, |reply| match reply {
        Told::Layers { picture, .. } => Some(picture),
        _ => None,
    });
    assert_eq!(shown, alone[3]);
    inspector.ask(Ask::Samples { seed: 1, count: 7 });
    let shown = until(&inspector, |reply| match reply {
        Told::Samples { pictures, .. } => Some(pictures),
        _ => None,
    });
    assert_eq!(shown, alone);
    let boxes = Boxes { size: 16, seed: 1, boxes: BTreeMap::new() };
    let ablations = vec![Ablation { on: false, ..Ablation::drop(0, &[1]) }];
    let parts = Parts { fitted: 2, fresh: 0..0 };
    let comparison = Comparison { boxes, numbers: vec![5, 3], parts, ablations, looks: false };
    inspector.ask(Ask::Compare(Box::new(comparison)));
    let shown = until(&inspector, |reply| match reply {
        Told::Drawn { which: None, pictures, .. } => Some(pictures),
        _ => None,
    });
    assert_eq!(shown, [alone[5].clone(), alone[3].clone()]);
    let place = Place { network: Network::Generator, layer: 0, map: 2 };
    inspector.ask(Ask::Focus(subject.clone(), place));
    let shown = until(&inspector, |reply| match reply {
        Told::Focus { trial: Trial::Drawn(pictures), .. } => Some(pictures),
        _ => None,
    });
    assert_eq!(shown[0], alone[3]);
    inspector.ask(Ask::Judge(Judged::Sample(subject), Rule::Plain, data));
    let shown = until(&inspector, |reply| match reply {
        Told::Judged { picture, .. } => Some(picture),
        _ => None,
    });
    assert_eq!(shown, alone[3]);
}

#[test]
fn the_discriminator_uses_statistics_of_real_pictures_and_says_when_it_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone").to_string_lossy().into_owned();
    let (inspector, model) = opened(folder.path(), "synth:rooms");
    let ask = |norms: Norms| {
        inspector.ask(Ask::Responses(subject(&model, 3, norms)));
        let mut used = None;
        let logit = until(&inspector, |reply| match reply {
            Told::Calibrated(statistics) => {
                used = Some(statistics);
                None
            }
            Told::Responses { logit, .. } => Some(logit),
            _ => None,
        });
        (used.unwrap(), logit)
    };
    let (used, of_data) = ask(Norms::Data("synth:rooms".to_owned()));
    assert_eq!(used, NormStatistics::Data { data: "synth:rooms".to_owned(), pictures: 1280 });
    let (used, running) = ask(Norms::Running);
    assert_eq!(used, NormStatistics::Running { reason: None });
    assert_ne!(of_data, running);
    let (used, fallback) = ask(Norms::Data(gone));
    assert!(used.to_string().contains("gone cannot be read"), "{used}");
    assert_eq!(fallback, running);
    let (used, _) = ask(Norms::Data(String::new()));
    assert!(used.to_string().contains("not known"), "{used}");
}
