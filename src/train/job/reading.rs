//! What steps measured, from the device to the log and to the trainer's events. A graphics card works ahead: it is handed the next steps
//! before the numbers of the last ones are read, so that it never waits for them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Job;
use crate::device::Kind;
use crate::train::checkpoint::{Checkpoint, TrainingState};
use crate::train::making::Made;
use crate::train::messages::{Event, TrainingProgress};
use crate::train::metrics::Metrics;
use crate::train::scale::LossScale;
use crate::train::step::StepReport;
use crate::train::trainer::{TrainError, guarded};

/// Steps that a graphics card is handed before the first one's numbers are read.
const LAG: usize = 8;
/// How long a speed is averaged over.
const SPEED_WINDOW: Duration = Duration::from_secs(20);

/// A step whose numbers are still on the device.
pub(super) struct Taken {
    /// The run after it.
    pub state: TrainingState,
    pub pictures: usize,
    pub report: StepReport,
}

/// Steps whose numbers are still on the device, and the run as it was before the first of them.
pub(super) struct Unread<B, T> {
    before: Option<B>,
    taken: Vec<T>,
}

impl<B, T> Default for Unread<B, T> {
    fn default() -> Self {
        Self { before: None, taken: Vec::new() }
    }
}

impl<B, T> Unread<B, T> {
    /// Notes a step, and what was before it where it is the first.
    pub fn push(&mut self, before: impl FnOnce() -> B, taken: T) {
        self.before.get_or_insert_with(before);
        self.taken.push(taken);
    }

    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// What was before the first step, and all steps in order; nothing where all are read.
    fn take(&mut self) -> Option<(B, Vec<T>)> {
        Some((self.before.take()?, std::mem::take(&mut self.taken)))
    }
}

/// The first row that has something else than a number.
fn broken(rows: &[[Option<f32>; 6]]) -> Option<usize> {
    rows.iter().position(|row| row.iter().flatten().any(|value| !value.is_finite()))
}

impl Job<'_> {
    /// Steps that may be taken before the first one's numbers are read. The CPU has them at once, and a scaled loss needs them for
    /// the next step.
    pub(super) fn lag(&self) -> usize {
        let waits = self.compute.kind == Kind::Cpu || self.state.loss_scale.is_some();
        if waits { 0 } else { LAG }
    }

    /// Reads back what the steps measured whose numbers are still on the device. Where one failed, the run is again as it was before
    /// the first of these steps.
    pub(super) fn read(&mut self) -> Result<(), TrainError> {
        let Some((before, taken)) = self.unread.take() else { return Ok(()) };
        let began = Instant::now();
        let (states, reports): (Vec<_>, Vec<_>) =
            taken.into_iter().map(|step| ((step.state, step.pictures), step.report)).unzip();
        let step = self.state.step;
        let read = guarded(|| StepReport::read_all(&reports).map_err(|cause| TrainError::Device { step, cause }));
        let read = match read {
            Ok(read) => read,
            Err(error) => {
                self.restore(before);
                return Err(error);
            }
        };
        self.made.take().into_iter().for_each(Made::keep);
        // Nobody knows which step took how long of it.
        let share = began.elapsed().as_secs_f64() / states.len() as f64;
        self.speed.step(states.iter().map(|(_, pictures)| pictures).sum());
        if self.state.loss_scale.is_some() {
            return self.scaled(before, states, &read, share);
        }
        let good = broken(&read).unwrap_or(read.len());
        for (i, ((mut state, _), read)) in states.iter().cloned().zip(&read).take(good).enumerate() {
            state.seconds += share * (i + 1) as f64;
            self.measured(&state, *read);
        }
        match states.get(good) {
            Some((state, _)) => {
                self.restore(before);
                Err(TrainError::Diverged { step: state.step })
            }
            None => {
                self.state.seconds += share * states.len() as f64;
                Ok(())
            }
        }
    }

    /// Takes note of steps whose loss was scaled: there is one, since the next one's scale depends on it. Where it overflowed, the
    /// networks are those from before it, and the run goes on.
    fn scaled(
        &mut self,
        before: Checkpoint,
        states: Vec<(TrainingState, usize)>,
        read: &[[Option<f32>; 6]],
        share: f64,
    ) -> Result<(), TrainError> {
        let (step, overflowed) = (self.state.step, broken(read).is_some());
        let mut scale = self.state.loss_scale.unwrap_or_default();
        if !scale.step(overflowed) {
            self.restore(before);
            return Err(TrainError::Diverged { step });
        }
        if overflowed {
            self.networks = before.networks;
            let LossScale { scale, skipped, .. } = scale;
            (self.emit)(Event::Note(format!(
                "step {step} overflowed in half precision and was skipped ({skipped} so far); the loss is multiplied by {scale} now"
            )));
        }
        self.networks.loss_scale = scale.scale;
        self.state.loss_scale = Some(scale);
        for ((mut state, _), read) in states.into_iter().zip(read) {
            state.seconds += share;
            self.state.seconds += share;
            self.measured(&state, read.map(|value| value.filter(|value| value.is_finite())));
        }
        Ok(())
    }

    fn restore(&mut self, before: Checkpoint) {
        // The batch that is on its way belongs to a later step.
        self.ahead = None;
        (self.networks, self.state) = (before.networks, before.state);
    }

    /// Logs and tells of what the step that ended in `state` measured.
    fn measured(&mut self, state: &TrainingState, read: [Option<f32>; 6]) {
        // What an alternating step did not measure is shown as it last was.
        let [loss_d, loss_g, d_real, d_fake, norm_d, norm_g] = read;
        self.last = Metrics {
            step: state.step,
            loss_d: loss_d.unwrap_or(self.last.loss_d),
            loss_g: loss_g.unwrap_or(self.last.loss_g),
            d_real: d_real.unwrap_or(self.last.d_real),
            d_fake: d_fake.unwrap_or(self.last.d_fake),
            norm_d: norm_d.unwrap_or(self.last.norm_d),
            norm_g: norm_g.unwrap_or(self.last.norm_g),
            seconds: state.seconds,
        };
        if let Err(cause) = self.log.write(&self.last) {
            self.warn(format!("{} lacks steps: {cause}", self.run.metrics().display()));
        }
        if let Some(health) = self.unlogged.take() {
            self.write_down(&health);
        }
        self.report(state);
        let found = self.health.step(&self.last, &self.options.config.train, state.rates());
        self.fails(found);
    }

    fn report(&mut self, state: &TrainingState) {
        let rate = self.speed.images_per_second();
        let left = self.options.steps.map(|last| last.saturating_sub(state.step));
        let batch = self.options.config.train.batch as f64;
        let images = state.images;
        (self.emit)(Event::Stepped(TrainingProgress {
            metrics: self.last,
            images,
            epoch: self.dataset.len().map(|pictures| images as f64 / pictures as f64),
            images_per_second: rate,
            seconds_left: left.filter(|_| rate > 0.0).map(|left| left as f64 * batch / rate),
        }));
        let problems = self.loader.problems();
        if problems.len() as u64 > self.problems {
            let new = problems[self.problems as usize..].to_vec();
            self.problems = problems.len() as u64;
            (self.emit)(Event::Problems { new, total: self.problems });
        }
    }
}

/// Pictures a second over the last seconds.
#[derive(Default)]
pub(super) struct Speed {
    steps: VecDeque<(Instant, usize)>,
}

impl Speed {
    fn step(&mut self, pictures: usize) {
        let now = Instant::now();
        self.steps.push_back((now, pictures));
        while self.steps.len() > 2 && now.duration_since(self.steps[0].0) > SPEED_WINDOW {
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
    fn what_was_before_the_first_unread_step_is_kept() {
        let mut unread = Unread::default();
        assert!(unread.take().is_none());
        for round in [0, 10] {
            for step in round + 1..=round + 3 {
                unread.push(|| step - 1, step);
            }
            assert_eq!(unread.len(), 3);
            assert_eq!(unread.take(), Some((round, vec![round + 1, round + 2, round + 3])));
        }
        assert!(unread.take().is_none(), "all are read");
    }

    #[test]
    fn the_first_step_without_numbers_is_found() {
        let good = [Some(1.0), None, Some(0.5), Some(0.5), Some(2.0), None];
        let with = |value| [good[0], good[1], value, good[3], good[4], good[5]];
        assert_eq!(broken(&[good, good]), None);
        assert_eq!(broken(&[good, with(Some(f32::NAN)), with(Some(f32::INFINITY))]), Some(1));
    }
}
