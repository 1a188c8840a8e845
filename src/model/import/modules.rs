//! Groups a network's tensors into modules (convolutions, fully connected layers, class embeddings and batch norms) by
//! name suffixes and shapes.

use std::collections::HashMap;

/// Name suffixes and the tensors' roles. The longest are tried first.
const SUFFIXES: [(&str, TensorRole); 21] = [
    ("moving_variance", TensorRole::Variance),
    ("running_mean", TensorRole::Mean),
    ("running_var", TensorRole::Variance),
    ("moving_mean", TensorRole::Mean),
    ("weights", TensorRole::Weight),
    ("variance", TensorRole::Variance),
    ("weight", TensorRole::Weight),
    ("kernel", TensorRole::Weight),
    ("biases", TensorRole::Bias),
    ("matrix", TensorRole::Weight),
    ("gamma", TensorRole::Weight),
    ("scale", TensorRole::Weight),
    ("shift", TensorRole::Bias),
    ("gain", TensorRole::Weight),
    ("beta", TensorRole::Bias),
    ("bias", TensorRole::Bias),
    ("mean", TensorRole::Mean),
    ("var", TensorRole::Variance),
    ("w", TensorRole::Weight),
    ("b", TensorRole::Bias),
    ("g", TensorRole::Weight),
];
/// Words in the names of class embeddings.
const EMBEDDING_WORDS: [&str; 3] = ["emb", "label", "class"];
/// Separators between a module's name and the suffix.
const SEPARATORS: [char; 4] = ['.', '/', '_', ':'];

/// Role of a tensor in its module.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TensorRole {
    Weight,
    Bias,
    Mean,
    Variance,
}

/// A tensor of a module: role, name and shape.
type ModuleTensor<'a> = (TensorRole, &'a str, &'a [usize]);

/// A convolution of weight `[a, b, kernel, kernel]`, or a fully connected layer `[a, b]`.
#[derive(Debug, Clone)]
pub(super) struct WeightModule {
    /// Name of the weight.
    pub weight: String,
    /// Shape of the weight.
    pub shape: Vec<usize>,
    /// Name and length of the bias.
    pub bias: Option<(String, usize)>,
    /// Position among the network's modules.
    pub position: usize,
}

/// A batch norm. Missing tensors have no effect: a gain of 1, or a shift of 0.
#[derive(Debug, Clone, Default)]
pub(super) struct NormModule {
    /// Position among the network's modules.
    pub position: usize,
    pub length: usize,
    pub gain: Option<String>,
    pub shift: Option<String>,
    pub mean: Option<String>,
    pub variance: Option<String>,
}

/// The modules of a network, each kind in the order of the tensors.
#[derive(Debug, Clone, Default)]
pub(super) struct NetworkModules {
    pub convolutions: Vec<WeightModule>,
    /// Fully connected layers.
    pub linear: Vec<WeightModule>,
    /// Matrices with one row per class.
    pub embeddings: Vec<WeightModule>,
    pub norms: Vec<NormModule>,
}

impl NetworkModules {
    /// Groups the tensors of a network, given by name and shape.
    ///
    /// # Errors
    /// Which tensor does not fit a DCGAN.
    pub fn group(tensors: &[(&str, &[usize])]) -> Result<Self, String> {
        if let Some((name, _)) =
            tensors.iter().find(|(name, _)| name.ends_with("weight_orig") || name.ends_with("weight_g"))
        {
            return Err(format!(
                "{name} is a weight under spectral or weight normalization, but its other tensors are missing"
            ));
        }
        let mut positions: HashMap<String, usize> = HashMap::new();
        let mut modules: Vec<(String, Vec<ModuleTensor<'_>>)> = Vec::new();
        for &(name, shape) in tensors {
            let (module, part) = split(name, shape).ok_or_else(|| {
                format!("{name} {shape:?} does not look like a weight, bias or batch norm of a DCGAN")
            })?;
            let position = *positions.entry(module.clone()).or_insert(modules.len());
            if position == modules.len() {
                modules.push((module, Vec::new()));
            }
            modules[position].1.push((part, name, shape));
        }
        let mut parts = Self::default();
        for (position, (module, members)) in modules.iter().enumerate() {
            parts.add(position, module, members)?;
        }
        Ok(parts)
    }

    fn add(&mut self, position: usize, module: &str, members: &[ModuleTensor<'_>]) -> Result<(), String> {
        let of = |part| members.iter().find(|(found, ..)| *found == part);
        if let Some((_, name, shape)) = members.iter().find(|(_, _, shape)| shape.contains(&0)) {
            return Err(format!("{name} {shape:?} has no values"));
        }
        let named = |part| of(part).map(|(_, name, _)| (*name).to_owned());
        if let Some((_, weight, shape)) = of(TensorRole::Weight).filter(|(_, _, shape)| shape.len() > 1) {
            let dense = WeightModule {
                weight: (*weight).to_owned(),
                shape: shape.to_vec(),
                bias: of(TensorRole::Bias).map(|(_, name, shape)| ((*name).to_owned(), shape.iter().product())),
                position,
            };
            let word = weight.to_ascii_lowercase();
            let labels = dense.bias.is_none() && EMBEDDING_WORDS.iter().any(|label| word.contains(label));
            match shape.len() {
                4 if shape[2] == shape[3] => self.convolutions.push(dense),
                2 if labels => self.embeddings.push(dense),
                2 => self.linear.push(dense),
                _ => return Err(format!("{weight} {shape:?} is neither a square convolution nor a matrix")),
            }
            return Ok(());
        }
        let lengths: Vec<usize> = members.iter().map(|(_, _, shape)| shape.iter().product()).collect();
        if lengths.iter().any(|&length| length != lengths[0]) {
            return Err(format!("the tensors of {module} have different lengths: {lengths:?}"));
        }
        self.norms.push(NormModule {
            position,
            length: lengths[0],
            gain: named(TensorRole::Weight),
            shift: named(TensorRole::Bias),
            mean: named(TensorRole::Mean),
            variance: named(TensorRole::Variance),
        });
        Ok(())
    }
}

/// Splits a tensor's name into its module and its role.
fn split(name: &str, shape: &[usize]) -> Option<(String, TensorRole)> {
    let plain = name.strip_suffix(":0").unwrap_or(name);
    for (end, part) in SUFFIXES {
        if let Some(module) = plain.strip_suffix(end)
            && (module.is_empty() || module.ends_with(SEPARATORS))
        {
            return Some((module.trim_end_matches(SEPARATORS).to_owned(), part));
        }
    }
    // A weight may have any name.
    (shape.len() > 1).then(|| (plain.to_owned(), TensorRole::Weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_several_programs_are_parsed() {
        for (name, module, part) in [
            ("main.0.weight", "main.0", TensorRole::Weight),
            ("module.bn1.running_var", "module.bn1", TensorRole::Variance),
            ("generator/g_bn0/moving_mean:0", "generator/g_bn0", TensorRole::Mean),
            ("g_h1_w", "g_h1", TensorRole::Weight),
            ("project.norm.gain", "project.norm", TensorRole::Weight),
        ] {
            assert_eq!(split(name, &[3]), Some((module.to_owned(), part)), "{name}");
        }
        assert_eq!(split("anything", &[3]), None);
        assert_eq!(split("anything", &[3, 3]), Some(("anything".to_owned(), TensorRole::Weight)));
    }

    #[test]
    fn a_batch_norm_with_unequal_lengths_is_rejected() {
        let error = NetworkModules::group(&[("bn.weight", &[3]), ("bn.bias", &[4])]).unwrap_err();
        assert!(error.contains("bn") && error.contains("[3, 4]"), "{error}");
    }
}
