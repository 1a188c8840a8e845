//! `zscape arithmetic`.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use super::score::Score;
use super::{Exploration, Explored, Numbers, outputs};
use crate::image::grid;
use crate::latent;
use crate::latent::arithmetic::{self, Sum, Term};

#[derive(Args, Debug)]
pub(super) struct Arithmetic {
    #[command(flatten)]
    explored: Explored,
    /// Samples whose average is added, such as 3,17,42; may be given several times
    #[arg(long, value_name = "NUMBERS", required_unless_present_any = ["from", "session", "score"])]
    plus: Vec<Numbers>,
    /// Samples whose average is taken away; may be given several times
    #[arg(long, value_name = "NUMBERS")]
    minus: Vec<Numbers>,
    /// Instead: the turn of figure 8, from the average of these samples ...
    #[arg(long, value_name = "NUMBERS", requires = "to", conflicts_with_all = ["plus", "minus"])]
    from: Option<Numbers>,
    /// ... to the average of these, applied to --on
    #[arg(long, value_name = "NUMBERS", requires = "from")]
    to: Option<Numbers>,
    /// Replay the session's turn instead of its sum
    #[arg(long, requires = "session", conflicts_with_all = ["plus", "minus", "from"])]
    turn: bool,
    /// Samples that the turn is applied to, a row each
    #[arg(long, value_name = "NUMBERS", default_value = "0,1,2,3,4")]
    on: Numbers,
    /// Pictures in a row of the turn
    #[arg(long, default_value_t = 11)]
    steps: usize,
    /// Bring the result back to the prior's length before drawing
    #[arg(long)]
    normalise: bool,
    /// Beneath the sum, the same with the feature maps of each hidden layer, from the first to the last
    #[arg(long, conflicts_with_all = ["from", "turn", "score"])]
    maps: bool,
    /// The figure, as .png, .jpg, .webp, .bmp or .tif
    #[arg(long, value_name = "FIGURE.png", value_parser = outputs::picture, required_unless_present = "score")]
    out: Option<PathBuf>,
    #[command(flatten)]
    score: Score,
}

impl Arithmetic {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let exploration = self.explored.open()?;
        if self.score.asked() {
            return self.score.run(&exploration, &self.explored.common, self.out.as_deref());
        }
        let out = self.out.as_deref().context("name the figure's file with --out")?;
        let draw = |z: &[Vec<f32>]| exploration.draw(z);
        if let Some(rows) = self.turned(&exploration)? {
            grid(&draw(&rows.concat())?, self.steps.max(2), 2).write(out)?;
            let summary = serde_json::json!({ "out": out, "rows": rows.len(), "steps": self.steps.max(2) });
            return self.explored.common.print(&summary, || format!("{} rows in {}", rows.len(), out.display()));
        }
        let prior = exploration.model.config().prior;
        let inside = self.normalise || exploration.session.as_ref().is_some_and(|session| session.inside);
        let sum = Sum::new(self.terms(&exploration), prior, inside, exploration.seed)?;
        let (exemplars, averages, around) = (draw(&sum.exemplars())?, draw(&sum.averages)?, draw(&sum.around)?);
        let Some(mut figure) = sum.figure(&exemplars, &averages, &around) else { bail!("there is nothing to add up") };
        if self.maps {
            let (generator, device) = (&exploration.model.generator, &exploration.compute.device);
            for layer in 0..exploration.model.config().stages() {
                figure.maps.extend(latent::in_maps(generator, &[&sum.terms], layer, device)?);
            }
        }
        figure.sheet().write(out)?;
        let Sum { fit, z, .. } = sum;
        let summary = serde_json::json!({ "out": out, "fit": fit, "normalised": inside, "z": z });
        self.explored.common.print(&summary, || {
            let warning = match (fit.outside(), inside) {
                (true, false) => "; this is outside what the generator was trained on: --normalise brings it back",
                _ => "",
            };
            format!(
                "{}: the result is {:.2} long where the prior's z's are {:.2} ({:+.1} standard deviations){warning}",
                out.display(),
                fit.norm,
                fit.expected,
                fit.deviations
            )
        })
    }

    /// The turn's rows, if a turn is wanted.
    fn turned(&self, exploration: &Exploration) -> anyhow::Result<Option<Vec<Vec<Vec<f32>>>>> {
        let (config, steps) = (exploration.model.config(), self.steps.max(2));
        let samples = |numbers: &Numbers| exploration.samples(numbers.0.iter().copied());
        Ok(match (&self.from, &self.to, &exploration.session) {
            (Some(from), Some(to), _) => {
                Some(arithmetic::turn(&samples(from), &samples(to), &samples(&self.on), steps)?)
            }
            (_, _, Some(session)) if self.turn => Some(session.turned(config, steps)?),
            _ => None,
        })
    }

    /// The first sum, then what is taken away, then what is added again: the paper's order.
    fn terms(&self, exploration: &Exploration) -> Vec<Term> {
        if let (Some(session), []) = (&exploration.session, &self.plus[..]) {
            return session.terms(exploration.model.config());
        }
        let term =
            |minus: bool, numbers: &Numbers| Term { minus, exemplars: exploration.samples(numbers.0.iter().copied()) };
        let (first, rest) = self.plus.split_at(self.plus.len().min(1));
        let added = first.iter().map(|numbers| term(false, numbers));
        let taken = self.minus.iter().map(|numbers| term(true, numbers));
        added.chain(taken).chain(rest.iter().map(|numbers| term(false, numbers))).collect()
    }
}
