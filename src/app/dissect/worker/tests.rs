use super::*;
use crate::model::{Discriminator, Generator, Preset, Provenance};

fn until<T>(inspector: &InspectorWorker, mut wanted: impl FnMut(InspectorResponse) -> Option<T>) -> T {
    loop {
        let response = inspector.responses.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
        if let InspectorResponse::Failed(error) = &response {
            panic!("{error}");
        }
        if let Some(wanted) = wanted(response) {
            return wanted;
        }
    }
}

/// Both networks of a config that samples with batch statistics, opened by an inspector.
fn opened(folder: &std::path::Path, data: &str) -> (InspectorWorker, Model) {
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
    let inspector = InspectorWorker::start(device, &egui::Context::default());
    inspector.send(InspectorRequest::Open(path));
    until(&inspector, |response| matches!(response, InspectorResponse::Opened(_)).then_some(()));
    (inspector, model)
}

fn subject(model: &Model, number: u64, statistics: StatisticsSource) -> InspectedSample {
    let z = sample_zs(model.config(), 1, [number]).remove(0);
    InspectedSample { z, seed: 1, ablations: Vec::new(), statistics }
}

#[test]
fn the_inside_shows_the_picture_that_every_other_tool_shows() {
    let folder = tempfile::tempdir().unwrap();
    let (inspector, model) = opened(folder.path(), "synth:rooms");
    let data = StatisticsSource::Data("synth:rooms".to_owned());
    let z = sample_zs(model.config(), 1, 0..7);
    let alone: Vec<Picture> = z
        .iter()
        .map(|z| {
            latent::generate_pictures(&model.generator, std::slice::from_ref(z), &Device::flex()).unwrap().remove(0)
        })
        .collect();
    assert_ne!(alone[2], alone[3]);
    let subject = subject(&model, 3, data.clone());
    inspector.send(InspectorRequest::Layers(subject.clone()));
    let shown = until(&inspector, |response| match response {
        InspectorResponse::Layers { picture, .. } => Some(picture),
        _ => None,
    });
    assert_eq!(shown, alone[3]);
    inspector.send(InspectorRequest::Samples { seed: 1, count: 7 });
    let shown = until(&inspector, |response| match response {
        InspectorResponse::Samples { pictures, .. } => Some(pictures),
        _ => None,
    });
    assert_eq!(shown, alone);
    let boxes = Boxes { size: 16, seed: 1, boxes: BTreeMap::new() };
    let ablations = vec![Ablation { on: false, ..Ablation::drop(0, &[1]) }];
    let parts = SampleSplit { fitted: 2, fresh: 0..0 };
    let comparison = AblationComparison { boxes, numbers: vec![5, 3], parts, ablations, detects_windows: false };
    inspector.send(InspectorRequest::Compare(Box::new(comparison)));
    let shown = until(&inspector, |response| match response {
        InspectorResponse::Generated { ablation: None, pictures, .. } => Some(pictures),
        _ => None,
    });
    assert_eq!(shown, [alone[5].clone(), alone[3].clone()]);
    let map = MapId { network: NetworkKind::Generator, layer: 0, map: 2 };
    inspector.send(InspectorRequest::Focus(subject.clone(), map));
    let shown = until(&inspector, |response| match response {
        InspectorResponse::Focus { effect: MapEffect::Images(pictures), .. } => Some(pictures),
        _ => None,
    });
    assert_eq!(shown[0], alone[3]);
    inspector.send(InspectorRequest::Discriminate(DiscriminatorInput::Sample(subject), BackwardRule::Plain, data));
    let shown = until(&inspector, |response| match response {
        InspectorResponse::Discriminated { picture, .. } => Some(picture),
        _ => None,
    });
    assert_eq!(shown, alone[3]);
}

#[test]
fn the_discriminator_uses_statistics_of_real_pictures_and_says_when_it_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone").to_string_lossy().into_owned();
    let (inspector, model) = opened(folder.path(), "synth:rooms");
    let ask = |statistics: StatisticsSource| {
        inspector.send(InspectorRequest::Responses(subject(&model, 3, statistics)));
        let mut used = None;
        let logit = until(&inspector, |response| match response {
            InspectorResponse::Calibrated(statistics) => {
                used = Some(statistics);
                None
            }
            InspectorResponse::Responses { logit, .. } => Some(logit),
            _ => None,
        });
        (used.unwrap(), logit)
    };
    let (used, of_data) = ask(StatisticsSource::Data("synth:rooms".to_owned()));
    assert_eq!(used, NormStatisticsSource::Data { data: "synth:rooms".to_owned(), pictures: 1280 });
    let (used, running) = ask(StatisticsSource::Running);
    assert_eq!(used, NormStatisticsSource::Running { reason: None });
    assert_ne!(of_data, running);
    let (used, fallback) = ask(StatisticsSource::Data(gone));
    assert!(used.to_string().contains("gone cannot be read"), "{used}");
    assert_eq!(fallback, running);
    let (used, _) = ask(StatisticsSource::Data(String::new()));
    assert!(used.to_string().contains("not known"), "{used}");
}
