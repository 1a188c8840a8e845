//! `zscape dedup`: finds duplicate pictures (section 4.1).

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use fs_err as fs;

use super::prepared::PreparationArgs;
use super::progress::StageProgress;
use super::{CommonArgs, outputs};
use crate::data::{Dataset, DuplicateRow, Source, write_duplicate_list};
use crate::evaluate::dedup::{DedupEvaluation, DedupSettings, DuplicateCriterion, HashGroup, HashedDataset};
use crate::evaluate::hash::{BITS, CHANNELS, SIDE};
use crate::evaluate::statistics::Proportion;
use crate::image::{PictureFormat, grid};

/// Most groups in the figure, and most pictures of each.
const FIGURE_ROWS: usize = 40;
const FIGURE_COLUMNS: usize = 8;

#[derive(Args, Debug)]
pub(super) struct DedupArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Pictures: a folder, an archive, or a split of one: set.zip/train
    #[arg(long, value_name = "SRC")]
    data: String,
    #[command(flatten)]
    preparation: PreparationArgs,
    /// Bits of 128 by which the hashes of duplicates may differ, 0 to 24; 0 requires equal hashes, as the paper does
    #[arg(long, default_value_t = DuplicateCriterion::default().radius, value_parser = clap::value_parser!(u32).range(0..=24))]
    radius: u32,
    /// Compare only hashes. By default, pictures with different hashes must also have nearly the same pixels, shifted
    /// by up to two
    #[arg(long)]
    hash_only: bool,
    /// Training steps of the autoencoder that computes the hashes, with batches of 128 pictures
    #[arg(long, default_value_t = DedupSettings::default().steps as u32, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Random seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the groups as a table: group, whether the picture is kept, hash bits that differ from the kept one,
    /// name. `zscape train --skip` skips the pictures that are not kept
    #[arg(long, value_name = "FILE.csv")]
    list: Option<PathBuf>,
    /// Copy the data set without duplicates into a new folder
    #[arg(long, value_name = "DIR")]
    copy_to: Option<PathBuf>,
    /// Write a figure with one row per group, as .png, .jpg, .webp, .bmp or .tif
    #[arg(long, value_name = "FIGURE.png", value_parser = outputs::picture)]
    out: Option<PathBuf>,
    /// Measure the recall: plant copies, re-encoded and cropped duplicates of this many pictures and search for them
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    plant: Option<u32>,
}

impl DedupArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let compute = self.common.compute()?;
        let data = Dataset::open(
            &Source::from(&self.data),
            self.preparation.on(PictureFormat::new(SIDE, CHANNELS))?,
            self.seed,
        )?;
        if data.len().is_none() {
            bail!("{} never ends, so it has no duplicates to remove; give a folder or an archive", self.data);
        }
        if let Some(folder) = &self.copy_to
            && fs::read_dir(folder).is_ok_and(|mut inside| inside.next().is_some())
        {
            bail!("{} is not empty; give an empty or a new folder", folder.display());
        }
        let progress_bar = StageProgress::new();
        let mut progress = progress_bar.callback();
        let settings = DedupSettings { steps: self.steps as usize, seed: self.seed };
        let wanted = DuplicateCriterion { radius: self.radius, confirm: !self.hash_only };
        let hashed = HashedDataset::new(&data, settings, &compute.device, &mut progress)?;
        progress_bar.print_skipped(&hashed.skipped);
        let groups = hashed.groups(&data, wanted);
        let planted = self.plant.map(|count| hashed.evaluate(&data, count as usize, self.seed)).transpose()?;
        let removed: HashSet<u64> = groups.iter().flat_map(|group| &group.members[1..]).copied().collect();
        if let Some(list) = &self.list {
            let rows = groups.iter().zip(0..).flat_map(|(group, number)| {
                let name = |member| data.name(member);
                group.members.iter().zip(&group.bits).zip(0..).map(move |((&member, &bits), i)| DuplicateRow {
                    group: number,
                    kept: i == 0,
                    bits,
                    name: name(member),
                })
            });
            write_duplicate_list(list, rows)?;
        }
        if let Some(out) = self.out.as_ref().filter(|_| !groups.is_empty()) {
            figure(&data, &groups).write(out)?;
        }
        if let Some(folder) = &self.copy_to {
            let left: Vec<u64> = hashed.numbers.iter().copied().filter(|number| !removed.contains(number)).collect();
            for (done, &number) in left.iter().enumerate() {
                copy(&data, number, folder)?;
                progress("copying", done + 1, left.len())?;
            }
        }
        drop(progress_bar);
        let named: Vec<Vec<String>> =
            groups.iter().map(|group| group.members.iter().map(|&number| data.name(number)).collect()).collect();
        let summary = serde_json::json!({
            "settings": {
                "radius": wanted.radius, "confirm": wanted.confirm, "steps": settings.steps, "seed": settings.seed,
            },
            "pictures": hashed.numbers.len(), "skipped": hashed.skipped.len(),
            "bits": hashed.used_bits(), "removed": removed.len(), "groups": groups, "names": named, "planted": planted,
        });
        self.common.print(&summary, || {
            let mut lines = vec![format!(
                "{} pictures, {} groups of duplicates within {} bits, {} pictures to remove; {} of {BITS} bits vary; \
                 seed {}",
                hashed.numbers.len(),
                groups.len(),
                self.radius,
                removed.len(),
                hashed.used_bits(),
                self.seed
            )];
            lines.extend(named.iter().take(FIGURE_COLUMNS).map(|group| format!("  {}", group.join("  "))));
            if named.len() > FIGURE_COLUMNS {
                lines.push(format!("  and {} groups more; --list FILE.csv writes all", named.len() - FIGURE_COLUMNS));
            }
            if let (Some(out), true) = (&self.out, groups.is_empty()) {
                lines.push(format!("  {} was not written: there is no group to show", out.display()));
            }
            lines.extend(planted.iter().map(table));
            lines.join("\n")
        })
    }
}

/// A table of recall and precision for planted duplicates, by radius.
fn table(planted: &DedupEvaluation) -> String {
    let percent =
        |share: Proportion| share.wilson().map_or("-".to_owned(), |share| format!("{:.1}", share.value * 1e2));
    let both = |hash: Proportion, confirmed: Proportion| {
        format!("{:>27}", format!("{} / {}", percent(hash), percent(confirmed)))
    };
    let heads: String = planted.distortions.iter().chain([&"precision"]).map(|kind| format!("{kind:>27}")).collect();
    let mut lines = vec![
        format!(
            "\nPlanted duplicates of {} pictures: recall and precision in % by radius; hashes only / confirmed by pixels",
            planted.originals
        ),
        format!("  {:>4}{heads}", "bits"),
    ];
    for found in planted.by_radius.iter().filter(|found| found.radius % 2 == 0) {
        let kinds = found.by_hash.recall.iter().zip(&found.confirmed.recall);
        let recall: String = kinds.map(|(&hash, &confirmed)| both(hash, confirmed)).collect();
        let precision = both(found.by_hash.precision, found.confirmed.precision);
        lines.push(format!("  {:>4}{recall}{precision}", found.radius));
    }
    lines.push(
        "  Duplicates that the data set had before count as errors here. Set the radius with --radius.".to_owned(),
    );
    lines.join("\n")
}

fn figure(data: &Dataset, groups: &[HashGroup]) -> crate::image::Picture {
    let blank = crate::image::Picture::new(SIDE, SIDE, CHANNELS, vec![255; SIDE * SIDE * CHANNELS]);
    let row = |group: &HashGroup| {
        let mut row: Vec<_> =
            group.members.iter().take(FIGURE_COLUMNS).filter_map(|&number| data.picture(number).ok()).collect();
        row.resize(FIGURE_COLUMNS, blank.clone());
        row
    };
    let cells: Vec<_> = groups.iter().take(FIGURE_ROWS).flat_map(row).collect();
    grid(&cells, FIGURE_COLUMNS, 2)
}

/// Copies a picture's file, or writes a PNG if it is not stored as a file, under its name in the data set.
fn copy(data: &Dataset, number: u64, folder: &Path) -> anyhow::Result<()> {
    let name = data.name(number);
    // A name with `..` must not leave the folder.
    let inside: PathBuf =
        Path::new(&name).components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect();
    let to = folder.join(&inside);
    if let Source::Path(root) = data.source()
        && let from = root.join(&name)
        && from.is_file()
    {
        let parent = to.parent().unwrap_or(folder);
        fs::create_dir_all(parent)?;
        fs::copy(&from, &to)?;
        return Ok(());
    }
    let picture = data.original(number).map_err(|problem| anyhow::anyhow!("{}: {}", problem.name, problem.cause))?;
    // The whole name is kept, so that cat.jpg and cat.png do not collide.
    let mut to = to.into_os_string();
    to.push(".png");
    Ok(picture.write_png(Path::new(&to))?)
}
