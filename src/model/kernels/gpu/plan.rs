//! Chooses the tiles of a product for a given GPU.

use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::ir::{ElemType, FloatKind};

use super::tiling::{ConvOperation, ProductPlan, Tile, TilePartition};
use crate::device::Operands;

/// Element type of the operands.
fn kind(operands: Operands) -> FloatKind {
    match operands {
        Operands::F32 | Operands::Rounded => FloatKind::F32,
        Operands::F16 => FloatKind::F16,
        Operands::Bf16 => FloatKind::BF16,
    }
}

/// Shape of a convolution: the small map is `[batch, small, height, width]`, the large map `[batch, large, stride *
/// height, stride * width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProductShape {
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
    /// Kernel size.
    pub kernel: usize,
    /// Stride.
    pub stride: usize,
    /// Padding before the large map, in rows and columns.
    pub before: usize,
}

/// Cubes that keep a GPU busy if it does not report its number of multiprocessors.
const CUBES: usize = 128;

/// The tensor-core instruction for these operands with single-precision sums, if there is one, and the units per
/// plane.
fn tensor_cores(client: &Client, operands: Operands) -> Option<(Tile, usize)> {
    let hardware = &client.properties().hardware;
    if hardware.plane_size_min != hardware.plane_size_max {
        return None;
    }
    let kind = ElemType::Float(kind(operands));
    let sizes =
        client.features().matmul.cmma.iter().filter(|size| {
            size.a_type == kind && size.b_type == kind && size.cd_type == ElemType::Float(FloatKind::F32)
        });
    let tile = |m: u32, n: u32, k: u32| Tile { rows: m as usize, columns: n as usize, depth: k as usize };
    let size = sizes
        .map(|size| tile(size.m, size.n, size.k))
        .filter(|size| size.rows <= 16 && size.columns <= 16 && size.depth <= 16);
    let best = size.max_by_key(|size| size.rows * size.columns * size.depth)?;
    Some((best, hardware.plane_size_min as usize))
}

/// Tiles for tensor cores, largest first: rows, columns, and units per cube.
const TILES: [(usize, usize, usize); 5] =
    [(128, 128, 256), (128, 64, 256), (64, 64, 128), (64, 32, 128), (64, 16, 128)];
/// Depth of a tile: two instructions, so that the loads of one tile overlap the products of the previous one.
const DEPTH: usize = 32;
/// Minimum steps along the inner dimension per cube.
const STEPS: usize = 4;

/// Splits a tile among planes, as square as its sides allow.
fn planes(tile: Tile, units: usize, plane: usize, instruction: Tile) -> TilePartition {
    let (most_rows, most_columns) = (tile.rows / instruction.rows, tile.columns / instruction.columns);
    let (mut rows, mut columns) = (1, 1);
    while rows * columns * plane < units && rows * columns < most_rows * most_columns {
        let long = tile.rows * columns >= tile.columns * rows;
        if (long || columns == most_columns) && rows < most_rows { rows *= 2 } else { columns *= 2 }
    }
    TilePartition::Planes { rows, columns, plane, instruction }
}

impl ProductShape {
    /// The plan of a product of these shapes.
    pub fn plan(self, direction: ConvOperation, operands: Operands, client: &Client) -> ProductPlan {
        let Self { batch, height, width, small, large, kernel, stride, before } = self;
        let rounded = operands == Operands::Rounded;
        let (tile, method) = (Tile { rows: 64, columns: 64, depth: 16 }, TilePartition::Units(4, 4));
        let mut plan = ProductPlan {
            direction,
            kernel,
            stride,
            before,
            small,
            large,
            height,
            width,
            tile,
            method,
            rounded,
            pieces: 1,
        };
        let cubes = client.properties().hardware.num_streaming_multiprocessors.map_or(CUBES, |n| n as usize);
        let tiles = |plan: &ProductPlan| {
            plan.rows(batch).div_ceil(plan.tile.rows) * plan.columns().div_ceil(plan.tile.columns) * plan.phases()
        };
        if let Some((instruction, plane)) = tensor_cores(client, operands) {
            for (rows, columns, units) in TILES {
                plan.tile = Tile { rows, columns, depth: DEPTH };
                plan.method = planes(plan.tile, units, plane, instruction);
                // The inner dimension of a gradient is split, so that few tiles still occupy the
                // whole GPU.
                let idle = tiles(&plan) < cubes && direction != ConvOperation::WeightGradient && columns > 64;
                let wasteful = columns >= 2 * plan.columns().next_multiple_of(16) || rows >= 2 * plan.rows(batch);
                let large =
                    plan.shared_memory(operands.dtype().size()) > client.properties().hardware.max_shared_memory_size;
                if !wasteful && !idle && !large {
                    break;
                }
            }
        } else if plan.columns() <= 16 {
            plan.tile.columns = 16;
            plan.method = TilePartition::Units(4, 1);
        }
        if direction == ConvOperation::WeightGradient {
            let most = (batch * height * width).div_ceil(STEPS * plan.tile.depth);
            plan.pieces = (2 * cubes).div_ceil(tiles(&plan)).min(most).max(1);
        }
        plan
    }
}
