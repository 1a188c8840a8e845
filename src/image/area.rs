//! Masks of square pictures: where an object is, or where a user painted.

use super::Picture;

/// A box in pixels: left, top, and the first column and row after it.
pub type Rectangle = [u32; 4];

/// A mask of a square picture. Serialized as rows of `#` and `.`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Area {
    side: usize,
    inside: Vec<bool>,
}

/// The rows do not form a square of `#` and `.`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an area is written as rows of # and ., as many as each is long")]
pub struct NotAnArea;

impl Area {
    /// An empty mask of `side` by `side` pixels.
    pub fn none(side: usize) -> Self {
        Self { side, inside: vec![false; side * side] }
    }

    /// The union of some boxes, clipped to the picture.
    pub fn of_boxes(side: usize, boxes: &[Rectangle]) -> Self {
        let mut area = Self::none(side);
        for &[left, top, right, bottom] in boxes {
            for y in top..bottom.min(side as u32) {
                for x in left..right.min(side as u32) {
                    area.inside[y as usize * side + x as usize] = true;
                }
            }
        }
        area
    }

    /// A mask from one value per pixel, row by row.
    ///
    /// # Panics
    /// If the number of values is not a square.
    pub fn of_pixels(side: usize, inside: Vec<bool>) -> Self {
        assert_eq!(inside.len(), side * side, "pixels of a square");
        Self { side, inside }
    }

    /// The bright pixels of a square picture; `None` if it is not square.
    pub fn of_mask(mask: &Picture) -> Option<Self> {
        let bright = |pixel: &[u8]| pixel.iter().map(|&byte| u32::from(byte)).sum::<u32>() >= 128 * pixel.len() as u32;
        let inside: Vec<bool> = mask.pixels().chunks_exact(mask.channels()).map(bright).collect();
        (mask.width() == mask.height()).then(|| Self { side: mask.width(), inside })
    }

    /// Side length in pixels.
    pub fn side(&self) -> usize {
        self.side
    }

    /// The mask, row by row.
    pub fn pixels(&self) -> &[bool] {
        &self.inside
    }

    /// Number of selected pixels.
    pub fn count(&self) -> usize {
        self.inside.iter().filter(|&&inside| inside).count()
    }

    /// Whether no pixel is selected.
    pub fn is_empty(&self) -> bool {
        !self.inside.contains(&true)
    }

    /// Adds (or, if not `inside`, removes) a disc of `radius` pixels around a position.
    pub fn paint(&mut self, [x, y]: [f32; 2], radius: f32, inside: bool) {
        for (i, pixel) in self.inside.iter_mut().enumerate() {
            let (dx, dy) = ((i % self.side) as f32 + 0.5 - x, (i / self.side) as f32 + 0.5 - y);
            if dx * dx + dy * dy <= radius * radius {
                *pixel = inside;
            }
        }
    }

    /// Coverage of each cell of a `side` by `side` map, 0 to 1, row by row.
    pub fn shares(&self, side: usize) -> Vec<f32> {
        // A cell covers the pixels whose centers it contains; a cell smaller than a pixel has the pixel it
        // lies in.
        let span = |at: usize| {
            let (from, to) = (at * self.side / side, ((at + 1) * self.side).div_ceil(side));
            let exact = self.side.is_multiple_of(side);
            from..if exact { to } else { (from + 1).max((at + 1) * self.side / side) }
        };
        let place = |i: usize| {
            let (rows, columns) = (span(i / side), span(i % side));
            let all = rows.len() * columns.len();
            let inside = rows.map(|y| self.inside[y * self.side..][columns.clone()].iter().filter(|&&p| p).count());
            inside.sum::<usize>() as f32 / all as f32
        };
        (0..side * side).map(place).collect()
    }

    /// The mask at another size.
    pub fn resized(&self, side: usize) -> Self {
        let inside = self.shares(side).into_iter().map(|share| share >= 0.5).collect();
        Self { side, inside }
    }

    /// Bounding boxes of the connected components of at least `least` pixels, largest component first.
    pub fn boxes(&self, least: usize) -> Vec<Rectangle> {
        let mut left = self.inside.clone();
        let mut found = Vec::new();
        while let Some(start) = left.iter().position(|&inside| inside) {
            left[start] = false;
            let mut open = vec![start];
            let (mut count, mut bounds) = (0, [u32::MAX, u32::MAX, 0, 0]);
            while let Some(at) = open.pop() {
                let (x, y) = (at % self.side, at / self.side);
                count += 1;
                bounds = [
                    bounds[0].min(x as u32),
                    bounds[1].min(y as u32),
                    bounds[2].max(x as u32 + 1),
                    bounds[3].max(y as u32 + 1),
                ];
                let beside = [
                    (x > 0).then(|| at - 1),
                    (x + 1 < self.side).then(|| at + 1),
                    (y > 0).then(|| at - self.side),
                    (y + 1 < self.side).then(|| at + self.side),
                ];
                for next in beside.into_iter().flatten() {
                    if std::mem::take(&mut left[next]) {
                        open.push(next);
                    }
                }
            }
            found.push((count, bounds));
        }
        found.retain(|(count, _)| *count >= least);
        found.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        found.into_iter().map(|(_, bounds)| bounds).collect()
    }

    /// Numbers of pixels in the intersection and in the union.
    pub fn overlap(&self, other: &Self) -> (usize, usize) {
        let pairs = || self.inside.iter().zip(&other.inside);
        (pairs().filter(|&(a, b)| *a && *b).count(), pairs().filter(|&(a, b)| *a || *b).count())
    }
}

impl From<Area> for Vec<String> {
    fn from(area: Area) -> Self {
        let row = |row: &[bool]| row.iter().map(|&inside| if inside { '#' } else { '.' }).collect();
        area.inside.chunks(area.side.max(1)).map(row).collect()
    }
}

impl TryFrom<Vec<String>> for Area {
    type Error = NotAnArea;

    fn try_from(rows: Vec<String>) -> Result<Self, NotAnArea> {
        let side = rows.len();
        let square = side > 0 && rows.iter().all(|row| row.len() == side);
        if !square || !rows.iter().flat_map(|row| row.chars()).all(|c| c == '#' || c == '.') {
            return Err(NotAnArea);
        }
        Ok(Self { side, inside: rows.concat().chars().map(|c| c == '#').collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_is_written_as_a_person_would_draw_it() {
        let area = Area::of_boxes(4, &[[1, 0, 3, 2]]);
        let json = serde_json::to_string(&area).unwrap();
        assert_eq!(json, r##"[".##.",".##.","....","...."]"##);
        assert_eq!(serde_json::from_str::<Area>(&json).unwrap(), area);
        for broken in ["[]", r##"["#."]"##, r#"["ab","cd"]"#] {
            assert!(serde_json::from_str::<Area>(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn shares_are_what_places_cover() {
        let area = Area::of_boxes(4, &[[0, 0, 1, 2]]);
        assert_eq!(area.shares(2), [0.5, 0.0, 0.0, 0.0]);
        assert_eq!(area.shares(4).iter().sum::<f32>(), 2.0);
        assert_eq!(area.shares(8).iter().sum::<f32>(), 8.0);
        assert_eq!(Area::of_boxes(6, &[[0, 0, 6, 6]]).shares(4), [1.0; 16]);
    }

    #[test]
    fn connected_parts_are_boxed_and_specks_are_not() {
        let area = Area::of_boxes(8, &[[0, 0, 2, 2], [4, 4, 8, 6], [7, 0, 8, 1]]);
        assert_eq!(area.boxes(2), [[4, 4, 8, 6], [0, 0, 2, 2]]);
        assert_eq!(area.overlap(&Area::of_boxes(8, &[[0, 0, 2, 1]])), (2, area.count()));
        assert!(Area::of_boxes(4, &[[9, 9, 12, 12]]).is_empty(), "what is beyond the picture is cut off");
    }

    #[test]
    fn a_mask_is_its_bright_pixels() {
        let mask = Picture::new(2, 2, 1, vec![0, 255, 127, 128]);
        assert_eq!(Area::of_mask(&mask).unwrap().pixels(), [false, true, false, true]);
        assert_eq!(Area::of_mask(&Picture::new(2, 1, 1, vec![0, 0])), None);
    }
}
