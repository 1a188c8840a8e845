//! The figure of forgetting: the same samples as drawn, without an object's filters, and under the controls.

use std::ops::Range;

use crate::image::{LABEL_HEIGHT, LabelError, Picture, Sheet, label};

/// The rows, in the order that they are drawn.
pub const ROWS: [&str; 4] = ["as drawn", "without the chosen filters", "random control", "equally loud control"];
/// Pixels between pictures, as on every sheet.
const GAP: usize = 2;
/// Pixels between the parts, and between the rows' names and the pictures.
const APART: usize = 12;

/// Which samples of a row the filters were found with, and which are fresh.
///
/// On samples that a regression was fitted on, its filters may do better than on any others: only fresh ones, which nobody chose,
/// show what dropping the filters does to the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// How many of the first the filters were found with.
    pub fitted: usize,
    /// The numbers of the others.
    pub fresh: Range<u64>,
}

impl Parts {
    /// What each part is, for people.
    pub fn headings(&self) -> [String; 2] {
        let Range { start, end } = self.fresh;
        let last = end.saturating_sub(1);
        ["fitted: the filters were found with these".to_owned(), format!("fresh: not used, samples {start} to {last}")]
    }

    /// Where each part lies in a row.
    pub fn ranges(&self) -> [Range<usize>; 2] {
        let fresh = self.fresh.end.saturating_sub(self.fresh.start) as usize;
        [0..self.fitted, self.fitted..self.fitted + fresh]
    }
}

/// Rows of the same samples, each with its name, in two parts with headings; a part without samples is left out.
///
/// # Errors
/// [`LabelError`] when names or headings cannot be drawn.
///
/// # Panics
/// If a row has fewer pictures than the parts say.
pub fn figure(rows: &[(&str, Vec<Picture>)], parts: &Parts) -> Result<Picture, LabelError> {
    let side = rows.iter().flat_map(|(_, pictures)| pictures).map(Picture::width).next().unwrap_or(0);
    let names = rows.iter().map(|(name, _)| label(name)).collect::<Result<Vec<_>, _>>()?;
    let mut shown = Vec::new();
    for (heading, range) in parts.headings().iter().zip(parts.ranges()).filter(|(_, range)| !range.is_empty()) {
        let heading = label(heading)?;
        let width = heading.width().max(range.len() * (side + GAP));
        shown.push((heading, range, width));
    }
    let left = names.iter().map(Picture::width).max().unwrap_or(0) + APART;
    let height = side.max(LABEL_HEIGHT) + GAP;
    let width = left + shown.iter().map(|(.., width)| width + APART).sum::<usize>();
    let mut sheet = Sheet::new(width, LABEL_HEIGHT + rows.len() * height, 3);
    for (row, name) in names.iter().enumerate() {
        sheet.put(name, 0, LABEL_HEIGHT + row * height + side.saturating_sub(LABEL_HEIGHT) / 2);
    }
    let mut x = left;
    for (heading, range, width) in shown {
        sheet.put(&heading, x, 0);
        for (row, (_, pictures)) in rows.iter().enumerate() {
            for (column, picture) in pictures[range.clone()].iter().enumerate() {
                sheet.put(picture, x + column * (side + GAP), LABEL_HEIGHT + row * height);
            }
        }
        x += width + APART;
    }
    Ok(sheet.into_picture())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fitted_and_fresh_samples_stand_apart_under_their_headings() {
        let row = |shade: u8| {
            (0..5u8).map(|i| Picture::new(40, 40, 3, [shade + i, 0, 0].repeat(40 * 40))).collect::<Vec<_>>()
        };
        let rows = [(ROWS[0], row(100)), (ROWS[1], row(200))];
        let parts = Parts { fitted: 3, fresh: 150..152 };
        assert!(parts.headings()[0].contains("found with") && parts.headings()[1].contains("150 to 151"));
        let sheet = figure(&rows, &parts).unwrap();
        let columns = |shade: u8| -> Vec<usize> {
            let pixels: Vec<_> = sheet.pixels().chunks_exact(3).collect();
            let has = |x: usize| (0..sheet.height()).any(|y| pixels[y * sheet.width() + x] == [shade, 0, 0]);
            (0..sheet.width()).filter(|&x| has(x)).collect()
        };
        let widths: Vec<usize> = (100..105).chain(200..205).map(|shade| columns(shade).len()).collect();
        assert_eq!(widths, [40; 10], "every picture is there, whole");
        let start = |shade: u8| columns(shade)[0];
        assert_eq!((start(101) - start(100), start(104) - start(103)), (42, 42));
        let heading = label(&parts.headings()[0]).unwrap().width();
        assert_eq!(start(103) - start(100), heading.max(3 * 42) + APART, "the parts do not touch");
        assert_eq!((start(100), start(103)), (start(200), start(203)), "the same samples stand below each other");
        let all_fresh = figure(&rows, &Parts { fitted: 0, fresh: 150..155 }).unwrap();
        assert!(all_fresh.width() < sheet.width(), "a part without samples has no heading");
    }
}
