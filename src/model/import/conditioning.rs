//! Conditional generators: a class embedding that is combined with z. For a fixed class the embedding is constant and
//! is folded into the projection, so that an unconditional generator gives the same images.

use super::chain::{ChainLayer, ClassTable};
use crate::model::ParameterScope;

/// How the class embedding is combined with z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassConditioning {
    /// Concatenated: z first, then the embedding.
    #[serde(rename = "after")]
    ConcatAfter,
    /// Concatenated: the embedding first, then z.
    #[serde(rename = "before")]
    ConcatBefore,
    /// Multiplied elementwise with z.
    #[serde(rename = "times")]
    Multiply,
}

impl ClassConditioning {
    /// Display text.
    pub fn describe(self) -> &'static str {
        match self {
            Self::ConcatAfter => "after z",
            Self::ConcatBefore => "before z",
            Self::Multiply => "multiplied with z",
        }
    }
}

/// The selected class of a conditional generator.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ClassSelection {
    /// Number of classes.
    pub count: usize,
    /// The class that is generated.
    pub class: usize,
    /// How the class embedding is combined with z.
    #[serde(rename = "join")]
    pub conditioning: ClassConditioning,
}

/// The projection's input: z, for a conditional generator combined with a class embedding.
#[derive(Debug, Clone)]
pub(super) struct ProjectionInput {
    table: Option<(ClassConditioning, ClassTable, Vec<f32>)>,
}

impl ProjectionInput {
    /// z alone.
    pub fn unconditional() -> Self {
        Self { table: None }
    }

    /// The possible combinations of z and this embedding for a projection with `inputs` inputs.
    pub fn candidates(table: &ClassTable, values: &[f32], inputs: usize) -> Vec<Self> {
        let candidates: &[ClassConditioning] = if table.columns == inputs {
            &[ClassConditioning::Multiply]
        } else {
            &[ClassConditioning::ConcatAfter, ClassConditioning::ConcatBefore]
        };
        candidates
            .iter()
            .map(|&conditioning| Self { table: Some((conditioning, table.clone(), values.to_vec())) })
            .collect()
    }

    /// How the embedding is combined with z; `None` for an unconditional generator.
    pub fn conditioning(&self) -> Option<ClassConditioning> {
        self.table.as_ref().map(|(conditioning, ..)| *conditioning)
    }

    /// Number of classes; 0 for an unconditional generator.
    pub fn classes(&self) -> usize {
        self.table.as_ref().map_or(0, |(_, table, _)| table.classes)
    }

    /// Dimension of z, without the embedding.
    pub fn z_dim(&self, inputs: usize) -> usize {
        match &self.table {
            Some((ClassConditioning::ConcatAfter | ClassConditioning::ConcatBefore, labels, _)) => {
                inputs - labels.columns
            }
            _ => inputs,
        }
    }

    /// Inputs of the projection for these z's and classes, one row after another.
    pub fn inputs(&self, z: &[f32], classes: &[usize]) -> Vec<f32> {
        let Some((conditioning, labels, values)) = &self.table else { return z.to_vec() };
        let z_dim = z.len() / classes.len().max(1);
        let rows = z.chunks_exact(z_dim.max(1)).zip(classes);
        let row = |class: usize| &values[class * labels.columns..][..labels.columns];
        rows.flat_map(|(z, &class)| match conditioning {
            ClassConditioning::ConcatAfter => [z, row(class)].concat(),
            ClassConditioning::ConcatBefore => [row(class), z].concat(),
            ClassConditioning::Multiply => z.iter().zip(row(class)).map(|(z, row)| z * row).collect(),
        })
        .collect()
    }

    /// Folds the embedding of a class into the projection: returns weights `[z_dim, units]` and the bias, which is per
    /// unit.
    pub fn fold(
        &self,
        class: usize,
        weights: &[f32],
        bias: Option<&[f32]>,
        link: &ChainLayer,
    ) -> (Vec<f32>, Option<Vec<f32>>) {
        let Some((conditioning, labels, values)) = &self.table else {
            return (weights.to_vec(), bias.map(<[f32]>::to_vec));
        };
        let row = &values[class * labels.columns..][..labels.columns];
        let area = link.kernel * link.kernel;
        let units = link.maps * area;
        let z_dim = self.z_dim(link.inputs);
        if *conditioning == ClassConditioning::Multiply {
            let scaled =
                weights.chunks_exact(units).zip(row).flat_map(|(weights, row)| weights.iter().map(move |w| w * row));
            return (scaled.collect(), bias.map(<[f32]>::to_vec));
        }
        let (first_z, first_embedding) =
            if *conditioning == ClassConditioning::ConcatAfter { (0, z_dim) } else { (labels.columns, 0) };
        let constant = (0..units).map(|unit| {
            let sum: f32 =
                row.iter().enumerate().map(|(i, value)| value * weights[(first_embedding + i) * units + unit]).sum();
            let own = bias.map_or(0.0, |bias| if bias.len() == units { bias[unit] } else { bias[unit / area] });
            sum + own
        });
        let constant = constant.collect();
        (weights[first_z * units..][..z_dim * units].to_vec(), Some(constant))
    }

    /// Scope of the projection's bias after folding.
    pub fn bias_scope(&self, before: ParameterScope) -> ParameterScope {
        match self.conditioning() {
            Some(ClassConditioning::ConcatAfter | ClassConditioning::ConcatBefore) => ParameterScope::Unit,
            _ => before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::chain::WeightLayout;
    use super::*;

    #[test]
    fn folding_a_class_into_the_projection_does_not_change_its_output() {
        let labels = ClassTable { name: "label_emb.weight".to_owned(), classes: 2, columns: 2 };
        let table = [0.5, -1.0, 2.0, 3.0];
        let link = ChainLayer::of(WeightLayout::Matrix { transposed: false }, (5, 3), 1);
        let weights: Vec<f32> = (0..15).map(|i| ((i * 7 % 11) as f32 - 5.0) / 4.0).collect();
        let product = |inputs: &[f32], weights: &[f32]| -> Vec<f32> {
            (0..3).map(|unit| inputs.iter().enumerate().map(|(i, x)| x * weights[i * 3 + unit]).sum()).collect()
        };
        for (input, z) in ProjectionInput::candidates(&labels, &table, 5).iter().zip([[1.0, 2.0, -1.0]; 2]) {
            let whole = product(&input.inputs(&z, &[1]), &weights);
            let (folded, bias) = input.fold(1, &weights, None, &link);
            let sums: Vec<f32> = product(&z, &folded).iter().zip(bias.unwrap()).map(|(a, b)| a + b).collect();
            assert_eq!(sums, whole, "{:?}", input.conditioning());
        }
        let labels = ClassTable { columns: 5, ..labels };
        let table: Vec<f32> = (0..10).map(|i| i as f32 - 4.0).collect();
        let input = &ProjectionInput::candidates(&labels, &table, 5)[0];
        let z = [1.0, 2.0, -1.0, 0.5, 3.0];
        let (folded, bias) = input.fold(1, &weights, Some(&[1.0, 2.0, 3.0]), &link);
        assert_eq!(bias.unwrap(), [1.0, 2.0, 3.0]);
        assert_eq!(product(&z, &folded), product(&input.inputs(&z, &[1]), &weights));
    }
}
