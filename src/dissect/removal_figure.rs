//! The figure of object removal: the same samples unchanged, without the object's filters, and under the controls.

use std::ops::Range;

use super::labeled_rows::{CHANNELS, LabeledRows};
use crate::image::{LABEL_HEIGHT, LabelError, Picture, Sheet, label};

/// The names of the rows, from top to bottom.
pub const ROW_NAMES: [&str; 4] = ["as drawn", "without the chosen filters", "random control", "equally loud control"];
/// The gap between the parts, and between row names and pictures, in pixels.
const PART_GAP: usize = 12;

/// The samples of each row: first those that the filters were fitted on, then fresh ones.
///
/// Dropping filters may work better on the samples they were fitted on, so only fresh samples show the effect on the
/// model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleSplit {
    /// The number of samples that the filters were fitted on.
    pub fitted: usize,
    /// The numbers of the fresh samples.
    pub fresh: Range<u64>,
}

impl SampleSplit {
    /// The headings of the two parts.
    pub fn headings(&self) -> [String; 2] {
        let Range { start, end } = self.fresh;
        let last = end.saturating_sub(1);
        ["fitted: the filters were found with these".to_owned(), format!("fresh: not used, samples {start} to {last}")]
    }

    /// The range of each part in a row.
    pub fn ranges(&self) -> [Range<usize>; 2] {
        let fresh = self.fresh.end.saturating_sub(self.fresh.start) as usize;
        [0..self.fitted, self.fitted..self.fitted + fresh]
    }
}

/// Renders named rows of the same samples in two parts with headings. An empty part is left out.
///
/// # Errors
/// [`LabelError`] if a name or heading cannot be rendered.
///
/// # Panics
/// If a row has fewer pictures than `split` says.
pub fn render_removal_figure(rows: &[(&str, Vec<Picture>)], split: &SampleSplit) -> Result<Picture, LabelError> {
    let side = rows.iter().flat_map(|(_, pictures)| pictures).map(Picture::width).next().unwrap_or(0);
    let layout = LabeledRows::new(side, side);
    let names = rows.iter().map(|(name, _)| label(name)).collect::<Result<Vec<_>, _>>()?;
    let mut parts = Vec::new();
    for (heading, range) in split.headings().iter().zip(split.ranges()).filter(|(_, range)| !range.is_empty()) {
        let heading = label(heading)?;
        let width = heading.width().max(range.len() * layout.column_width);
        parts.push((heading, range, width));
    }
    let left = names.iter().map(Picture::width).max().unwrap_or(0) + PART_GAP;
    let width = left + parts.iter().map(|(.., width)| width + PART_GAP).sum::<usize>();
    let mut sheet = Sheet::new(width, LABEL_HEIGHT + rows.len() * layout.row_height, CHANNELS);
    layout.put_labels(&mut sheet, &names, LABEL_HEIGHT);
    let mut x = left;
    for (heading, range, width) in parts {
        sheet.put(&heading, x, 0);
        let pictures = rows.iter().map(|(_, pictures)| &pictures[range.clone()]);
        layout.put_pictures(&mut sheet, pictures, x, LABEL_HEIGHT);
        x += width + PART_GAP;
    }
    Ok(sheet.into_picture())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fitted_and_fresh_samples_have_separate_headings() {
        let row = |shade: u8| {
            (0..5u8).map(|i| Picture::new(40, 40, 3, [shade + i, 0, 0].repeat(40 * 40))).collect::<Vec<_>>()
        };
        let rows = [(ROW_NAMES[0], row(100)), (ROW_NAMES[1], row(200))];
        let split = SampleSplit { fitted: 3, fresh: 150..152 };
        assert!(split.headings()[0].contains("found with") && split.headings()[1].contains("150 to 151"));
        let sheet = render_removal_figure(&rows, &split).unwrap();
        let columns = |shade: u8| -> Vec<usize> {
            let pixels: Vec<_> = sheet.pixels().chunks_exact(3).collect();
            let has = |x: usize| (0..sheet.height()).any(|y| pixels[y * sheet.width() + x] == [shade, 0, 0]);
            (0..sheet.width()).filter(|&x| has(x)).collect()
        };
        let widths: Vec<usize> = (100..105).chain(200..205).map(|shade| columns(shade).len()).collect();
        assert_eq!(widths, [40; 10], "every picture is complete");
        let start = |shade: u8| columns(shade)[0];
        assert_eq!((start(101) - start(100), start(104) - start(103)), (42, 42));
        let heading = label(&split.headings()[0]).unwrap().width();
        assert_eq!(start(103) - start(100), heading.max(3 * 42) + PART_GAP, "the parts are separated");
        assert_eq!((start(100), start(103)), (start(200), start(203)), "the samples of all rows are aligned");
        let all_fresh = render_removal_figure(&rows, &SampleSplit { fitted: 0, fresh: 150..155 }).unwrap();
        assert!(all_fresh.width() < sheet.width(), "a part without samples has no heading");
    }
}
