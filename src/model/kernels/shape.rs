//! What a convolution joins, and where its positions lie in memory.

/// What a convolution joins: a small map `[batch, height, width, small]` and a large one
/// `[batch, 2 height, 2 width, large]`, both channels last, by weights `[small, large, kernel, kernel]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Pictures.
    pub batch: usize,
    /// Rows of the small map.
    pub height: usize,
    /// Columns of the small map.
    pub width: usize,
    /// Maps on the small side.
    pub small: usize,
    /// Maps on the large side.
    pub large: usize,
    /// Side of the kernel: 4 or 5.
    pub kernel: usize,
}

impl Shape {
    pub fn positions(&self) -> usize {
        self.batch * self.height * self.width
    }

    pub fn padding(&self) -> isize {
        if self.kernel == 5 { 2 } else { 1 }
    }

    pub fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Values of the small map.
    pub fn small_len(&self) -> usize {
        self.positions() * self.small
    }

    /// Values of the large map.
    pub fn large_len(&self) -> usize {
        4 * self.positions() * self.large
    }

    /// Number of weights.
    pub fn weights_len(&self) -> usize {
        self.small * self.large * self.taps()
    }

    /// The small map's positions, reading from the small map.
    pub fn over_small(&self) -> Grid {
        let Self { batch, height, width, small, .. } = *self;
        Grid { batch, height, width, step: 1, rows: height, columns: width, maps: small }
    }

    /// The small map's positions, reading from the large map.
    pub fn over_large(&self) -> Grid {
        let Self { batch, height, width, large, .. } = *self;
        Grid { batch, height, width, step: 2, rows: 2 * height, columns: 2 * width, maps: large }
    }
}

/// A grid of positions, and where the rows of the product come from and go to.
#[derive(Clone, Copy)]
pub struct Grid {
    pub batch: usize,
    pub height: usize,
    pub width: usize,
    /// Rows and columns between neighbours in the input, and the input's own rows, columns and maps.
    pub step: usize,
    rows: usize,
    columns: usize,
    pub maps: usize,
}

impl Grid {
    pub fn len(&self) -> usize {
        self.batch * self.height * self.width
    }

    /// Picture, row and column of a position.
    pub fn place(&self, position: usize) -> (usize, usize, usize) {
        (position / (self.height * self.width), position / self.width % self.height, position % self.width)
    }

    /// Where the input of a tap lies for a position, unless it is padding.
    pub fn input(&self, (picture, row, column): (usize, usize, usize), tap: (isize, isize)) -> Option<usize> {
        let row = (row * self.step).checked_add_signed(tap.0).filter(|&row| row < self.rows)?;
        let column = (column * self.step).checked_add_signed(tap.1).filter(|&column| column < self.columns)?;
        Some(((picture * self.rows + row) * self.columns + column) * self.maps)
    }
}
