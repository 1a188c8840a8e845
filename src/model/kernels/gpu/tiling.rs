//! Tiling of a product: everything its kernel is specialized for.

/// The operation that a product computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConvOperation {
    /// Strided convolution.
    Down,
    /// Fractionally-strided convolution.
    Up,
    /// Gradient of the weights.
    WeightGradient,
}

/// Size of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Rows of the result.
    pub rows: usize,
    /// Columns of the result.
    pub columns: usize,
    /// Depth: products added per step.
    pub depth: usize,
}

/// How the units of a cube share a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TilePartition {
    /// Each unit computes a block of rows and columns.
    Units(usize, usize),
    /// A grid of planes, each with tensor cores that multiply tiles of the instruction size.
    Planes {
        /// Planes along the rows.
        rows: usize,
        /// Planes along the columns.
        columns: usize,
        /// Units in a plane.
        plane: usize,
        /// Tile of one instruction.
        instruction: Tile,
    },
}

/// Everything a product kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProductPlan {
    /// The operation.
    pub direction: ConvOperation,
    /// Kernel size.
    pub kernel: usize,
    /// Stride.
    pub stride: usize,
    /// Padding before the large map, in rows and columns.
    pub before: usize,
    /// Channels of the small map.
    pub small: usize,
    /// Channels of the large map.
    pub large: usize,
    /// Rows of the small map.
    pub height: usize,
    /// Columns of the small map.
    pub width: usize,
    /// Tile per cube.
    pub tile: Tile,
    /// How the units share it.
    pub method: TilePartition,
    /// Whether operands are rounded to bfloat16 when loaded.
    pub rounded: bool,
    /// Number of pieces of the inner dimension (positions), summed afterwards ([`ConvOperation::WeightGradient`]
    /// only).
    pub pieces: usize,
}

impl ProductPlan {
    /// Units per cube.
    pub fn units(self) -> usize {
        match self.method {
            TilePartition::Units(rows, columns) => self.tile.rows / rows * (self.tile.columns / columns),
            TilePartition::Planes { rows, columns, plane, .. } => rows * columns * plane,
        }
    }

    /// Phases of the large map.
    pub fn phases(self) -> usize {
        if self.direction == ConvOperation::Up { self.stride * self.stride } else { 1 }
    }

    /// Columns of the result.
    pub fn columns(self) -> usize {
        if self.direction == ConvOperation::Up { self.large } else { self.small }
    }

    /// Rows of the result.
    pub fn rows(self, batch: usize) -> usize {
        match self.direction {
            ConvOperation::WeightGradient => self.kernel * self.kernel * self.large,
            _ => batch * self.height * self.width,
        }
    }

    /// Whether the first operand is contiguous along the inner dimension rather than along the rows.
    pub fn deep_rows(self) -> bool {
        self.direction != ConvOperation::WeightGradient
    }

    /// Whether the second operand is contiguous along the inner dimension rather than along the columns.
    pub fn deep_columns(self) -> bool {
        self.direction == ConvOperation::Up
    }

    /// Tile of one instruction, or block of one unit.
    pub fn instruction(self) -> Tile {
        match self.method {
            TilePartition::Planes { instruction, .. } => instruction,
            TilePartition::Units(rows, columns) => Tile { rows, columns, depth: 1 },
        }
    }

    /// Planes along the rows and columns, and units per plane.
    pub fn planes(self) -> (usize, usize, usize) {
        match self.method {
            TilePartition::Planes { rows, columns, plane, .. } => (rows, columns, plane),
            TilePartition::Units(..) => (1, 1, 1),
        }
    }

    /// Whether tensor cores multiply.
    pub fn tensor_cores(self) -> bool {
        matches!(self.method, TilePartition::Planes { .. })
    }

    /// Row pitch of a staged operand: slightly longer than a row, so that rows begin in different banks.
    pub fn line(self, deep: bool, across: usize) -> usize {
        let numbers = if deep { self.tile.depth } else { across };
        numbers + if self.tensor_cores() { 8 } else { 4 }
    }

    /// Rows of a staged operand.
    pub fn lines(self, deep: bool, across: usize) -> usize {
        if deep { across } else { self.tile.depth }
    }

    /// Shared memory in bytes, with staged values of `size` bytes.
    pub fn shared_memory(self, size: usize) -> usize {
        let stage = |deep, across| self.lines(deep, across) * self.line(deep, across);
        let staged = stage(self.deep_rows(), self.tile.rows) + stage(self.deep_columns(), self.tile.columns);
        let scratch = match self.method {
            TilePartition::Planes { rows, columns, instruction, .. } => {
                rows * columns * instruction.rows * instruction.columns
            }
            TilePartition::Units(..) => 0,
        };
        self.stages() * staged * size + scratch * size_of::<f32>()
    }

    /// Stages: with two, one can be filled while the other is multiplied.
    pub fn stages(self) -> usize {
        if self.tensor_cores() { 2 } else { 1 }
    }
}
