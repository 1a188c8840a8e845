//! Reads metrics back from the device, logs and reports them.
//!
//! A graphics card works ahead: it receives further steps before the metrics of the last ones are read, so that it
//! never waits for the CPU. If a metric turns out to be infinite or NaN, the run is restored to the state before the
//! pending steps.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use burn::tensor::Tensor;

use super::TrainingLoop;
use crate::device::Hardware;
use crate::train::checkpoint::{Checkpoint, TrainingState};
use crate::train::error::{TrainError, catch_panic};
use crate::train::loss_scale::LossScale;
use crate::train::messages::{Event, TrainingProgress};
use crate::train::metrics::Metrics;
use crate::train::new_folder::NewRunFolder;
use crate::train::step_metrics::StepMetrics;

/// Steps that a graphics card may be ahead of the metrics that were read.
const MAX_PENDING: usize = 8;
/// Time over which the throughput is averaged.
const THROUGHPUT_WINDOW: Duration = Duration::from_secs(20);

/// A step whose metrics are still on the device.
pub(super) struct PendingStep {
    /// The state after the step.
    pub state: TrainingState,
    pub pictures: usize,
    pub metrics: StepMetrics<Tensor<1>>,
}

/// Steps whose metrics are still on the device, and the run before the first of them.
pub(super) struct PendingSteps<B, S> {
    before: Option<B>,
    steps: Vec<S>,
}

impl<B, S> Default for PendingSteps<B, S> {
    fn default() -> Self {
        Self { before: None, steps: Vec::new() }
    }
}

impl<B, S> PendingSteps<B, S> {
    /// Adds a step. `before` is called if it is the first.
    pub fn push(&mut self, before: impl FnOnce() -> B, step: S) {
        self.before.get_or_insert_with(before);
        self.steps.push(step);
    }

    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Takes the run before the first step, and all steps in order; `None` if there are none.
    fn take(&mut self) -> Option<(B, Vec<S>)> {
        Some((self.before.take()?, std::mem::take(&mut self.steps)))
    }
}

impl TrainingLoop<'_> {
    /// Steps whose metrics may be pending. The CPU has them at once, and a scaled loss needs them before the next step.
    pub(super) fn max_pending(&self) -> usize {
        if self.compute.kind == Hardware::Cpu || self.state.loss_scale.is_some() { 0 } else { MAX_PENDING }
    }

    /// Reads back and reports the metrics of all pending steps. If one failed, the run is restored to its state
    /// before them.
    pub(super) fn read_back(&mut self) -> Result<(), TrainError> {
        let Some((before, pending)) = self.pending.take() else { return Ok(()) };
        let began = Instant::now();
        let (states, metrics): (Vec<_>, Vec<_>) =
            pending.into_iter().map(|step| ((step.state, step.pictures), step.metrics)).unzip();
        let step = self.state.step;
        let read = catch_panic(|| StepMetrics::read_all(&metrics).map_err(|cause| TrainError::Device { step, cause }));
        let metrics = match read {
            Ok(metrics) => metrics,
            Err(error) => {
                self.restore(before);
                return Err(error);
            }
        };
        self.new_folder.take().into_iter().for_each(NewRunFolder::keep);
        // The time of the transfer is divided equally, since nobody knows how long each step took.
        let seconds = began.elapsed().as_secs_f64() / states.len() as f64;
        self.throughput.add(states.iter().map(|(_, pictures)| pictures).sum());
        if self.state.loss_scale.is_some() {
            return self.record_scaled(before, states, &metrics, seconds);
        }
        let good = metrics.iter().position(|metrics| !metrics.is_finite()).unwrap_or(metrics.len());
        for (i, ((mut state, _), metrics)) in states.iter().cloned().zip(&metrics).take(good).enumerate() {
            state.seconds += seconds * (i + 1) as f64;
            self.record(&state, *metrics);
        }
        match states.get(good) {
            Some((state, _)) => {
                self.restore(before);
                Err(TrainError::Diverged { step: state.step })
            }
            None => {
                self.state.seconds += seconds * states.len() as f64;
                Ok(())
            }
        }
    }

    /// Records a step with a scaled loss. There is only one pending, since the scale of the next depends on it. If it
    /// overflowed, its update is undone and training continues with a smaller scale.
    fn record_scaled(
        &mut self,
        before: Checkpoint,
        states: Vec<(TrainingState, usize)>,
        metrics: &[StepMetrics],
        seconds: f64,
    ) -> Result<(), TrainError> {
        let (step, overflowed) = (self.state.step, !metrics.iter().all(StepMetrics::is_finite));
        let mut scale = self.state.loss_scale.unwrap_or_default();
        if !scale.step(overflowed) {
            self.restore(before);
            return Err(TrainError::Diverged { step });
        }
        if overflowed {
            self.networks = before.networks;
            let LossScale { scale, skipped, .. } = scale;
            (self.emit)(Event::Note(format!(
                "step {step} overflowed in half precision and was skipped ({skipped} so far); the loss scale is {scale} now"
            )));
        }
        self.networks.loss_scale = scale.scale;
        self.state.loss_scale = Some(scale);
        for ((mut state, _), metrics) in states.into_iter().zip(metrics) {
            state.seconds += seconds;
            self.state.seconds += seconds;
            self.record(&state, metrics.map(|value| value.filter(|value| value.is_finite())));
        }
        Ok(())
    }

    fn restore(&mut self, before: Checkpoint) {
        // The prefetched batch belongs to a later step.
        self.prefetched = None;
        (self.networks, self.state) = (before.networks, before.state);
    }

    /// Logs, reports and checks the metrics of the step that ended in `state`.
    fn record(&mut self, state: &TrainingState, metrics: StepMetrics) {
        // A metric that this step did not measure keeps its last value.
        self.last = Metrics {
            step: state.step,
            loss_d: metrics.loss_d.unwrap_or(self.last.loss_d),
            loss_g: metrics.loss_g.unwrap_or(self.last.loss_g),
            d_real: metrics.d_real.unwrap_or(self.last.d_real),
            d_fake: metrics.d_fake.unwrap_or(self.last.d_fake),
            norm_d: metrics.norm_d.unwrap_or(self.last.norm_d),
            norm_g: metrics.norm_g.unwrap_or(self.last.norm_g),
            seconds: state.seconds,
        };
        if let Err(error) = self.log.write(&self.last) {
            self.warn(error.to_string());
        }
        if let Some(alarm) = self.unlogged.take() {
            self.log_health(&alarm);
        }
        self.report_progress(state);
        let events = self.health.check_step(&self.last, &self.options.config.train, state.rates());
        self.report_health(events);
    }

    fn report_progress(&mut self, state: &TrainingState) {
        let images_per_second = self.throughput.images_per_second();
        let steps_left = self.options.steps.map(|last| last.saturating_sub(state.step));
        let batch = self.options.config.train.batch as f64;
        let images = state.images;
        (self.emit)(Event::Stepped(TrainingProgress {
            metrics: self.last,
            images,
            epoch: self.dataset.len().map(|pictures| images as f64 / pictures as f64),
            images_per_second,
            seconds_left: steps_left
                .filter(|_| images_per_second > 0.0)
                .map(|steps| steps as f64 * batch / images_per_second),
        }));
        let problems = self.loader.problems();
        if problems.len() > self.problems {
            let new = problems[self.problems..].to_vec();
            self.problems = problems.len();
            (self.emit)(Event::Problems { new, total: self.problems as u64 });
        }
    }
}

/// Pictures per second over the last seconds.
#[derive(Default)]
pub(super) struct Throughput {
    steps: VecDeque<(Instant, usize)>,
}

impl Throughput {
    fn add(&mut self, pictures: usize) {
        let now = Instant::now();
        self.steps.push_back((now, pictures));
        while self.steps.len() > 2 && now.duration_since(self.steps[0].0) > THROUGHPUT_WINDOW {
            self.steps.pop_front();
        }
    }

    fn images_per_second(&self) -> f64 {
        let (Some(first), Some(last)) = (self.steps.front(), self.steps.back()) else { return 0.0 };
        let seconds = last.0.duration_since(first.0).as_secs_f64();
        let pictures: usize = self.steps.iter().skip(1).map(|(_, pictures)| pictures).sum();
        if seconds > 0.0 { pictures as f64 / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_before_the_first_pending_step_is_kept() {
        let mut pending = PendingSteps::default();
        assert!(pending.take().is_none());
        for round in [0, 10] {
            for step in round + 1..=round + 3 {
                pending.push(|| step - 1, step);
            }
            assert_eq!(pending.len(), 3);
            assert_eq!(pending.take(), Some((round, vec![round + 1, round + 2, round + 3])));
        }
        assert!(pending.take().is_none(), "all were taken");
    }

    #[test]
    fn missing_metrics_are_finite_and_nan_and_infinity_are_not() {
        let good = StepMetrics { loss_d: Some(1.0), d_real: Some(0.5), ..StepMetrics::default() };
        assert!(good.is_finite());
        for bad in [f32::NAN, f32::INFINITY] {
            assert!(!StepMetrics { norm_g: Some(bad), ..good }.is_finite());
        }
    }
}
