//! Notes that explain the chosen interpretation of an imported generator and name the alternatives.

use super::assemble::Assembly;
use super::interpretation::{EPSILONS, FITS, Interpretation};
use super::notes::{ImportNote, InferredSetting};
use crate::model::ModelConfig;

/// Maximum number of alternatives that are named.
const MAX_ALTERNATIVES: usize = 3;
/// An alternative is named if its distance is below this multiple of the chosen one's plus [`NEAR_OFFSET`].
const NEAR_FACTOR: f64 = 4.0;
const NEAR_OFFSET: f64 = 0.004;
/// Minimum extra distance of the next interpretation that is worth a note.
const NEXT_OFFSET: f64 = 0.005;
/// Without statistics, an alternative is named if its cost exceeds the chosen one's by less than this.
const NEAR_COST: f64 = 1.3;
/// Maximum mean distance at which prior and activation count as determined: several times what sampling and the last
/// training steps cause.
const DETERMINED: f64 = 0.15;

impl Assembly<'_> {
    /// Notes about strides and image size.
    pub fn stride_notes(
        &self,
        chosen: &Interpretation,
        others: &[Interpretation],
        extra_cost: &dyn Fn(&Interpretation) -> f64,
        paired: bool,
    ) -> Option<ImportNote> {
        let (size, strides) = (chosen.size, chosen.strides());
        if let Some(requested) = &self.request.constraints.strides {
            let requested: Vec<String> = requested.iter().map(ToString::to_string).collect();
            return Some(format!("chosen: strides {}, {size}x{size} pictures", requested.join(",")).into());
        }
        if paired {
            return Some(ImportNote::inferred(
                InferredSetting::Stride,
                format!(
                    "every other of its 3x3 kernels has stride 1, as in the paper's 32x32 network, and its pictures are {size}x{size}"
                ),
            ));
        }
        // The first layer has no stride.
        let compared = chosen.distances.len() > 1;
        let cost = |candidate: &Interpretation| candidate.cost + extra_cost(candidate);
        let near: Vec<String> = others
            .iter()
            .filter(|candidate| {
                cost(candidate) < cost(chosen) + NEAR_COST || compared && candidate.distance() < 0.7 * chosen.distance()
            })
            .filter(|candidate| {
                let limit = NEAR_FACTOR * chosen.distance() + NEAR_OFFSET;
                !compared || candidate.distance() < limit || !chosen.fits()
            })
            .take(MAX_ALTERNATIVES)
            .map(|candidate| alternative(chosen, candidate))
            .collect();
        let or = if near.is_empty() { String::new() } else { format!("; otherwise {}", near.join(", ")) };
        let distance = chosen.distance();
        if compared && !chosen.fits() {
            let worst = chosen.distances.iter().copied().fold(0.0, f64::max);
            return Some(ImportNote::inferred(
                InferredSetting::Stride,
                format!(
                    "strides {strides} and {size}x{size} pictures; its running statistics fit none of the readings that are known \
                     (this one is off by {distance:.3}, its worst layer by {worst:.3}; what fits is below {FITS}){or}",
                ),
            ));
        }
        if !near.is_empty() || !compared {
            let fit = if compared {
                format!(", off from its running statistics by {distance:.3}")
            } else {
                ", as is usual for such kernels: no running statistics decide it".to_owned()
            };
            let text = format!("strides {strides}, {size}x{size} pictures{fit}{or}");
            return Some(ImportNote::inferred(InferredSetting::Stride, text));
        }
        let next = others.iter().find(|other| other.distance() > 1.2 * distance + NEXT_OFFSET);
        let next = next.map(|next| format!("; the next reading is {}", alternative(chosen, next))).unwrap_or_default();
        Some(
            format!(
                "its running statistics fit strides {strides} and {size}x{size} pictures (off by {distance:.3}{next})"
            )
            .into(),
        )
    }

    /// Notes about the prior, the activations and batch norm's epsilon.
    pub fn training_notes(&self, config: &ModelConfig, chosen: &Interpretation) -> Vec<ImportNote> {
        let (prior, activation) = (config.prior, config.hidden_activation());
        let mut notes = Vec::new();
        // The first layer's statistics show the prior, those of later layers the activation.
        if chosen.distances.len() > 1 && chosen.distance() < DETERMINED {
            notes.push(format!("its running statistics fit a {prior} prior and {activation}").into());
        } else {
            notes.push(ImportNote::inferred(InferredSetting::Prior, format!("z has a {prior} prior")));
            notes.push(ImportNote::inferred(InferredSetting::Rectifiers, format!("its rectifiers are {activation}")));
        }
        let has_norm = self.generator.chain.layers.iter().any(|layer| layer.norm.is_some());
        if chosen.pytorch_gan {
            notes.push(
                "its running statistics fit batch norm with an epsilon of 0.8 after its convolutions, and no rectifier before the first"
                    .to_owned()
                    .into(),
            );
        } else if let Some(epsilon) = self.request.constraints.epsilon {
            notes.push(format!("chosen: an epsilon of {epsilon} in batch norm").into());
        } else if chosen.epsilon != EPSILONS[0] {
            notes.push(
                format!("its running statistics fit an epsilon of {} in batch norm, as Keras has it", chosen.epsilon)
                    .into(),
            );
        } else if has_norm && !self.sources[self.generator.source].1.is_theano() {
            let text = "an epsilon of 1e-5 in batch norm, PyTorch's; Keras's is @eps=1e-3";
            notes.push(ImportNote::inferred(InferredSetting::Epsilon, text));
        }
        notes
    }
}

/// Names an alternative by the setting that selects it, with its image size and distance.
fn alternative(chosen: &Interpretation, other: &Interpretation) -> String {
    let setting = if chosen.strides() == other.strides() {
        format!("@size={}", other.size)
    } else {
        format!("@strides={}", other.strides())
    };
    let distance = if other.distances.is_empty() { String::new() } else { format!(", off by {:.3}", other.distance()) };
    format!("{setting} ({0}x{0}{distance})", other.size)
}
