//! What commands that look inside the networks have in common.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use burn::tensor::Device;
use indicatif::{ProgressBar, ProgressStyle};

use crate::data::{Dataset, Source};
use crate::dissect::calibration::{Calibration, NormStatistics};
use crate::model::{Ablation, Discriminator, Model, ModelConfig};

/// Which hidden layer of the generator, as the command line names it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum LayerName {
    /// Its number, 0 the projection.
    Number(usize),
    /// The side of its maps: `16x16`.
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
            _ => {
                Err(format!("{text:?} is no layer; name it project, up1, up2 ... or by its maps' size, such as 16x16"))
            }
        }
    }
}

impl LayerName {
    /// The hidden layer's number.
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
                bail!("this generator has no such hidden layer; there are {}", named(&all))
            }
            _ => bail!("several hidden layers have maps of that size; name one of {}", named(&found)),
        }
    }
}

/// Ablations that are to act, from a file that `forget --save-ablation` wrote.
#[derive(clap::Args, Debug, Clone, Default)]
pub(super) struct Ablated {
    /// Draw without these filters: a file that `forget --save-ablation` wrote
    #[arg(long, value_name = "FILE")]
    ablation: Option<PathBuf>,
}

impl Ablated {
    pub fn read(&self, config: &ModelConfig) -> anyhow::Result<Vec<Ablation>> {
        let Some(path) = &self.ablation else { return Ok(Vec::new()) };
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let ablations: Vec<Ablation> = serde_json::from_str(&text).with_context(|| {
            format!("{} is no file of ablations as forget --save-ablation writes them", path.display())
        })?;
        for ablation in &ablations {
            ablation.check(config).with_context(|| path.display().to_string())?;
        }
        Ok(ablations)
    }
}

/// Writes ablations for [`Ablated`].
pub(super) fn write_ablations(path: &Path, ablations: &[Ablation]) -> anyhow::Result<()> {
    let json = serde_json::to_vec_pretty(ablations)?;
    crate::files::write(path, |file| std::io::Write::write_all(file, &json)).with_context(|| path.display().to_string())
}

/// Which batch-norm statistics the discriminator uses. The choice changes every response.
#[derive(clap::Args, Debug, Clone)]
pub(super) struct Normed {
    /// Judge with the running batch-norm statistics of the training, which mix real and generated pictures, instead of those of
    /// real pictures
    #[arg(long)]
    running_stats: bool,
    /// Refused: it was how every response came to depend on the other pictures
    #[arg(long, hide = true)]
    batch_stats: bool,
}

impl Normed {
    /// Refuses statistics under which a picture's responses depend on the others.
    fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            !self.batch_stats,
            "--batch-stats would make each picture's responses depend on the other pictures; leave it out for batch-norm \
             statistics of real pictures, or use --running-stats for those of the training"
        );
        Ok(())
    }

    /// `networks` with the statistics of pictures of `data`, which was named on the command line.
    ///
    /// # Errors
    /// If none of the pictures can be read, or the device fails.
    pub fn on_data(
        &self,
        networks: Vec<Discriminator>,
        data: &Dataset,
        device: &Device,
    ) -> anyhow::Result<(Vec<Discriminator>, NormStatistics)> {
        self.check()?;
        if self.running_stats {
            return Ok((networks, NormStatistics::Running { reason: None }));
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
        Ok((networks, NormStatistics::Data { data: data.source().to_string(), pictures }))
    }

    /// The model's discriminator with the statistics of pictures of `data`, or else of what the model was trained on. Where that
    /// is unknown or gone it keeps the running statistics, and says why.
    ///
    /// # Errors
    /// If `data` was named and cannot be read, or the device fails.
    pub fn on_training_data(
        &self,
        model: &Model,
        judge: &Discriminator,
        data: Option<&str>,
        device: &Device,
    ) -> anyhow::Result<(Discriminator, NormStatistics)> {
        self.check()?;
        let config = model.config();
        let open = |source: &str| -> anyhow::Result<Dataset> {
            Ok(Dataset::open(&Source::parse(source)?, config.pictures(), model.provenance.seed)?)
        };
        let measured = match (data, model.provenance.source()) {
            _ if self.running_stats => Err(None),
            (Some(data), _) => Ok(self.on_data(vec![judge.clone()], &open(data)?, device)?),
            (None, Some(source)) => {
                open(source).and_then(|data| self.on_data(vec![judge.clone()], &data, device)).map_err(|error| {
                    Some(format!("its training pictures cannot be read ({error:#}); name others with --data"))
                })
            }
            (None, None) => Err(Some("what it was trained on is not known; name its pictures with --data".to_owned())),
        };
        Ok(match measured {
            Ok((mut networks, statistics)) => (networks.remove(0), statistics),
            Err(reason) => {
                let statistics = NormStatistics::Running { reason: reason.clone() };
                if reason.is_some() {
                    tracing::warn!("the discriminator uses the {statistics}");
                }
                (judge.clone(), statistics)
            }
        })
    }
}

/// A bar on standard error, where that is a terminal.
pub(super) fn bar(length: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>24} {bar:24} {pos}/{len}");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message(what)
}
