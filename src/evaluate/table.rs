//! [`FeatureTable`]: one row of features per image, and the products and distances of rows.

use burn::tensor::{Device, Tensor, TensorData};
use pulp::Arch;
use rayon::prelude::*;

use crate::device::{ComputeError, read_tensor};

/// Independent sums of [`dot`], so that it runs in vector registers.
const LANES: usize = 32;

/// Features of images, `[rows, width]` in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureTable {
    values: Vec<f32>,
    width: usize,
}

impl FeatureTable {
    /// A table of rows of `width` values.
    ///
    /// # Panics
    /// If the values do not fill whole rows.
    pub fn new(values: Vec<f32>, width: usize) -> Self {
        assert!(width > 0 && values.len().is_multiple_of(width), "{} values do not fill rows of {width}", values.len());
        Self { values, width }
    }

    /// Values per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Row `number`, `[width]`.
    pub fn row(&self, number: usize) -> &[f32] {
        &self.values[number * self.width..(number + 1) * self.width]
    }

    /// All rows in order.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }

    /// A copy of the first `count` rows, or of all where there are fewer.
    pub fn head(&self, count: usize) -> Self {
        Self { values: self.values[..count.min(self.len()) * self.width].to_vec(), width: self.width }
    }
}

/// The dot product of two rows.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let mut lanes = [0.0f32; LANES];
            let (whole_a, whole_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
            let rest: f32 = whole_a.remainder().iter().zip(whole_b.remainder()).map(|(a, b)| a * b).sum();
            for (a, b) in whole_a.zip(whole_b) {
                for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
                    *lane += a * b;
                }
            }
            lanes.iter().sum::<f32>() + rest
        },
    )
}

/// Dot products `[a, b]` of the rows of two tables.
///
/// # Errors
/// [`ComputeError`] when the device fails.
pub(super) fn products(a: &FeatureTable, b: &FeatureTable, device: &Device) -> Result<Vec<f32>, ComputeError> {
    let on_device = |table: &FeatureTable| {
        Tensor::<2>::from_data(TensorData::new(table.values.clone(), [table.len(), table.width()]), device)
    };
    read_tensor(on_device(a).matmul(on_device(b).transpose()))
}

/// Squared Euclidean distances `[a, b]` between the rows of two tables.
///
/// # Errors
/// [`ComputeError`] when the device fails.
pub(super) fn squared_distances(a: &FeatureTable, b: &FeatureTable, device: &Device) -> Result<Vec<f32>, ComputeError> {
    let squares = |table: &FeatureTable| -> Vec<f32> { table.rows().map(|row| dot(row, row)).collect() };
    let (of_a, of_b) = (squares(a), squares(b));
    let mut all = products(a, b, device)?;
    all.par_chunks_exact_mut(b.len().max(1)).zip(&of_a).for_each(|(row, a)| {
        for (value, b) in row.iter_mut().zip(&of_b) {
            // Rounding makes the distance of equal rows negative.
            *value = (a + b - 2.0 * *value).max(0.0);
        }
    });
    Ok(all)
}
