//! The discriminator that the inspector asks, with the batch-norm statistics that were chosen.

use burn::tensor::Device;

use super::desk::{Norms, Told};
use crate::data::{Dataset, Source};
use crate::dissect::calibration::{Calibration, NormStatistics};
use crate::model::{Discriminator, ModelConfig};

/// Statistics take a while where they are those of many pictures: they are taken a batch at a time.
#[derive(Default)]
pub(super) struct Judge {
    ready: Option<(Norms, Discriminator)>,
    going_on: Option<(Norms, Dataset, Calibration)>,
}

impl Judge {
    /// The discriminator, once it has the statistics that were last chosen.
    pub fn discriminator(&self) -> Option<&Discriminator> {
        self.ready.as_ref().map(|(_, discriminator)| discriminator)
    }

    /// Whether the discriminator has these statistics.
    pub fn uses(&self, norms: &Norms) -> bool {
        self.ready.as_ref().is_some_and(|(of, _)| of == norms)
    }

    /// Takes the statistics `norms` of the next batch of pictures; where there are no such pictures, `stored` stays as it is.
    pub fn calibrate(
        &mut self,
        stored: &Discriminator,
        norms: &Norms,
        device: &Device,
        tell: &dyn Fn(Told),
    ) -> anyhow::Result<()> {
        let (of, data, mut calibration) = match self.going_on.take().filter(|(of, ..)| of == norms) {
            Some(going_on) => going_on,
            None => match open(norms, stored.config()) {
                Ok(data) => {
                    let calibration = Calibration::new(vec![stored.clone()], &data);
                    (norms.clone(), data, calibration)
                }
                Err(reason) => {
                    self.ready = Some((norms.clone(), stored.clone()));
                    tell(Told::Calibrated(NormStatistics::Running { reason }));
                    return Ok(());
                }
            },
        };
        let done = calibration.step(&data, device);
        tell(Told::Calibrating { done: calibration.done(), all: calibration.len() });
        if !done {
            self.going_on = Some((of, data, calibration));
            return Ok(());
        }
        let source = data.source().to_string();
        let (judge, statistics) = match calibration.finish(device)? {
            Some((mut networks, pictures)) => (networks.remove(0), NormStatistics::Data { data: source, pictures }),
            None => {
                let reason = Some(format!("none of the pictures of {source} can be read"));
                (stored.clone(), NormStatistics::Running { reason })
            }
        };
        self.ready = Some((of, judge));
        tell(Told::Calibrated(statistics));
        Ok(())
    }
}

/// The pictures that statistics are taken from; or why running ones are used, if that was not the choice.
fn open(norms: &Norms, config: &ModelConfig) -> Result<Dataset, Option<String>> {
    let Norms::Data(data) = norms else { return Err(None) };
    if data.trim().is_empty() {
        return Err(Some("what it was trained on is not known".to_owned()));
    }
    Source::parse(data)
        .and_then(|source| Dataset::open(&source, config.pictures(), 1))
        .map_err(|error| Some(format!("{data} cannot be read ({error})")))
}
