//! The classes of a conditional generator: a table with a row for each, which joins z where z goes in. With a class chosen
//! its row is a constant, so that a generator of plain z's does the same.

use super::chain::{Labels, Link};
use crate::model::Per;

/// How a row of the table joins z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Join {
    /// z first, then the row.
    After,
    /// The row first, then z.
    Before,
    /// Each coordinate times one of the row.
    Times,
}

impl Join {
    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::After => "after z",
            Self::Before => "before z",
            Self::Times => "multiplied with z",
        }
    }
}

/// The classes of a conditional generator, and the one that is drawn.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Classes {
    /// How many there are.
    pub count: usize,
    /// The one that is drawn.
    pub class: usize,
    /// How its row joins z.
    pub join: Join,
}

/// A way in which a table joins z, with its numbers.
#[derive(Debug, Clone)]
pub(super) struct Joined {
    table: Option<(Join, Labels, Vec<f32>)>,
}

impl Joined {
    /// z alone.
    pub fn none() -> Self {
        Self { table: None }
    }

    /// The ways in which this table may join a z, where the projection takes so many numbers in all.
    pub fn ways(labels: &Labels, values: &[f32], inputs: usize) -> Vec<Self> {
        let joins: &[Join] = if labels.columns == inputs { &[Join::Times] } else { &[Join::After, Join::Before] };
        joins.iter().map(|&join| Self { table: Some((join, labels.clone(), values.to_vec())) }).collect()
    }

    /// How, where there is a table.
    pub fn join(&self) -> Option<Join> {
        self.table.as_ref().map(|(join, ..)| *join)
    }

    pub fn classes(&self) -> usize {
        self.table.as_ref().map_or(0, |(_, labels, _)| labels.classes)
    }

    /// Coordinates of z alone.
    pub fn z_dim(&self, inputs: usize) -> usize {
        match &self.table {
            Some((Join::After | Join::Before, labels, _)) => inputs - labels.columns,
            _ => inputs,
        }
    }

    /// What goes into the projection for these z's and classes.
    pub fn inputs(&self, z: &[f32], classes: &[usize]) -> Vec<f32> {
        let Some((join, labels, values)) = &self.table else { return z.to_vec() };
        let z_dim = z.len() / classes.len().max(1);
        let rows = z.chunks_exact(z_dim.max(1)).zip(classes);
        let row = |class: usize| &values[class * labels.columns..][..labels.columns];
        rows.flat_map(|(z, &class)| match join {
            Join::After => [z, row(class)].concat(),
            Join::Before => [row(class), z].concat(),
            Join::Times => z.iter().zip(row(class)).map(|(z, row)| z * row).collect(),
        })
        .collect()
    }

    /// The projection's weights `[inputs, units]` and biases with the row of a class in them: the rows that z is multiplied with,
    /// and the bias that it then has, of each unit.
    pub fn folded(
        &self,
        class: usize,
        weights: &[f32],
        bias: Option<&[f32]>,
        link: &Link,
    ) -> (Vec<f32>, Option<Vec<f32>>) {
        let Some((join, labels, values)) = &self.table else { return (weights.to_vec(), bias.map(<[f32]>::to_vec)) };
        let row = &values[class * labels.columns..][..labels.columns];
        let area = link.kernel * link.kernel;
        let units = link.maps * area;
        let z_dim = self.z_dim(link.inputs);
        if *join == Join::Times {
            let scaled =
                weights.chunks_exact(units).zip(row).flat_map(|(weights, row)| weights.iter().map(move |w| w * row));
            return (scaled.collect(), bias.map(<[f32]>::to_vec));
        }
        let (first, of_row) = if *join == Join::After { (0, z_dim) } else { (labels.columns, 0) };
        let constant = (0..units).map(|unit| {
            let sum: f32 = row.iter().enumerate().map(|(i, value)| value * weights[(of_row + i) * units + unit]).sum();
            let own = bias.map_or(0.0, |bias| if bias.len() == units { bias[unit] } else { bias[unit / area] });
            sum + own
        });
        let constant = constant.collect();
        (weights[first * units..][..z_dim * units].to_vec(), Some(constant))
    }

    /// Of what the projection's biases are then.
    pub fn bias_per(&self, before: Per) -> Per {
        match self.join() {
            Some(Join::After | Join::Before) => Per::Unit,
            _ => before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::chain::Turn;
    use super::*;

    #[test]
    fn a_class_in_the_projection_gives_what_its_row_beside_z_gives() {
        let labels = Labels { table: "label_emb.weight".to_owned(), classes: 2, columns: 2 };
        let table = [0.5, -1.0, 2.0, 3.0];
        let link = Link::of(Turn::Matrix(false), (5, 3), 1);
        let weights: Vec<f32> = (0..15).map(|i| ((i * 7 % 11) as f32 - 5.0) / 4.0).collect();
        let product = |inputs: &[f32], weights: &[f32]| -> Vec<f32> {
            (0..3).map(|unit| inputs.iter().enumerate().map(|(i, x)| x * weights[i * 3 + unit]).sum()).collect()
        };
        for (joined, z) in Joined::ways(&labels, &table, 5).iter().zip([[1.0, 2.0, -1.0]; 2]) {
            let whole = product(&joined.inputs(&z, &[1]), &weights);
            let (folded, bias) = joined.folded(1, &weights, None, &link);
            let apart: Vec<f32> = product(&z, &folded).iter().zip(bias.unwrap()).map(|(a, b)| a + b).collect();
            assert_eq!(apart, whole, "{:?}", joined.join());
        }
        let labels = Labels { columns: 5, ..labels };
        let table: Vec<f32> = (0..10).map(|i| i as f32 - 4.0).collect();
        let joined = &Joined::ways(&labels, &table, 5)[0];
        let z = [1.0, 2.0, -1.0, 0.5, 3.0];
        let (folded, bias) = joined.folded(1, &weights, Some(&[1.0, 2.0, 3.0]), &link);
        assert_eq!(bias.unwrap(), [1.0, 2.0, 3.0]);
        assert_eq!(product(&z, &folded), product(&joined.inputs(&z, &[1]), &weights));
    }
}
