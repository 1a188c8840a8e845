//! `zscape guided`: guided backpropagation of the discriminator's features (section 6.2), and saliency maps of its
//! output.

use std::path::PathBuf;

use anyhow::{Context, bail};
use burn::tensor::Device;
use clap::Args;

use super::dissect::NormStatisticsArgs;
use super::prepared::PreparationArgs;
use super::progress::bar;
use super::{CommonArgs, NumberList, outputs};
use crate::data::{Dataset, Source, read_prepared};
use crate::dissect::guided::{FIGURE_FEATURES, FIGURE_PICTURES, FeatureResponses, RANDOM_WEIGHTS_SEED, ResponseSearch};
use crate::dissect::guided_figure::render_guided_figure;
use crate::dissect::layers::highlight;
use crate::dissect::saliency::logit_saliency;
use crate::image::{Picture, grid};
use crate::model::{BackwardRule, Discriminator, Model};

/// Batch size.
const BATCH: u64 = 64;

#[derive(Args, Debug)]
pub(super) struct GuidedArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Model file, checkpoint, or run folder, with a discriminator
    #[arg(long, value_name = "FILE|DIR")]
    model: PathBuf,
    /// Pictures in which the strongest responses are searched, and whose batch-norm statistics the discriminator
    /// uses: any source that `train` reads [default with --picture: the training data]
    #[arg(long, value_name = "SRC", required_unless_present = "picture")]
    data: Option<String>,
    /// Most pictures to search
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Convolution, counted from 1 [default: the last, as in the paper]
    #[arg(long, value_name = "NUMBER")]
    layer: Option<usize>,
    /// Numbers of the features [default: the first six]
    #[arg(long, value_name = "NUMBERS")]
    features: Option<NumberList>,
    /// Seed of rendered pictures
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Show instead which pixels of this picture decide the discriminator's output; can be repeated
    #[arg(long, value_name = "FILE")]
    picture: Vec<PathBuf>,
    /// Backward rule of rectifiers
    #[arg(long, value_enum, default_value = "plain")]
    rule: BackwardRule,
    #[command(flatten)]
    preparation: PreparationArgs,
    #[command(flatten)]
    norm_statistics: NormStatisticsArgs,
    /// Figure to write, as .png, .jpg, .webp, .bmp or .tif
    #[arg(long, value_name = "FIGURE.png", value_parser = outputs::picture)]
    out: PathBuf,
}

impl GuidedArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let compute = self.common.compute()?;
        let model = Model::open(&self.model, &compute.device)?;
        let discriminator = model.discriminator.as_ref().with_context(|| {
            format!(
                "{} holds a generator only, as bundled models and files made with --generator-only do, and guided needs a \
                 discriminator: give a run folder, or a model with both networks",
                self.model.display()
            )
        })?;
        let (config, device) = (model.config(), &compute.device);
        if !self.picture.is_empty() {
            return self.saliency(&model, discriminator, device);
        }
        let layer = match self.layer {
            None => config.discriminator_stages() - 1,
            Some(number) if (1..=config.discriminator_stages()).contains(&number) => number - 1,
            Some(number) => bail!("there is no convolution {number}; there are 1 to {}", config.discriminator_stages()),
        };
        let count = discriminator.layers[layer].weight.shape[0];
        let maps: Vec<usize> = match &self.features {
            Some(NumberList(numbers)) => numbers.iter().map(|&number| number as usize).collect(),
            None => (0..FIGURE_FEATURES.min(count)).collect(),
        };
        if let Some(map) = maps.iter().find(|&&map| map >= count) {
            bail!("there is no feature {map}; convolution {} has features 0 to {}", layer + 1, count - 1);
        }
        let source = Source::from(self.data.as_deref().unwrap_or_default());
        let data = Dataset::open(&source, self.preparation.on(config.pictures())?, self.seed)?;
        let count = data.len().map_or(self.count, |length| self.count.min(length as u64));
        let random = Discriminator::new(config, RANDOM_WEIGHTS_SEED, device);
        let (networks, statistics) =
            self.norm_statistics.on_data(vec![discriminator.clone(), random], &data, device)?;
        let (discriminator, random) = (&networks[0], &networks[1]);
        let search = || ResponseSearch::new(layer, maps.iter().copied(), FIGURE_PICTURES);
        let (mut trained, mut untrained) = (search(), search());
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
                trained.scan(discriminator, &pictures, device)?;
                untrained.scan(random, &pictures, device)?;
            }
            bar.set_position(first + BATCH);
        }
        bar.finish_and_clear();
        if skipped == count {
            bail!("none of the {count} pictures of {source} can be read");
        }
        let (trained, untrained) = (trained.finish(discriminator, device)?, untrained.finish(random, device)?);
        render_guided_figure(&untrained, &trained)?.write(&self.out)?;
        let as_json = |features: &[FeatureResponses]| -> Vec<_> {
            let of = |feature: &FeatureResponses| {
                let numbers: Vec<_> = feature.responses.iter().map(|response| response.number).collect();
                let values: Vec<_> = feature.responses.iter().map(|response| response.value).collect();
                serde_json::json!({ "feature": feature.map, "pictures": numbers, "responses": values })
            };
            features.iter().map(of).collect()
        };
        let summary = serde_json::json!({
            "out": self.out, "layer": layer + 1, "pictures": count - skipped, "statistics": statistics.name(),
            "learnt": as_json(&trained), "random": as_json(&untrained),
        });
        self.common.print(&summary, || {
            let row = |feature: &FeatureResponses| {
                let best = feature.responses.first().map_or(0.0, |response| response.value);
                let least = feature.responses.last().map_or(0.0, |response| response.value);
                format!("feature {}: responses {best:.2} to {least:.2}", feature.map)
            };
            let rows: Vec<_> = trained.iter().map(row).collect();
            format!(
                "{}: random filters left, trained filters right; {} pictures searched; {statistics}\n{}",
                self.out.display(),
                count - skipped,
                rows.join("\n")
            )
        })
    }

    fn saliency(&self, model: &Model, discriminator: &Discriminator, device: &Device) -> anyhow::Result<()> {
        let config = discriminator.config();
        let format = self.preparation.on(config.pictures())?;
        let read = |path: &PathBuf| read_prepared(path, format);
        let pictures = self.picture.iter().map(read).collect::<Result<Vec<Picture>, _>>()?;
        let (discriminator, statistics) =
            self.norm_statistics.on_training_data(model, discriminator, self.data.as_deref(), device)?;
        let saliency_maps = logit_saliency(&discriminator, &pictures, self.rule, device)?;
        let pairs = pictures.iter().zip(&saliency_maps);
        let shown: Vec<_> = pairs.flat_map(|(p, map)| [p.clone(), highlight(p, &map.saliency, config.size)]).collect();
        grid(&shown, 2, 2).write(&self.out)?;
        let logits: Vec<f32> = saliency_maps.iter().map(|verdict| verdict.logit).collect();
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
