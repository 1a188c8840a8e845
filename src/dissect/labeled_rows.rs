//! Layout of labeled rows of pictures, for the figures of guided backpropagation and of object removal.

use crate::image::{LABEL_HEIGHT, Picture, Sheet};

/// The gap between pictures, in pixels.
pub(super) const GAP: usize = 2;
/// The channels of the figures: labels are in color even if the pictures are gray.
pub(super) const CHANNELS: usize = 3;

/// The layout of rows of equally large pictures, each row as high as its pictures or its label.
pub(super) struct LabeledRows {
    /// The distance from one picture to the next in a row.
    pub column_width: usize,
    /// The distance from one row to the next.
    pub row_height: usize,
}

impl LabeledRows {
    /// For pictures of this size.
    pub fn new(width: usize, height: usize) -> Self {
        Self { column_width: width + GAP, row_height: height.max(LABEL_HEIGHT) + GAP }
    }

    /// Draws a column of labels, vertically centered in the rows from `y` on.
    pub fn put_labels(&self, sheet: &mut Sheet, labels: &[Picture], y: usize) {
        for (row, label) in labels.iter().enumerate() {
            sheet.put(label, 0, y + row * self.row_height + (self.row_height - GAP - LABEL_HEIGHT) / 2);
        }
    }

    /// Draws rows of pictures with the upper left corner at (`x`, `y`).
    pub fn put_pictures<'a>(
        &self,
        sheet: &mut Sheet,
        rows: impl IntoIterator<Item = &'a [Picture]>,
        x: usize,
        y: usize,
    ) {
        for (row, pictures) in rows.into_iter().enumerate() {
            for (column, picture) in pictures.iter().enumerate() {
                sheet.put(picture, x + column * self.column_width, y + row * self.row_height);
            }
        }
    }
}
