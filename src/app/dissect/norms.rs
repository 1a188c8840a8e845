//! The choice of the discriminator's batch-norm statistics, which every tool that looks into it shares.

use egui::Ui;

use super::desk::{Norms, Opened};
use crate::dissect::calibration::NormStatistics;

#[derive(Default)]
pub(super) struct NormsChoice {
    /// Whether the running statistics of the training are used, instead of those of real pictures.
    running: bool,
    /// Where the real pictures are from; empty where that is not known.
    data: String,
    progress: Option<(usize, usize)>,
    used: Option<NormStatistics>,
}

impl NormsChoice {
    /// The statistics to ask for.
    pub fn norms(&self) -> Norms {
        if self.running { Norms::Running } else { Norms::Data(self.data.clone()) }
    }

    /// Another model is open.
    pub fn reopened(&mut self, opened: &Opened) {
        *self = Self { running: self.running, data: opened.data.clone().unwrap_or_default(), ..Self::default() };
    }

    /// Real pictures are taken from `data` from now on.
    pub fn use_data(&mut self, data: &str) {
        if !data.trim().is_empty() {
            data.clone_into(&mut self.data);
        }
    }

    /// How far the statistics are.
    pub fn take_progress(&mut self, done: usize, all: usize) {
        self.progress = (done < all).then_some((done, all));
    }

    /// What the discriminator uses now.
    pub fn take(&mut self, used: NormStatistics) {
        (self.progress, self.used) = (None, Some(used));
    }

    pub fn ui(&mut self, ui: &mut Ui) {
        ui.label("Discriminator's batch norm:");
        ui.selectable_value(&mut self.running, false, "real pictures").on_hover_text(
            "Statistics of up to 1,280 real pictures, as the paper takes them before it uses the features (section 5)",
        );
        ui.selectable_value(&mut self.running, true, "running").on_hover_text(
            "Running statistics of the training, which mix real and generated pictures. The choice changes every response",
        );
        match (&self.progress, &self.used) {
            (Some((done, all)), _) => drop(ui.weak(format!("measuring: {done} of {all} pictures"))),
            (None, Some(used @ NormStatistics::Running { reason: Some(_) })) => {
                ui.colored_label(ui.visuals().warn_fg_color, used.to_string());
            }
            (None, Some(used)) => drop(ui.weak(used.to_string())),
            (None, None) => {}
        }
    }
}
