//! Weights that a file keeps in parts, as networks under spectral or weight normalisation do, put together to what the
//! network applies.

use std::collections::BTreeMap;
use std::path::Path;

use super::ImportError;
use super::store::Store;

/// A file whose weights are seen as they are applied.
#[derive(Debug)]
pub(super) struct Applied {
    store: Store,
    parted: BTreeMap<String, Parted>,
}

/// A weight in parts.
#[derive(Debug)]
enum Parted {
    /// Divided by its largest singular value, which the last step of a power iteration tells: `u W v`. Old files have no `v`.
    Spectral { weight: String, u: String, v: Option<String> },
    /// Scaled to a length of its own for each place along one side, that of `gain`.
    Length { weight: String, gain: String },
}

impl Applied {
    /// Looks through the tensors' names, as PyTorch gives them since 1.0 and since 2.0.
    pub fn new(store: Store) -> Self {
        let shapes = store.shapes();
        let there = |name: String| shapes.contains_key(&name).then_some(name);
        let mut parted = BTreeMap::new();
        for name in shapes.keys() {
            let weight = name.clone();
            let found = if let Some(module) = name.strip_suffix("weight_orig") {
                let v = there(format!("{module}weight_v"));
                there(format!("{module}weight_u")).map(|u| (module, Parted::Spectral { weight, u, v }))
            } else if let Some(module) = name.strip_suffix("parametrizations.weight.original") {
                let power = |part| there(format!("{module}parametrizations.weight.0.{part}"));
                power("_u").map(|u| (module, Parted::Spectral { weight, u, v: power("_v") }))
            } else if let Some(module) = name.strip_suffix("weight_v") {
                there(format!("{module}weight_g")).map(|gain| (module, Parted::Length { weight, gain }))
            } else if let Some(module) = name.strip_suffix("parametrizations.weight.original1") {
                let gain = there(format!("{module}parametrizations.weight.original0"));
                gain.map(|gain| (module, Parted::Length { weight, gain }))
            } else {
                None
            };
            if let Some((module, found)) = found {
                parted.insert(format!("{module}weight"), found);
            }
        }
        Self { store, parted }
    }

    /// The arrays' names and shapes, whole weights instead of their parts.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        let mut shapes = self.store.shapes();
        for (name, parted) in &self.parted {
            let (weight, others) = match parted {
                Parted::Spectral { weight, u, v } => (weight, [Some(u), v.as_ref()]),
                Parted::Length { weight, gain } => (weight, [Some(gain), None]),
            };
            others.into_iter().flatten().for_each(|other| drop(shapes.remove(other)));
            if let Some(shape) = shapes.remove(weight) {
                shapes.insert(name.clone(), shape);
            }
        }
        shapes
    }

    /// As [`Self::shapes`], in the file's order where it has one, otherwise in the natural order of the names.
    pub fn ordered(&self) -> Vec<(String, Vec<usize>)> {
        let mut shapes: Vec<_> = self.shapes().into_iter().collect();
        match self.store.order() {
            Some(places) => {
                let place = |name: &String| {
                    let own = places.get(name).copied();
                    own.or_else(|| {
                        let weight = match self.parted.get(name)? {
                            Parted::Spectral { weight, .. } | Parted::Length { weight, .. } => weight,
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

    /// Objects of the file that are no tensors.
    pub fn skipped(&self) -> Vec<String> {
        self.store.skipped()
    }

    /// The values of one array, row-major.
    ///
    /// # Errors
    /// [`ImportError`] naming the file and the array.
    pub fn read(&self, name: &str, path: &Path) -> Result<Vec<f32>, ImportError> {
        let Some(parted) = self.parted.get(name) else { return self.store.read(name, path) };
        let shape = self.shapes().remove(name).unwrap_or_default();
        let whole = match parted {
            Parted::Spectral { weight, u, v } => {
                let weight = self.store.read(weight, path)?;
                let u = self.store.read(u, path)?;
                let v = v.as_ref().map(|v| self.store.read(v, path)).transpose()?;
                spectral(weight, &shape, &u, v.as_deref())
            }
            Parted::Length { weight, gain } => {
                length(self.store.read(weight, path)?, &shape, &self.store.read(gain, path)?)
            }
        };
        whole.map_err(|cause| ImportError::Array { path: path.to_owned(), name: name.to_owned(), cause })
    }

    /// What kind of normalisation a weight was kept under.
    pub fn under(&self, name: &str) -> Option<&'static str> {
        self.parted.get(name).map(|parted| match parted {
            Parted::Spectral { .. } => "spectral normalisation",
            Parted::Length { .. } => "weight normalisation",
        })
    }

    /// What kind of file it is, for people.
    pub fn format(&self) -> &'static str {
        self.store.format()
    }

    /// Whether it is the DCGAN authors' folder, which Theano wrote.
    pub fn is_theanos(&self) -> bool {
        matches!(self.store, Store::Numpy(_))
    }
}

/// The index of a value along one side of its array.
fn along(shape: &[usize], side: usize) -> impl Fn(usize) -> usize {
    let (length, stride) = (shape[side].max(1), shape[side + 1..].iter().product::<usize>().max(1));
    move |i| i / stride % length
}

/// A weight divided by its spectral norm.
fn spectral(mut weight: Vec<f32>, shape: &[usize], u: &[f32], v: Option<&[f32]>) -> Result<Vec<f32>, String> {
    // A fractionally-strided convolution has its outputs second. Where both sides fit, the wrong one gives next to nothing.
    let norm = (0..shape.len().min(2))
        .filter(|&side| shape[side] == u.len() && v.is_none_or(|v| v.len() * u.len() == weight.len()))
        .map(|side| spectral_norm(&weight, shape, side, u, v))
        .max_by(f64::total_cmp);
    let norm = norm.ok_or_else(|| format!("its shape {shape:?} does not fit its {} singular values", u.len()))?;
    if !(norm.is_finite() && norm > 0.0) {
        return Err(format!("its spectral norm is {norm}, and it cannot be divided by that"));
    }
    weight.iter_mut().for_each(|value| *value = (f64::from(*value) / norm) as f32);
    Ok(weight)
}

/// `u W v`, the rows of W being the places along one side; without a `v` the length of `u W`.
fn spectral_norm(weight: &[f32], shape: &[usize], side: usize, u: &[f32], v: Option<&[f32]>) -> f64 {
    let (row, columns) = (along(shape, side), weight.len() / shape[side].max(1));
    let mut sums = vec![0.0f64; columns];
    let mut seen = vec![0usize; shape[side]];
    for (i, &value) in weight.iter().enumerate() {
        let row = row(i);
        // The other sides keep their order, so a row's values come in the order of its columns.
        sums[seen[row]] += f64::from(u[row]) * f64::from(value);
        seen[row] += 1;
    }
    match v {
        Some(v) => sums.iter().zip(v).map(|(sum, &v)| sum * f64::from(v)).sum(),
        None => sums.iter().map(|sum| sum * sum).sum::<f64>().sqrt(),
    }
}

/// A weight scaled to the lengths that `gain` has for the places along one side, or to one length as a whole.
fn length(mut weight: Vec<f32>, shape: &[usize], gain: &[f32]) -> Result<Vec<f32>, String> {
    let side = shape.iter().position(|&side| side == gain.len());
    let place: Box<dyn Fn(usize) -> usize> = match side {
        _ if gain.len() == 1 => Box::new(|_| 0),
        Some(side) => Box::new(along(shape, side)),
        None => return Err(format!("its shape {shape:?} does not fit its {} lengths", gain.len())),
    };
    let mut squares = vec![0.0f64; gain.len()];
    for (i, &value) in weight.iter().enumerate() {
        squares[place(i)] += f64::from(value).powi(2);
    }
    if squares.contains(&0.0) {
        return Err("a part of it is all zeros and has no direction".to_owned());
    }
    let scales: Vec<f64> = gain.iter().zip(&squares).map(|(&gain, square)| f64::from(gain) / square.sqrt()).collect();
    weight.iter_mut().enumerate().for_each(|(i, value)| *value = (f64::from(*value) * scales[place(i)]) as f32);
    Ok(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_divided_by_its_largest_singular_value_on_whichever_side_its_outputs_are() {
        // Two rows at right angles of lengths 5 and 1; turned over, two columns.
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
    fn a_weight_has_the_lengths_that_are_kept_for_it() {
        let weight = vec![3.0, 4.0, 0.0, 2.0];
        assert_eq!(length(weight.clone(), &[2, 2], &[10.0, 1.0]).unwrap(), [6.0, 8.0, 0.0, 1.0]);
        assert_eq!(length(vec![3.0, 4.0], &[2, 1], &[10.0]).unwrap(), [6.0, 8.0]);
        assert!(length(weight, &[2, 2], &[1.0; 3]).unwrap_err().contains("3 lengths"));
        assert!(length(vec![0.0; 4], &[2, 2], &[1.0, 1.0]).unwrap_err().contains("zeros"));
    }
}
