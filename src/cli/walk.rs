//! `zscape walk`: interpolates between samples (section 6.1).

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use super::{Exploration, ModelArgs, NumberList, outputs};
use crate::image::{FRAME_RATE, ZOOM, names_folder, write_frames, write_gif, write_mp4};
use crate::latent::change::{find_jumps, picture_changes};
use crate::latent::walk::{Interpolation, LatentWalk};

#[derive(Args, Debug)]
pub(super) struct WalkArgs {
    #[command(flatten)]
    model_args: ModelArgs,
    /// Number of samples to visit, counted from --first
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u64).range(2..))]
    points: u64,
    /// Number of the first sample
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Visit these samples instead, such as 3,17,42
    #[arg(long, value_name = "NUMBERS", conflicts_with_all = ["points", "first"])]
    visit: Option<NumberList>,
    /// Pictures per segment, from one sample to the next, both included
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u16).range(2..))]
    steps: u16,
    /// Return to the first sample at the end
    #[arg(long = "loop")]
    closed: bool,
    /// Interpolate spherically (slerp) instead of linearly
    #[arg(long)]
    slerp: bool,
    /// Frames per second of a GIF or video, 1 to 50
    #[arg(long, default_value_t = FRAME_RATE, value_parser = clap::value_parser!(u32).range(1..=50))]
    rate: u32,
    /// Magnification of a GIF or video, 1 to 16
    #[arg(long, default_value_t = ZOOM, value_parser = clap::value_parser!(u16).range(1..=16))]
    zoom: u16,
    /// File to write: a picture such as .png or .jpg with one row per segment (as figure 4 of the paper), a .gif, an
    /// .mp4 (H.264 without compression), or a folder for single frames
    #[arg(long, value_name = "WALK.png|WALK.gif|WALK.mp4|DIR", value_parser = outputs::film)]
    out: PathBuf,
}

impl WalkArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let exploration = self.model_args.open()?;
        let walk = self.walk(&exploration)?;
        let steps = usize::from(self.steps);
        let film = exploration.generate(&walk.frames(steps - 1))?;
        match outputs::film_ending(&self.out) {
            _ if names_folder(&self.out) => write_frames(&self.out, &film)?,
            Some("gif") => write_gif(&self.out, &film, self.rate, usize::from(self.zoom))?,
            Some(_) => write_mp4(&self.out, &film, self.rate, usize::from(self.zoom))?,
            None => walk.render(&film, steps - 1).write(&self.out)?,
        }
        let changes = picture_changes(&film);
        let jumps = find_jumps(&changes);
        let largest = changes.iter().copied().fold(0.0, f32::max);
        let summary = serde_json::json!({
            "out": self.out, "legs": walk.segments(), "frames": film.len(), "changes": changes, "jumps": jumps,
        });
        self.model_args.common.print(&summary, || {
            let jumps = match jumps.len() {
                0 => "no sudden jump".to_owned(),
                count => format!("{count} sudden jumps (a sign of memorization, section 6.1), at frames {jumps:?}"),
            };
            format!("{} segments in {}; {jumps}; largest change {largest:.3}", walk.segments(), self.out.display())
        })
    }

    fn walk(&self, exploration: &Exploration) -> anyhow::Result<LatentWalk> {
        if let (Some(session), None) = (&exploration.session, &self.visit) {
            let walk = session.walk(exploration.model.config());
            if walk.segments() == 0 {
                bail!("the session has no walk: a walk needs at least two keyframes");
            }
            return Ok(walk);
        }
        let numbers = match &self.visit {
            Some(NumberList(numbers)) if numbers.len() < 2 => bail!("a walk visits at least two samples"),
            Some(NumberList(numbers)) => numbers.clone(),
            None => (self.first..self.first + self.points).collect(),
        };
        let interpolation = if self.slerp { Interpolation::Slerp } else { Interpolation::Linear };
        Ok(LatentWalk { keyframes: exploration.samples(numbers), interpolation, looped: self.closed })
    }
}
