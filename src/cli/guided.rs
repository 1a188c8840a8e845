//! `zscape guided`.

use std::path::PathBuf;

use anyhow::{Context, bail};
use burn::tensor::Device;
use clap::Args;

use super::dissect::{Normed, bar};
use super::prepared::Prepared;
use super::{Common, Numbers, outputs};
use crate::data::{Dataset, Source, read_fitted};
use crate::dissect::guided::{FEATURES, Feature, PICTURES, RANDOM, Search, figure, verdicts};
use crate::dissect::layers::lit;
use crate::image::{Picture, grid};
use crate::model::{Discriminator, Model, Rule};

/// Pictures judged at once.
const BATCH: u64 = 64;

#[derive(Args, Debug)]
pub(super) struct Guided {
    #[command(flatten)]
    common: Common,
    /// A model file, a checkpoint, or a run folder, with a discriminator in it
    #[arg(long, value_name = "FILE|DIR")]
    model: PathBuf,
    /// Pictures among which the strongest responses are looked for, and whose batch-norm statistics the discriminator uses:
    /// whatever `train` takes [default for --picture: what the model was trained on]
    #[arg(long, value_name = "SRC", required_unless_present = "picture")]
    data: Option<String>,
    /// How many of them are looked at
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// The convolution, 1 the first [default: the last, as in the paper]
    #[arg(long, value_name = "NUMBER")]
    layer: Option<usize>,
    /// These features instead of the first six
    #[arg(long, value_name = "NUMBERS")]
    features: Option<Numbers>,
    /// Names synthetic pictures
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Instead: what in this picture decides the verdict; may be given several times
    #[arg(long, value_name = "FILE")]
    picture: Vec<PathBuf>,
    /// How the logit is propagated back to the picture
    #[arg(long, value_enum, default_value = "plain")]
    rule: Rule,
    #[command(flatten)]
    prepared: Prepared,
    #[command(flatten)]
    normed: Normed,
    /// The figure, as .png, .jpg, .webp, .bmp or .tif
    #[arg(long, value_name = "FIGURE.png", value_parser = outputs::picture)]
    out: PathBuf,
}

impl Guided {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let compute = self.common.compute()?;
        let model = Model::open(&self.model, &compute.device)?;
        let judge = model.discriminator.as_ref().with_context(|| {
            format!(
                "{} holds a generator only (as bundled models do, and files made with --generator-only); guided needs a \
                 discriminator: name a run folder, or a model that was kept whole",
                self.model.display()
            )
        })?;
        let (config, device) = (model.config(), &compute.device);
        if !self.picture.is_empty() {
            return self.saliency(&model, judge, device);
        }
        let layer = match self.layer {
            None => config.judging_stages() - 1,
            Some(number) if (1..=config.judging_stages()).contains(&number) => number - 1,
            Some(number) => bail!("there is no convolution {number}; there are 1 to {}", config.judging_stages()),
        };
        let count = judge.layers[layer].weight.shape[0];
        let maps: Vec<usize> = match &self.features {
            Some(Numbers(numbers)) => numbers.iter().map(|&number| number as usize).collect(),
            None => (0..FEATURES.min(count)).collect(),
        };
        if let Some(map) = maps.iter().find(|&&map| map >= count) {
            bail!("there is no feature {map}; convolution {} has features 0 to {}", layer + 1, count - 1);
        }
        let source = Source::parse(self.data.as_deref().unwrap_or_default())?;
        let data = Dataset::open(&source, self.prepared.on(config.pictures())?, self.seed)?;
        let count = data.len().map_or(self.count, |length| self.count.min(length as u64));
        let random = Discriminator::new(config, RANDOM, device);
        let (networks, statistics) = self.normed.on_data(vec![judge.clone(), random], &data, device)?;
        let (judge, random) = (&networks[0], &networks[1]);
        let search = || Search::new(layer, maps.iter().copied(), PICTURES);
        let (mut learnt, mut unlearnt) = (search(), search());
        let (bar, mut skipped) = (bar(count, "pictures"), 0);
        for first in (0..count).step_by(BATCH as usize) {
            let mut pictures = Vec::new();
            for number in first..(first + BATCH).min(count) {
                match data.picture(number) {
                    Ok(picture) => pictures.push((number, picture)),
                    Err(problem) => {
                        skipped += 1;
                        bar.suspend(|| eprintln!("skipped {}: {}", problem.name, problem.cause));
                    }
                }
            }
            if !pictures.is_empty() {
                learnt.look(judge, &pictures, device)?;
                unlearnt.look(random, &pictures, device)?;
            }
            bar.set_position(first + BATCH);
        }
        bar.finish_and_clear();
        if skipped == count {
            bail!("none of the {count} pictures of {source} can be read");
        }
        let (learnt, unlearnt) = (learnt.finish(judge, device)?, unlearnt.finish(random, device)?);
        figure(&unlearnt, &learnt)?.write(&self.out)?;
        let told = |features: &[Feature]| -> Vec<_> {
            let of = |feature: &Feature| {
                let numbers: Vec<_> = feature.responses.iter().map(|response| response.number).collect();
                let values: Vec<_> = feature.responses.iter().map(|response| response.value).collect();
                serde_json::json!({ "feature": feature.map, "pictures": numbers, "responses": values })
            };
            features.iter().map(of).collect()
        };
        let summary = serde_json::json!({
            "out": self.out, "layer": layer + 1, "pictures": count - skipped, "statistics": statistics.name(),
            "learnt": told(&learnt), "random": told(&unlearnt),
        });
        self.common.print(&summary, || {
            let row = |feature: &Feature| {
                let best = feature.responses.first().map_or(0.0, |response| response.value);
                let least = feature.responses.last().map_or(0.0, |response| response.value);
                format!("feature {}: responses {best:.2} to {least:.2}", feature.map)
            };
            let rows: Vec<_> = learnt.iter().map(row).collect();
            format!(
                "{}: random filters left, trained filters right; {} pictures looked at; {statistics}\n{}",
                self.out.display(),
                count - skipped,
                rows.join("\n")
            )
        })
    }

    fn saliency(&self, model: &Model, judge: &Discriminator, device: &Device) -> anyhow::Result<()> {
        let config = judge.config();
        let format = self.prepared.on(config.pictures())?;
        let read = |path: &PathBuf| read_fitted(path, format);
        let pictures = self.picture.iter().map(read).collect::<Result<Vec<Picture>, _>>()?;
        let (judge, statistics) = self.normed.on_training_data(model, judge, self.data.as_deref(), device)?;
        let told = verdicts(&judge, &pictures, self.rule, device)?;
        let pairs = pictures.iter().zip(&told);
        let shown: Vec<_> = pairs.flat_map(|(p, told)| [p.clone(), lit(p, &told.saliency, config.size)]).collect();
        grid(&shown, 2, 2).write(&self.out)?;
        let logits: Vec<f32> = told.iter().map(|verdict| verdict.logit).collect();
        let summary = serde_json::json!({ "out": self.out, "logits": logits, "statistics": statistics.name() });
        self.common.print(&summary, || {
            let row = |(path, logit): (&PathBuf, &f32)| {
                format!(
                    "{}: logit {logit:+.2}, classified as {}",
                    path.display(),
                    if *logit > 0.0 { "real" } else { "generated" }
                )
            };
            let rows = self.picture.iter().zip(&logits).map(row);
            rows.chain([statistics.to_string()]).collect::<Vec<_>>().join("\n")
        })
    }
}
