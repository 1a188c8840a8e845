//! ConvShape of a convolution, and the layout of its positions in memory.

/// ConvShape of a convolution between a small map `[batch, height, width, small]` and a large map `[batch, stride *
/// height, stride * width, large]`, both channels last, with weights `[small, large, kernel, kernel]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Images in the batch.
    pub batch: usize,
    /// Rows of the small map.
    pub height: usize,
    /// Columns of the small map.
    pub width: usize,
    /// Channels of the small map.
    pub small: usize,
    /// Channels of the large map.
    pub large: usize,
    /// Kernel size: 1 to 8.
    pub kernel: usize,
    /// Stride: 1 or 2.
    pub stride: usize,
    /// Padding before the large map, in rows and columns.
    pub before: usize,
}

impl ConvShape {
    pub fn positions(&self) -> usize {
        self.batch * self.height * self.width
    }

    pub fn padding(&self) -> isize {
        self.before as isize
    }

    /// The same convolution with the kernel that the other algorithms support: a 3x3 kernel of stride 2 becomes a
    /// 4x4 kernel whose first or last row and column are zero.
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

    /// Number of values of the small map.
    pub fn small_len(&self) -> usize {
        self.positions() * self.small
    }

    /// Number of values of the large map.
    pub fn large_len(&self) -> usize {
        self.stride.pow(2) * self.positions() * self.large
    }

    /// Number of weights.
    pub fn weights_len(&self) -> usize {
        self.small * self.large * self.taps()
    }

    /// Positions of the small map, with inputs read from the small map.
    pub fn over_small(&self) -> Grid {
        let Self { batch, height, width, small, .. } = *self;
        Grid { batch, height, width, step: 1, rows: height, columns: width, maps: small }
    }

    /// Positions of the small map, with inputs read from the large map.
    pub fn over_large(&self) -> Grid {
        let Self { batch, height, width, large, stride, .. } = *self;
        Grid { batch, height, width, step: stride, rows: stride * height, columns: stride * width, maps: large }
    }
}

/// A grid of positions and the layout of its input.
#[derive(Clone, Copy)]
pub struct Grid {
    pub batch: usize,
    pub height: usize,
    pub width: usize,
    /// Step between neighboring positions in the input, and the rows, columns and channels of the input.
    pub step: usize,
    rows: usize,
    columns: usize,
    pub maps: usize,
}

impl Grid {
    pub fn len(&self) -> usize {
        self.batch * self.height * self.width
    }

    /// Image, row and column of a position.
    pub fn place(&self, position: usize) -> (usize, usize, usize) {
        (position / (self.height * self.width), position / self.width % self.height, position % self.width)
    }

    /// Offset of the input of a tap at a position; `None` in the padding.
    pub fn input(&self, (picture, row, column): (usize, usize, usize), tap: (isize, isize)) -> Option<usize> {
        let row = (row * self.step).checked_add_signed(tap.0).filter(|&row| row < self.rows)?;
        let column = (column * self.step).checked_add_signed(tap.1).filter(|&column| column < self.columns)?;
        Some(((picture * self.rows + row) * self.columns + column) * self.maps)
    }
}
