//! `zscape distances`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use burn::tensor::Device;
use clap::Args;
use serde::Serialize;

use super::Common;
use super::classify::discriminator;
use super::progress::Telling;
use crate::data::{Dataset, Source};
use crate::evaluate::distances::{Measures, NEIGHBOUR, compare};
use crate::evaluate::features::{Kind, Space};
use crate::evaluate::fid::{self, Gaussian, Kid, Reference};
use crate::evaluate::statistics::Estimate;
use crate::evaluate::{MeasureError, Table, draw, pick, read};
use crate::files;
use crate::image::Picture;
use crate::latent::DrawError;
use crate::model::{FEATURES, Inception, Model, checkpoints};

/// Pictures of each set that all but FID and KID are taken of at most: they keep the products of all pairs.
const MOST_COMPARED: usize = 5000;

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
    /// Instead: by Inception, with FID and KID as they are published; pytorch-fid's pt_inception-2015-12-05-6726825d.pth, or
    /// its tensors as safetensors
    #[arg(long, value_name = "FILE", conflicts_with = "space")]
    inception: Option<PathBuf>,
    /// Drawn pictures, real ones, and other real ones for the floor; half of the real ones where there are fewer. Published
    /// FIDs are of 10,000 to 50,000; the other measures take 5,000 at the most
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u16).range(50..=50_000))]
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
    #[serde(flatten)]
    published: Option<Published>,
}

/// The measures as they are published.
#[derive(Clone, Copy, Serialize)]
struct Published {
    fid: f64,
    kid: Option<Kid>,
}

/// What turns pictures into features.
enum By {
    Space(Box<Space>),
    Inception(Inception),
}

impl By {
    fn features(&self, pictures: &[Picture], device: &Device, telling: &Telling) -> Result<Table, DrawError> {
        let mut progress = |done| telling.tell("taking features", done, pictures.len());
        match self {
            Self::Space(space) => space.features(pictures, &mut progress),
            Self::Inception(network) => fid::features(network, pictures, device, &mut progress),
        }
    }

    fn width(&self) -> usize {
        match self {
            Self::Space(space) => space.width(),
            Self::Inception(_) => FEATURES,
        }
    }
}

/// The real pictures that others are compared with.
struct Real {
    features: Table,
    /// For FID, where that is taken.
    reference: Option<Reference>,
    seed: u64,
}

impl Real {
    fn compare(
        &self,
        drawn: &Table,
        device: &Device,
        telling: &Telling,
    ) -> anyhow::Result<(Measures, Option<Published>)> {
        let first = |table: &Table| {
            let rows = table.rows().take(MOST_COMPARED).flatten().copied();
            Table::new(rows.collect(), table.width())
        };
        let measures = compare(&first(drawn), &first(&self.features), self.seed, device)?;
        let Some(reference) = &self.reference else { return Ok((measures, None)) };
        telling.tell("taking FID and KID", 0, 1);
        let kid = fid::kid(drawn, &self.features, self.seed, device)?;
        Ok((measures, Some(Published { fid: reference.distance(&Gaussian::of(drawn)), kid })))
    }
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
        let needed = self.space == Kind::Discriminator && self.inception.is_none();
        let judge = if needed { judge? } else { &drawn };
        let inception = self.inception.as_deref().map(|path| Inception::open(path, device)).transpose()?;
        if inception.is_none() && usize::from(self.count) > MOST_COMPARED {
            bail!("--count is {}, and without --inception it goes to {MOST_COMPARED}", self.count);
        }
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
        let by = match inception {
            Some(network) => By::Inception(network),
            None => By::Space(Box::new(Space::new(self.space, judge, &real, self.seed, device))),
        };
        let features = by.features(&part(0), device, &telling)?;
        let reference = self.inception.is_some().then(|| {
            telling.tell("taking the covariance's root", 0, 1);
            Reference::new(Gaussian::of(&features))
        });
        let other = by.features(&part(1), device, &telling)?;
        let real = Real { features, reference, seed: self.seed };
        let (floor, floor_published) = real.compare(&other, device, &telling)?;
        let mut measured = Vec::new();
        for path in &models {
            let model = Model::open(path, device)?;
            let samples = draw(&model, count, self.seed, device, &mut progress)?;
            let (measures, published) = real.compare(&by.features(&samples, device, &telling)?, device, &telling)?;
            measured.push(Measured { model: path.clone(), steps: model.provenance.steps, measures, published });
        }
        drop(telling);
        if let Some(out) = &self.out {
            write(out, &measured, &floor, floor_published).with_context(|| out.display().to_string())?;
        }
        let warning = self.inception.as_ref().and_then(|_| few(count));
        let mut summary = serde_json::json!({
            "space": self.space, "features": by.width(), "of": newest, "drawn": count, "real": count,
            "neighbour": NEIGHBOUR, "seed": self.seed, "floor": floor, "measured": measured,
        });
        if let Some(inception) = &self.inception {
            summary["space"] = "inception".into();
            summary["inception"] = serde_json::to_value(inception)?;
            summary["floor_published"] = serde_json::to_value(floor_published)?;
            summary["warning"] = serde_json::to_value(&warning)?;
        }
        self.common.print(&summary, || {
            let space = match &self.inception {
                Some(path) => format!("Inception's features (2048) of {}", path.display()),
                None => format!("{} ({}) of {}", self.space.name(), by.width(), newest.display()),
            };
            let mut lines = vec![
                format!(
                    "{count} drawn and {count} real pictures of {}, by {space}; neighbour {NEIGHBOUR}; seed {}",
                    self.data, self.seed
                ),
                row("", NAMES.map(str::to_owned)),
                row("real beside real", told(&floor)),
            ];
            lines.extend(measured.iter().map(|m| row(&format!("step {}", m.steps), told(&m.measures))));
            lines.push("Values with their 95 % intervals; real beside real is what sets of one kind give.".into());
            if let Some(floor) = floor_published {
                lines.push(String::new());
                lines.push(published("real beside real", floor));
                let rows = measured.iter().filter_map(|m| Some(published(&format!("step {}", m.steps), m.published?)));
                lines.extend(rows);
                if let Some(Kid { subsets, size, .. }) = floor.kid {
                    lines.push(format!(
                        "KID is the mean of {subsets} subsets of {size} with their standard deviation. Pictures went from the \
                         network's size to 299x299 as pytorch-fid resizes them."
                    ));
                }
            }
            lines.extend(warning);
            lines.join("\n")
        })
    }
}

/// What is to be said of FIDs of so few pictures.
fn few(count: usize) -> Option<String> {
    let cause = if count < fid::FEWEST {
        format!("fewer than the {} features, which makes the covariances singular and FID much too large", fid::FEWEST)
    } else if count < fid::USUAL {
        format!("fewer than {}, and FID falls with more pictures", fid::USUAL)
    } else {
        return None;
    };
    Some(format!(
        "Not to be compared with published FIDs: {count} pictures of each are {cause}. Give --count 10000 or more."
    ))
}

fn published(name: &str, Published { fid, kid }: Published) -> String {
    let kid = kid.map_or_else(|| "-".to_owned(), |kid| format!("{:.5} +- {:.5}", kid.mean, kid.deviation));
    format!("  {name:<17} FID {fid:<10.3} KID {kid}")
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
fn write(
    path: &Path,
    measured: &[Measured],
    floor: &Measures,
    floor_published: Option<Published>,
) -> std::io::Result<()> {
    files::write(path, |file| {
        let mut table = csv::Writer::from_writer(file);
        let short = ["sliced", "kernel", "precision", "recall", "density", "coverage"];
        let heads = short.iter().flat_map(|name| [(*name).to_owned(), format!("{name}_low"), format!("{name}_high")]);
        // Where FID is taken, it has columns too.
        let ends: &[&str] = if floor_published.is_some() { &["fid", "kid", "kid_deviation"] } else { &[] };
        let heads = heads.chain(ends.iter().map(|&name| name.to_owned()));
        table.write_record(["model".to_owned(), "steps".to_owned()].into_iter().chain(heads))?;
        let numbers = |measures: &Measures, published: Option<Published>| -> Vec<String> {
            let mut all: Vec<_> = values(measures).iter().flat_map(|e| [e.value, e.low, e.high].map(Some)).collect();
            if let Some(Published { fid, kid }) = published {
                all.extend([Some(fid), kid.map(|kid| kid.mean), kid.map(|kid| kid.deviation)]);
            }
            all.into_iter().map(|value| value.map(|value| value.to_string()).unwrap_or_default()).collect()
        };
        let real = numbers(floor, floor_published);
        table.write_record(["real".to_owned(), String::new()].into_iter().chain(real))?;
        for Measured { model, steps, measures, published } in measured {
            let name = [model.display().to_string(), steps.to_string()];
            table.write_record(name.into_iter().chain(numbers(measures, *published)))?;
        }
        table.flush()
    })
}
