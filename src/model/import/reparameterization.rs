//! Weights under spectral or weight normalization: computes the effective weights from the parameters that the file
//! stores.

use std::collections::BTreeMap;
use std::path::Path;

use super::ImportError;
use super::tensor_source::TensorSource;

/// A tensor source with effective weights in place of reparameterized ones.
#[derive(Debug)]
pub(super) struct EffectiveWeights {
    source: TensorSource,
    /// By the name of the effective weight.
    reparameterized: BTreeMap<String, Reparameterization>,
}

/// Tensors from which an effective weight is computed.
#[derive(Debug)]
enum Reparameterization {
    /// Spectral normalization: the weight divided by its largest singular value, `u W v` with the vectors of the last
    /// power iteration. Older files have no `v`.
    Spectral { weight: String, u: String, v: Option<String> },
    /// Weight normalization: each slice of the weight along one dimension scaled to the norm in `gain`.
    WeightNorm { weight: String, gain: String },
}

impl EffectiveWeights {
    /// Finds reparameterized weights by the names that PyTorch 1 and PyTorch 2 use.
    pub fn new(source: TensorSource) -> Self {
        let shapes = source.shapes();
        let existing = |name: String| shapes.contains_key(&name).then_some(name);
        let mut reparameterized = BTreeMap::new();
        for name in shapes.keys() {
            let weight = name.clone();
            let found = if let Some(module) = name.strip_suffix("weight_orig") {
                let v = existing(format!("{module}weight_v"));
                existing(format!("{module}weight_u")).map(|u| (module, Reparameterization::Spectral { weight, u, v }))
            } else if let Some(module) = name.strip_suffix("parametrizations.weight.original") {
                let power = |part| existing(format!("{module}parametrizations.weight.0.{part}"));
                power("_u").map(|u| (module, Reparameterization::Spectral { weight, u, v: power("_v") }))
            } else if let Some(module) = name.strip_suffix("weight_v") {
                existing(format!("{module}weight_g"))
                    .map(|gain| (module, Reparameterization::WeightNorm { weight, gain }))
            } else if let Some(module) = name.strip_suffix("parametrizations.weight.original1") {
                let gain = existing(format!("{module}parametrizations.weight.original0"));
                gain.map(|gain| (module, Reparameterization::WeightNorm { weight, gain }))
            } else {
                None
            };
            if let Some((module, found)) = found {
                reparameterized.insert(format!("{module}weight"), found);
            }
        }
        Self { source, reparameterized }
    }

    /// Shapes of the arrays by name, with effective weights in place of the tensors they are computed from.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        let mut shapes = self.source.shapes();
        for (name, parts) in &self.reparameterized {
            let (weight, others) = match parts {
                Reparameterization::Spectral { weight, u, v } => (weight, [Some(u), v.as_ref()]),
                Reparameterization::WeightNorm { weight, gain } => (weight, [Some(gain), None]),
            };
            others.into_iter().flatten().for_each(|other| drop(shapes.remove(other)));
            if let Some(shape) = shapes.remove(weight) {
                shapes.insert(name.clone(), shape);
            }
        }
        shapes
    }

    /// As [`Self::shapes`], in the file's order if it has one, otherwise in the natural order of the names.
    pub fn ordered(&self) -> Vec<(String, Vec<usize>)> {
        let mut shapes: Vec<_> = self.shapes().into_iter().collect();
        match self.source.order() {
            Some(places) => {
                let place = |name: &String| {
                    let own = places.get(name).copied();
                    own.or_else(|| {
                        let weight = match self.reparameterized.get(name)? {
                            Reparameterization::Spectral { weight, .. }
                            | Reparameterization::WeightNorm { weight, .. } => weight,
                        };
                        places.get(weight).copied()
                    })
                };
                shapes.sort_by_key(|(name, _)| place(name).unwrap_or(usize::MAX));
            }
            None => shapes.sort_by(|(a, _), (b, _)| natord::compare(a, b)),
        }
        shapes
    }

    /// Classes of the file's objects that are not tensors.
    pub fn skipped(&self) -> Vec<String> {
        self.source.skipped()
    }

    /// Reads the values of one array, row-major; `path` only appears in errors.
    ///
    /// # Errors
    /// [`ImportError`] naming the file and the array.
    pub fn read(&self, name: &str, path: &Path) -> Result<Vec<f32>, ImportError> {
        let Some(parts) = self.reparameterized.get(name) else { return self.source.read(name, path) };
        let shape = self.shapes().remove(name).unwrap_or_default();
        let whole = match parts {
            Reparameterization::Spectral { weight, u, v } => {
                let weight = self.source.read(weight, path)?;
                let u = self.source.read(u, path)?;
                let v = v.as_ref().map(|v| self.source.read(v, path)).transpose()?;
                spectral(weight, &shape, &u, v.as_deref())
            }
            Reparameterization::WeightNorm { weight, gain } => {
                weight_norm(self.source.read(weight, path)?, &shape, &self.source.read(gain, path)?)
            }
        };
        whole.map_err(|reason| ImportError::Array { path: path.to_owned(), name: name.to_owned(), reason })
    }

    /// Display name of a weight's normalization; `None` for an ordinary weight.
    pub fn normalization(&self, name: &str) -> Option<&'static str> {
        self.reparameterized.get(name).map(|parts| match parts {
            Reparameterization::Spectral { .. } => "spectral normalization",
            Reparameterization::WeightNorm { .. } => "weight normalization",
        })
    }

    /// Display name of the file format.
    pub fn format(&self) -> &'static str {
        self.source.format()
    }

    /// Whether it is a folder of arrays as the DCGAN authors saved them with Theano.
    pub fn is_theano(&self) -> bool {
        matches!(self.source, TensorSource::Numpy(_))
    }
}

/// A function from a value's flat index to its index along dimension `side`.
fn index_along(shape: &[usize], side: usize) -> impl Fn(usize) -> usize {
    let (length, stride) = (shape[side].max(1), shape[side + 1..].iter().product::<usize>().max(1));
    move |i| i / stride % length
}

/// Divides a weight by its spectral norm.
fn spectral(mut weight: Vec<f32>, shape: &[usize], u: &[f32], v: Option<&[f32]>) -> Result<Vec<f32>, String> {
    // A fractionally-strided convolution has its outputs second. If both dimensions fit, the wrong one gives a norm
    // near zero.
    let norm = (0..shape.len().min(2))
        .filter(|&side| shape[side] == u.len() && v.is_none_or(|v| v.len() * u.len() == weight.len()))
        .map(|side| spectral_norm(&weight, shape, side, u, v))
        .max_by(f64::total_cmp);
    let norm = norm.ok_or_else(|| format!("its shape {shape:?} does not fit its {} singular values", u.len()))?;
    if !(norm.is_finite() && norm > 0.0) {
        return Err(format!("it cannot be divided by its spectral norm, which is {norm}"));
    }
    weight.iter_mut().for_each(|value| *value = (f64::from(*value) / norm) as f32);
    Ok(weight)
}

/// `u W v`, where the rows of W are the slices along dimension `side`; without `v` the norm of `u W`.
fn spectral_norm(weight: &[f32], shape: &[usize], side: usize, u: &[f32], v: Option<&[f32]>) -> f64 {
    let (row, columns) = (index_along(shape, side), weight.len() / shape[side].max(1));
    let mut sums = vec![0.0f64; columns];
    let mut next_column = vec![0usize; shape[side]];
    for (i, &value) in weight.iter().enumerate() {
        let row = row(i);
        // The other dimensions keep their order, so a row's values come in the order of its columns.
        sums[next_column[row]] += f64::from(u[row]) * f64::from(value);
        next_column[row] += 1;
    }
    match v {
        Some(v) => sums.iter().zip(v).map(|(sum, &v)| sum * f64::from(v)).sum(),
        None => sums.iter().map(|sum| sum * sum).sum::<f64>().sqrt(),
    }
}

/// Scales the slices of a weight along one dimension to the norms in `gain`, or the whole weight to a single norm.
fn weight_norm(mut weight: Vec<f32>, shape: &[usize], gain: &[f32]) -> Result<Vec<f32>, String> {
    let side = shape.iter().position(|&side| side == gain.len());
    let place: Box<dyn Fn(usize) -> usize> = match side {
        _ if gain.len() == 1 => Box::new(|_| 0),
        Some(side) => Box::new(index_along(shape, side)),
        None => return Err(format!("its shape {shape:?} does not fit its {} norms", gain.len())),
    };
    let mut squares = vec![0.0f64; gain.len()];
    for (i, &value) in weight.iter().enumerate() {
        squares[place(i)] += f64::from(value).powi(2);
    }
    if squares.contains(&0.0) {
        return Err("a slice of it is all zeros and has no direction".to_owned());
    }
    let scales: Vec<f64> = gain.iter().zip(&squares).map(|(&gain, square)| f64::from(gain) / square.sqrt()).collect();
    weight.iter_mut().enumerate().for_each(|(i, value)| *value = (f64::from(*value) * scales[place(i)]) as f32);
    Ok(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spectral_normalization_divides_by_the_largest_singular_value_for_either_weight_layout() {
        // Two orthogonal rows of lengths 5 and 1; transposed, two columns.
        let rows = vec![3.0, 4.0, 0.0, 0.8, -0.6, 0.0];
        let near = |values: &[f32], wanted: &[f32]| values.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6);
        let whole = spectral(rows.clone(), &[2, 3], &[1.0, 0.0], Some(&[0.6, 0.8, 0.0])).unwrap();
        assert!(near(&whole, &[0.6, 0.8, 0.0, 0.16, -0.12, 0.0]), "{whole:?}");
        let columns = vec![3.0, 0.8, 4.0, -0.6, 0.0, 0.0];
        let whole = spectral(columns, &[3, 2], &[1.0, 0.0], Some(&[0.6, 0.8, 0.0])).unwrap();
        assert!(near(&whole, &[0.6, 0.16, 0.8, -0.12, 0.0, 0.0]), "{whole:?}");
        let whole = spectral(rows.clone(), &[2, 3], &[1.0, 0.0], None).unwrap();
        assert!(near(&whole, &[0.6, 0.8]), "{whole:?}");
        assert!(spectral(rows.clone(), &[2, 3], &[1.0; 5], None).unwrap_err().contains("[2, 3]"));
        assert!(spectral(vec![0.0; 6], &[2, 3], &[1.0, 0.0], None).unwrap_err().contains("is 0"));
    }

    #[test]
    fn weight_normalization_scales_slices_to_the_stored_norms() {
        let weight = vec![3.0, 4.0, 0.0, 2.0];
        assert_eq!(weight_norm(weight.clone(), &[2, 2], &[10.0, 1.0]).unwrap(), [6.0, 8.0, 0.0, 1.0]);
        assert_eq!(weight_norm(vec![3.0, 4.0], &[2, 1], &[10.0]).unwrap(), [6.0, 8.0]);
        assert!(weight_norm(weight, &[2, 2], &[1.0; 3]).unwrap_err().contains("3 norms"));
        assert!(weight_norm(vec![0.0; 4], &[2, 2], &[1.0, 1.0]).unwrap_err().contains("zeros"));
    }
}
