//! `zscape project`.

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::prepared::Prepared;
use super::{Explored, numpy, outputs};
use crate::data;
use crate::image::{DecodeOptions, Decoded, grid};
use crate::latent::project::{Encoder, LIMIT, Projection, Scale, Settings};

#[derive(Args, Debug)]
pub(super) struct Project {
    #[command(flatten)]
    explored: Explored,
    /// The picture to look for; it is cropped and resized as those that the model was trained on
    #[arg(long, value_name = "FILE")]
    picture: PathBuf,
    #[command(flatten)]
    prepared: Prepared,
    /// z's tried side by side
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=256))]
    restarts: u16,
    /// Steps of optimisation
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u16).range(1..))]
    steps: u16,
    /// Also write the z as a NumPy file, [1, z_dim] float32
    #[arg(long, value_name = "OUT.npy")]
    z: Option<PathBuf>,
    /// Original, reconstruction and their difference side by side, as .png, .jpg, .webp, .bmp or .tif
    #[arg(long, value_name = "FIGURE.png", value_parser = outputs::picture)]
    out: PathBuf,
}

impl Project {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let exploration = self.explored.open()?;
        let (model, device) = (&exploration.model, &exploration.compute.device);
        let config = model.config();
        let format = self.prepared.on(config.pictures())?;
        let Decoded { picture: original, treatment } =
            data::read_examined(&self.picture, format, &DecodeOptions::default())?;
        let settings =
            Settings { restarts: usize::from(self.restarts), steps: usize::from(self.steps), seed: exploration.seed };
        let bar = ProgressBar::new(u64::from(self.steps));
        bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {eta} left")?);
        bar.set_message("fitting an encoder");
        let encoder = Encoder::fit(&model.generator, settings.seed, device)?;
        let mut projection = Projection::new(&model.generator, &encoder, &original, settings, device)?;
        let mut last = projection.step()?;
        while !projection.done() {
            last = projection.step()?;
            bar.set_position(last.step as u64);
            bar.set_message(format!("error {:.4}", last.error));
        }
        bar.finish_and_clear();
        let drawn = exploration.draw(std::slice::from_ref(&last.z))?.remove(0);
        let difference = original.difference(&drawn);
        grid(&[original, drawn, difference], 3, 2).write(&self.out)?;
        if let Some(path) = &self.z {
            numpy::write(path, &[1, last.z.len() as u64], &last.z)?;
        }
        let summary = serde_json::json!({
            "out": self.out, "error": last.error, "apart": last.apart, "lacking": last.lacking, "scale": last.scale,
            "position": last.position(), "limit": LIMIT, "verdict": last.verdict(), "drawable": last.drawable(), "z": last.z,
            "picture": treatment.remarks(),
        });
        self.explored.common.print(&summary, || {
            let Scale { own, average, blurred } = last.scale;
            let remarks = treatment.remarks();
            let remarks = remarks.iter().map(|remark| format!("{}: {remark}\n", self.picture.display()));
            remarks.collect::<String>()
                + &format!(
                "{}: {} of the way from the model's own samples (0 %) to its average picture (100 %), and up to {:.0} % is drawn\n\
                 detail lacking: {:.2}; of own samples {own:.2}, of the average picture {average:.2}, of a blurred copy {blurred:.2}\n\
                 pixel error {:.4} (samples are {:.4} apart); {}",
                last.verdict().text(),
                last.place(),
                LIMIT * 100.0,
                last.lacking,
                last.error,
                last.apart,
                self.out.display()
            )
        })
    }
}
