//! `zscape arithmetic --score`: measures how often vector arithmetic works.

use std::fmt::Write;
use std::path::Path;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{CommonArgs, Exploration};
use crate::evaluate::faces::triples::AttributeOutcomes;
use crate::evaluate::faces::{
    ArithmeticSpace, Attribute, AttributeClassifierSettings, AttributeCounts, ScoreReport, ScoreSettings, ScoreStage,
    figure, score,
};
use crate::evaluate::statistics::{Estimate, Proportion};

#[derive(Args, Debug)]
#[command(next_help_heading = "Score")]
pub(super) struct ScoreArgs {
    /// Measure how often arithmetic works on a model of synth:faces, instead of showing one result
    ///
    /// A small classifier is trained to recognize smile, glasses, beard, hair style, skin (light or dark) and pose
    /// (left or right) on rendered faces, whose attributes are known. A triple consists of two attributes with two
    /// values each: A has the target value and one base value ("smile, no beard"), B only the base ("no smile, no
    /// beard"), C the other base ("no smile, beard"). Exemplars are chosen at random among samples for which the
    /// classifier is confident in both attributes. A - B + C succeeds if the classifier finds the target value in it
    /// ("smile": obtained), and the base of C ("beard") and every other attribute that is confident and equal in all
    /// exemplars of C (preserved). Results with a single exemplar are measured the same way. For comparison, the same
    /// arithmetic is done on pixels, and on the feature maps of each hidden layer. Intervals are 95 %: Wilson's for
    /// shares, bootstrap over turn vectors for the correlation.
    ///
    /// The turn vector goes from four samples that face left to four that face right, and is applied to five samples
    /// in eleven steps.
    #[arg(long, conflicts_with_all = ["plus", "minus", "from", "to", "session"])]
    score: bool,
    /// Number of triples
    #[arg(long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..), requires = "score")]
    triples: u16,
    /// Exemplars averaged per concept, compared with a single one; the paper averages three
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u16).range(2..=100), requires = "score")]
    exemplars: u16,
    /// Number of turn vectors
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..), requires = "score")]
    turns: u16,
    /// Samples from which exemplars are chosen
    #[arg(long, value_name = "COUNT", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=65_536), requires = "score")]
    pool: u32,
    /// Training steps of the classifier
    #[arg(long, value_name = "STEPS", default_value_t = 700, value_parser = clap::value_parser!(u16).range(1..), requires = "score")]
    fit_steps: u16,
    /// Probability from which on the classifier is confident
    #[arg(long, value_name = "P", default_value_t = 0.95, requires = "score")]
    sure: f32,
    /// Triples in the figure --out
    #[arg(long, value_name = "COUNT", default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=100), requires = "score")]
    rows: u16,
}

impl ScoreArgs {
    pub(super) fn requested(&self) -> bool {
        self.score
    }

    pub(super) fn run(&self, exploration: &Exploration, common: &CommonArgs, out: Option<&Path>) -> anyhow::Result<()> {
        let settings = ScoreSettings {
            triples: self.triples.into(),
            exemplars: self.exemplars.into(),
            turns: self.turns.into(),
            samples: self.pool as usize,
            seed: exploration.seed,
            classifier: AttributeClassifierSettings {
                steps: self.fit_steps.into(),
                confidence: self.sure,
                seed: exploration.seed,
                ..AttributeClassifierSettings::default()
            },
        };
        let bar = ProgressBar::new(0);
        bar.set_style(ProgressStyle::with_template("{msg:24} {bar:30} {pos}/{len} {eta} left")?);
        bar.set_message("rendering faces");
        let report = score(&exploration.model, settings, &exploration.compute.device, &mut |stage, done, of| {
            let message = match stage {
                ScoreStage::TrainingClassifier => "training the classifier",
                ScoreStage::Sampling => "generating samples",
                ScoreStage::Arithmetic => "doing arithmetic",
                ScoreStage::Turning => "turning heads",
            };
            if bar.message() != message {
                bar.reset();
                bar.set_message(message);
            }
            bar.set_length(of as u64);
            bar.set_position(done as u64);
        });
        bar.finish_and_clear();
        let report = report?;
        let rows = usize::from(self.rows);
        if let Some(out) = out {
            figure(&report, rows).write(out)?;
        }
        common.print(&report, || text(&report, out.map(|out| (out, rows))))
    }
}

fn text(report: &ScoreReport, out: Option<(&Path, usize)>) -> String {
    let mut text = String::new();
    let mut line = |written: String| {
        let _ = writeln!(text, "{written}");
    };
    line(format!(
        "The classifier on {} test faces: accuracy on rendered faces, on corrupted ones, and on corrupted ones where it is confident",
        report.classifier.faces
    ));
    for accuracy in &report.classifier.by_attribute {
        let correlation = accuracy.correlation.map_or(String::new(), |r| format!("   correlation {r:.3}"));
        let shares =
            [accuracy.clean, accuracy.corrupted, accuracy.confident].map(|share| format!("{:>8}", percent(share)));
        line(format!("  {:<8} {}{correlation}", accuracy.attribute.name(), shares.concat()));
    }
    line(format!(
        "\nIts output on {} samples of seed {}: share that is confident, accuracy of linear probes in Z on those, and the values",
        report.settings.samples, report.settings.seed
    ));
    for AttributeCounts { attribute, confident, values, linear } in &report.attributes {
        let named = attribute.values().iter().zip(values);
        let named: Vec<_> = named.map(|(name, count)| format!("{name} {count}")).collect();
        let linear = percent(linear.unwrap_or_default());
        line(format!("  {:<8} {:>7} {linear:>7}   {}", attribute.name(), percent(*confident), named.join(", ")));
    }
    line(format!(
        "\n{} triples over {} of 30 pairs of attributes: shares with 95 % intervals",
        report.triples.len(),
        report.pairs
    ));
    line(format!("  {:<42} {:<23} {:<23} {}", "", "target obtained", "others preserved", "both: success"));
    for scored in &report.scores {
        let plural = if scored.exemplars == 1 { "" } else { "s" };
        line(format!(
            "  {:<42} {:<23} {:<23} {}",
            format!("{} exemplar{plural}, {}", scored.exemplars, scored.space.name()),
            interval(scored.counts.obtained),
            interval(scored.counts.kept),
            interval(scored.counts.success)
        ));
    }
    let exemplars = report.settings.exemplars;
    line(format!(
        "\nBy attribute, {exemplars} exemplars in Z: obtained as target, preserved as base, preserved where C's exemplars agree"
    ));
    if let Some(scored) =
        report.scores.iter().find(|scored| scored.exemplars == exemplars && scored.space == ArithmeticSpace::Z)
    {
        for AttributeOutcomes { attribute, obtained, base, other } in &scored.counts.by_attribute {
            let counts = [obtained, base, other].map(|share| format!("{:>7} of {:<4}", percent(*share), share.total));
            line(format!("  {:<8} {}", attribute.name(), counts.join("")));
        }
    }
    match &report.turn {
        None => line("\nThe turn: fewer than four samples face one of the sides".to_owned()),
        Some(turn) => {
            let Estimate { value, low, high } = turn.correlation;
            line(format!(
                "\nThe turn: correlation with the position along the vector {value:.3} ({low:.3} to {high:.3}), {} rows of {} \
                 vectors; {} of the rows at 0.9 or more; mean pose from {:.2} to {:.2}",
                turn.rows,
                turn.trials,
                percent(turn.even),
                turn.path.first().copied().unwrap_or_default(),
                turn.path.last().copied().unwrap_or_default(),
            ));
        }
    }
    if let Some((out, rows)) = out {
        let names = Attribute::ALL.map(Attribute::name).join(", ");
        line(format!(
            "\n{}: exemplars of A, B and C; results in Z and in pixels with one exemplar, then with {exemplars}. Dots: {names}; \
             green right, red wrong, gray not required. Then a turn. The rows:",
            out.display()
        ));
        for triple in report.triples.iter().take(rows) {
            line(format!("  {}", triple.concepts.name()));
        }
    }
    text
}

fn percent(share: Proportion) -> String {
    share.wilson().map_or("-".to_owned(), |share| format!("{:.1} %", share.value * 1e2))
}

fn interval(share: Proportion) -> String {
    let format =
        |Estimate { value, low, high }| format!("{:.1} % ({:.1} to {:.1})", value * 1e2, low * 1e2, high * 1e2);
    share.wilson().map_or("-".to_owned(), format)
}
