//! [`ConfusionMatrix`]: test images by true and predicted class, and the images behind each count.

use serde::Serialize;

use super::labeled::LabeledSet;
use crate::image::{Picture, Sheet};

/// Images along a side of a figure's cell.
const CELL_IMAGES: usize = 2;
/// Pixels between cells, and width of a cell's frame.
const GAP: usize = 4;
const FRAME: usize = 3;
/// Least side of an image in the figure.
const MIN_SIDE: usize = 32;

/// Test images by true and predicted class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfusionMatrix {
    /// Number of images, `[truth][prediction]`.
    pub counts: Vec<Vec<usize>>,
    /// Indices of the images behind each count, `[truth][prediction]`, the most confident predictions first.
    #[serde(skip)]
    pub members: Vec<Vec<Vec<usize>>>,
}

impl ConfusionMatrix {
    /// Of the test images' true classes, and their predicted classes with a confidence.
    pub fn new(classes: usize, truths: &[usize], predictions: &[(usize, f32)]) -> Self {
        let mut members = vec![vec![Vec::new(); classes]; classes];
        for (number, (&truth, &(predicted, _))) in truths.iter().zip(predictions).enumerate() {
            members[truth][predicted].push(number);
        }
        for cell in members.iter_mut().flatten() {
            cell.sort_by(|&a, &b| predictions[b].1.total_cmp(&predictions[a].1));
        }
        let count = |row: &Vec<Vec<usize>>| row.iter().map(Vec::len).collect();
        Self { counts: members.iter().map(count).collect(), members }
    }

    /// A row per true class, a column per predicted class. Each cell shows its four most confident images in a frame: green on the
    /// diagonal, red elsewhere, darker the larger the cell's share of its row.
    pub fn figure(&self, test: &LabeledSet) -> Picture {
        let size = test.pictures.first().map_or(MIN_SIDE, Picture::width);
        let zoom = MIN_SIDE.div_ceil(size);
        let inner = CELL_IMAGES * size * zoom;
        let (cell, classes) = (inner + 2 * FRAME, self.counts.len());
        let side = classes * (cell + GAP) - GAP;
        let mut sheet = Sheet::new(side, side, 3);
        for (truth, row) in self.members.iter().enumerate() {
            let all: usize = self.counts[truth].iter().sum();
            for (predicted, members) in row.iter().enumerate().filter(|(_, members)| !members.is_empty()) {
                let (x, y) = (predicted * (cell + GAP), truth * (cell + GAP));
                let share = members.len() as f32 / all.max(1) as f32;
                let color = if truth == predicted { [20.0, 120.0, 50.0] } else { [190.0, 30.0, 25.0f32] };
                // The square root keeps the small shares visible, which most mistakes are.
                let tint = color.map(|value| (255.0 + (value - 255.0) * share.sqrt()) as u8);
                sheet.put(&Picture::new(cell, cell, 3, tint.repeat(cell * cell)), x, y);
                for (i, &number) in members.iter().take(CELL_IMAGES * CELL_IMAGES).enumerate() {
                    let picture = test.pictures[number].enlarged(zoom);
                    let (column, line) = (i % CELL_IMAGES * picture.width(), i / CELL_IMAGES * picture.height());
                    sheet.put(&picture, x + FRAME + column, y + FRAME + line);
                }
            }
        }
        sheet.into_picture()
    }

    /// The counts as a table of text, with the names of the classes.
    pub fn table(&self, classes: &[String]) -> String {
        let widest = classes.iter().map(|class| class.chars().count()).max().unwrap_or(0).max(5);
        let line = |(class, counts): (&String, &Vec<usize>)| {
            let cells: String = counts.iter().map(|count| format!(" {count:>5}")).collect();
            format!("  {class:<widest$}{cells}")
        };
        let short = |class: &String| format!(" {:>5}", class.chars().take(5).collect::<String>());
        let head = format!("  {:widest$}{}", "", classes.iter().map(short).collect::<String>());
        let lines: Vec<_> = std::iter::once(head).chain(classes.iter().zip(&self.counts).map(line)).collect();
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_count_their_images_and_show_the_most_confident_first() {
        let predictions = [(0, 0.1), (1, 0.5), (1, 0.9), (1, 0.2)];
        let confusion = ConfusionMatrix::new(2, &[0, 0, 0, 1], &predictions);
        assert_eq!(confusion.counts, [[1, 2], [0, 1]]);
        assert_eq!(confusion.members[0][1], [2, 1]);
        let pictures = (0..4u8).map(|i| Picture::new(16, 16, 1, vec![i * 50; 256])).collect();
        let classes = vec!["cats".to_owned(), "dogs".to_owned()];
        let test = LabeledSet { pictures, labels: vec![0, 0, 0, 1], classes: classes.clone(), skipped: Vec::new() };
        let figure = confusion.figure(&test);
        assert_eq!((figure.width(), figure.height()), (2 * 70 + 4, 2 * 70 + 4));
        let at = |x: usize, y: usize| figure.pixels()[(y * figure.width() + x) * 3];
        assert_eq!((at(74 + 3, 3), at(74 + 3 + 32, 3)), (100, 50), "numbers 2 and 1 in the upper right cell");
        assert_eq!(at(20, 74 + 20), 255, "nothing in the lower left cell");
        assert!(confusion.table(&classes).contains("dogs      0     1"), "{}", confusion.table(&classes));
    }
}
