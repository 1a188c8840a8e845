//! The figure of a [`ScoreReport`]: exemplars and results of triples, and the first turn.

use super::attributes::Attribute;
use super::score::{ArithmeticSpace, ScoreReport};
use super::triples::TripleOutcome;
use super::turn::STEPS;
use crate::image::{Picture, Sheet};

/// Pixels between images.
const GAP: usize = 4;
/// Height of the row of indicators under a result.
const INDICATOR: usize = 6;

const GREEN: [u8; 3] = [40, 160, 70];
const RED: [u8; 3] = [205, 50, 45];
const GRAY: [u8; 3] = [214, 214, 214];

/// A row for each of the first `rows` triples: the exemplars of A, B and C, then the results in Z and in pixels with one exemplar,
/// and with all. Six indicators under a result show its attributes in the order of [`Attribute::ALL`]: green as expected, red
/// not, gray free. Below, the rows of the first turn.
pub fn figure(report: &ScoreReport, rows: usize) -> Picture {
    let exemplars = report.settings.exemplars;
    let (side, columns) = (report.pictures.first().map_or(0, Picture::width), 3 * exemplars + 4);
    let rows = rows.min(report.triples.len());
    let turn_rows = report.turned.len().div_ceil(STEPS);
    let (across, down) = (side + GAP, side + INDICATOR + 2 * GAP);
    let mut sheet = Sheet::new(columns * across + 4 * GAP, rows * down + 4 * GAP + turn_rows * across, 3);
    let shown: Vec<_> = [1, exemplars]
        .iter()
        .flat_map(|&exemplars| [ArithmeticSpace::Z, ArithmeticSpace::Pixels].map(|space| (space, exemplars)))
        .filter_map(|(space, exemplars)| report.scores.iter().find(|s| s.space == space && s.exemplars == exemplars))
        .collect();
    for (row, triple) in report.triples[..rows].iter().enumerate() {
        let y = row * down;
        for (i, &sample) in triple.samples.iter().flatten().enumerate() {
            sheet.put(&report.pictures[sample], i * across + i / exemplars * GAP, y);
        }
        for (i, score) in shown.iter().enumerate() {
            let x = (3 * exemplars + i) * across + 4 * GAP;
            sheet.put(&score.pictures[row], x, y);
            sheet.put(&indicators(&score.outcomes[row], side), x, y + side + 2);
        }
    }
    for (i, picture) in report.turned.iter().enumerate() {
        let (row, column) = (i / STEPS, i % STEPS);
        sheet.put(picture, column * across, rows * down + 4 * GAP + row * across);
    }
    sheet.into_picture()
}

fn indicators(outcome: &TripleOutcome, side: usize) -> Picture {
    let each = side / Attribute::ALL.len();
    let row: Vec<u8> = (0..side)
        .flat_map(|x| match outcome.as_expected.get(x / each.max(1)) {
            Some(as_expected) if x % each.max(1) + 2 <= each => match as_expected {
                Some(true) => GREEN,
                Some(false) => RED,
                None => GRAY,
            },
            _ => [255; 3],
        })
        .collect();
    Picture::new(side, INDICATOR, 3, row.repeat(INDICATOR))
}
