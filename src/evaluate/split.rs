//! [`ProbeSplit`]: which labeled images a linear probe is fitted on, and which validate its penalty.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::error::EvaluationError;
use super::labeled::{LabeledSet, sample_balanced};
use super::probe::ProbeSettings;

/// The most draws that C is selected with, as in the authors' code.
const SELECTION_DRAWS: usize = 10;

/// Indices of training images by their use.
pub(super) struct ProbeSplit {
    /// Images that C is validated on.
    pub validation: Vec<usize>,
    /// Sets to fit on while C is selected; none has a validation image.
    pub selection: Vec<Vec<usize>>,
    /// Sets to fit on for the final accuracy.
    pub draws: Vec<Vec<usize>>,
}

impl ProbeSplit {
    /// Takes the validation images, then draws as many labels as `settings` ask for from the rest; errors call the images
    /// `source_name`.
    ///
    /// # Errors
    /// [`EvaluationError::TooFew`].
    pub fn new(set: &LabeledSet, settings: &ProbeSettings, source_name: &str) -> Result<Self, EvaluationError> {
        let too_few = |class: Option<usize>, have, need, hint| EvaluationError::TooFew {
            source_name: source_name.to_owned(),
            class: class.map(|class| set.classes[class].clone()),
            have,
            need,
            hint,
        };
        let by_class = set.by_class();
        let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
        let validation = sample_balanced(&by_class, settings.validation, &mut rng);
        let mut held_out = vec![false; set.labels.len()];
        validation.iter().for_each(|&row| held_out[row] = true);
        let rest = |rows: &Vec<usize>| -> Vec<usize> { rows.iter().copied().filter(|&row| !held_out[row]).collect() };
        let pool: Vec<Vec<usize>> = by_class.iter().map(rest).collect();
        let need = settings.labels.map_or(1, |labels| labels.div_ceil(set.classes.len()));
        if let Some(class) = (0..pool.len()).find(|&class| pool[class].len() < need) {
            let hint = "add pictures, use more training pictures (raise --count), or lower --labels or --validation";
            return Err(too_few(
                Some(class),
                by_class[class].len(),
                need + by_class[class].len() - pool[class].len(),
                hint,
            ));
        }
        if validation.len() < set.classes.len() {
            let hint = "C is selected on the --validation pictures, which need at least one of each class";
            return Err(too_few(None, validation.len(), set.classes.len(), hint));
        }
        Ok(match settings.labels {
            None => {
                let all = (0..set.labels.len()).collect();
                Self { validation, selection: vec![pool.concat()], draws: vec![all] }
            }
            Some(labels) => {
                let draws: Vec<_> = (0..settings.draws).map(|_| sample_balanced(&pool, labels, &mut rng)).collect();
                Self { validation, selection: draws[..draws.len().min(SELECTION_DRAWS)].to_vec(), draws }
            }
        })
    }
}
