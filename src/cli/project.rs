//! `zscape project`: finds the latent vector of a picture (GAN inversion).

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::prepared::PreparationArgs;
use super::{ModelArgs, numpy, outputs};
use crate::data;
use crate::image::{DecodeOptions, Decoded, grid};
use crate::latent::project::{Encoder, Projection, ProjectionSettings, REPRODUCIBLE_LIMIT, ReferenceErrors};

#[derive(Args, Debug)]
pub(super) struct ProjectArgs {
    #[command(flatten)]
    model_args: ModelArgs,
    /// Picture to project; it is cropped and resized like the model's training pictures
    #[arg(long, value_name = "FILE")]
    picture: PathBuf,
    #[command(flatten)]
    preparation: PreparationArgs,
    /// Random restarts, optimized in parallel, 1 to 256
    #[arg(long, default_value_t = ProjectionSettings::default().restarts as u16, value_parser = clap::value_parser!(u16).range(1..=256))]
    restarts: u16,
    /// Optimization steps
    #[arg(long, default_value_t = ProjectionSettings::default().steps as u16, value_parser = clap::value_parser!(u16).range(1..))]
    steps: u16,
    /// Also write the z to a NumPy file: float32 [1, z_dim]
    #[arg(long, value_name = "OUT.npy")]
    z: Option<PathBuf>,
    /// Figure to write with original, reconstruction and difference, as .png, .jpg, .webp, .bmp or .tif
    #[arg(long, value_name = "FIGURE.png", value_parser = outputs::picture)]
    out: PathBuf,
}

impl ProjectArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let exploration = self.model_args.open()?;
        let (model, device) = (&exploration.model, &exploration.compute.device);
        let config = model.config();
        let format = self.preparation.on(config.pictures())?;
        let Decoded { picture: original, treatment } =
            data::read_with_treatment(&self.picture, format, &DecodeOptions::default())?;
        let settings = ProjectionSettings {
            restarts: usize::from(self.restarts),
            steps: usize::from(self.steps),
            seed: exploration.seed,
        };
        let bar = ProgressBar::new(u64::from(self.steps));
        bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {eta} left")?);
        bar.set_message("fitting an encoder");
        let encoder = Encoder::fit(&model.generator, settings.seed, device)?;
        let mut projection = Projection::new(&model.generator, &encoder, &original, settings, device)?;
        let mut last = projection.step()?;
        while !projection.done() {
            last = projection.step()?;
            bar.set_position(last.step as u64);
            bar.set_message(format!("error {:.4}", last.rmse));
        }
        bar.finish_and_clear();
        let reconstruction = exploration.generate(std::slice::from_ref(&last.z))?.remove(0);
        let difference = original.difference(&reconstruction);
        grid(&[original, reconstruction, difference], 3, 2).write(&self.out)?;
        if let Some(path) = &self.z {
            numpy::write(path, &[1, last.z.len() as u64], &last.z)?;
        }
        let summary = serde_json::json!({
            "out": self.out, "error": last.rmse, "apart": last.nearest_sample_rmse, "lacking": last.edge_error, "scale": last.references,
            "position": last.relative_error(), "limit": REPRODUCIBLE_LIMIT, "verdict": last.quality(), "drawable": last.is_reproducible(), "z": last.z,
            "picture": treatment.remarks(),
        });
        self.model_args.common.print(&summary, || {
            let ReferenceErrors { own_samples: own, average_picture: average, blurred_copy: blurred } = last.references;
            let remarks = treatment.remarks();
            let remarks = remarks.iter().map(|remark| format!("{}: {remark}\n", self.picture.display()));
            remarks.collect::<String>()
                + &format!(
                "{}: {} of the way from the model's own samples (0 %) to its average picture (100 %); up to {:.0} % counts as reproduced\n\
                 missing detail: {:.2}; own samples {own:.2}, the average picture {average:.2}, a blurred copy {blurred:.2}\n\
                 pixel error {:.4} (distance between samples {:.4}); {}",
                last.quality().description(),
                last.relative_error_percent(),
                REPRODUCIBLE_LIMIT * 100.0,
                last.edge_error,
                last.rmse,
                last.nearest_sample_rmse,
                self.out.display()
            )
        })
    }
}
