//! Rendering of figure 7 of the paper: vector arithmetic, and the same arithmetic on pixels and on feature maps.

use crate::image::{Picture, Sheet};

/// The pictures of figure 7.
#[derive(Debug, Clone)]
pub struct ArithmeticFigure {
    /// For each term: whether it is subtracted, its exemplars, and the picture of their average.
    pub trays: Vec<(bool, Vec<Picture>, Picture)>,
    /// The result among its neighbors, a 3x3 grid row by row.
    pub results: Vec<Picture>,
    /// The same arithmetic on pixels.
    pub pixels: Picture,
    /// The same arithmetic on the feature maps of each hidden layer; empty to leave it out, as the paper does.
    pub maps: Vec<Picture>,
}

impl ArithmeticFigure {
    /// Renders the figure: the terms from left to right with their signs, each average below its exemplars, then the
    /// nine results; below these the arithmetic on pixels, and in the last row the arithmetic on feature maps.
    pub fn render(&self) -> Picture {
        let (w, h) = (self.pixels.width(), self.pixels.height());
        let rows = self.trays.iter().map(|(_, pictures, _)| pictures.len()).max().unwrap_or(1).max(3);
        let sign = w / 2;
        let channels = self.pixels.channels();
        let left = self.trays.len() * (w + sign);
        let maps_y = (rows + 1) * (h + 2) + h / 2;
        let height = if self.maps.is_empty() { maps_y - h / 4 } else { maps_y + h };
        let width = (left + sign / 2 + 3 * (w + 2)).max(self.maps.len() * (w + 2));
        let mut sheet = Sheet::new(width, height, channels);
        let average_y = rows * (h + 2) + h / 4;
        for (i, (minus, exemplars, average)) in self.trays.iter().enumerate() {
            let x = i * (w + sign);
            for (row, picture) in exemplars.iter().enumerate() {
                sheet.put(picture, x, row * (h + 2));
            }
            sheet.put(average, x, average_y);
            if i > 0 {
                sheet.bar(x - sign + sign / 4, average_y + h / 2 - 1, sign / 2, 3);
                if !minus {
                    sheet.bar(x - sign / 2 - 1, average_y + h / 2 - sign / 4, 3, sign / 2);
                }
            }
        }
        for (i, picture) in self.results.iter().enumerate() {
            sheet.put(picture, left + sign / 2 + i % 3 * (w + 2), i / 3 * (h + 2));
        }
        for y in [average_y + h / 2 - 5, average_y + h / 2 + 3] {
            sheet.bar(left - sign + sign / 4, y, sign / 2, 3);
        }
        sheet.put(&self.pixels, left + sign / 2 + w + 2, average_y);
        for (i, picture) in self.maps.iter().enumerate() {
            sheet.put(picture, i * (w + 2), maps_y);
        }
        sheet.into_picture()
    }
}
