//! What a convolution joins, and where its positions lie in memory.

/// What a convolution joins: a small map `[batch, height, width, small]` and a large one
/// `[batch, stride height, stride width, large]`, both channels last, by weights `[small, large, kernel, kernel]`.
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
    /// Side of the kernel: 1 to 8.
    pub kernel: usize,
    /// Positions of the large map between neighbours of the small one: 1 or 2.
    pub stride: usize,
    /// Rows and columns of zeros before the large map.
    pub before: usize,
}

impl Shape {
    pub fn positions(&self) -> usize {
        self.batch * self.height * self.width
    }

    pub fn padding(&self) -> isize {
        self.before as isize
    }

    /// The same convolution as the other kernels make it: a 3x3 kernel of stride 2 is a 4x4 one whose first or last row and column
    /// are zeros.
    pub fn whole(&self) -> Self {
        if self.stride == 2 && self.kernel == 3 { Self { kernel: 4, before: 1, ..*self } } else { *self }
    }

    /// Calls `visit(tap of this kernel, tap of the kernel of [`Self::whole`])` for each tap.
    pub fn taps_in_whole(&self, mut visit: impl FnMut(usize, usize)) {
        let (side, shift) = (self.whole().kernel, self.whole().before - self.before);
        for tap in 0..self.taps() {
            visit(tap, (tap / self.kernel + shift) * side + tap % self.kernel + shift);
        }
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
        self.stride.pow(2) * self.positions() * self.large
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
        let Self { batch, height, width, large, stride, .. } = *self;
        Grid { batch, height, width, step: stride, rows: stride * height, columns: stride * width, maps: large }
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
