//! `zscape arithmetic`: vector arithmetic on samples in latent space (section 6.3.2).

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use super::score::ScoreArgs;
use super::{Exploration, ModelArgs, NumberList, outputs};
use crate::image::grid;
use crate::latent;
use crate::latent::arithmetic::{self, ArithmeticResult, Term};

#[derive(Args, Debug)]
pub(super) struct ArithmeticArgs {
    #[command(flatten)]
    model_args: ModelArgs,
    /// Samples whose average is added, such as 3,17,42; can be repeated
    #[arg(long, value_name = "NUMBERS", required_unless_present_any = ["from", "session", "score"])]
    plus: Vec<NumberList>,
    /// Samples whose average is subtracted; can be repeated
    #[arg(long, value_name = "NUMBERS")]
    minus: Vec<NumberList>,
    /// Turn vector (figure 8), instead of arithmetic: from the average of these samples ...
    #[arg(long, value_name = "NUMBERS", requires = "to", conflicts_with_all = ["plus", "minus"])]
    from: Option<NumberList>,
    /// ... to the average of these; it is applied to --on
    #[arg(long, value_name = "NUMBERS", requires = "from")]
    to: Option<NumberList>,
    /// Replay the session's turn vector instead of its arithmetic
    #[arg(long, requires = "session", conflicts_with_all = ["plus", "minus", "from"])]
    turn: bool,
    /// Samples that the turn vector is applied to, one row each
    #[arg(long, value_name = "NUMBERS", default_value = "0,1,2,3,4")]
    on: NumberList,
    /// Pictures per row of the turn
    #[arg(long, default_value_t = 11)]
    steps: usize,
    /// Normalize the result to the typical norm of the prior before generating its picture
    #[arg(long)]
    normalise: bool,
    /// Below the result, show the same arithmetic on the feature maps of each hidden layer
    #[arg(long, conflicts_with_all = ["from", "turn", "score"])]
    maps: bool,
    /// Figure to write, as .png, .jpg, .webp, .bmp or .tif
    #[arg(long, value_name = "FIGURE.png", value_parser = outputs::picture, required_unless_present = "score")]
    out: Option<PathBuf>,
    #[command(flatten)]
    score: ScoreArgs,
}

impl ArithmeticArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let exploration = self.model_args.open()?;
        if self.score.requested() {
            return self.score.run(&exploration, &self.model_args.common, self.out.as_deref());
        }
        let out = self.out.as_deref().context("give the figure's file with --out")?;
        let generate = |z: &[Vec<f32>]| exploration.generate(z);
        if let Some(rows) = self.turn_rows(&exploration)? {
            grid(&generate(&rows.concat())?, self.steps.max(2), 2).write(out)?;
            let summary = serde_json::json!({ "out": out, "rows": rows.len(), "steps": self.steps.max(2) });
            return self.model_args.common.print(&summary, || format!("{} rows in {}", rows.len(), out.display()));
        }
        let prior = exploration.model.config().prior;
        let inside = self.normalise || exploration.session.as_ref().is_some_and(|session| session.normalize);
        let sum = ArithmeticResult::new(self.terms(&exploration), prior, inside, exploration.seed)?;
        let (exemplars, averages, neighbors) =
            (generate(&sum.exemplars())?, generate(&sum.averages)?, generate(&sum.neighbors)?);
        let Some(mut figure) = sum.figure(&exemplars, &averages, &neighbors) else {
            bail!("no samples to add: give --plus")
        };
        if self.maps {
            let (generator, device) = (&exploration.model.generator, &exploration.compute.device);
            for layer in 0..exploration.model.config().stages() {
                figure.maps.extend(latent::generate_from_feature_sums(generator, &[&sum.terms], layer, device)?);
            }
        }
        figure.render().write(out)?;
        let ArithmeticResult { norm_fit: fit, z, .. } = sum;
        let summary = serde_json::json!({ "out": out, "fit": fit, "normalised": inside, "z": z });
        self.model_args.common.print(&summary, || {
            let warning = match (fit.is_outlier(), inside) {
                (true, false) => "; this is outside the prior that the generator was trained on: use --normalise",
                _ => "",
            };
            format!(
                "{}: the result has norm {:.2}, typical of the prior is {:.2} ({:+.1} standard deviations){warning}",
                out.display(),
                fit.norm,
                fit.expected,
                fit.deviations
            )
        })
    }

    /// The z's of the turn's rows, if a turn is requested.
    fn turn_rows(&self, exploration: &Exploration) -> anyhow::Result<Option<Vec<Vec<Vec<f32>>>>> {
        let (config, steps) = (exploration.model.config(), self.steps.max(2));
        let samples = |numbers: &NumberList| exploration.samples(numbers.0.iter().copied());
        Ok(match (&self.from, &self.to, &exploration.session) {
            (Some(from), Some(to), _) => {
                Some(arithmetic::turn_rows(&samples(from), &samples(to), &samples(&self.on), steps)?)
            }
            (_, _, Some(session)) if self.turn => Some(session.turn_rows(config, steps)?),
            _ => None,
        })
    }

    /// The terms in the paper's order: the first added one, the subtracted ones, the other added ones.
    fn terms(&self, exploration: &Exploration) -> Vec<Term> {
        if let (Some(session), []) = (&exploration.session, &self.plus[..]) {
            return session.terms(exploration.model.config());
        }
        let term = |minus: bool, numbers: &NumberList| Term {
            minus,
            exemplars: exploration.samples(numbers.0.iter().copied()),
        };
        let (first, rest) = self.plus.split_at(self.plus.len().min(1));
        let added = first.iter().map(|numbers| term(false, numbers));
        let subtracted = self.minus.iter().map(|numbers| term(true, numbers));
        added.chain(subtracted).chain(rest.iter().map(|numbers| term(false, numbers))).collect()
    }
}
