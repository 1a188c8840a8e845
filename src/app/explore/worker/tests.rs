use super::*;
use crate::latent::arithmetic::Term;
use crate::model::{Generator, Preset, Statistics};

const SLOTS: [Slot; 16] = [
    Slot::Pointer,
    Slot::Playhead,
    Slot::Applied,
    Slot::Result,
    Slot::Averages,
    Slot::Exemplars,
    Slot::Pins,
    Slot::Shelf,
    Slot::Corners,
    Slot::Keyframes,
    Slot::Strip,
    Slot::Sides,
    Slot::Turn,
    Slot::Land,
    Slot::Strips,
    Slot::Film,
];

/// A model that samples with batch statistics, and whose pictures differ.
fn model(folder: &Path) -> (PathBuf, ModelConfig) {
    let preset = ModelConfig::preset(Preset::Paper);
    let config = ModelConfig { size: 16, base: 4, z_dim: 8, channels: 1, ..preset };
    assert_eq!(config.sampling, Statistics::Batch);
    let mut generator = Generator::new(&config, 4, &Device::flex());
    for layer in generator.layers_mut() {
        layer.weight.value = layer.weight.value.clone() * 12.0;
    }
    let path = folder.join("model.safetensors");
    Model { generator, discriminator: None, provenance: Provenance::default() }.write(&path, false).unwrap();
    (path, config)
}

fn until<T>(worker: &Worker, mut wanted: impl FnMut(Reply) -> Option<T>) -> T {
    loop {
        let reply = worker.replies.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
        if let Reply::Failed(error) | Reply::NotOpened { error, .. } = &reply {
            panic!("{error}");
        }
        if let Some(wanted) = wanted(reply) {
            return wanted;
        }
    }
}

fn render(worker: &Worker, slot: Slot, z: &[Vec<f32>]) -> Vec<Picture> {
    worker.send(Request::Render { slot, z: z.into() });
    until(worker, |reply| match reply {
        Reply::Rendered { slot: of, pictures, .. } if of == slot => Some(pictures),
        _ => None,
    })
}

#[test]
fn every_tool_of_the_window_draws_a_z_as_the_picture_that_it_is_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (path, config) = model(folder.path());
    let worker = Worker::start(Device::flex(), None, &egui::Context::default());
    worker.send(Request::Open(path, None));
    until(&worker, |reply| matches!(reply, Reply::Opened { .. }).then_some(()));
    let z = latent::samples(&config, 1, 0..11);
    let alone: Vec<Picture> =
        z.iter().map(|z| render(&worker, Slot::Pointer, std::slice::from_ref(z)).remove(0)).collect();
    let spread = alone[0].difference(&alone[1]).pixels().iter().map(|&v| u32::from(v)).sum::<u32>();
    assert!(spread > 256 * 10, "two z's are two pictures: {spread}");
    for slot in SLOTS {
        assert_eq!(render(&worker, slot, &z), alone, "{slot:?}");
        assert_eq!(render(&worker, slot, &z[3..4]), alone[3..4], "{slot:?}");
    }
    worker.send(Request::Draw { seed: 1, chunk: 0 });
    let Sheet::Memory(sheet) = until(&worker, |reply| match reply {
        Reply::Drawn { sheet, .. } => Some(sheet),
        _ => None,
    }) else {
        panic!("the CPU draws into memory")
    };
    let row = |y: usize, number: usize| &sheet.pixels()[y * sheet.width() + number * 16..][..16];
    for (number, picture) in alone.iter().enumerate().take(8) {
        let shown: Vec<u8> = (0..16).flat_map(|y| row(y, number)).copied().collect();
        assert_eq!(shown, picture.pixels(), "sample {number} of the gallery");
    }
    // The sum of one exemplar's maps is that exemplar, in every layer.
    worker.send(Request::Add(vec![Term { minus: false, exemplars: vec![z[2].clone()] }]));
    let sums = until(&worker, |reply| match reply {
        Reply::Added { pictures, .. } => Some(pictures),
        _ => None,
    });
    for sum in sums {
        assert!(sum.pixels().iter().zip(alone[2].pixels()).all(|(a, b)| a.abs_diff(*b) <= 1));
    }
    alone[5].write_png(&folder.path().join("photo.png")).unwrap();
    worker.send(Request::Project(folder.path().join("photo.png")));
    let (drawn, z) = until(&worker, |reply| match reply {
        Reply::Projecting(Search::Best(drawn, progress)) => Some((drawn, progress.z)),
        _ => None,
    });
    worker.send(Request::Cancel);
    assert_eq!(render(&worker, Slot::Pointer, &[z]), [drawn], "the photograph's reconstruction");
}
