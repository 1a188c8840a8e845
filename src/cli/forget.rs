//! `zscape forget`: finds and ablates the generator's filters that draw an object (section 6.3.1).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;

use super::dissect::{LayerName, write_ablations};
use super::progress::bar;
use super::{Exploration, ModelArgs, outputs};
use crate::data::Source;
use crate::data::synth::Scene;
use crate::dissect::effect::{AblationEffect, AblationExperiment, DosePoint, dose, doses};
use crate::dissect::object::{Activations, ObjectFilters, find_object_filters, fit_all_positions};
use crate::dissect::removal_figure::{ROW_NAMES, SampleSplit, render_removal_figure};
use crate::dissect::window_finder::WindowFinder;
use crate::image::{Area, Picture};
use crate::latent::boxes::Boxes;
use crate::latent::removal::{BOXED_SAMPLES, ObjectRemoval};
use crate::model::Ablation;

/// Number of the first test sample, far from the samples with which filters are found.
const FIRST_TEST_SAMPLE: u64 = 1_000_000;
/// Test samples of the dose-response curve.
const DOSE_SAMPLES: usize = 200;
/// Samples that the window shows with and without an ablation.
const WINDOW_SAMPLES: usize = 64;
/// Random control ablations to average.
const RANDOM_CONTROLS: u64 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ObjectKind {
    Windows,
}

#[derive(Args, Debug)]
pub(super) struct ForgetArgs {
    #[command(flatten)]
    model_args: ModelArgs,
    /// Hidden layer, such as up1 or 8x8; the paper's "second highest" is 16x16 or, if the projection counts, 8x8
    /// [default: 8x8]
    #[arg(long)]
    layer: Option<LayerName>,
    /// Boxes around the object on some samples, a JSON file: {"size": 64, "seed": 1, "boxes": {"3": [[10, 8, 26, 24]]}}
    #[arg(long, value_name = "BOXES.json")]
    boxes: Option<PathBuf>,
    /// Masks instead of boxes: a folder of gray pictures NUMBER.png, bright where the object is
    #[arg(long, value_name = "DIR", conflicts_with = "boxes")]
    masks: Option<PathBuf>,
    /// Detect the object without boxes, and measure how much of it is removed
    #[arg(long, value_enum)]
    find: Option<ObjectKind>,
    /// Window detector, as `zscape finder` writes it [default: the bundled one]
    #[arg(long, value_name = "FILE")]
    finder: Option<PathBuf>,
    /// Number of samples with which filters are found, from number 0
    #[arg(long, default_value_t = BOXED_SAMPLES, value_parser = clap::value_parser!(u64).range(1..))]
    samples: u64,
    /// Use only the first N samples that show the object [default: all; the paper: 52 of 150]
    #[arg(long, value_name = "N")]
    boxed: Option<usize>,
    /// Ablate the K filters with the largest weights [default: all with a positive weight, as the paper does]
    #[arg(long, value_name = "K")]
    top: Option<usize>,
    /// Gain of ablated filters; 0 drops them
    #[arg(long, default_value_t = 0.0)]
    gain: f32,
    /// Write the detected boxes
    #[arg(long, value_name = "BOXES.json", requires = "find")]
    save_boxes: Option<PathBuf>,
    /// Write the ablation, for --ablation of other commands
    #[arg(long, value_name = "FILE.json")]
    save_ablation: Option<PathBuf>,
    /// Measure on test samples what is removed, what else changes, and how control ablations compare
    #[arg(long)]
    score: bool,
    /// Number of test samples
    #[arg(long, default_value_t = 1000, requires = "score")]
    count: usize,
    /// Columns of the figure, 2 to 64: half with samples with which the filters were found, half with test samples
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(2..=64))]
    columns: u16,
    /// Figure to write, as .png, .jpg, .webp, .bmp or .tif: samples, then the same without the object's filters,
    /// without random ones, and without equally active ones. Left: samples with which the filters were found; right:
    /// test samples, not selected
    #[arg(long, value_name = "FIGURE.png", value_parser = outputs::picture, required_unless_present = "score")]
    out: Option<PathBuf>,
}

impl ForgetArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let exploration = self.model_args.open()?;
        let (model, device) = (&exploration.model, &exploration.compute.device);
        let config = model.config().clone();
        let saved = exploration.session.as_ref().map(|session| session.forget.clone());
        let mut removal = saved.clone().unwrap_or_default();
        if saved.is_none() {
            removal.gain = self.gain;
            removal.samples = self.samples;
        }
        if let Some(name) = &self.layer {
            removal.layer = Some(name.find(&config)?);
        }
        if self.top.is_some() {
            removal.top = self.top;
        }
        let layer = removal.layer(&config);
        let needs_finder = self.find.is_some() || self.score;
        let finder = match &self.finder {
            _ if !needs_finder => None,
            Some(path) => Some(WindowFinder::open(path, device)?),
            None => Some(WindowFinder::bundled(device)?),
        };
        if finder.is_some() && Source::from(&model.provenance.data) != Source::Synthetic(Scene::Rooms) {
            tracing::warn!(
                "the window detector was trained on synth:rooms; this model was trained on {}",
                model.provenance.data
            );
        }
        let MarkedSamples { seed, z, objects } = self.objects(&exploration, &removal, finder.as_ref())?;
        let began = Instant::now();
        let activations = Activations::of(&model.generator, &z, layer, device)?;
        let generated = began.elapsed();
        let filters = find_object_filters(&activations, &objects, exploration.seed)?;
        let fitted = began.elapsed() - generated;
        let ablation = removal.ablation(&config, &filters.ranked(), filters.positive());
        if ablation.gains.is_empty() {
            bail!("no filter to ablate: --top is 0, or no filter has a positive weight");
        }
        if let Some(path) = &self.save_ablation {
            write_ablations(path, std::slice::from_ref(&ablation))?;
        }
        let (chosen, parts) = self.shown(&objects, z.len() as u64);
        if let Some(out) = &self.out {
            let z = crate::latent::sample_zs(&config, seed, chosen.iter().copied());
            let experiment = AblationExperiment::new(&model.generator, z, None, None, device)?;
            let mut rows = vec![(ROW_NAMES[0], experiment.before.clone())];
            let ablations =
                [ablation.clone(), control(&filters, &ablation, Some(1)), control(&filters, &ablation, None)];
            for (name, ablation) in ROW_NAMES[1..].iter().zip(ablations) {
                rows.push((name, experiment.ablated(&ablation)?));
            }
            render_removal_figure(&rows, &parts)?.write(out)?;
        }
        let score = match &finder {
            Some(finder) if self.score => {
                let began = Instant::now();
                fit_all_positions(&activations, &objects);
                let whole = began.elapsed().as_secs_f64();
                Some(ForgetScore { whole_fit_seconds: whole, ..self.score(&exploration, &filters, &ablation, finder)? })
            }
            _ => None,
        };
        let summary = serde_json::json!({
            "out": self.out, "layer": layer, "maps": config.maps(layer), "side": filters.side,
            "statistics": config.sampling, "pictures": filters.pictures, "unused": filters.unused,
            "on": filters.on, "off": filters.off, "auc": filters.auc,
            "fitted": &chosen[..parts.fitted], "fresh": &chosen[parts.fitted..],
            "fit_seconds": fitted.as_secs_f64(), "dropped": ablation.gains.keys().collect::<Vec<_>>(),
            "filters": filters.filters, "score": score,
        });
        self.model_args.common.print(&summary, || {
            let auc = match filters.auc {
                Some(auc) => format!("held-out AUC {auc:.3}"),
                None => "no AUC: one picture cannot be held out".to_owned(),
            };
            let mut text = format!(
                "{}: {auc}, from {} pictures with the object ({} positions inside it, {} outside), fitted in {:.2} s\n\
                 {} of {} filters have positive weights; {} ablated",
                config.layer_name(layer),
                filters.pictures,
                filters.on,
                filters.off,
                fitted.as_secs_f64(),
                filters.positive(),
                filters.filters.len(),
                ablation.gains.len(),
            );
            if filters.unused > 0 {
                text += &format!("\n{} pictures without the object are not used", filters.unused);
            }
            let dead = filters.filters.iter().filter(|filter| filter.mean == 0.0).count();
            if dead > 0 {
                text += &format!("\n{dead} filters are never active on these samples");
            }
            if let Some(score) = &score {
                text += &format!("\n{}", score.text());
            }
            if let Some(out) = &self.out {
                let (rows, [fitted, fresh]) = (ROW_NAMES.join(", "), parts.headings());
                text += &format!("\n{}: {rows}\n  left, {fitted}\n  right, {fresh}", out.display());
            }
            text
        })
    }

    /// The samples' z's, and the object's areas on those that were marked or searched.
    fn objects(
        &self,
        exploration: &Exploration,
        removal: &ObjectRemoval,
        finder: Option<&WindowFinder>,
    ) -> anyhow::Result<MarkedSamples> {
        let config = exploration.model.config();
        let mut seed = exploration.seed;
        let mut objects = BTreeMap::new();
        if let Some(path) = &self.boxes {
            let boxes = Boxes::read(path)?;
            boxes.check(config).with_context(|| path.display().to_string())?;
            (seed, objects) = (boxes.seed, boxes.areas());
        } else if let Some(folder) = &self.masks {
            objects = masks(folder, config.size, removal.samples)?;
        } else if self.find.is_none() && !removal.boxes.boxes.is_empty() {
            (seed, objects) = (removal.boxes.seed, removal.boxes.areas());
        } else if self.find.is_none() {
            bail!("give --boxes, --masks, a --session with boxes, or detect the object with --find windows");
        }
        let z = crate::latent::sample_zs(config, seed, 0..removal.samples);
        if let (true, Some(finder)) = (objects.is_empty() && self.find.is_some(), finder) {
            let areas = finder.areas(&exploration.generate(&z)?)?;
            // Boxes as a person would draw them, not outlines.
            let rectangles = areas.iter().map(|area| area.boxes(1));
            let boxes = Boxes { size: config.size, seed, boxes: (0..).zip(rectangles).collect() };
            if boxes.boxed_samples() == 0 {
                bail!("no window detected on {} samples; was this model trained on rooms?", z.len());
            }
            if let Some(path) = &self.save_boxes {
                boxes.write(path)?;
            }
            objects = boxes.areas();
        }
        if let Some(most) = self.boxed {
            let first = objects.iter().filter(|(_, area)| !area.is_empty()).take(most);
            objects = first.map(|(&number, area)| (number, area.clone())).collect();
        }
        Ok(MarkedSamples { seed, z, objects })
    }

    /// The samples of the figure's columns, and which of them are test samples: the first after the `searched` ones.
    fn shown(&self, objects: &BTreeMap<u64, Area>, searched: u64) -> (Vec<u64>, SampleSplit) {
        let columns = u64::from(self.columns);
        let shows = objects.iter().filter(|(_, area)| !area.is_empty()).map(|(&number, _)| number);
        let mut chosen: Vec<u64> = shows.take(columns.div_ceil(2) as usize).collect();
        let parts = SampleSplit { fitted: chosen.len(), fresh: searched..searched + columns / 2 };
        chosen.extend(parts.fresh.clone());
        (chosen, parts)
    }

    fn score(
        &self,
        exploration: &Exploration,
        filters: &ObjectFilters,
        ablation: &Ablation,
        finder: &WindowFinder,
    ) -> anyhow::Result<ForgetScore> {
        let device = &exploration.compute.device;
        let z = exploration.samples(FIRST_TEST_SAMPLE..FIRST_TEST_SAMPLE + self.count as u64);
        let doses = doses(filters.positive().max(ablation.gains.len()));
        let bar = bar(RANDOM_CONTROLS + 3 + doses.len() as u64, "measuring");
        let few = z[..z.len().min(DOSE_SAMPLES)].to_vec();
        let toggled = AblationExperiment::new(
            &exploration.model.generator,
            z[..z.len().min(WINDOW_SAMPLES)].to_vec(),
            None,
            None,
            device,
        )?;
        let began = Instant::now();
        toggled.ablated(ablation)?;
        let toggle_ms = began.elapsed().as_secs_f64() * 1e3;
        let experiment = AblationExperiment::new(&exploration.model.generator, z, None, Some(finder), device)?;
        let under = |ablation: &Ablation| {
            bar.inc(1);
            experiment.effect(ablation)
        };
        let dropped = under(ablation)?;
        let random = (1..=RANDOM_CONTROLS)
            .map(|seed| under(&control(filters, ablation, Some(seed))))
            .collect::<Result<Vec<_>, _>>()?;
        let matched = under(&control(filters, ablation, None))?;
        let small = AblationExperiment::new(&exploration.model.generator, few, None, Some(finder), device)?;
        let mut curve = Vec::new();
        for count in doses {
            curve.push(dose(&small, filters, ablation, count, 1)?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        let windows = experiment.objects.iter().filter(|area| !area.is_empty()).count();
        Ok(ForgetScore {
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

/// Samples with the areas of an object.
struct MarkedSamples {
    /// Seed of the samples.
    seed: u64,
    /// Their z's, from number 0.
    z: Vec<Vec<f32>>,
    /// Areas of the object, by sample number.
    objects: BTreeMap<u64, Area>,
}

/// A control ablation of as many other filters: random ones with a seed, or those nearest in mean activation.
fn control(filters: &ObjectFilters, ablation: &Ablation, seed: Option<u64>) -> Ablation {
    let chosen: Vec<usize> = ablation.gains.keys().copied().collect();
    ablation.of(&match seed {
        Some(seed) => filters.random_control(&chosen, seed),
        None => filters.matched_control(&chosen),
    })
}

fn mean(effects: &[AblationEffect]) -> AblationEffect {
    let mean = |of: &dyn Fn(&AblationEffect) -> f32| effects.iter().map(of).sum::<f32>() / effects.len().max(1) as f32;
    AblationEffect {
        removed: effects.iter().all(|effect| effect.removed.is_some()).then(|| mean(&|e| e.removed.unwrap_or(0.0))),
        known: effects.iter().any(|effect| effect.known),
        inside: mean(&|effect| effect.inside),
        outside: mean(&|effect| effect.outside),
    }
}

/// Reads the masks `NUMBER.png` in a folder.
fn masks(folder: &Path, size: usize, samples: u64) -> anyhow::Result<BTreeMap<u64, Area>> {
    let mut areas = BTreeMap::new();
    for number in 0..samples {
        let path = folder.join(format!("{number}.png"));
        if !path.exists() {
            continue;
        }
        let mask = Picture::read(&path)?;
        match Area::of_mask(&mask).filter(|area| area.side() == size) {
            Some(area) => areas.insert(number, area),
            None => bail!(
                "{} is {}x{}; this model generates {size}x{size}, and a mask has its picture's size",
                path.display(),
                mask.width(),
                mask.height()
            ),
        };
    }
    if areas.is_empty() {
        bail!("{} holds no mask called 0.png to {}.png", folder.display(), samples - 1);
    }
    Ok(areas)
}

/// Measurements on test samples.
#[derive(serde::Serialize)]
struct ForgetScore {
    /// Number of test samples.
    fresh: usize,
    /// Number of test samples that show the object.
    windows: usize,
    dropped: AblationEffect,
    /// Mean of several random controls.
    random: AblationEffect,
    matched: AblationEffect,
    curve: Vec<DosePoint>,
    /// Milliseconds that toggling the ablation takes in the window.
    toggle_ms: f64,
    /// Seconds of the regression on all positions of all samples.
    whole_fit_seconds: f64,
}

impl ForgetScore {
    fn text(&self) -> String {
        let row = |what: &str, effect: &AblationEffect| {
            let removed = effect.removed.map_or("   -".to_owned(), |share| format!("{:4.0} %", 100.0 * share));
            format!(
                "{what:>26} {removed:>8} {:9.4} {:9.4} {:7.2}",
                effect.inside,
                effect.outside,
                effect.outside / effect.inside.max(1e-9)
            )
        };
        let mut lines = vec![
            format!("{} test samples, {} with windows", self.fresh, self.windows),
            format!("{:>26} {:>8} {:>9} {:>9} {:>7}", "", "removed", "inside", "outside", "ratio"),
            row("ablated", &self.dropped),
            row("random control", &self.random),
            row("equally active control", &self.matched),
            format!("dose-response on {} of them:", self.fresh.min(DOSE_SAMPLES)),
        ];
        for dose in &self.curve {
            lines.push(row(&format!("{} filters", dose.dropped), &dose.found));
            lines.push(row("random", &dose.random));
        }
        lines.push(format!(
            "{WINDOW_SAMPLES} samples generated in {:.0} ms; a fit of all positions of all samples takes {:.2} s",
            self.toggle_ms, self.whole_fit_seconds
        ));
        lines.join("\n")
    }
}
