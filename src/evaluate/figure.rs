//! Scored triples as pictures, for eyes to check.

use super::attributes::Attribute;
use super::score::{Report, Way};
use super::triples::Outcome;
use crate::image::{Picture, Sheet};

/// Pixels between pictures.
const GAP: usize = 4;
/// Height of the row of lights under a result.
const LIGHT: usize = 6;

const GREEN: [u8; 3] = [40, 160, 70];
const RED: [u8; 3] = [205, 50, 45];
const GREY: [u8; 3] = [214, 214, 214];

/// The first `rows` triples, a row each: the exemplars of A, of B and of C, then the result in Z and in pixels with one
/// exemplar, and both with all. Under each result are six lights, one an attribute in the order of
/// [`Attribute::ALL`]: green as it must be, red not, grey free. Below, the first turn's rows.
pub fn figure(report: &Report, rows: usize) -> Picture {
    let exemplars = report.settings.exemplars;
    let (side, columns) = (report.pictures.first().map_or(0, Picture::width), 3 * exemplars + 4);
    let rows = rows.min(report.triples.len());
    let turned = report.turned.len().div_ceil(super::turn::STEPS);
    let (across, down) = (side + GAP, side + LIGHT + 2 * GAP);
    let mut sheet = Sheet::new(columns * across + 4 * GAP, rows * down + 4 * GAP + turned * across, 3);
    let shown: Vec<_> = [1, exemplars]
        .iter()
        .flat_map(|&exemplars| [Way::Z, Way::Pixels].map(|way| (way, exemplars)))
        .filter_map(|(way, exemplars)| report.scored.iter().find(|s| s.way == way && s.exemplars == exemplars))
        .collect();
    for (row, triple) in report.triples[..rows].iter().enumerate() {
        let y = row * down;
        for (i, &sample) in triple.samples.iter().flatten().enumerate() {
            sheet.put(&report.pictures[sample], i * across + i / exemplars * GAP, y);
        }
        for (i, scored) in shown.iter().enumerate() {
            let x = (3 * exemplars + i) * across + 4 * GAP;
            sheet.put(&scored.pictures[row], x, y);
            sheet.put(&lights(&scored.outcomes[row], side), x, y + side + 2);
        }
    }
    for (i, picture) in report.turned.iter().enumerate() {
        let (row, column) = (i / super::turn::STEPS, i % super::turn::STEPS);
        sheet.put(picture, column * across, rows * down + 4 * GAP + row * across);
    }
    sheet.into_picture()
}

fn lights(outcome: &Outcome, side: usize) -> Picture {
    let each = side / Attribute::ALL.len();
    let row: Vec<u8> = (0..side)
        .flat_map(|x| match outcome.met.get(x / each.max(1)) {
            Some(met) if x % each.max(1) + 2 <= each => match met {
                Some(true) => GREEN,
                Some(false) => RED,
                None => GREY,
            },
            _ => [255; 3],
        })
        .collect();
    Picture::new(side, LIGHT, 3, row.repeat(LIGHT))
}
