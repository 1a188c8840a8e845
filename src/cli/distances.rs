//! `zscape distances`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::Common;
use super::classify::discriminator;
use super::progress::Telling;
use crate::data::{Dataset, Source};
use crate::evaluate::distances::{Measures, NEIGHBOUR, compare};
use crate::evaluate::features::{Kind, Space};
use crate::evaluate::statistics::Estimate;
use crate::evaluate::{MeasureError, Table, draw, pick, read};
use crate::files;
use crate::image::Picture;
use crate::model::{Model, checkpoints};

#[derive(Args, Debug)]
pub(super) struct Distances {
    #[command(flatten)]
    common: Common,
    /// A model file, a checkpoint, or a run folder
    #[arg(long, value_name = "FILE|DIR", required_unless_present = "run")]
    model: Option<PathBuf>,
    /// Instead: every checkpoint of a run, in the space of the newest one's discriminator
    #[arg(long, value_name = "DIR", conflicts_with = "model")]
    run: Option<PathBuf>,
    /// Real pictures: a folder, an archive or a part of one (set.zip/test), synth:rooms or synth:faces
    #[arg(long, value_name = "SRC")]
    data: String,
    /// What pictures are compared by
    #[arg(long, value_enum, default_value = "discriminator")]
    space: Kind,
    /// Drawn pictures, real ones, and other real ones for the floor; half of the real ones where there are fewer
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u16).range(50..=5000))]
    count: u16,
    /// Names the samples; picks pictures, directions and resamples
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also write the measures as a table, a row for each model
    #[arg(long, value_name = "TABLE.csv")]
    out: Option<PathBuf>,
}

/// What one model's samples gave.
#[derive(Serialize)]
struct Measured {
    model: PathBuf,
    steps: u64,
    #[serde(flatten)]
    measures: Measures,
}

impl Distances {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let compute = self.common.compute()?;
        let device = &compute.device;
        let models: Vec<PathBuf> = match (&self.run, &self.model) {
            (Some(run), _) => checkpoints(&run.join("checkpoints")).into_iter().map(|(_, path)| path).collect(),
            (None, model) => model.iter().cloned().collect(),
        };
        let newest = models.last().with_context(|| {
            let run = self.run.as_deref().unwrap_or(Path::new("")).display();
            format!("{run} holds no checkpoint yet; give a run folder that was saved at least once")
        })?;
        let model = Model::open(newest, device)?;
        let (config, judge) = (model.config().clone(), discriminator(&model, newest));
        // Pixels need no discriminator; any of the right shape says which pixels there are.
        let drawn = crate::model::Discriminator::new(&config, self.seed, device);
        let judge = if self.space == Kind::Discriminator { judge? } else { &drawn };
        let data = Dataset::open(&Source::parse(&self.data)?, config.size, config.channels, self.seed)?;
        let telling = Telling::new();
        let mut progress = |what, done, of| telling.tell(what, done, of);
        let count = data.len().map_or(usize::from(self.count), |length| usize::from(self.count).min(length / 2));
        let (real, skipped) = read(&data, &pick(&data, 2 * count, self.seed), &mut progress);
        telling.skipped(&skipped);
        let real: Vec<Picture> = real.into_iter().map(|(_, picture)| picture).collect();
        let count = real.len() / 2;
        if count <= NEIGHBOUR {
            let (source_name, have) = (self.data.clone(), real.len());
            let hint = "a few hundred give a number that means something";
            return Err(MeasureError::TooFew { source_name, class: None, have, need: 2 * NEIGHBOUR + 2, hint }.into());
        }
        // Every other one, so that an order in the set does not part them.
        let part = |odd: usize| -> Vec<Picture> { real.iter().skip(odd).step_by(2).take(count).cloned().collect() };
        let space = Space::new(self.space, judge, &real, self.seed, device);
        let features = |pictures: &[Picture]| -> anyhow::Result<Table> {
            Ok(space.features(pictures, &mut |done| telling.tell("taking features", done, pictures.len()))?)
        };
        let [reference, other] = [features(&part(0))?, features(&part(1))?];
        let floor = compare(&other, &reference, self.seed, device)?;
        let mut measured = Vec::new();
        for path in &models {
            let model = Model::open(path, device)?;
            let samples = draw(&model, count, self.seed, device, &mut progress)?;
            let measures = compare(&features(&samples)?, &reference, self.seed, device)?;
            measured.push(Measured { model: path.clone(), steps: model.provenance.steps, measures });
        }
        drop(telling);
        if let Some(out) = &self.out {
            write(out, &measured, &floor).with_context(|| out.display().to_string())?;
        }
        let summary = serde_json::json!({
            "space": self.space, "features": space.width(), "of": newest, "drawn": count, "real": count,
            "neighbour": NEIGHBOUR, "seed": self.seed, "floor": floor, "measured": measured,
        });
        self.common.print(&summary, || {
            let mut lines = vec![
                format!(
                    "{count} drawn and {count} real pictures of {}, by {} ({}) of {}; neighbour {NEIGHBOUR}; seed {}",
                    self.data,
                    self.space.name(),
                    space.width(),
                    newest.display(),
                    self.seed
                ),
                row("", NAMES.map(str::to_owned)),
                row("real beside real", told(&floor)),
            ];
            lines.extend(measured.iter().map(|m| row(&format!("step {}", m.steps), told(&m.measures))));
            lines.push("Values with their 95 % intervals; real beside real is what sets of one kind give.".into());
            lines.join("\n")
        })
    }
}

const NAMES: [&str; 6] = ["sliced Wasserstein", "kernel distance", "precision", "recall", "density", "coverage"];

fn values(measures: &Measures) -> [Estimate; 6] {
    let Measures { sliced, kernel, precision, recall, density, coverage } = *measures;
    [sliced, kernel, precision, recall, density, coverage]
}

fn told(measures: &Measures) -> [String; 6] {
    values(measures).map(|Estimate { value, low, high }| format!("{value:.3} ({low:.3} to {high:.3})"))
}

fn row(name: &str, cells: [String; 6]) -> String {
    let cells = cells.map(|cell| format!(" {cell:<25}"));
    format!("  {name:<17}{}", cells.concat()).trim_end().to_owned()
}

/// A row for each model and for the floor; each measure with the ends of its interval.
fn write(path: &Path, measured: &[Measured], floor: &Measures) -> std::io::Result<()> {
    files::write(path, |file| {
        let mut table = csv::Writer::from_writer(file);
        let short = ["sliced", "kernel", "precision", "recall", "density", "coverage"];
        let heads = short.iter().flat_map(|name| [(*name).to_owned(), format!("{name}_low"), format!("{name}_high")]);
        table.write_record(["model".to_owned(), "steps".to_owned()].into_iter().chain(heads))?;
        let numbers = |measures: &Measures| -> Vec<String> {
            values(measures).iter().flat_map(|e| [e.value, e.low, e.high]).map(|value| value.to_string()).collect()
        };
        table.write_record(["real".to_owned(), String::new()].into_iter().chain(numbers(floor)))?;
        for Measured { model, steps, measures } in measured {
            let name = [model.display().to_string(), steps.to_string()];
            table.write_record(name.into_iter().chain(numbers(measures)))?;
        }
        table.flush()
    })
}
