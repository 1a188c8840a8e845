//! Which labelled pictures the classifier learns from, and which its penalty is chosen on.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::classify::Settings;
use super::error::MeasureError;
use super::labelled::{Labelled, balanced};

/// Draws that C is chosen by at most, as in the authors' code.
const CHOOSING: usize = 10;

/// Which training pictures are used for what.
pub(super) struct Split {
    /// C is chosen on these ...
    pub validation: Vec<usize>,
    /// ... with what is learnt from each of these.
    pub choosing: Vec<Vec<usize>>,
    /// What counts is learnt from each of these.
    pub draws: Vec<Vec<usize>>,
}

impl Split {
    /// Validation pictures first, then as many labels as `settings` ask for from what is left, `source_name` naming the pictures in
    /// errors.
    ///
    /// # Errors
    /// [`MeasureError::TooFew`].
    pub fn new(set: &Labelled, settings: &Settings, source_name: &str) -> Result<Self, MeasureError> {
        let too_few = |class: Option<usize>, have, need, hint| MeasureError::TooFew {
            source_name: source_name.to_owned(),
            class: class.map(|class| set.classes[class].clone()),
            have,
            need,
            hint,
        };
        let by_class = set.by_class();
        let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
        let validation = balanced(&by_class, settings.validation, &mut rng);
        let mut held = vec![false; set.labels.len()];
        validation.iter().for_each(|&row| held[row] = true);
        let left = |rows: &Vec<usize>| -> Vec<usize> { rows.iter().copied().filter(|&row| !held[row]).collect() };
        let pool: Vec<Vec<usize>> = by_class.iter().map(left).collect();
        let need = settings.labels.map_or(1, |labels| labels.div_ceil(set.classes.len()));
        if let Some(class) = (0..pool.len()).find(|&class| pool[class].len() < need) {
            let hint = "add pictures, take more to learn from (raise --count), or lower --labels or --validation";
            return Err(too_few(
                Some(class),
                by_class[class].len(),
                need + by_class[class].len() - pool[class].len(),
                hint,
            ));
        }
        if validation.len() < set.classes.len() {
            let hint = "C is chosen on --validation pictures, one of each class at least";
            return Err(too_few(None, validation.len(), set.classes.len(), hint));
        }
        Ok(match settings.labels {
            None => {
                let all = (0..set.labels.len()).collect();
                Self { validation, choosing: vec![pool.concat()], draws: vec![all] }
            }
            Some(labels) => {
                let draws: Vec<_> = (0..settings.draws).map(|_| balanced(&pool, labels, &mut rng)).collect();
                Self { validation, choosing: draws[..draws.len().min(CHOOSING)].to_vec(), draws }
            }
        })
    }
}
