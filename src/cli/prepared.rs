//! The flags that say how pictures are prepared.

use clap::Args;

use crate::image::{Background, Fit, PictureFormat, PreparationError, Resize};

/// How pictures are prepared. What is not given is as the model's run had it, or the default.
#[derive(Args, Debug, Clone, Default)]
pub(super) struct Prepared {
    /// Take the N x N pixels in the center of each picture before resizing (CelebA is commonly cropped to 108 or 138); 0 for
    /// as much as --fit allows [default: the model's, or 0]
    #[arg(long, value_name = "N")]
    pub crop: Option<usize>,
    /// What is done with pictures that are not square, or smaller than the crop [default: the model's, or crop]
    #[arg(long, value_enum, hide_possible_values = false)]
    pub fit: Option<Fit>,
    /// How they are resized [default: the model's, or lanczos]
    #[arg(long, value_enum)]
    pub resize: Option<Resize>,
    /// What transparent pictures are laid on: white, black, gray or #rrggbb [default: the model's, or white]
    #[arg(long, value_name = "COLOR")]
    pub background: Option<Background>,
}

impl Prepared {
    /// A format with these flags in it.
    ///
    /// # Errors
    /// [`PreparationError`] where they do not go together.
    pub fn on(&self, format: PictureFormat) -> Result<PictureFormat, PreparationError> {
        format.prepared(Some(format.preparation.with(self.crop, self.fit, self.resize, self.background)))
    }
}
