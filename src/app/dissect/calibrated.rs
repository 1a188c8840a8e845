//! The discriminator with the batch-norm statistics that were chosen.

use burn::tensor::Device;

use super::worker::{InspectorResponse, StatisticsSource};
use crate::app::service::Outbox;
use crate::data::{Dataset, Source};
use crate::dissect::calibration::{Calibration, NormStatisticsSource};
use crate::model::{Discriminator, ModelConfig};

/// Measures the statistics of real images one batch at a time, since that takes a while.
#[derive(Default)]
pub(super) struct CalibratedDiscriminator {
    ready: Option<(StatisticsSource, Discriminator)>,
    unfinished: Option<(StatisticsSource, Dataset, Calibration)>,
}

impl CalibratedDiscriminator {
    /// The discriminator, once its statistics are measured.
    pub fn ready(&self) -> Option<&Discriminator> {
        self.ready.as_ref().map(|(_, discriminator)| discriminator)
    }

    /// Whether the discriminator has these statistics.
    pub fn uses(&self, statistics: &StatisticsSource) -> bool {
        self.ready.as_ref().is_some_and(|(source, _)| source == statistics)
    }

    /// Measures the statistics of the next batch of images. Where the images cannot be read, `stored` is used as it is.
    pub fn calibrate(
        &mut self,
        stored: &Discriminator,
        statistics: &StatisticsSource,
        device: &Device,
        outbox: &Outbox<InspectorResponse>,
    ) -> anyhow::Result<()> {
        let (source, data, mut calibration) = match self.unfinished.take().filter(|(source, ..)| source == statistics) {
            Some(unfinished) => unfinished,
            None => match open(statistics, stored.config()) {
                Ok(data) => {
                    let calibration = Calibration::new(vec![stored.clone()], &data);
                    (statistics.clone(), data, calibration)
                }
                Err(reason) => {
                    self.ready = Some((statistics.clone(), stored.clone()));
                    outbox.send(InspectorResponse::Calibrated(NormStatisticsSource::Running { reason }));
                    return Ok(());
                }
            },
        };
        let finished = calibration.step(&data, device);
        outbox.send(InspectorResponse::Calibrating { done: calibration.done(), total: calibration.len() });
        if !finished {
            self.unfinished = Some((source, data, calibration));
            return Ok(());
        }
        let name = data.source().to_string();
        let (discriminator, used) = match calibration.finish(device)? {
            Some((mut networks, pictures)) => (networks.remove(0), NormStatisticsSource::Data { data: name, pictures }),
            None => {
                let reason = Some(format!("none of the pictures of {name} can be read"));
                (stored.clone(), NormStatisticsSource::Running { reason })
            }
        };
        self.ready = Some((source, discriminator));
        outbox.send(InspectorResponse::Calibrated(used));
        Ok(())
    }
}

/// Opens the images whose statistics are measured. The error is why running statistics are used instead, `None` where they were
/// chosen.
fn open(statistics: &StatisticsSource, config: &ModelConfig) -> Result<Dataset, Option<String>> {
    let StatisticsSource::Data(data) = statistics else { return Err(None) };
    if data.trim().is_empty() {
        return Err(Some("its training data is not known".to_owned()));
    }
    Dataset::open(&Source::from(data), config.pictures(), 1)
        .map_err(|error| Some(format!("{data} cannot be read ({error})")))
}
