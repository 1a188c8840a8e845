//! Which tiles a product is computed in, on a given card.

use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::ir::{ElemType, FloatKind};

use super::tiling::{Direction, Method, Plan, Tile};
use crate::device::Operands;

/// The type of the operands.
fn kind(operands: Operands) -> FloatKind {
    match operands {
        Operands::F32 | Operands::Rounded => FloatKind::F32,
        Operands::F16 => FloatKind::F16,
        Operands::Bf16 => FloatKind::BF16,
    }
}

/// Sides and maps of a convolution: the small map is `[batch, small, height, width]`, the large one
/// `[batch, large, stride height, stride width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shapes {
    /// Pictures.
    pub batch: usize,
    /// Rows of the small map.
    pub height: usize,
    /// Columns of the small map.
    pub width: usize,
    /// Small maps.
    pub small: usize,
    /// Large maps.
    pub large: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Positions of the large map between neighbors of the small one.
    pub stride: usize,
    /// Rows and columns of zeros before the large map.
    pub before: usize,
}

/// Cubes that keep a card busy where it does not say how many multiprocessors it has.
const CUBES: usize = 128;

/// Which instruction multiplies these operands with sums in single precision, if any does, and the units of a plane.
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

/// Tiles for tensor cores, the largest first: rows, columns and the units that share one out.
const TILES: [(usize, usize, usize); 5] =
    [(128, 128, 256), (128, 64, 256), (64, 64, 128), (64, 32, 128), (64, 16, 128)];
/// Their depth: two instructions, so that a tile's loads are hidden behind the products of the one before.
const DEPTH: usize = 32;
/// Steps along the inner dimension below which a piece is not worth a cube.
const STEPS: usize = 4;

/// How planes share out a tile: as square as its sides allow.
fn planes(tile: Tile, units: usize, plane: usize, instruction: Tile) -> Method {
    let (most_rows, most_columns) = (tile.rows / instruction.rows, tile.columns / instruction.columns);
    let (mut rows, mut columns) = (1, 1);
    while rows * columns * plane < units && rows * columns < most_rows * most_columns {
        let long = tile.rows * columns >= tile.columns * rows;
        if (long || columns == most_columns) && rows < most_rows { rows *= 2 } else { columns *= 2 }
    }
    Method::Planes { rows, columns, plane, instruction }
}

impl Shapes {
    /// How a product of these shapes is computed.
    pub fn plan(self, direction: Direction, operands: Operands, client: &Client) -> Plan {
        let Self { batch, height, width, small, large, kernel, stride, before } = self;
        let rounded = operands == Operands::Rounded;
        let (tile, method) = (Tile { rows: 64, columns: 64, depth: 16 }, Method::Units(4, 4));
        let mut plan =
            Plan { direction, kernel, stride, before, small, large, height, width, tile, method, rounded, pieces: 1 };
        let cubes = client.properties().hardware.num_streaming_multiprocessors.map_or(CUBES, |n| n as usize);
        let tiles = |plan: &Plan| {
            plan.rows(batch).div_ceil(plan.tile.rows) * plan.columns().div_ceil(plan.tile.columns) * plan.phases()
        };
        if let Some((instruction, plane)) = tensor_cores(client, operands) {
            for (rows, columns, units) in TILES {
                plan.tile = Tile { rows, columns, depth: DEPTH };
                plan.method = planes(plan.tile, units, plane, instruction);
                // A gradient's inner dimension is cut, so that even few tiles leave work for all.
                let idle = tiles(&plan) < cubes && direction != Direction::Weights && columns > 64;
                let wasteful = columns >= 2 * plan.columns().next_multiple_of(16) || rows >= 2 * plan.rows(batch);
                let large =
                    plan.shared_memory(operands.dtype().size()) > client.properties().hardware.max_shared_memory_size;
                if !wasteful && !idle && !large {
                    break;
                }
            }
        } else if plan.columns() <= 16 {
            plan.tile.columns = 16;
            plan.method = Method::Units(4, 1);
        }
        if direction == Direction::Weights {
            let most = (batch * height * width).div_ceil(STEPS * plan.tile.depth);
            plan.pieces = (2 * cubes).div_ceil(tiles(&plan)).min(most).max(1);
        }
        plan
    }
}
