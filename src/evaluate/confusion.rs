//! Which classes are taken for which, with the pictures behind each count.

use serde::Serialize;

use super::labelled::Labelled;
use crate::image::{Picture, Sheet};

/// Pictures that a cell of the figure shows along a side.
const SHOWN: usize = 2;
/// Pixels between cells, and of a cell's frame.
const GAP: usize = 4;
const FRAME: usize = 3;
/// Least side of a picture in the figure.
const SIDE: usize = 32;

/// Counts of test pictures by their class and by what they were taken for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Confusion {
    /// `[truth][told]`.
    pub counts: Vec<Vec<usize>>,
    /// The test pictures behind each count, `[truth][told]`, those told most surely first.
    #[serde(skip)]
    pub behind: Vec<Vec<Vec<usize>>>,
}

impl Confusion {
    /// Of the test pictures' classes, and what each was taken for with how much confidence.
    pub fn new(classes: usize, truths: &[usize], told: &[(usize, f32)]) -> Self {
        let mut behind = vec![vec![Vec::new(); classes]; classes];
        for (number, (&truth, &(told, _))) in truths.iter().zip(told).enumerate() {
            behind[truth][told].push(number);
        }
        for cell in behind.iter_mut().flatten() {
            cell.sort_by(|&a, &b| told[b].1.total_cmp(&told[a].1));
        }
        let count = |row: &Vec<Vec<usize>>| row.iter().map(Vec::len).collect();
        Self { counts: behind.iter().map(count).collect(), behind }
    }

    /// A row for each class, a column for what its pictures are taken for. Each cell shows four of the pictures behind it,
    /// those told most surely, in a frame that is the darker the larger the cell's share of its row: green where they are
    /// right, red where they are not.
    pub fn figure(&self, test: &Labelled) -> Picture {
        let size = test.pictures.first().map_or(SIDE, Picture::width);
        let zoom = SIDE.div_ceil(size);
        let inner = SHOWN * size * zoom;
        let (cell, classes) = (inner + 2 * FRAME, self.counts.len());
        let side = classes * (cell + GAP) - GAP;
        let mut sheet = Sheet::new(side, side, 3);
        for (truth, row) in self.behind.iter().enumerate() {
            let all: usize = self.counts[truth].iter().sum();
            for (told, behind) in row.iter().enumerate().filter(|(_, behind)| !behind.is_empty()) {
                let (x, y) = (told * (cell + GAP), truth * (cell + GAP));
                let share = behind.len() as f32 / all.max(1) as f32;
                let colour = if truth == told { [20.0, 120.0, 50.0] } else { [190.0, 30.0, 25.0f32] };
                // The root, since most mistakes are small shares and should still be seen.
                let mixed = colour.map(|value| (255.0 + (value - 255.0) * share.sqrt()) as u8);
                sheet.put(&Picture::new(cell, cell, 3, mixed.repeat(cell * cell)), x, y);
                for (i, &number) in behind.iter().take(SHOWN * SHOWN).enumerate() {
                    let picture = test.pictures[number].enlarged(zoom);
                    let (column, line) = (i % SHOWN * picture.width(), i / SHOWN * picture.height());
                    sheet.put(&picture, x + FRAME + column, y + FRAME + line);
                }
            }
        }
        sheet.into_picture()
    }

    /// Counts with the classes' names, for people.
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
    fn cells_count_and_show_the_surest_first() {
        let told = [(0, 0.1), (1, 0.5), (1, 0.9), (1, 0.2)];
        let confusion = Confusion::new(2, &[0, 0, 0, 1], &told);
        assert_eq!(confusion.counts, [[1, 2], [0, 1]]);
        assert_eq!(confusion.behind[0][1], [2, 1]);
        let pictures = (0..4u8).map(|i| Picture::new(16, 16, 1, vec![i * 50; 256])).collect();
        let classes = vec!["cats".to_owned(), "dogs".to_owned()];
        let test = Labelled { pictures, labels: vec![0, 0, 0, 1], classes: classes.clone(), skipped: Vec::new() };
        let figure = confusion.figure(&test);
        assert_eq!((figure.width(), figure.height()), (2 * 70 + 4, 2 * 70 + 4));
        let at = |x: usize, y: usize| figure.pixels()[(y * figure.width() + x) * 3];
        assert_eq!((at(74 + 3, 3), at(74 + 3 + 32, 3)), (100, 50), "numbers 2 and 1 in the upper right cell");
        assert_eq!(at(20, 74 + 20), 255, "nothing in the lower left cell");
        assert!(confusion.table(&classes).contains("dogs      0     1"), "{}", confusion.table(&classes));
    }
}
