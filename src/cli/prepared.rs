//! Flags for the preparation of pictures.

use clap::Args;

use crate::image::{Background, Fit, PictureFormat, Preparation, PreparationError, Resize};

/// How pictures are cropped and resized for the networks. Flags that are not given leave the model's settings.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Preparation of pictures")]
pub(super) struct PreparationArgs {
    /// Crop the N x N pixels in the center of each picture before resizing (CelebA is commonly cropped to 108 or
    /// 138); 0 for the largest crop that --fit allows [default: the model's, or 0]
    #[arg(long, value_name = "N")]
    crop: Option<usize>,
    /// How to fit pictures that are not square, or smaller than the crop [default: the model's, or crop]
    #[arg(long, value_enum)]
    fit: Option<Fit>,
    /// Resampling filter [default: the model's, or lanczos]
    #[arg(long, value_enum)]
    resize: Option<Resize>,
    /// Color behind transparent pixels: white, black, gray or #rrggbb [default: the model's, or white]
    #[arg(long, value_name = "COLOR")]
    background: Option<Background>,
}

impl PreparationArgs {
    /// `preparation` with the given flags in place of its settings.
    pub fn over(&self, preparation: Preparation) -> Preparation {
        preparation.with(self.crop, self.fit, self.resize, self.background)
    }

    /// `format` with the given flags in place of its settings.
    ///
    /// # Errors
    /// [`PreparationError`] if they contradict each other.
    pub fn on(&self, format: PictureFormat) -> Result<PictureFormat, PreparationError> {
        format.prepared(Some(self.over(format.preparation)))
    }
}
