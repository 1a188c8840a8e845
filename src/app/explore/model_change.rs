//! What a new model makes invalid.

/// How the generator changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModelChange {
    /// Other weights or ablations. Images are generated again and stay on the screen until then.
    Weights,
    /// Another checkpoint or reading of the same architecture: as [`Self::Weights`], but findings about the model are void.
    Checkpoint,
    /// A different model: nothing stays.
    Model,
}
