//! How a product is cut into tiles, and how a cube's units share out a tile: what its kernel is compiled for.

/// Which of the three operations a product is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Strided convolution.
    Down,
    /// Fractionally-strided convolution.
    Up,
    /// The gradient of the weights of either.
    Weights,
}

/// Rows, columns and depth of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Rows of the result.
    pub rows: usize,
    /// Columns of the result.
    pub columns: usize,
    /// Numbers that are multiplied and added for each of them at a time.
    pub depth: usize,
}

/// How a cube's units share out a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Each unit multiplies a block of so many rows and columns.
    Units(usize, usize),
    /// So many rows and columns of planes, each with tensor cores that multiply tiles of this size.
    Planes {
        /// Planes along the rows.
        rows: usize,
        /// Planes along the columns.
        columns: usize,
        /// Units in a plane.
        plane: usize,
        /// What one instruction multiplies.
        instruction: Tile,
    },
}

/// Everything about a product that its kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Plan {
    /// The operation.
    pub direction: Direction,
    /// Side of the convolution's kernel.
    pub kernel: usize,
    /// Positions of the large map between neighbors of the small one.
    pub stride: usize,
    /// Rows and columns of zeros before the large map.
    pub before: usize,
    /// Small maps.
    pub small: usize,
    /// Large maps.
    pub large: usize,
    /// Rows of the small map.
    pub height: usize,
    /// Columns of the small map.
    pub width: usize,
    /// What a cube computes.
    pub tile: Tile,
    /// How its units share it out.
    pub method: Method,
    /// Whether operands are rounded to brain floats as they are loaded.
    pub rounded: bool,
    /// Pieces that the inner dimension, which is positions, is cut into, to be added up later ([`Direction::Weights`]).
    pub pieces: usize,
}

impl Plan {
    /// Units of a cube.
    pub fn units(self) -> usize {
        match self.method {
            Method::Units(rows, columns) => self.tile.rows / rows * (self.tile.columns / columns),
            Method::Planes { rows, columns, plane, .. } => rows * columns * plane,
        }
    }

    /// Phases of the large map.
    pub fn phases(self) -> usize {
        if self.direction == Direction::Up { self.stride * self.stride } else { 1 }
    }

    /// Columns of the result.
    pub fn columns(self) -> usize {
        if self.direction == Direction::Up { self.large } else { self.small }
    }

    /// Rows of the result.
    pub fn rows(self, batch: usize) -> usize {
        match self.direction {
            Direction::Weights => self.kernel * self.kernel * self.large,
            _ => batch * self.height * self.width,
        }
    }

    /// Whether neighbors in memory of the first operand are neighbors along the inner dimension, rather than along the rows.
    pub fn deep_rows(self) -> bool {
        self.direction != Direction::Weights
    }

    /// The same of the second operand and the columns.
    pub fn deep_columns(self) -> bool {
        self.direction == Direction::Up
    }

    /// What one instruction multiplies, or what one unit does.
    pub fn instruction(self) -> Tile {
        match self.method {
            Method::Planes { instruction, .. } => instruction,
            Method::Units(rows, columns) => Tile { rows, columns, depth: 1 },
        }
    }

    /// Planes along the rows and along the columns, and units in each.
    pub fn planes(self) -> (usize, usize, usize) {
        match self.method {
            Method::Planes { rows, columns, plane, .. } => (rows, columns, plane),
            Method::Units(..) => (1, 1, 1),
        }
    }

    /// Whether tensor cores multiply.
    pub fn tensor_cores(self) -> bool {
        matches!(self.method, Method::Planes { .. })
    }

    /// Numbers between the starts of two lines of a staged operand: a few more than it has, so that lines begin in different banks.
    pub fn line(self, deep: bool, across: usize) -> usize {
        let numbers = if deep { self.tile.depth } else { across };
        numbers + if self.tensor_cores() { 8 } else { 4 }
    }

    /// Lines of a staged operand.
    pub fn lines(self, deep: bool, across: usize) -> usize {
        if deep { across } else { self.tile.depth }
    }

    /// Bytes of shared memory, where operands are staged as numbers of `size` bytes.
    pub fn shared_memory(self, size: usize) -> usize {
        let stage = |deep, across| self.lines(deep, across) * self.line(deep, across);
        let staged = stage(self.deep_rows(), self.tile.rows) + stage(self.deep_columns(), self.tile.columns);
        let scratch = match self.method {
            Method::Planes { rows, columns, instruction, .. } => {
                rows * columns * instruction.rows * instruction.columns
            }
            Method::Units(..) => 0,
        };
        self.stages() * staged * size + scratch * size_of::<f32>()
    }

    /// Tiles that are staged at a time: with two, one can be filled while the other is multiplied.
    pub fn stages(self) -> usize {
        if self.tensor_cores() { 2 } else { 1 }
    }
}
