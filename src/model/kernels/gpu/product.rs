//! Convolutions as implicit matrix products: each tile gathers its operands from the maps, so no columns are stored.
//!
//! Maps are channels last, `[batch, height, width, maps]`; weights are packed as `[kernel, kernel, large, small]` by
//! [`super::pack`]. All three operations share one kernel, `rows x inner * inner x columns`:
//!
//! | | rows | columns | inner |
//! |---|---|---|---|
//! | down | positions of the small map | small maps | taps x large maps |
//! | up | positions of the small map, once for each phase of the large one | large maps | taps of the phase x small maps |
//! | weights | taps x large maps | small maps | positions of the small map |
//!
//! A phase is the set of positions of the large map with the same remainder modulo the stride. Each phase has its own
//! taps and outputs, so no inserted zero is multiplied and no output is written twice.
//!
//! Tiles are staged in shared memory, in half precision for tensor cores. The next tile is loaded while the current
//! one is multiplied.

use cubecl::cmma::{self, Matrix, MatrixIdent, MatrixLayout};
use cubecl::prelude::*;

use super::tiling::{ConvOperation, ProductPlan};

/// Image, row and column of a position of the small map.
#[cube]
fn position(p: usize, #[comptime] plan: ProductPlan) -> (usize, usize, usize) {
    let area = comptime!(plan.height * plan.width);
    let picture = p / area;
    let within = p - picture * area;
    let y = within / comptime!(plan.width);
    (picture, y, within - y * comptime!(plan.width))
}

/// Kernel row and column of a tap.
#[cube]
fn tap_of(tap: usize, #[comptime] plan: ProductPlan) -> (usize, usize) {
    let y = tap / comptime!(plan.kernel);
    (y, tap - y * comptime!(plan.kernel))
}

/// Channel, tap row and tap column of an index along the inner dimension. For [`ConvOperation::Up`] taps are those of
/// the phase.
#[cube]
fn looked_up(inner: usize, taps_x: usize, #[comptime] plan: ProductPlan) -> (usize, usize, usize) {
    if comptime!(plan.direction == ConvOperation::Down) {
        let tap = inner / comptime!(plan.large);
        let (y, x) = tap_of(tap, plan);
        (inner - tap * comptime!(plan.large), y, x)
    } else {
        let tap = inner / comptime!(plan.small);
        let y = tap / taps_x;
        (inner - tap * comptime!(plan.small), y, tap - y * taps_x)
    }
}

/// The product. `a` is the map to gather from, `b` the packed weights, or the small map for
/// [`ConvOperation::WeightGradient`]. `out` is a map, or `[pieces, kernel, kernel, large, small]`. `E` is the element
/// type of the operands.
#[cube(launch_unchecked)]
pub fn product<E: Float, A: Float, B: Float, NA: Size, NB: Size>(
    a: &[Vector<A, NA>],
    b: &[Vector<B, NB>],
    out: &mut [f32],
    batch: u32,
    #[comptime] plan: ProductPlan,
    #[comptime] a_width: usize,
    #[comptime] b_width: usize,
) {
    let units = comptime!(plan.units());
    let (tile_rows, tile_columns, depth) = comptime!((plan.tile.rows, plan.tile.columns, plan.tile.depth));
    let (deep_a, deep_b) = comptime!((plan.deep_rows(), plan.deep_columns()));
    let (height, width) = comptime!((plan.stride * plan.height, plan.stride * plan.width));
    let (small, large, before, stride) = comptime!((plan.small, plan.large, plan.before, plan.stride));

    let unit = UNIT_POS as usize;
    // Cubes are numbered by tile rows, tile columns, and phase or piece. Rows beyond the launch limit continue
    // along the columns.
    let across = comptime!(plan.columns().div_ceil(plan.tile.columns));
    let stretch = CUBE_POS_Y as usize / across;
    let first_row = (stretch * CUBE_COUNT_X as usize + CUBE_POS_X as usize) * tile_rows;
    let first_column = (CUBE_POS_Y as usize - stretch * across) * tile_columns;
    let positions = batch as usize * comptime!(plan.height * plan.width);

    // First tap of the phase along each side, number of taps, and offset of its positions.
    let phase_y = CUBE_POS_Z as usize / stride;
    let phase_x = CUBE_POS_Z as usize - phase_y * stride;
    let tap_y = (phase_y + before) % stride;
    let tap_x = (phase_x + before) % stride;
    let taps_y = (comptime!(plan.kernel + plan.stride - 1) - tap_y) / stride;
    let taps_x = (comptime!(plan.kernel + plan.stride - 1) - tap_x) / stride;
    let ahead_y = (phase_y + before - tap_y) / stride;
    let ahead_x = (phase_x + before - tap_x) / stride;

    // Range of the inner dimension of this cube.
    let mut from = 0usize;
    let mut to = comptime!(plan.kernel * plan.kernel * plan.large).runtime();
    if comptime!(plan.direction == ConvOperation::Up) {
        to = taps_y * taps_x * small;
    }
    if comptime!(plan.direction == ConvOperation::WeightGradient) {
        let steps = positions.div_ceil(depth);
        let piece = (steps + comptime!(plan.pieces - 1)) / comptime!(plan.pieces) * depth;
        from = CUBE_POS_Z as usize * piece;
        to = from + piece;
        if to > positions {
            to = positions;
        }
        if from > to {
            from = to;
        }
    }

    // The values of the first operand that this unit loads: always the same index along the contiguous side.
    let a_across = comptime!(if deep_a { depth / a_width } else { tile_rows / a_width });
    let a_step = comptime!(units / a_across);
    let a_lines = comptime!(plan.lines(deep_a, tile_rows));
    let a_count = comptime!(a_lines.div_ceil(a_step));
    let a_along = (unit % a_across) * a_width;
    let a_first = unit / a_across;
    // Offset of the image in the map, and the corner of the window of each row.
    let mut row_picture = Array::<usize>::new(a_count);
    let mut row_y = Array::<usize>::new(a_count);
    let mut row_x = Array::<usize>::new(a_count);
    // For the weight gradient: tap and channel of the rows of this unit.
    let mut own_map = 0usize;
    let mut own_y = 0usize;
    let mut own_x = 0usize;
    let mut own = true;
    if deep_a {
        #[unroll]
        for i in 0..a_count {
            let row = first_row + a_first + i * a_step;
            let (picture, y, x) = position(row, plan);
            // Rows beyond the end see only padding: their corner is far outside.
            let inside = row < positions;
            row_picture[i] = picture;
            if comptime!(plan.direction == ConvOperation::Down) {
                row_y[i] = select(inside, y * stride, comptime!(1usize << 30).runtime());
                row_x[i] = x * stride;
            } else {
                row_y[i] = select(inside, y + ahead_y, comptime!(1usize << 30).runtime());
                row_x[i] = x + ahead_x;
            }
        }
    } else {
        let row = first_row + a_along;
        let tap = row / large;
        own_map = row - tap * large;
        let (y, x) = tap_of(tap, plan);
        own_y = y;
        own_x = x;
        own = row < comptime!(plan.kernel * plan.kernel * plan.large);
    }

    let b_across = comptime!(if deep_b { depth / b_width } else { tile_columns / b_width });
    let b_step = comptime!(units / b_across);
    let b_lines = comptime!(plan.lines(deep_b, tile_columns));
    let b_count = comptime!(b_lines.div_ceil(b_step));
    let b_along = (unit % b_across) * b_width;
    let b_first = unit / b_across;

    let a_line = comptime!(plan.line(deep_a, tile_rows) / a_width);
    let b_line = comptime!(plan.line(deep_b, tile_columns) / b_width);
    let a_stage = comptime!(plan.lines(deep_a, tile_rows) * a_line);
    let b_stage = comptime!(plan.lines(deep_b, tile_columns) * b_line);
    let stages = comptime!(plan.stages());
    let mut staged_a = Shared::<[Vector<E, NA>]>::new_aligned_slice(stages * a_stage, 16usize);
    let mut staged_b = Shared::<[Vector<E, NB>]>::new_aligned_slice(stages * b_stage, 16usize);

    let mut next_a = Array::<Vector<E, NA>>::new(a_count);
    let mut next_b = Array::<Vector<E, NB>>::new(b_count);

    let tensor_cores = comptime!(plan.tensor_cores());
    let instruction = comptime!(plan.instruction());
    let (plane_rows, plane_columns, plane) = comptime!(plan.planes());
    // Instructions per plane.
    let many = comptime!(if tensor_cores { tile_rows / plane_rows / instruction.rows } else { 1 });
    let wide = comptime!(if tensor_cores { tile_columns / plane_columns / instruction.columns } else { 1 });
    let plane_number = unit / plane;
    let plane_row = plane_number / plane_columns * comptime!(many * instruction.rows);
    let plane_column = plane_number % plane_columns * comptime!(wide * instruction.columns);
    let mut sums = Sequence::<Matrix<f32>>::new();
    if tensor_cores {
        #[unroll]
        for _ in 0..comptime!(many * wide) {
            sums.push(Matrix::<f32>::from_value(
                MatrixIdent::Accumulator,
                instruction.rows,
                instruction.columns,
                instruction.depth,
                MatrixLayout::Undefined,
                0.0,
            ));
        }
    }
    // Blocks of single units.
    let (block_rows, block_columns) = comptime!((instruction.rows, instruction.columns));
    let blocks = comptime!(if tensor_cores { 1 } else { tile_columns / block_columns });
    let block_row = unit / blocks;
    let block_column = unit % blocks;
    let mut block = Array::<f32>::new(comptime!(if tensor_cores { 1 } else { block_rows * block_columns }));
    if comptime!(!tensor_cores) {
        #[unroll]
        for i in 0..comptime!(block_rows * block_columns) {
            block[i] = 0.0;
        }
    }

    let steps = (to - from).div_ceil(depth);
    for step in 0..comptime!(1usize).runtime() + steps {
        // Loads the tile of this step; then the previous one is staged and multiplied.
        let begin = from + step * depth;
        let mut place = 0usize;
        if comptime!(stages == 2) {
            place = (step + 1) % 2;
        }
        // Stages what the previous step loaded.
        if step > 0 {
            #[unroll]
            for i in 0..a_count {
                if a_first + i * a_step < a_lines {
                    staged_a[place * a_stage + (a_first + i * a_step) * a_line + a_along / a_width] = next_a[i];
                }
            }
            #[unroll]
            for i in 0..b_count {
                if b_first + i * b_step < b_lines {
                    staged_b[place * b_stage + (b_first + i * b_step) * b_line + b_along / b_width] = next_b[i];
                }
            }
        }
        sync_cube();
        if step < steps {
            if deep_a {
                let inner = begin + a_along;
                let (map, y, x) = looked_up(inner, taps_x, plan);
                let there = inner < to;
                #[unroll]
                for i in 0..a_count {
                    let mut value = Vector::<E, NA>::cast_from(0.0f32);
                    if comptime!(plan.direction == ConvOperation::Down) {
                        let (at_y, at_x) = (row_y[i] + y, row_x[i] + x);
                        let seen = at_y >= before && at_y < before + height && at_x >= before && at_x < before + width;
                        if there && seen {
                            let at = ((row_picture[i] * height + at_y - before) * width + at_x - before) * large + map;
                            value = loaded(a[at / a_width], plan);
                        }
                    } else {
                        let (at_y, at_x) = (row_y[i], row_x[i]);
                        let (rows, columns) = comptime!((plan.height, plan.width));
                        let seen = at_y >= y && at_y < y + rows && at_x >= x && at_x < x + columns;
                        if there && seen {
                            let at = ((row_picture[i] * rows + at_y - y) * columns + at_x - x) * small + map;
                            value = loaded(a[at / a_width], plan);
                        }
                    }
                    next_a[i] = value;
                }
            } else {
                #[unroll]
                for i in 0..a_count {
                    let inner = begin + a_first + i * a_step;
                    let (picture, y, x) = position(inner, plan);
                    let (at_y, at_x) = (y * stride + own_y, x * stride + own_x);
                    let seen = at_y >= before && at_y < before + height && at_x >= before && at_x < before + width;
                    let mut value = Vector::<E, NA>::cast_from(0.0f32);
                    if own && inner < to && seen {
                        let at = ((picture * height + at_y - before) * width + at_x - before) * large + own_map;
                        value = loaded(a[at / a_width], plan);
                    }
                    next_a[i] = value;
                }
            }
            if deep_b {
                // Weights of the taps of the phase: contiguous along the small-map channels.
                let inner = begin + b_along;
                let (map, y, x) = looked_up(inner, taps_x, plan);
                let tap = (tap_y + y * stride) * comptime!(plan.kernel) + tap_x + x * stride;
                #[unroll]
                for i in 0..b_count {
                    let column = first_column + b_first + i * b_step;
                    let mut value = Vector::<E, NB>::cast_from(0.0f32);
                    if inner < to && column < large {
                        value = loaded(b[((tap * large + column) * small + map) / b_width], plan);
                    }
                    next_b[i] = value;
                }
            } else {
                let column = first_column + b_along;
                #[unroll]
                for i in 0..b_count {
                    let inner = begin + b_first + i * b_step;
                    let mut value = Vector::<E, NB>::cast_from(0.0f32);
                    if inner < to && column < small {
                        value = loaded(b[(inner * small + column) / b_width], plan);
                    }
                    next_b[i] = value;
                }
            }
        }
        if step > 0 {
            if tensor_cores {
                multiply::<E, NA, NB>(
                    &staged_a,
                    &staged_b,
                    &mut sums,
                    place,
                    plane_row,
                    plane_column,
                    plan,
                    a_width,
                    b_width,
                );
            } else {
                // Unrolled by the width of a staged vector only: drivers take seconds to compile
                // more.
                let together = comptime!(a_width.max(b_width));
                for group in 0..comptime!(depth / together) {
                    #[unroll]
                    for within in 0..together {
                        let k = group * together + within;
                        let mut column = Array::<f32>::new(block_columns);
                        #[unroll]
                        for j in 0..block_columns {
                            let at = block_column * block_columns + j;
                            column[j] = staged(&staged_b, k, within, at, deep_b, b_line, b_width);
                        }
                        #[unroll]
                        for i in 0..block_rows {
                            let at = block_row * block_rows + i;
                            let row = staged(&staged_a, k, within, at, deep_a, a_line, a_width);
                            #[unroll]
                            for j in 0..block_columns {
                                block[i * block_columns + j] += row * column[j];
                            }
                        }
                    }
                }
                // With one stage, wait until everybody has read it before refilling.
                sync_cube();
            }
        }
    }

    let rows = if comptime!(plan.direction == ConvOperation::WeightGradient) {
        comptime!(plan.kernel * plan.kernel * plan.large).runtime()
    } else {
        positions
    };
    if tensor_cores {
        let area = comptime!(instruction.rows * instruction.columns);
        let mut scratch = Shared::<[f32]>::new_aligned_slice(comptime!(plane_rows * plane_columns * area), 16usize);
        let lane = unit % plane;
        let own = plane_number * area;
        #[unroll]
        for i in 0..many {
            #[unroll]
            for j in 0..wide {
                sync_cube();
                cmma::store(
                    &mut scratch[own..own + area],
                    sums.index(comptime!(i * wide + j)),
                    comptime!(instruction.columns as u32),
                    MatrixLayout::RowMajor,
                );
                sync_cube();
                #[unroll]
                for part in 0..comptime!(area / plane) {
                    let at = part * plane + lane;
                    let row = first_row + plane_row + comptime!(i * instruction.rows) + at / instruction.columns;
                    let column =
                        first_column + plane_column + comptime!(j * instruction.columns) + at % instruction.columns;
                    put(out, row, column, rows, phase_y, phase_x, scratch[own + at], plan);
                }
            }
        }
    } else {
        #[unroll]
        for i in 0..block_rows {
            #[unroll]
            for j in 0..block_columns {
                let row = first_row + block_row * block_rows + i;
                let column = first_column + block_column * block_columns + j;
                put(out, row, column, rows, phase_y, phase_x, block[i * block_columns + j], plan);
            }
        }
    }
}

/// Multiplies the part of a staged tile that belongs to a plane.
#[cube]
#[expect(clippy::too_many_arguments, reason = "a kernel takes its buffers one by one")]
fn multiply<E: Float, NA: Size, NB: Size>(
    a: &Shared<[Vector<E, NA>]>,
    b: &Shared<[Vector<E, NB>]>,
    sums: &mut Sequence<Matrix<f32>>,
    place: usize,
    plane_row: usize,
    plane_column: usize,
    #[comptime] plan: ProductPlan,
    #[comptime] a_width: usize,
    #[comptime] b_width: usize,
) {
    let instruction = comptime!(plan.instruction());
    let (plane_rows, plane_columns, _) = comptime!(plan.planes());
    let (deep_a, deep_b) = comptime!((plan.deep_rows(), plan.deep_columns()));
    let (tile_rows, tile_columns) = comptime!((plan.tile.rows, plan.tile.columns));
    let many = comptime!(tile_rows / plane_rows / instruction.rows);
    let wide = comptime!(tile_columns / plane_columns / instruction.columns);
    let a_line = comptime!(plan.line(deep_a, tile_rows));
    let b_line = comptime!(plan.line(deep_b, tile_columns));
    let a_stage = comptime!(plan.lines(deep_a, tile_rows) * a_line);
    let b_stage = comptime!(plan.lines(deep_b, tile_columns) * b_line);
    #[unroll]
    for k in 0..comptime!(plan.tile.depth / instruction.depth) {
        let inner = comptime!(k * instruction.depth);
        let mut columns = Sequence::<Matrix<Vector<E, NB>>>::new();
        #[unroll]
        for j in 0..wide {
            let column = plane_column + comptime!(j * instruction.columns);
            let at = if deep_b { column * b_line + inner } else { inner * b_line + column };
            let at = (place * b_stage + at) / b_width;
            columns.push(Matrix::<Vector<E, NB>>::from_slice(
                MatrixIdent::B,
                instruction.rows,
                instruction.columns,
                instruction.depth,
                comptime!(if deep_b { MatrixLayout::ColMajor } else { MatrixLayout::RowMajor }),
                &b[at..comptime!(2 * b_stage / b_width)],
                comptime!(b_line as u32),
            ));
        }
        #[unroll]
        for i in 0..many {
            let row = plane_row + comptime!(i * instruction.rows);
            let at = if deep_a { row * a_line + inner } else { inner * a_line + row };
            let at = (place * a_stage + at) / a_width;
            let row = Matrix::<Vector<E, NA>>::from_slice(
                MatrixIdent::A,
                instruction.rows,
                instruction.columns,
                instruction.depth,
                comptime!(if deep_a { MatrixLayout::RowMajor } else { MatrixLayout::ColMajor }),
                &a[at..comptime!(2 * a_stage / a_width)],
                comptime!(a_line as u32),
            );
            #[unroll]
            for j in 0..wide {
                let sum = sums.index(comptime!(i * wide + j));
                cmma::execute(&row, columns.index(j), sum, sum);
            }
        }
    }
}

/// Converts loaded values to the element type of the stage.
#[cube]
fn loaded<E: Float, F: Float, N: Size>(numbers: Vector<F, N>, #[comptime] plan: ProductPlan) -> Vector<E, N> {
    if comptime!(plan.rounded) {
        // Rounds to bfloat16 (8 significant bits, the upper half of a float), ties to even.
        let bits = Vector::<u32, N>::reinterpret(Vector::<f32, N>::cast_from(numbers));
        let even = (bits >> Vector::new(16u32)) & Vector::new(1u32);
        let nearest = (bits + even + Vector::new(0x7fffu32)) & Vector::new(0xffff_0000u32);
        Vector::cast_from(Vector::<f32, N>::reinterpret(nearest))
    } else {
        Vector::cast_from(numbers)
    }
}

/// One staged value: `within` is `inner` modulo the vector width.
#[cube]
fn staged<E: Float, N: Size>(
    stage: &Shared<[Vector<E, N>]>,
    inner: usize,
    #[comptime] within: usize,
    across: usize,
    #[comptime] deep: bool,
    #[comptime] line: usize,
    #[comptime] width: usize,
) -> f32 {
    if deep {
        f32::cast_from(stage[across * line + inner / width].extract(within % width))
    } else {
        let numbers = stage[inner * line + across / width];
        let place = across % width;
        let mut number = numbers.extract(0usize);
        #[unroll]
        for i in 1..width {
            number = select(place == i, numbers.extract(i), number);
        }
        f32::cast_from(number)
    }
}

/// Writes one value of the result.
#[cube]
#[expect(clippy::too_many_arguments, reason = "a kernel takes its buffers one by one")]
fn put(
    out: &mut [f32],
    row: usize,
    column: usize,
    rows: usize,
    phase_y: usize,
    phase_x: usize,
    value: f32,
    #[comptime] plan: ProductPlan,
) {
    let columns = comptime!(plan.columns());
    if row < rows && column < columns {
        if comptime!(plan.direction == ConvOperation::Up) {
            let (picture, y, x) = position(row, plan);
            let (height, width) = comptime!((plan.stride * plan.height, plan.stride * plan.width));
            let (y, x) = (y * comptime!(plan.stride) + phase_y, x * comptime!(plan.stride) + phase_x);
            out[((picture * height + y) * width + x) * columns + column] = value;
        } else if comptime!(plan.direction == ConvOperation::WeightGradient) {
            out[(CUBE_POS_Z as usize * rows + row) * columns + column] = value;
        } else {
            out[row * columns + column] = value;
        }
    }
}
