//! Geometry of the gallery's endless grid: the size of samples, the scroll position, and where to scroll.

/// Rows on the scroll bar. Near its ends the first row moves, so that samples never end.
pub(super) const ROWS: u64 = 10_000;
/// Range of a sample's side, in points.
pub(super) const SIDES: std::ops::RangeInclusive<f32> = 24.0..=256.0;
/// Space between samples, in points.
pub(super) const GAP: f32 = 4.0;

/// Where to scroll.
#[derive(Debug, Clone, Copy, PartialEq)]
enum ScrollTarget {
    /// As little as brings a sample into sight.
    InSight(u64),
    /// A sample so many rows, perhaps fractional, below the top.
    At(u64, f32),
}

/// Numbers of samples and their places on the screen.
pub(super) struct GridLayout {
    /// The side of a sample that was chosen, in points.
    zoom: f32,
    /// The side at which samples fill the rows, in points.
    side: f32,
    width: f32,
    columns: u64,
    /// The row of samples that is the scroll bar's first.
    first_row: u64,
    /// The first sample on the screen.
    top: u64,
    /// Rows that fit on the screen.
    page: u64,
    target: Option<ScrollTarget>,
}

impl Default for GridLayout {
    fn default() -> Self {
        Self { zoom: 80.0, side: 80.0, width: 80.0, columns: 1, first_row: 0, top: 0, page: 1, target: None }
    }
}

impl GridLayout {
    /// The chosen side of samples.
    pub fn zoom(&self) -> f32 {
        self.zoom
    }

    /// The side of samples on the screen.
    pub fn side(&self) -> f32 {
        self.side
    }

    pub fn columns(&self) -> u64 {
        self.columns
    }

    /// The first sample on the screen.
    pub fn top(&self) -> u64 {
        self.top
    }

    /// Rows that fit on the screen.
    pub fn page(&self) -> u64 {
        self.page
    }

    /// The samples in a row of the scroll bar.
    pub fn row(&self, row: usize) -> std::ops::Range<u64> {
        let first = (self.first_row + row as u64).saturating_mul(self.columns);
        first..first.saturating_add(self.columns)
    }

    /// Puts a sample at the top.
    pub fn go_to(&mut self, number: u64) {
        self.target = Some(ScrollTarget::At(number, 0.0));
    }

    /// Brings a sample into sight.
    pub fn show(&mut self, number: u64) {
        self.target = Some(ScrollTarget::InSight(number));
    }

    /// Changes the side of samples; the one at the top stays there.
    pub fn resize(&mut self, zoom: f32) {
        self.resize_around(zoom, 0.0, self.top);
    }

    /// Changes the side of samples by a factor; the one at `height` points below the upper edge stays there.
    pub fn zoom_at(&mut self, factor: f32, height: f32) {
        let rows = (height / (self.side + GAP)).max(0.0);
        let kept = self.top.saturating_add(rows as u64 * self.columns);
        self.resize_around(self.zoom * factor, rows.floor(), kept);
    }

    /// Changes the side of samples; `kept` stays `rows` (of the old size) below the upper edge.
    fn resize_around(&mut self, zoom: f32, rows: f32, kept: u64) {
        let before = self.side;
        self.zoom = zoom.clamp(*SIDES.start(), *SIDES.end());
        self.fill();
        self.target = Some(ScrollTarget::At(kept, rows * (before + GAP) / (self.side + GAP)));
    }

    /// Fits as many samples of the chosen side into a row as there is room for, and enlarges them to fill it.
    fn fill(&mut self) {
        self.columns = ((self.width + GAP) / (self.zoom + GAP)).floor().max(1.0) as u64;
        self.side = ((self.width + GAP) / self.columns as f32 - GAP).floor().max(8.0);
    }

    /// Fits the rows into an area of the screen.
    pub fn fit(&mut self, width: f32, height: f32) {
        if width != self.width {
            let before = self.columns;
            self.width = width;
            self.fill();
            if self.columns != before && self.target.is_none() {
                self.go_to(self.top);
            }
        }
        self.page = ((height / (self.side + GAP)) as u64).max(1);
    }

    /// The scroll offset that brings the target into sight; `None` without a target, and when it is in sight.
    pub fn scroll_offset(&mut self) -> Option<f32> {
        let (number, below) = match self.target.take()? {
            ScrollTarget::At(number, rows) => (number, rows),
            ScrollTarget::InSight(number) => {
                let (row, top) = (number / self.columns, self.top / self.columns);
                if row < top {
                    (number, 0.0)
                } else if row >= top + self.page {
                    (number, (self.page - 1) as f32)
                } else {
                    return None;
                }
            }
        };
        let row = number / self.columns;
        if row < self.first_row || row >= self.first_row + ROWS - self.page - 2 {
            self.first_row = row.saturating_sub(ROWS / 2);
        }
        Some((((row - self.first_row) as f32 - below) * (self.side + GAP)).max(0.0))
    }

    /// Takes the scroll offset of this frame; near the ends of the scroll bar its first row moves.
    pub fn scrolled(&mut self, offset: f32) {
        let row = (offset / (self.side + GAP)).max(0.0);
        self.top = (self.first_row + row.round() as u64).saturating_mul(self.columns);
        let near_end = row as u64 + self.page + 2 >= ROWS;
        if near_end || (row < 1.0 && self.first_row > 0) {
            self.target = Some(ScrollTarget::At(self.top, row.round() - row));
            self.first_row = (self.first_row + row as u64).saturating_sub(ROWS / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_sample_can_be_scrolled_to() {
        let mut layout = GridLayout { columns: 10, page: 8, ..GridLayout::default() };
        let line = layout.side + GAP;
        for number in [5u64, 1_234, 98_765_432_109] {
            layout.go_to(number);
            let offset = layout.scroll_offset().unwrap();
            assert_eq!(layout.first_row + (offset / line).round() as u64, number / 10);
            assert!(layout.target.is_none());
        }
    }

    #[test]
    fn a_sample_keeps_its_place_under_zoom() {
        // Ten to a row, then twenty.
        let mut layout = GridLayout { width: 996.0, ..GridLayout::default() };
        layout.resize(96.0);
        assert_eq!((layout.columns, layout.side), (10, 96.0));
        layout.resize_around(46.0, 2.0, 400);
        assert_eq!((layout.columns, layout.side), (20, 46.0));
        let offset = layout.scroll_offset().unwrap();
        assert_eq!(offset, 20.0 * 50.0 - 2.0 * 100.0, "the same sample at the same height");
    }

    #[test]
    fn a_visible_sample_needs_no_scrolling() {
        let mut layout = GridLayout { columns: 10, page: 8, top: 100, ..GridLayout::default() };
        for (number, scrolls) in [(100, false), (179, false), (99, true), (180, true)] {
            layout.show(number);
            assert_eq!(layout.scroll_offset().is_some(), scrolls, "{number}");
        }
    }
}
