//! What commands that look inside the networks have in common.

use std::path::{Path, PathBuf};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use crate::model::{Ablation, ModelConfig, Statistics};

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
        let found = all.clone().find(|&layer| match self {
            Self::Number(number) => layer == *number,
            Self::Side(side) => config.start() << layer == *side,
        });
        found.with_context(|| {
            let names: Vec<_> = all.map(|layer| layer_name(config, layer)).collect();
            format!("this generator has no such hidden layer; there are {}", names.join(", "))
        })
    }
}

/// A hidden layer of the generator for people: its name, maps and size.
pub(super) fn layer_name(config: &ModelConfig, layer: usize) -> String {
    let name = if layer == 0 { "project".to_owned() } else { format!("up{layer}") };
    format!("{name} ({} maps of {1}x{1})", config.maps(layer), 4usize << layer)
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

/// Which statistics the discriminator's batch norm uses. The choice changes every response.
#[derive(clap::Args, Debug, Clone)]
pub(super) struct Normed {
    /// Judge with the batch's own statistics: a picture's responses then depend on the others
    #[arg(long, conflicts_with = "running_stats")]
    batch_stats: bool,
    /// Judge with the running statistics of the training
    #[arg(long)]
    running_stats: bool,
}

impl Normed {
    pub fn choose(&self, config: &ModelConfig) -> Statistics {
        match (self.batch_stats, self.running_stats) {
            (true, _) => Statistics::Batch,
            (_, true) => Statistics::Running,
            _ => config.sampling,
        }
    }
}

/// A bar on standard error, where that is a terminal.
pub(super) fn bar(length: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>24} {bar:24} {pos}/{len}");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message(what)
}
