//! Flags shared by the commands that look inside the networks: layers, ablations, batch-norm statistics.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use burn::tensor::Device;

use super::progress::bar;
use crate::data::{Dataset, Source};
use crate::dissect::calibration::{Calibration, NormStatisticsSource};
use crate::model::{Ablation, Discriminator, Model, ModelConfig};

/// Name of a hidden layer of the generator on the command line.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum LayerName {
    /// `project` is 0, `up1` is 1, ...
    Number(usize),
    /// Side of its feature maps, such as `16x16`.
    Side(usize),
}

impl std::str::FromStr for LayerName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<usize>().ok();
        let sides = text.split_once('x').and_then(|(a, b)| Some((number(a)?, number(b)?)));
        match (text, text.strip_prefix("up").and_then(number), sides) {
            ("project", ..) => Ok(Self::Number(0)),
            (_, Some(stage), _) => Ok(Self::Number(stage)),
            (_, _, Some((a, b))) if a == b => Ok(Self::Side(a)),
            _ => Err(format!(
                "{text:?} is not a layer; use project, up1, up2 ... or the size of its feature maps, such as 16x16"
            )),
        }
    }
}

impl LayerName {
    /// The number of the layer in a generator.
    ///
    /// # Errors
    /// If the generator has no such layer, or several.
    pub fn find(&self, config: &ModelConfig) -> anyhow::Result<usize> {
        let all = 0..config.stages();
        let named =
            |layers: &[usize]| layers.iter().map(|&layer| config.layer_name(layer)).collect::<Vec<_>>().join(", ");
        let fits = |layer: &usize| match self {
            Self::Number(number) => layer == number,
            Self::Side(side) => config.side(*layer) == *side,
        };
        let found: Vec<usize> = all.clone().filter(fits).collect();
        match found[..] {
            [layer] => Ok(layer),
            [] => {
                let all: Vec<usize> = all.collect();
                bail!("this generator has no such hidden layer; it has {}", named(&all))
            }
            _ => bail!("several hidden layers have feature maps of that size; use one of {}", named(&found)),
        }
    }
}

/// Ablations to apply to the generator.
#[derive(clap::Args, Debug, Clone, Default)]
pub(super) struct AblationArgs {
    /// Ablate filters: a file written by `forget --save-ablation`
    #[arg(long, value_name = "FILE")]
    ablation: Option<PathBuf>,
}

impl AblationArgs {
    pub fn read(&self, config: &ModelConfig) -> anyhow::Result<Vec<Ablation>> {
        let Some(path) = &self.ablation else { return Ok(Vec::new()) };
        let text = fs_err::read_to_string(path)?;
        let ablations: Vec<Ablation> = serde_json::from_str(&text)
            .with_context(|| format!("{} is not an ablation file of forget --save-ablation", path.display()))?;
        for ablation in &ablations {
            ablation.check(config).with_context(|| path.display().to_string())?;
        }
        Ok(ablations)
    }
}

/// Writes an ablation file for [`AblationArgs`].
pub(super) fn write_ablations(path: &Path, ablations: &[Ablation]) -> anyhow::Result<()> {
    let json = serde_json::to_vec_pretty(ablations)?;
    Ok(crate::files::write(path, |file| std::io::Write::write_all(file, &json))?)
}

/// Which batch-norm statistics the discriminator uses. The choice changes every response.
#[derive(clap::Args, Debug, Clone)]
pub(super) struct NormStatisticsArgs {
    /// Use the discriminator's running batch-norm statistics, which mix real and generated pictures, instead of those
    /// of real pictures
    #[arg(long)]
    running_stats: bool,
    /// Refused, because every response would depend on the other pictures
    #[arg(long, hide = true)]
    batch_stats: bool,
}

impl NormStatisticsArgs {
    /// Refuses statistics under which a picture's responses depend on the others.
    fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            !self.batch_stats,
            "--batch-stats would make each picture's responses depend on the other pictures; omit it for batch-norm statistics of \
             real pictures, or use --running-stats for those of the training"
        );
        Ok(())
    }

    /// `networks` with the batch-norm statistics of pictures of `data`.
    ///
    /// # Errors
    /// If none of the pictures can be read, or the device fails.
    pub fn on_data(
        &self,
        networks: Vec<Discriminator>,
        data: &Dataset,
        device: &Device,
    ) -> anyhow::Result<(Vec<Discriminator>, NormStatisticsSource)> {
        self.check()?;
        if self.running_stats {
            return Ok((networks, NormStatisticsSource::Running { reason: None }));
        }
        let mut calibration = Calibration::new(networks, data);
        let bar = bar(calibration.len() as u64, "batch-norm statistics");
        while !calibration.step(data, device) {
            bar.set_position(calibration.done() as u64);
        }
        bar.finish_and_clear();
        let measured = calibration.finish(device)?;
        let (networks, pictures) =
            measured.with_context(|| format!("none of the pictures of {} can be read", data.source()))?;
        Ok((networks, NormStatisticsSource::Data { data: data.source().to_string(), pictures }))
    }

    /// The model's discriminator with the batch-norm statistics of pictures of `data`, or of the training data. If
    /// that is unknown or missing, the discriminator keeps its running statistics, and the returned statistics say
    /// why.
    ///
    /// # Errors
    /// If `data` is given and cannot be read, or the device fails.
    pub fn on_training_data(
        &self,
        model: &Model,
        discriminator: &Discriminator,
        data: Option<&str>,
        device: &Device,
    ) -> anyhow::Result<(Discriminator, NormStatisticsSource)> {
        self.check()?;
        let config = model.config();
        let open = |source: &str| -> anyhow::Result<Dataset> {
            Ok(Dataset::open(&Source::from(source), config.pictures(), model.provenance.seed)?)
        };
        let measured = match (data, model.provenance.source()) {
            _ if self.running_stats => Err(None),
            (Some(data), _) => Ok(self.on_data(vec![discriminator.clone()], &open(data)?, device)?),
            (None, Some(source)) => {
                open(source).and_then(|data| self.on_data(vec![discriminator.clone()], &data, device)).map_err(
                    |error| Some(format!("its training pictures cannot be read ({error:#}); give others with --data")),
                )
            }
            (None, None) => Err(Some("its training data is unknown; give pictures with --data".to_owned())),
        };
        Ok(match measured {
            Ok((mut networks, statistics)) => (networks.remove(0), statistics),
            Err(reason) => {
                let statistics = NormStatisticsSource::Running { reason: reason.clone() };
                if reason.is_some() {
                    tracing::warn!("the discriminator uses the {statistics}");
                }
                (discriminator.clone(), statistics)
            }
        })
    }
}
