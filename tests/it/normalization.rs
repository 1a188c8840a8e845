//! Batch statistics: a z renders to the same picture in any batch.

use std::path::{Path, PathBuf};

use zscape::device::Compute;
use zscape::image::Picture;
use zscape::latent;
use zscape::latent::boxes::Boxes;
use zscape::model::{Model, SamplingStatistics};
use zscape::train::{Event, RunConfig, Trainer, TrainerOptions};

use super::support::cpu::{json, zscape};
use super::support::{text, tiny};

/// Width and height of the pictures.
const SIDE: usize = 16;

/// A run that samples with batch statistics, and its previews.
fn trained(folder: &Path) -> (PathBuf, Vec<Picture>) {
    let run = folder.join("run");
    let tiny = tiny(&run, 1);
    let config = RunConfig { model: sampling(tiny.config.model.clone()), ..tiny.config.clone() };
    let options = TrainerOptions { config, steps: Some(30), preview_count: 12, ..tiny };
    let trainer = Trainer::start(options, Compute::cpu(), || ());
    let mut last = Vec::new();
    for event in trainer.events() {
        match event {
            Event::Previewed(preview) if preview.step == 25 => last = preview.pictures,
            _ => {}
        }
    }
    (run, last)
}

fn sampling(config: zscape::model::ModelConfig) -> zscape::model::ModelConfig {
    zscape::model::ModelConfig { sampling: SamplingStatistics::Batch, ..config }
}

fn read(path: &Path) -> Picture {
    Picture::read(path).unwrap()
}

/// The part of `sheet` whose upper left corner is at `x`, `y`, of single pixels that stand `zoom` pixels apart.
fn part(sheet: &Picture, x: usize, y: usize, zoom: usize) -> Picture {
    let channels = sheet.channels();
    let mut pixels = Vec::new();
    for row in 0..SIDE {
        for column in 0..SIDE {
            let at = ((y + row * zoom) * sheet.width() + x + column * zoom) * channels;
            pixels.extend(&sheet.pixels()[at..at + channels]);
        }
    }
    Picture::new(SIDE, SIDE, channels, pixels)
}

fn mean_difference(a: &Picture, b: &Picture) -> f64 {
    let sum: u64 = a.pixels().iter().zip(b.pixels()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.pixels().len() as f64
}

struct Lab {
    _folder: tempfile::TempDir,
    path: PathBuf,
    run: PathBuf,
    previews: Vec<Picture>,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (run, previews) = trained(folder.path());
        Self { path: folder.path().to_owned(), run, previews, _folder: folder }
    }

    /// Runs a command of the model with `--out NAME`; its JSON.
    fn run(&self, arguments: &[&str], out: &str) -> serde_json::Value {
        json(&[arguments, &["--model", text(&self.run), "--out", text(&self.path.join(out))]].concat())
    }

    fn sheet(&self, arguments: &[&str]) -> Picture {
        self.run(arguments, "sheet.png");
        read(&self.path.join("sheet.png"))
    }

    /// The sample rendered on its own.
    fn alone(&self, number: u64) -> Picture {
        self.sheet(&["sample", "--count", "1", "--first", &number.to_string()])
    }

    /// Any z rendered on its own.
    fn of(&self, z: &serde_json::Value) -> Picture {
        let z: Vec<f32> = serde_json::from_value(z.clone()).unwrap();
        let path = self.path.join("z.npy");
        let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': (1, {}), }}", z.len());
        header.push_str(&" ".repeat(63 - (10 + header.len()) % 64));
        header.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.bytes());
        bytes.extend(z.iter().flat_map(|v| v.to_le_bytes()));
        std::fs::write(&path, bytes).unwrap();
        self.sheet(&["sample", "--z", text(&path)])
    }
}

#[test]
fn every_command_renders_a_z_independently_of_its_batch() {
    let lab = Lab::new();
    let [three, five] = [3, 5].map(|number| lab.alone(number));
    assert!(mean_difference(&three, &five) > 0.5, "two samples differ");

    // Tensors agree to rounding, whatever the number of pictures.
    let values = |count: &str, first: &str| {
        let tensor = lab.path.join("tensor.npy");
        lab.run(&["sample", "--count", count, "--first", first, "--tensor", text(&tensor)], "sheet.png");
        let bytes = std::fs::read(&tensor).unwrap();
        let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        bytes[start..].chunks_exact(4).map(|v| f32::from_le_bytes(v.try_into().unwrap())).collect::<Vec<_>>()
    };
    let each = 3 * SIDE * SIDE;
    let (one, many) = (values("1", "3"), values("70", "0"));
    assert_eq!((one.len(), many.len()), (each, 70 * each));
    assert!(one.iter().zip(&many[3 * each..4 * each]).all(|(a, b)| (a - b).abs() < 1e-5));
    let literal = lab.sheet(&["sample", "--count", "9", "--batch-stats"]);
    let other = lab.sheet(&["sample", "--count", "16", "--batch-stats"]);
    assert_ne!(part(&literal, 0, 0, 1), part(&other, 0, 0, 1), "--batch-stats draws one batch, as it says");

    // A walk starts and ends with its samples, as a strip and as single frames.
    let strip = lab.sheet(&["walk", "--visit", "3,5", "--steps", "3"]);
    assert_eq!(part(&strip, 0, 0, 1), three);
    assert_eq!(part(&strip, strip.width() - SIDE, 0, 1), five);
    lab.run(&["walk", "--visit", "3,7,5", "--steps", "4"], "frames");
    let mut frames: Vec<_> = std::fs::read_dir(lab.path.join("frames")).unwrap().map(|f| f.unwrap().path()).collect();
    frames.sort();
    assert_eq!(read(&frames[0]), three);
    assert_eq!(read(&frames[frames.len() - 1]), five);

    // Arithmetic: exemplars, and the result in the middle of its neighbors.
    let summary = lab.run(&["arithmetic", "--plus", "3", "--minus", "5", "--plus", "7"], "sum.png");
    let figure = read(&lab.path.join("sum.png"));
    let sign = SIDE / 2;
    assert_eq!(part(&figure, 0, 0, 1), three);
    assert_eq!(part(&figure, SIDE + sign, 0, 1), five);
    let middle = 3 * (SIDE + sign) + sign / 2 + SIDE + 2;
    assert_eq!(part(&figure, middle, SIDE + 2, 1), lab.of(&summary["z"]));
    // The middle of a turn is the original sample.
    let turn = lab.sheet(&["arithmetic", "--from", "1", "--to", "2", "--on", "5,3", "--steps", "3"]);
    assert!(mean_difference(&part(&turn, SIDE + 2, SIDE + 2, 1), &three) < 0.01);

    // A photo's reconstruction renders the z that was found.
    three.write_png(&lab.path.join("photo.png")).unwrap();
    let photo = lab.path.join("photo.png");
    let found = lab.run(&["project", "--picture", text(&photo), "--steps", "30"], "found.png");
    let reconstruction = part(&read(&lab.path.join("found.png")), SIDE + 2, 0, 1);
    assert_eq!(reconstruction, lab.of(&found["z"]));

    // Inside the networks.
    let layers = lab.sheet(&["layers", "--sample", "3"]);
    assert_eq!(part(&layers, 0, 0, 8), three);
    let boxes = lab.path.join("boxes.json");
    Boxes { size: SIDE, seed: 1, boxes: (0..6).map(|number| (number, vec![[2, 2, 8, 8]])).collect() }
        .write(&boxes)
        .unwrap();
    let forget = lab.sheet(&["forget", "--boxes", text(&boxes), "--samples", "8", "--columns", "8"]);
    let contains = |sheet: &Picture, picture: &Picture| {
        (0..=sheet.height() - SIDE)
            .any(|y| (0..=sheet.width() - SIDE).any(|x| part(sheet, x, y, 1).pixels() == picture.pixels()))
    };
    assert!(contains(&forget, &three), "the samples before the ablation");
    let directions = lab.sheet(&["directions", "--number", "3"]);
    assert!(contains(&directions, &three), "a direction's strip has the sample in its middle");

    // The training's preview, and samples of the file that it wrote.
    let model = Model::open(&lab.run.join("checkpoints/step-00000030"), &Compute::cpu().device).unwrap();
    let z = latent::sample_zs(model.config(), 1, [3]);
    assert_eq!(latent::generate_pictures(&model.generator, &z, &Compute::cpu().device).unwrap()[0], three);
    assert_eq!(lab.previews.len(), 12);
    assert!(mean_difference(&lab.previews[3], &lab.previews[5]) > 0.5);

    // Exports hold the statistics that zscape samples with as their running statistics.
    let exported = lab.path.join("model.pth");
    zscape(&["convert", text(&lab.run), text(&exported)]).assert().success();
    let model = Model::open(&exported, &Compute::cpu().device).unwrap();
    let back = latent::generate_pictures(&model.generator, &z, &Compute::cpu().device).unwrap().remove(0);
    assert!(mean_difference(&back, &three) < 0.6, "{}", mean_difference(&back, &three));
}
