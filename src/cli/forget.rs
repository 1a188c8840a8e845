//! `zscape forget`: drops the filters that draw an object (section 6.3.1).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;

use super::dissect::{LayerName, bar, write_ablations};
use super::{Exploration, Explored, outputs};
use crate::dissect::effect::{Dose, Effect, Trial, dose, doses};
use crate::dissect::figure::{Parts, ROWS, figure};
use crate::dissect::object::{Activations, Found, find, fit_everything};
use crate::dissect::segment::Finder;
use crate::image::{Area, Picture};
use crate::latent::boxes::{Boxes, Forgetting, SAMPLES};
use crate::model::Ablation;

/// Number of the first z that a score is measured on: far from any that filters are found with.
const FRESH: u64 = 1_000_000;
/// Fresh z's that a dose-response curve is measured on.
const DOSED: usize = 200;
/// Samples that the window shows with and without.
const TOGGLED: usize = 64;
/// Random controls that a score averages.
const CONTROLS: u64 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Object {
    Windows,
}

#[derive(Args, Debug)]
pub(super) struct Forget {
    #[command(flatten)]
    explored: Explored,
    /// The hidden layer: up1, or 8x8; the paper's "second highest" is 16x16 or, counting the projection, 8x8 [default: 8x8]
    #[arg(long)]
    layer: Option<LayerName>,
    /// Boxes over the object on some samples, a JSON file: {"size": 64, "seed": 1, "boxes": {"3": [[10, 8, 26, 24]]}}
    #[arg(long, value_name = "BOXES.json")]
    boxes: Option<PathBuf>,
    /// Masks instead of boxes: a folder of grey pictures NUMBER.png, bright where the object is
    #[arg(long, value_name = "DIR", conflicts_with = "boxes")]
    masks: Option<PathBuf>,
    /// Find the object without boxes, and measure what of it is removed
    #[arg(long, value_enum)]
    find: Option<Object>,
    /// What finds windows, as `zscape finder` writes it, instead of the one that comes with the program
    #[arg(long, value_name = "FILE")]
    finder: Option<PathBuf>,
    /// Samples that are looked at, from number 0 on
    #[arg(long, default_value_t = SAMPLES, value_parser = clap::value_parser!(u64).range(1..))]
    samples: u64,
    /// Use only the first N samples that show the object; the paper has 52 of 150
    #[arg(long, value_name = "N")]
    boxed: Option<usize>,
    /// Drop the K filters of the largest weights, instead of all with a positive one as the paper does
    #[arg(long, value_name = "K")]
    top: Option<usize>,
    /// Multiply filters by this instead of dropping them
    #[arg(long, default_value_t = 0.0)]
    gain: f32,
    /// Write the boxes that were found
    #[arg(long, value_name = "BOXES.json", requires = "find")]
    save_boxes: Option<PathBuf>,
    /// Write the ablation, for --ablation of the other commands
    #[arg(long, value_name = "FILE.json")]
    save_ablation: Option<PathBuf>,
    /// Measure on fresh z's what is removed, what else changes, and how the controls compare
    #[arg(long)]
    score: bool,
    /// Fresh z's that the score is measured on
    #[arg(long, default_value_t = 1000, requires = "score")]
    count: usize,
    /// Samples in a row of the figure: half that the filters were found with, and half fresh ones
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(2..=64))]
    columns: u16,
    /// The figure, as .png, .jpg, .webp, .bmp or .tif: samples, the same without the object's filters, without random and without equally loud ones. On the
    /// left are samples that the filters were found with, on the right fresh ones that nobody chose, as its headings say
    #[arg(long, value_name = "FIGURE.png", value_parser = outputs::picture, required_unless_present = "score")]
    out: Option<PathBuf>,
}

impl Forget {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let exploration = self.explored.open()?;
        let (model, device) = (&exploration.model, &exploration.compute.device);
        let config = model.config().clone();
        let kept = exploration.session.as_ref().map(|session| session.forget.clone());
        let mut forgetting = kept.clone().unwrap_or_default();
        if kept.is_none() {
            forgetting.gain = self.gain;
            forgetting.samples = self.samples;
        }
        if let Some(name) = &self.layer {
            forgetting.layer = Some(name.find(&config)?);
        }
        if self.top.is_some() {
            forgetting.top = self.top;
        }
        let layer = forgetting.layer(&config);
        let looks = self.find.is_some() || self.score;
        let finder = match &self.finder {
            _ if !looks => None,
            Some(path) => Some(Finder::open(path, device)?),
            None => Some(Finder::bundled(device)?),
        };
        if finder.is_some() && model.provenance.data != "synth:rooms" {
            tracing::warn!(
                "windows are looked for as rooms of synth:rooms have them; this model learnt from {}",
                model.provenance.data
            );
        }
        let Marked { seed, z, objects } = self.objects(&exploration, &forgetting, finder.as_ref())?;
        let began = Instant::now();
        let activations = Activations::of(&model.generator, &z, layer, device)?;
        let drawn = began.elapsed();
        let found = find(&activations, &objects, exploration.seed)?;
        let fitted = began.elapsed() - drawn;
        let ablation = forgetting.ablation(&config, &found.ranked(), found.positive());
        if ablation.gains.is_empty() {
            bail!("no filter is chosen: --top is 0, or no filter has a positive weight");
        }
        if let Some(path) = &self.save_ablation {
            write_ablations(path, std::slice::from_ref(&ablation))?;
        }
        let (chosen, parts) = self.shown(&objects, z.len() as u64);
        if let Some(out) = &self.out {
            let z = crate::latent::samples(&config, seed, chosen.iter().copied());
            let trial = Trial::new(&model.generator, z, None, None, device)?;
            let mut rows = vec![(ROWS[0], trial.before.clone())];
            let ablations = [ablation.clone(), control(&found, &ablation, Some(1)), control(&found, &ablation, None)];
            for (name, ablation) in ROWS[1..].iter().zip(ablations) {
                rows.push((name, trial.draw(&ablation)?));
            }
            figure(&rows, &parts)?.write(out)?;
        }
        let score = match &finder {
            Some(finder) if self.score => {
                let began = Instant::now();
                fit_everything(&activations, &objects);
                let whole = began.elapsed().as_secs_f64();
                Some(Score { whole_fit_seconds: whole, ..self.score(&exploration, &found, &ablation, finder)? })
            }
            _ => None,
        };
        let summary = serde_json::json!({
            "out": self.out, "layer": layer, "maps": config.maps(layer), "side": found.side,
            "statistics": config.sampling, "pictures": found.pictures, "unused": found.unused,
            "on": found.on, "off": found.off, "auc": found.auc,
            "fitted": &chosen[..parts.fitted], "fresh": &chosen[parts.fitted..],
            "fit_seconds": fitted.as_secs_f64(), "dropped": ablation.gains.keys().collect::<Vec<_>>(),
            "filters": found.filters, "score": score,
        });
        self.explored.common.print(&summary, || {
            let auc = match found.auc {
                Some(auc) => format!("held-out AUC {auc:.3}"),
                None => "no AUC: one picture cannot be held out".to_owned(),
            };
            let mut text = format!(
                "{}: {auc}, from {} pictures with the object ({} places on it, {} off), fitted in {:.2} s\n\
                 {} of {} filters have positive weights; {} dropped",
                config.layer_name(layer),
                found.pictures,
                found.on,
                found.off,
                fitted.as_secs_f64(),
                found.positive(),
                found.filters.len(),
                ablation.gains.len(),
            );
            if found.unused > 0 {
                text += &format!("\n{} pictures that do not show the object are not used", found.unused);
            }
            let dead = found.filters.iter().filter(|filter| filter.mean == 0.0).count();
            if dead > 0 {
                text += &format!("\n{dead} filters are never active on these samples and tell nothing");
            }
            if let Some(score) = &score {
                text += &format!("\n{}", score.text());
            }
            if let Some(out) = &self.out {
                let (rows, [fitted, fresh]) = (ROWS.join(", "), parts.headings());
                text += &format!("\n{}: {rows}\n  left, {fitted}\n  right, {fresh}", out.display());
            }
            text
        })
    }

    /// The samples' z's, and where the object is on those that were looked at.
    fn objects(
        &self,
        exploration: &Exploration,
        forgetting: &Forgetting,
        finder: Option<&Finder>,
    ) -> anyhow::Result<Marked> {
        let config = exploration.model.config();
        let mut seed = exploration.seed;
        let mut objects = BTreeMap::new();
        if let Some(path) = &self.boxes {
            let boxes = Boxes::read(path)?;
            boxes.check(config).with_context(|| path.display().to_string())?;
            (seed, objects) = (boxes.seed, boxes.areas());
        } else if let Some(folder) = &self.masks {
            objects = masks(folder, config.size, forgetting.samples)?;
        } else if self.find.is_none() && !forgetting.boxes.boxes.is_empty() {
            (seed, objects) = (forgetting.boxes.seed, forgetting.boxes.areas());
        } else if self.find.is_none() {
            bail!("name --boxes, --masks, a --session with boxes, or let the program look with --find windows");
        }
        let z = crate::latent::samples(config, seed, 0..forgetting.samples);
        if let (true, Some(finder)) = (objects.is_empty() && self.find.is_some(), finder) {
            let areas = finder.areas(&exploration.draw(&z)?)?;
            // As a person would have drawn them: boxes, not outlines.
            let rectangles = areas.iter().map(|area| area.boxes(1));
            let boxes = Boxes { size: config.size, seed, boxes: (0..).zip(rectangles).collect() };
            if boxes.marked() == 0 {
                bail!("no window was found on {} samples; was this model trained on rooms?", z.len());
            }
            if let Some(path) = &self.save_boxes {
                boxes.write(path)?;
            }
            objects = boxes.areas();
        }
        if let Some(most) = self.boxed {
            let kept = objects.iter().filter(|(_, area)| !area.is_empty()).take(most);
            objects = kept.map(|(&number, area)| (number, area.clone())).collect();
        }
        Ok(Marked { seed, z, objects })
    }

    /// The samples of the figure's columns, and which of them the filters were found with. The fresh ones are the first after
    /// all `looked_at`.
    fn shown(&self, objects: &BTreeMap<u64, Area>, looked_at: u64) -> (Vec<u64>, Parts) {
        let columns = u64::from(self.columns);
        let shows = objects.iter().filter(|(_, area)| !area.is_empty()).map(|(&number, _)| number);
        let mut chosen: Vec<u64> = shows.take(columns.div_ceil(2) as usize).collect();
        let parts = Parts { fitted: chosen.len(), fresh: looked_at..looked_at + columns / 2 };
        chosen.extend(parts.fresh.clone());
        (chosen, parts)
    }

    fn score(
        &self,
        exploration: &Exploration,
        found: &Found,
        ablation: &Ablation,
        finder: &Finder,
    ) -> anyhow::Result<Score> {
        let device = &exploration.compute.device;
        let z = exploration.samples(FRESH..FRESH + self.count as u64);
        let doses = doses(found.positive().max(ablation.gains.len()));
        let bar = bar(CONTROLS + 3 + doses.len() as u64, "measuring");
        let few = z[..z.len().min(DOSED)].to_vec();
        let toggled = Trial::new(&exploration.model.generator, z[..z.len().min(TOGGLED)].to_vec(), None, None, device)?;
        let began = Instant::now();
        toggled.draw(ablation)?;
        let toggle_ms = began.elapsed().as_secs_f64() * 1e3;
        let trial = Trial::new(&exploration.model.generator, z, None, Some(finder), device)?;
        let under = |ablation: &Ablation| {
            bar.inc(1);
            trial.effect(ablation)
        };
        let dropped = under(ablation)?;
        let random =
            (1..=CONTROLS).map(|seed| under(&control(found, ablation, Some(seed)))).collect::<Result<Vec<_>, _>>()?;
        let matched = under(&control(found, ablation, None))?;
        let small = Trial::new(&exploration.model.generator, few, None, Some(finder), device)?;
        let mut curve = Vec::new();
        for count in doses {
            curve.push(dose(&small, found, ablation, count, 1)?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        let windows = trial.objects.iter().filter(|area| !area.is_empty()).count();
        Ok(Score {
            fresh: self.count,
            windows,
            dropped,
            random: mean(&random),
            matched,
            curve,
            toggle_ms,
            whole_fit_seconds: 0.0,
        })
    }
}

/// What filters are found with.
struct Marked {
    /// The samples' seed.
    seed: u64,
    /// Their z's, from number 0 on.
    z: Vec<Vec<f32>>,
    /// By number, where the object is on those that were looked at.
    objects: BTreeMap<u64, Area>,
}

/// The same ablation of as many other filters: random ones of a seed, or the nearest in mean activation.
fn control(found: &Found, ablation: &Ablation, seed: Option<u64>) -> Ablation {
    let chosen: Vec<usize> = ablation.gains.keys().copied().collect();
    ablation.of(&match seed {
        Some(seed) => found.random(&chosen, seed),
        None => found.matched(&chosen),
    })
}

fn mean(effects: &[Effect]) -> Effect {
    let mean = |of: &dyn Fn(&Effect) -> f32| effects.iter().map(of).sum::<f32>() / effects.len().max(1) as f32;
    Effect {
        removed: effects.iter().all(|effect| effect.removed.is_some()).then(|| mean(&|e| e.removed.unwrap_or(0.0))),
        known: effects.iter().any(|effect| effect.known),
        inside: mean(&|effect| effect.inside),
        outside: mean(&|effect| effect.outside),
    }
}

/// Masks `NUMBER.png` of a folder.
fn masks(folder: &Path, size: usize, samples: u64) -> anyhow::Result<BTreeMap<u64, Area>> {
    let mut found = BTreeMap::new();
    for number in 0..samples {
        let path = folder.join(format!("{number}.png"));
        if !path.exists() {
            continue;
        }
        let mask = Picture::read(&path)?;
        match Area::of_mask(&mask).filter(|area| area.side() == size) {
            Some(area) => found.insert(number, area),
            None => bail!(
                "{} is {}x{}; this model draws {size}x{size}, and a mask has its picture's size",
                path.display(),
                mask.width(),
                mask.height()
            ),
        };
    }
    if found.is_empty() {
        bail!("{} holds no mask called 0.png to {}.png", folder.display(), samples - 1);
    }
    Ok(found)
}

/// What was measured.
#[derive(serde::Serialize)]
struct Score {
    /// z's that filters were not found with.
    fresh: usize,
    /// Of those, how many show the object.
    windows: usize,
    dropped: Effect,
    /// Mean of several.
    random: Effect,
    matched: Effect,
    curve: Vec<Dose>,
    /// What a toggle in the window waits for.
    toggle_ms: f64,
    /// The regression on every place of all samples.
    whole_fit_seconds: f64,
}

impl Score {
    fn text(&self) -> String {
        let row = |what: &str, effect: &Effect| {
            let removed = effect.removed.map_or("   -".to_owned(), |share| format!("{:4.0} %", 100.0 * share));
            format!(
                "{what:>26} {removed:>8} {:9.4} {:9.4} {:7.2}",
                effect.inside,
                effect.outside,
                effect.outside / effect.inside.max(1e-9)
            )
        };
        let mut lines = vec![
            format!("{} fresh z's, {} with windows", self.fresh, self.windows),
            format!("{:>26} {:>8} {:>9} {:>9} {:>7}", "", "removed", "inside", "outside", "ratio"),
            row("dropped", &self.dropped),
            row("random control", &self.random),
            row("equally loud control", &self.matched),
            format!("dose-response on {} of them:", self.fresh.min(DOSED)),
        ];
        for dose in &self.curve {
            lines.push(row(&format!("{} filters", dose.dropped), &dose.found));
            lines.push(row("random", &dose.random));
        }
        lines.push(format!(
            "{TOGGLED} samples drawn anew in {:.0} ms; a fit of every place of all samples takes {:.2} s",
            self.toggle_ms, self.whole_fit_seconds
        ));
        lines.join("\n")
    }
}
