//! Orders a network's modules into layers by the shapes of their weights.
//!
//! A DCGAN is a chain of layers: each takes as many maps as the one before gives, and at one end are images of 1 or 3
//! channels. The weight of a fractionally-strided convolution is `[in, out, ..]`, that of an ordinary one `[out, in,
//! ..]`. The other end distinguishes the networks: a discriminator has one logit, while z has several coordinates. A
//! square weight fits both layouts; the search decides.
//!
//! "The end" below is the layer at the smallest maps: the generator's projection or the discriminator's head.

use super::modules::{NetworkModules, NormModule, WeightModule};
use crate::model::ParameterScope;
use crate::model::layout::MAX_SMALLEST_SIDE;

/// Generator or discriminator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NetworkRole {
    Generator,
    Discriminator,
}

/// Layout of a weight in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WeightLayout {
    /// A matrix `[in, out]`, or `[out, in]` if transposed.
    Matrix { transposed: bool },
    /// `[in, out, ..]`, as in the generator's fractionally-strided convolutions.
    InOut,
    /// `[out, in, ..]`, as in all other convolutions.
    OutIn,
    /// A square weight that fits both.
    Either,
}

/// One layer's tensors.
#[derive(Debug, Clone)]
pub(super) struct ChainLayer {
    /// Name of the weight.
    pub weight: String,
    pub layout: WeightLayout,
    /// Input maps; for the projection the dimension of its input.
    pub inputs: usize,
    /// Output maps.
    pub maps: usize,
    /// Side of the kernel, or of the smallest maps.
    pub kernel: usize,
    pub bias: Option<String>,
    pub bias_scope: ParameterScope,
    pub norm: Option<NormModule>,
    pub norm_scope: ParameterScope,
    position: usize,
}

/// A class embedding: a table with one row per class.
#[derive(Debug, Clone)]
pub(super) struct ClassTable {
    /// Name of the tensor.
    pub name: String,
    pub classes: usize,
    pub columns: usize,
}

/// A network: its layers in forward order.
#[derive(Debug, Clone)]
pub(super) struct LayerChain {
    pub kind: NetworkRole,
    pub layers: Vec<ChainLayer>,
    /// Channels of the images.
    pub channels: usize,
    /// Class embedding of a conditional generator.
    pub classes: Option<ClassTable>,
}

impl LayerChain {
    /// Orders these tensors, given by name and shape.
    ///
    /// # Errors
    /// Why they are not a DCGAN.
    pub fn read(tensors: &[(&str, &[usize])]) -> Result<Self, String> {
        let mut parts = NetworkModules::group(tensors)?;
        let Some(first) = parts.convolutions.first() else { return Err("it has no convolutions".to_owned()) };
        if !parts.convolutions.iter().any(|dense| dense.shape[..2].iter().any(is_image)) {
            return Err(format!(
                "no convolution has one or three channels, as the one at the image must ({} has {:?})",
                first.weight, first.shape
            ));
        }
        // A second matrix without bias may be a class embedding with an unusual name.
        if parts.linear.len() > 1 && parts.embeddings.is_empty() {
            let table = parts.linear.iter().position(|dense| dense.bias.is_none() && dense.shape[0] < dense.shape[1]);
            if let Some(table) = table.filter(|_| parts.linear.len() == 2) {
                parts.embeddings.push(parts.linear.remove(table));
            }
        }
        if let [one, two, ..] = parts.linear.as_slice() {
            return Err(format!(
                "{} and {} are both fully connected, but a DCGAN has at most one such layer",
                one.weight, two.weight
            ));
        }
        if let [one, two, ..] = parts.embeddings.as_slice() {
            return Err(format!(
                "{} and {} are both class embeddings, but at most one is supported",
                one.weight, two.weight
            ));
        }
        let mut first_error = String::new();
        for kind in [NetworkRole::Generator, NetworkRole::Discriminator] {
            match order_layers(kind, &parts) {
                Ok(chain) => return Ok(chain),
                Err(error) if first_error.is_empty() => first_error = error,
                Err(_) => {}
            }
        }
        Err(first_error)
    }

    /// Names of all tensors of the network.
    pub fn tensors(&self) -> impl Iterator<Item = &str> {
        let layers = self.layers.iter().flat_map(|layer| {
            let norm = layer.norm.iter().flat_map(|norm| [&norm.gain, &norm.shift, &norm.mean, &norm.variance]);
            std::iter::once(&layer.weight).chain(&layer.bias).chain(norm.flatten())
        });
        layers.chain(self.classes.iter().map(|classes| &classes.name)).map(String::as_str)
    }
}

/// Maximum side of a kernel.
const MAX_KERNEL: usize = 8;

fn is_image(maps: &usize) -> bool {
    *maps == 1 || *maps == 3
}

/// Orders the modules into a network of this kind: in the order of the tensors, in reverse, or by their shapes.
fn order_layers(kind: NetworkRole, parts: &NetworkModules) -> Result<LayerChain, String> {
    let named: Vec<&WeightModule> = parts.convolutions.iter().collect();
    let reversed: Vec<&WeightModule> = named.iter().rev().copied().collect();
    // From the smallest maps to the image.
    let orders = if kind == NetworkRole::Generator { [named, reversed] } else { [reversed, named] };
    let mut reason = None;
    for order in orders {
        match follow(kind, &order, parts) {
            Ok(layers) => return attach_parameters(kind, layers, parts),
            Err(error) => reason = reason.or(Some(error)),
        }
    }
    if let Some(layers) = sort_by_shape(&parts.convolutions).and_then(|order| follow(kind, &order, parts).ok()) {
        return attach_parameters(kind, layers, parts);
    }
    Err(reason.unwrap_or_else(|| {
        "its convolutions cannot be ordered so that the maps of each are the input of the next".to_owned()
    }))
}

/// Sorts the convolutions so that the outputs of each are the inputs of the next, starting at the image; weights are
/// `[toward z, toward the image, ..]`.
fn sort_by_shape(convolutions: &[WeightModule]) -> Option<Vec<&WeightModule>> {
    for last in (0..convolutions.len()).filter(|&i| is_image(&convolutions[i].shape[1])) {
        let mut chain = vec![&convolutions[last]];
        let mut left: Vec<&WeightModule> =
            (0..convolutions.len()).filter(|&i| i != last).map(|i| &convolutions[i]).collect();
        while let Some(before) = left.iter().position(|dense| dense.shape[1] == chain[chain.len() - 1].shape[0]) {
            chain.push(left.remove(before));
        }
        if left.is_empty() {
            chain.reverse();
            return Some(chain);
        }
    }
    None
}

/// The layers from the end through these convolutions to the image.
fn follow(kind: NetworkRole, order: &[&WeightModule], parts: &NetworkModules) -> Result<Vec<ChainLayer>, String> {
    let generator = kind == NetworkRole::Generator;
    let (end, rest) = match parts.linear.first() {
        Some(matrix) => (None, (matrix, order)),
        None => {
            let (end, rest) = order.split_first().ok_or("it has no convolutions")?;
            (Some(*end), (*end, rest))
        }
    };
    let (dense, rest) = rest;
    let first = rest
        .first()
        .ok_or_else(|| format!("{} is its only convolution, but a DCGAN has at least two", dense.weight))?;
    if rest.len() < 2 {
        return Err(format!(
            "{} is its only convolution between z and the image, but a DCGAN has at least two",
            first.weight
        ));
    }
    // Either of the generator's first weight's dimensions may be the input.
    let widths = if generator { vec![first.shape[0], first.shape[1]] } else { vec![first.shape[0]] };
    let mut reason = String::new();
    for maps in widths {
        let found = match end {
            Some(end) => convolution_end(end, maps),
            None => matrix_end(dense, maps),
        };
        match found.and_then(|end| follow_convolutions(kind, end, rest)) {
            Ok(layers) => return Ok(layers),
            Err(error) => reason = error,
        }
    }
    Err(reason)
}

/// The end as a convolution whose kernel covers the whole map.
fn convolution_end(dense: &WeightModule, maps: usize) -> Result<ChainLayer, String> {
    let &[free, found, side, _] = dense.shape.as_slice() else {
        return Err(format!("{} does not have four dimensions", dense.weight));
    };
    if found != maps {
        return Err(format!("{} {:?} does not have the {maps} maps of the next layer", dense.weight, dense.shape));
    }
    if !(2..=MAX_SMALLEST_SIDE).contains(&side) {
        return Err(format!(
            "the smallest maps of {} are {side}x{side}, but only 2x2 to {MAX_SMALLEST_SIDE}x{MAX_SMALLEST_SIDE} are supported",
            dense.weight
        ));
    }
    Ok(chain_layer(dense, WeightLayout::InOut, (free, maps, side)))
}

/// The end as a matrix.
fn matrix_end(dense: &WeightModule, maps: usize) -> Result<ChainLayer, String> {
    let &[a, b] = dense.shape.as_slice() else { return Err(format!("{} is not a matrix", dense.weight)) };
    // PyTorch stores a projection as [units, inputs], the DCGAN authors as [inputs, units].
    let fit = |side: usize| match (a == maps * side * side, b == maps * side * side) {
        (true, _) => Some((side, b, true)),
        (_, true) => Some((side, a, false)),
        _ => None,
    };
    match (2..=MAX_SMALLEST_SIDE).find_map(fit) {
        Some((side, free, transposed)) => {
            Ok(chain_layer(dense, WeightLayout::Matrix { transposed }, (free, maps, side)))
        }
        None => Err(format!(
            "{} {:?} does not connect to {maps} maps of 2x2 to {MAX_SMALLEST_SIDE}x{MAX_SMALLEST_SIDE}",
            dense.weight, dense.shape
        )),
    }
}

fn chain_layer(
    dense: &WeightModule,
    layout: WeightLayout,
    (inputs, maps, kernel): (usize, usize, usize),
) -> ChainLayer {
    ChainLayer {
        weight: dense.weight.clone(),
        layout,
        inputs,
        maps,
        kernel,
        bias: None,
        bias_scope: ParameterScope::None,
        norm: None,
        norm_scope: ParameterScope::None,
        position: dense.position,
    }
}

/// The layers from the end on, if the inputs of each convolution are the outputs of the one before.
fn follow_convolutions(kind: NetworkRole, end: ChainLayer, rest: &[&WeightModule]) -> Result<Vec<ChainLayer>, String> {
    let generator = kind == NetworkRole::Generator;
    if generator != (end.inputs > 1) {
        let what = if generator { "has only one input, but z has more" } else { "has more than one output" };
        return Err(format!("{} {what}", end.weight));
    }
    let mut width = end.maps;
    let mut layers = vec![end];
    for dense in rest {
        let (a, b) = (dense.shape[0], dense.shape[1]);
        if dense.shape[2] > MAX_KERNEL {
            return Err(format!(
                "{} is a {1}x{1} kernel, but only 1x1 to {MAX_KERNEL}x{MAX_KERNEL} are supported",
                dense.weight, dense.shape[2]
            ));
        }
        let (layout, next) = match (generator, a == width, b == width) {
            (true, true, true) => (WeightLayout::Either, a),
            (true, true, false) => (WeightLayout::InOut, b),
            (true, false, true) => (WeightLayout::OutIn, a),
            (false, true, _) => (WeightLayout::OutIn, b),
            _ => {
                return Err(format!(
                    "its convolutions do not form a chain: {} {:?} follows a layer of {width} maps",
                    dense.weight, dense.shape
                ));
            }
        };
        // A discriminator runs the other way, toward the end.
        let (inputs, maps) = if generator { (width, next) } else { (next, width) };
        layers.push(chain_layer(dense, layout, (inputs, maps, dense.shape[2])));
        width = next;
    }
    if !is_image(&width) {
        return Err(format!("its last convolution has {width} channels, but images have one or three"));
    }
    if !generator {
        layers.reverse();
        // Its end is the head with one logit.
        if let Some(last) = layers.last_mut() {
            (last.inputs, last.maps) = (last.maps, 1);
        }
    }
    Ok(layers)
}

/// Completes the chain with biases, batch norms and class embedding.
fn attach_parameters(
    kind: NetworkRole,
    mut layers: Vec<ChainLayer>,
    parts: &NetworkModules,
) -> Result<LayerChain, String> {
    for layer in &mut layers {
        let dense = parts.convolutions.iter().chain(&parts.linear).find(|dense| dense.position == layer.position);
        if let Some((name, length)) = dense.and_then(|dense| dense.bias.as_ref()) {
            let units = if matches!(layer.layout, WeightLayout::Matrix { .. }) && kind == NetworkRole::Generator {
                layer.maps * layer.kernel.pow(2)
            } else {
                layer.maps
            };
            layer.bias_scope = match *length {
                length if length == layer.maps => ParameterScope::Map,
                length if length == units => ParameterScope::Unit,
                length => {
                    return Err(format!("{name} has {length} values, but its layer has {} maps", layer.maps));
                }
            };
            layer.bias = Some(name.clone());
        }
    }
    attach_norms(&mut layers, &parts.norms, kind)?;
    let channels = match kind {
        NetworkRole::Generator => layers.last().map_or(0, |layer| layer.maps),
        NetworkRole::Discriminator => layers.first().map_or(0, |layer| layer.inputs),
    };
    let classes = parts.embeddings.first().map(|dense| ClassTable {
        name: dense.weight.clone(),
        classes: dense.shape[0],
        columns: dense.shape[1],
    });
    if classes.as_ref().is_some_and(|labels| labels.classes == 0 || labels.columns == 0) {
        return Err("its class embedding is empty".to_owned());
    }
    if let (NetworkRole::Generator, Some(ClassTable { name, classes, columns })) = (kind, &classes) {
        let free = layers[0].inputs;
        if columns > &free {
            return Err(format!(
                "{name} [{classes}, {columns}] has {columns} values per class, but {} has only {free} inputs; class embeddings that \
                 enter at another layer than z are not supported",
                layers[0].weight
            ));
        }
    } else if let Some(labels) = &classes {
        return Err(format!(
            "{} makes it a conditional discriminator, which needs a class for each image",
            labels.name
        ));
    }
    Ok(LayerChain { kind, layers, channels, classes })
}

/// Assigns each batch norm to the layer that it follows in the file. If that does not work, assigns it to a layer that
/// it fits, in the file's order among those of equal length. A discriminator may lack batch norm only after its first
/// layer, so its last layers are served first.
fn attach_norms(layers: &mut [ChainLayer], norms: &[NormModule], kind: NetworkRole) -> Result<(), String> {
    // The last layer has no batch norm in any DCGAN.
    let hidden = layers.len() - 1;
    let scope_in = |layer: &ChainLayer, first: bool, norm: &NormModule| match norm.length {
        length if length == layer.maps => Some(ParameterScope::Map),
        length if first && length == layer.maps * layer.kernel.pow(2) => Some(ParameterScope::Unit),
        _ => None,
    };
    let generator = kind == NetworkRole::Generator;
    let preceding_layer = |norm: &NormModule| {
        let before = layers.iter().enumerate().filter(|(_, layer)| layer.position < norm.position);
        let (i, layer) = before.max_by_key(|(_, layer)| layer.position)?;
        let scope = scope_in(layer, generator && i == 0, norm).filter(|_| i < hidden)?;
        Some((i, scope))
    };
    let mut assigned = vec![false; layers.len()];
    let first_time = |i: usize, assigned: &mut Vec<bool>| !std::mem::replace(&mut assigned[i], true);
    let assignments: Option<Vec<_>> =
        norms.iter().map(|norm| preceding_layer(norm).filter(|&(i, _)| first_time(i, &mut assigned))).collect();
    if let Some(assignments) = assignments {
        for ((i, scope), norm) in assignments.into_iter().zip(norms) {
            (layers[i].norm_scope, layers[i].norm) = (scope, Some(norm.clone()));
        }
        return Ok(());
    }
    let mut norms = norms.to_vec();
    let order: Vec<usize> = if generator { (0..hidden).collect() } else { (0..hidden).rev().collect() };
    for i in order {
        let layer = &mut layers[i];
        let fits = |norm: &NormModule| scope_in(layer, generator && i == 0, norm).is_some();
        let found = if generator { norms.iter().position(fits) } else { norms.iter().rposition(fits) };
        if let Some(found) = found {
            let norm = norms.remove(found);
            layer.norm_scope = scope_in(layer, generator && i == 0, &norm).unwrap_or(ParameterScope::None);
            layer.norm = Some(norm);
        }
    }
    match norms.first() {
        None => Ok(()),
        Some(left) => Err(format!("a batch norm or bias of {} values fits none of its layers", left.length)),
    }
}

#[cfg(test)]
impl ChainLayer {
    /// A convolution without bias and batch norm.
    pub(super) fn of(layout: WeightLayout, (inputs, maps): (usize, usize), kernel: usize) -> Self {
        let (bias, norm) = (None, None);
        let weight = "weight".to_owned();
        Self {
            weight,
            layout,
            inputs,
            maps,
            kernel,
            bias,
            bias_scope: ParameterScope::None,
            norm,
            norm_scope: ParameterScope::None,
            position: 0,
        }
    }
}
