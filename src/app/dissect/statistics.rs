//! The choice of the discriminator's batch-norm statistics, which all panels share.

use egui::Ui;

use super::worker::{OpenedModel, StatisticsSource};
use crate::dissect::calibration::NormStatisticsSource;

#[derive(Default)]
pub(super) struct StatisticsChoice {
    /// Whether the running statistics of the training are used, instead of those of real pictures.
    running: bool,
    /// The data set of the real images; empty where it is not known.
    data: String,
    progress: Option<(usize, usize)>,
    used: Option<NormStatisticsSource>,
}

impl StatisticsChoice {
    /// The statistics to request.
    pub fn source(&self) -> StatisticsSource {
        if self.running { StatisticsSource::Running } else { StatisticsSource::Data(self.data.clone()) }
    }

    /// Another model was opened.
    pub fn reopened(&mut self, opened: &OpenedModel) {
        *self = Self { running: self.running, data: opened.data.clone().unwrap_or_default(), ..Self::default() };
    }

    /// Uses the images of `data` from now on.
    pub fn use_data(&mut self, data: &str) {
        if !data.trim().is_empty() {
            data.clone_into(&mut self.data);
        }
    }

    pub fn take_progress(&mut self, done: usize, total: usize) {
        self.progress = (done < total).then_some((done, total));
    }

    /// Shows the statistics that the discriminator uses now.
    pub fn take(&mut self, used: NormStatisticsSource) {
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
            (Some((done, total)), _) => drop(ui.weak(format!("measuring: {done} of {total} pictures"))),
            (None, Some(used @ NormStatisticsSource::Running { reason: Some(_) })) => {
                ui.colored_label(ui.visuals().warn_fg_color, used.to_string());
            }
            (None, Some(used)) => drop(ui.weak(used.to_string())),
            (None, None) => {}
        }
    }
}
