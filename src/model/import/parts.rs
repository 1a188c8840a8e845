//! Tensors of a network sorted into its convolutions, fully connected layers and batch norms, by their names' ends and
//! their shapes.

use std::collections::HashMap;

/// What the last part of a tensor's name means. The longest are tried first.
const ENDS: [(&str, Part); 21] = [
    ("moving_variance", Part::Variance),
    ("running_mean", Part::Mean),
    ("running_var", Part::Variance),
    ("moving_mean", Part::Mean),
    ("weights", Part::Weight),
    ("variance", Part::Variance),
    ("weight", Part::Weight),
    ("kernel", Part::Weight),
    ("biases", Part::Bias),
    ("matrix", Part::Weight),
    ("gamma", Part::Weight),
    ("scale", Part::Weight),
    ("shift", Part::Bias),
    ("gain", Part::Weight),
    ("beta", Part::Bias),
    ("bias", Part::Bias),
    ("mean", Part::Mean),
    ("var", Part::Variance),
    ("w", Part::Weight),
    ("b", Part::Bias),
    ("g", Part::Weight),
];
/// What tables of classes are called.
const LABELS: [&str; 3] = ["emb", "label", "class"];
/// What parts a module's name from its part's.
const MARKS: [char; 4] = ['.', '/', '_', ':'];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Weight,
    Bias,
    Mean,
    Variance,
}

/// A tensor of a module: which part of it, its name and its shape.
type Member<'a> = (Part, &'a str, &'a [usize]);

/// A convolution of weight `[a, b, kernel, kernel]`, or a fully connected layer `[a, b]`.
#[derive(Debug, Clone)]
pub(super) struct Dense {
    /// The weight's name.
    pub weight: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The bias's name and length.
    pub bias: Option<(String, usize)>,
    /// Its place among the modules.
    pub place: usize,
}

/// A batch norm. What is missing is what does nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Scaling {
    /// Its place among the modules.
    pub place: usize,
    pub length: usize,
    pub gain: Option<String>,
    pub shift: Option<String>,
    pub mean: Option<String>,
    pub variance: Option<String>,
}

/// The parts of a network, each kind in the order of its tensors.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    pub convolutions: Vec<Dense>,
    pub connected: Vec<Dense>,
    /// Tables with a row for each class, by their names.
    pub embeddings: Vec<Dense>,
    pub norms: Vec<Scaling>,
}

impl Parts {
    /// Sorts the tensors of a network.
    ///
    /// # Errors
    /// Which tensor has no place in a DCGAN.
    pub fn sort(tensors: &[(&str, &[usize])]) -> Result<Self, String> {
        if let Some((name, _)) =
            tensors.iter().find(|(name, _)| name.ends_with("weight_orig") || name.ends_with("weight_g"))
        {
            return Err(format!(
                "{name} is a weight under spectral or weight normalisation, and its other parts are missing"
            ));
        }
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut modules: Vec<(String, Vec<Member<'_>>)> = Vec::new();
        for &(name, shape) in tensors {
            let (module, part) = split(name, shape)
                .ok_or_else(|| format!("{name} {shape:?} is no weight, bias or batch norm of a DCGAN by its name"))?;
            let place = *places.entry(module.clone()).or_insert(modules.len());
            if place == modules.len() {
                modules.push((module, Vec::new()));
            }
            modules[place].1.push((part, name, shape));
        }
        let mut parts = Self::default();
        for (place, (module, members)) in modules.iter().enumerate() {
            parts.add(place, module, members)?;
        }
        Ok(parts)
    }

    fn add(&mut self, place: usize, module: &str, members: &[Member<'_>]) -> Result<(), String> {
        let of = |part| members.iter().find(|(found, ..)| *found == part);
        if let Some((_, name, shape)) = members.iter().find(|(_, _, shape)| shape.contains(&0)) {
            return Err(format!("{name} {shape:?} has no values"));
        }
        let named = |part| of(part).map(|(_, name, _)| (*name).to_owned());
        if let Some((_, weight, shape)) = of(Part::Weight).filter(|(_, _, shape)| shape.len() > 1) {
            let dense = Dense {
                weight: (*weight).to_owned(),
                shape: shape.to_vec(),
                bias: of(Part::Bias).map(|(_, name, shape)| ((*name).to_owned(), shape.iter().product())),
                place,
            };
            let word = weight.to_ascii_lowercase();
            let labels = dense.bias.is_none() && LABELS.iter().any(|label| word.contains(label));
            match shape.len() {
                4 if shape[2] == shape[3] => self.convolutions.push(dense),
                2 if labels => self.embeddings.push(dense),
                2 => self.connected.push(dense),
                _ => return Err(format!("{weight} {shape:?} is neither a square convolution nor a matrix")),
            }
            return Ok(());
        }
        let lengths: Vec<usize> = members.iter().map(|(_, _, shape)| shape.iter().product()).collect();
        if lengths.iter().any(|&length| length != lengths[0]) {
            return Err(format!("the parts of {module} have different lengths: {lengths:?}"));
        }
        self.norms.push(Scaling {
            place,
            length: lengths[0],
            gain: named(Part::Weight),
            shift: named(Part::Bias),
            mean: named(Part::Mean),
            variance: named(Part::Variance),
        });
        Ok(())
    }
}

/// The module of a tensor, and which part of it it is.
fn split(name: &str, shape: &[usize]) -> Option<(String, Part)> {
    let plain = name.strip_suffix(":0").unwrap_or(name);
    for (end, part) in ENDS {
        if let Some(module) = plain.strip_suffix(end)
            && (module.is_empty() || module.ends_with(MARKS))
        {
            return Some((module.trim_end_matches(MARKS).to_owned(), part));
        }
    }
    // A weight may be called anything.
    (shape.len() > 1).then(|| (plain.to_owned(), Part::Weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_several_programs_are_told_apart() {
        for (name, module, part) in [
            ("main.0.weight", "main.0", Part::Weight),
            ("module.bn1.running_var", "module.bn1", Part::Variance),
            ("generator/g_bn0/moving_mean:0", "generator/g_bn0", Part::Mean),
            ("g_h1_w", "g_h1", Part::Weight),
            ("project.norm.gain", "project.norm", Part::Weight),
        ] {
            assert_eq!(split(name, &[3]), Some((module.to_owned(), part)), "{name}");
        }
        assert_eq!(split("anything", &[3]), None);
        assert_eq!(split("anything", &[3, 3]), Some(("anything".to_owned(), Part::Weight)));
    }

    #[test]
    fn a_batch_norm_of_unequal_parts_is_refused() {
        let error = Parts::sort(&[("bn.weight", &[3]), ("bn.bias", &[4])]).unwrap_err();
        assert!(error.contains("bn") && error.contains("[3, 4]"), "{error}");
    }
}
