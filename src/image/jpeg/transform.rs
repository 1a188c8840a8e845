//! Reduced inverse DCT, and YCbCr to RGB.

use super::bits::ZIGZAG;

/// Inverse DCT to `side` values, 1 to 8: the contribution of coefficient `u` to each.
///
/// The low-frequency coefficients of eight points are those of fewer points; the others are dropped. This averages
/// over pixels, and is sharper than a box filter.
#[derive(Debug, Clone, Copy)]
struct Basis {
    side: usize,
    waves: [[f32; 8]; 8],
}

impl Basis {
    fn new(side: usize) -> Self {
        let mut waves = [[0.0; 8]; 8];
        for (u, wave) in waves.iter_mut().enumerate().take(side) {
            let scale = if u == 0 { 0.125f64 } else { 0.25 }.sqrt();
            for (x, value) in wave.iter_mut().enumerate().take(side) {
                let angle = (2 * x + 1) as f64 * u as f64 * std::f64::consts::PI / (2 * side) as f64;
                *value = (scale * angle.cos()) as f32;
            }
        }
        Self { side, waves }
    }
}

/// Reduces 8x8 blocks.
#[derive(Debug)]
pub(super) struct Shrink {
    across: Basis,
    down: Basis,
    /// For each position in storage order: the rows and columns that contain the coefficients up to it.
    spans: [(u8, u8); 64],
}

impl Shrink {
    /// Reduction to `width` by `height` pixels, 1 to 8 each.
    pub fn new([width, height]: [usize; 2]) -> Self {
        let mut spans = [(0, 0); 64];
        let (mut rows, mut columns) = (0, 0);
        for (span, place) in spans.iter_mut().zip(ZIGZAG) {
            rows = rows.max(place / 8 + 1);
            columns = columns.max(place % 8 + 1);
            *span = (rows.min(height as u8), columns.min(width as u8));
        }
        Self { across: Basis::new(width), down: Basis::new(height), spans }
    }

    /// Writes a block whose coefficients after position `last` are zero to the start of `out`; rows are `stride`
    /// pixels long.
    #[inline(always)]
    pub fn write(&self, block: &[f32; 64], last: usize, out: &mut [u8], stride: usize) {
        let rows = out.chunks_mut(stride).take(self.down.side);
        if last == 0 {
            let byte = byte(block[0] * 0.125);
            rows.for_each(|row| row[..self.across.side].fill(byte));
            return;
        }
        let (tall, wide) = self.spans[last & 63];
        let mut across = [[0.0f32; 8]; 8];
        let waves = &self.across.waves[..usize::from(wide)];
        for (to, from) in across.iter_mut().zip(block.chunks_exact(8)).take(usize::from(tall)) {
            for (&coefficient, wave) in from.iter().zip(waves) {
                for (to, wave) in to.iter_mut().zip(wave) {
                    *to += coefficient * wave;
                }
            }
        }
        for (y, row) in rows.enumerate() {
            let mut sums = [0.0f32; 8];
            for (from, wave) in across[..usize::from(tall)].iter().zip(&self.down.waves) {
                for (sum, value) in sums.iter_mut().zip(from) {
                    *sum += value * wave[y & 7];
                }
            }
            let mut bytes = [0; 8];
            bytes.iter_mut().zip(sums).for_each(|(to, sum)| *to = byte(sum));
            row[..self.across.side].copy_from_slice(&bytes[..self.across.side]);
        }
    }
}

#[inline(always)]
fn byte(value: f32) -> u8 {
    (value + 128.5).clamp(0.0, 255.0) as i32 as u8
}

/// Converts a row of YCbCr to RGB (JFIF, fixed point).
pub(super) fn color(bright: &[u8], blue: &[u8], red: &[u8], out: &mut [u8]) {
    const HALF: i32 = 1 << 15;
    for (((out, &y), &cb), &cr) in out.as_chunks_mut::<3>().0.iter_mut().zip(bright).zip(blue).zip(red) {
        let (y, cb, cr) = (i32::from(y) << 16, i32::from(cb) - 128, i32::from(cr) - 128);
        let byte = |value: i32| ((value + HALF) >> 16).clamp(0, 255) as u8;
        *out = [byte(y + 91_881 * cr), byte(y - 22_554 * cb - 46_802 * cr), byte(y + 116_130 * cb)];
    }
}
