use super::*;
use crate::app::explore::views::Views;
use crate::device::Compute;
use crate::latent::arithmetic::Term;
use crate::model::{Generator, Preset, SamplingStatistics};

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
    assert_eq!(config.sampling, SamplingStatistics::Batch);
    let mut generator = Generator::new(&config, 4, &Device::flex());
    for layer in generator.layers_mut() {
        layer.weight.value = layer.weight.value.clone() * 12.0;
    }
    let path = folder.join("model.safetensors");
    Model { generator, discriminator: None, provenance: Provenance::default() }.write(&path, false).unwrap();
    (path, config)
}

fn until<T>(worker: &ExplorerWorker, mut wanted: impl FnMut(ExplorerResponse) -> Option<T>) -> T {
    loop {
        let response = worker.responses.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
        if let ExplorerResponse::Failed(error) | ExplorerResponse::NotOpened { error, .. } = &response {
            panic!("{error}");
        }
        if let Some(wanted) = wanted(response) {
            return wanted;
        }
    }
}

fn render(worker: &ExplorerWorker, slot: Slot, z: &[Vec<f32>]) -> Vec<Picture> {
    worker.send(ExplorerRequest::Render { slot, z: z.into() });
    until(worker, |response| match response {
        ExplorerResponse::Rendered { slot: of, pictures: Pictures::Memory(pictures), .. } if of == slot => {
            Some(pictures)
        }
        _ => None,
    })
}

#[test]
fn every_tool_of_the_window_draws_a_z_as_the_picture_that_it_is_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (path, config) = model(folder.path());
    let worker = ExplorerWorker::start(Device::flex(), None, &egui::Context::default());
    worker.send(ExplorerRequest::Open(path, None));
    until(&worker, |response| matches!(response, ExplorerResponse::Opened { .. }).then_some(()));
    let z = latent::sample_zs(&config, 1, 0..11);
    let alone: Vec<Picture> =
        z.iter().map(|z| render(&worker, Slot::Pointer, std::slice::from_ref(z)).remove(0)).collect();
    let spread = alone[0].difference(&alone[1]).pixels().iter().map(|&v| u32::from(v)).sum::<u32>();
    assert!(spread > 256 * 10, "two z's are two pictures: {spread}");
    for slot in SLOTS {
        assert_eq!(render(&worker, slot, &z), alone, "{slot:?}");
        assert_eq!(render(&worker, slot, &z[3..4]), alone[3..4], "{slot:?}");
    }
    worker.send(ExplorerRequest::GalleryChunk { seed: 1, chunk: 0 });
    let PictureSheet::Memory(sheet) = until(&worker, |response| match response {
        ExplorerResponse::GalleryChunk { sheet, .. } => Some(sheet),
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
    worker.send(ExplorerRequest::FeatureArithmetic(vec![Term { minus: false, exemplars: vec![z[2].clone()] }]));
    let sums = until(&worker, |response| match response {
        ExplorerResponse::FeatureArithmetic { pictures: Pictures::Memory(pictures), .. } => Some(pictures),
        _ => None,
    });
    for sum in sums {
        assert!(sum.pixels().iter().zip(alone[2].pixels()).all(|(a, b)| a.abs_diff(*b) <= 1));
    }
    alone[5].write_png(&folder.path().join("photo.png")).unwrap();
    worker.send(ExplorerRequest::Project(folder.path().join("photo.png")));
    let (drawn, z) = until(&worker, |response| match response {
        ExplorerResponse::Projecting(ProjectionUpdate::Best(drawn, progress)) => Some((drawn, progress.z)),
        _ => None,
    });
    worker.send(ExplorerRequest::CancelProjection);
    assert_eq!(render(&worker, Slot::Pointer, &[z]), [drawn], "the photograph's reconstruction");
}

/// Picture `i` of a texture that is `width` wide, as it was read back.
fn picture(pixels: &[u8], width: usize, i: usize) -> Vec<u8> {
    let (left, top) = (i * 16 % width, i * 16 / width * 16);
    (top..top + 16).flat_map(|y| &pixels[(y * width + left) * 3..][..16 * 3]).copied().collect()
}

#[test]
fn where_the_card_draws_the_window_tools_show_textures_and_read_pictures_back_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let (path, config) = model(folder.path());
    let software = Compute::shared_software();
    let setup = software.wgpu.as_ref().unwrap();
    let ctx = egui::Context::default();
    let worker = ExplorerWorker::start(software.device.clone(), Some(TexturePainter::unseen(setup)), &ctx);
    worker.send(ExplorerRequest::Open(path, None));
    until(&worker, |response| matches!(response, ExplorerResponse::Opened { .. }).then_some(()));
    let mut views = Views::default();
    let z: Zs = latent::sample_zs(&config, 1, 0..19).into();
    for slot in SLOTS {
        // More than one row of the texture, and more than are drawn at a time.
        views.request(&worker, slot, &z);
        let (of, painted) = until(&worker, |response| match response {
            ExplorerResponse::Rendered { slot: found, z, pictures: Pictures::Card(painted) } if found == slot => {
                Some((z, painted))
            }
            ExplorerResponse::ReadBack { .. } => panic!("nothing is read back that nobody asked for"),
            _ => None,
        });
        let (pixels, width) = painted.pixels(setup);
        views.insert(&ctx, slot, of, Pictures::Card(painted));
        assert!(views.settled(slot) && views.image(slot, 18, 16.0).is_some());
        assert!(views.pictures(&worker, slot).is_none(), "they are on the card, and are asked for");
        let (of, pictures) = until(&worker, |response| match response {
            ExplorerResponse::ReadBack { slot: found, z, pictures } if found == slot => Some((z, pictures)),
            _ => None,
        });
        for (i, read) in pictures.iter().enumerate() {
            let off = picture(&pixels, width, i).iter().zip(read.to_rgb()).map(|(a, b)| a.abs_diff(b)).max();
            assert!(off <= Some(1), "{slot:?}, picture {i}: {off:?}");
        }
        views.insert_pictures(slot, &of, pictures.clone());
        assert_eq!(views.pictures(&worker, slot).as_deref(), Some(&*pictures));
    }
    // The sum of one exemplar's maps is that exemplar, in every layer.
    worker.send(ExplorerRequest::FeatureArithmetic(vec![Term { minus: false, exemplars: vec![z[2].clone()] }]));
    let sums = until(&worker, |response| match response {
        ExplorerResponse::FeatureArithmetic { pictures: Pictures::Card(painted), .. } => Some(painted),
        _ => None,
    });
    assert_eq!(sums.count(), config.stages());
    let exemplar = views.pictures(&worker, Slot::Film).unwrap()[2].to_rgb();
    let (pixels, width) = sums.pixels(setup);
    for layer in 0..sums.count() {
        let off = picture(&pixels, width, layer).iter().zip(&exemplar).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(off <= Some(1), "layer {layer}: {off:?}");
    }
}
