//! The order of a network's layers, read off its tensors' shapes.
//!
//! A DCGAN is a chain: what one layer gives, the next one takes, and at one end are pictures. A fractionally-strided
//! convolution's weight is `[in, out, ..]` and a plain one's `[out, in, ..]`. The free number at the narrow end separates the two
//! networks apart: a discriminator gives one verdict, and z has more coordinates. Where a square weight fits both ways round, both
//! stay possible; `search` decides.

use super::parts::{Dense, Parts, Scaling};
use crate::model::Per;
use crate::model::layout::MAX_END;

/// Which of the two networks a chain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Generator,
    Discriminator,
}

/// How a weight lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// A matrix `[in, out]`, or `[out, in]` where it says so.
    Matrix(bool),
    /// `[in, out, ..]`, as a fractionally-strided convolution of the generator has it.
    Transposed,
    /// `[out, in, ..]`, as every other convolution has it.
    Plain,
    /// Both would fit.
    Either,
}

/// One layer's tensors.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub weight: String,
    pub turn: Turn,
    /// Maps that it takes: z's coordinates where it is the projection.
    pub inputs: usize,
    /// Maps that it gives.
    pub maps: usize,
    /// Side of its kernel, or of the narrowest maps.
    pub kernel: usize,
    pub bias: Option<String>,
    pub bias_per: Per,
    pub norm: Option<Scaling>,
    pub norm_per: Per,
    place: usize,
}

/// A table with a row for each class.
#[derive(Debug, Clone)]
pub(super) struct Labels {
    pub table: String,
    pub classes: usize,
    pub columns: usize,
}

/// A network: its layers in the order in which they are applied.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub kind: Kind,
    pub links: Vec<Link>,
    /// Channels of the pictures.
    pub channels: usize,
    /// The table of a conditional generator.
    pub labels: Option<Labels>,
}

impl Chain {
    /// The chain that these tensors, names and shapes, are.
    ///
    /// # Errors
    /// Why they are none.
    pub fn read(tensors: &[(&str, &[usize])]) -> Result<Self, String> {
        let mut parts = Parts::sort(tensors)?;
        let Some(first) = parts.convolutions.first() else { return Err("there are no convolutions in it".to_owned()) };
        if !parts.convolutions.iter().any(|dense| dense.shape[..2].iter().any(is_picture)) {
            return Err(format!(
                "no convolution has one or three channels, as the one at the picture must ({} has {:?})",
                first.weight, first.shape
            ));
        }
        // A second matrix without biases may be a table of classes by another name.
        if parts.connected.len() > 1 && parts.embeddings.is_empty() {
            let table =
                parts.connected.iter().position(|dense| dense.bias.is_none() && dense.shape[0] < dense.shape[1]);
            if let Some(table) = table.filter(|_| parts.connected.len() == 2) {
                parts.embeddings.push(parts.connected.remove(table));
            }
        }
        if let [one, two, ..] = parts.connected.as_slice() {
            return Err(format!(
                "{} and {} are both fully connected; a DCGAN has one such layer at most",
                one.weight, two.weight
            ));
        }
        if let [one, two, ..] = parts.embeddings.as_slice() {
            return Err(format!("{} and {} are both tables of classes; one is known at most", one.weight, two.weight));
        }
        let mut why = String::new();
        for kind in [Kind::Generator, Kind::Discriminator] {
            match assemble(kind, &parts) {
                Ok(chain) => return Ok(chain),
                Err(error) if why.is_empty() => why = error,
                Err(_) => {}
            }
        }
        Err(why)
    }

    /// Names of all its tensors.
    pub fn tensors(&self) -> impl Iterator<Item = &str> {
        let links = self.links.iter().flat_map(|link| {
            let norm = link.norm.iter().flat_map(|norm| [&norm.gain, &norm.shift, &norm.mean, &norm.variance]);
            std::iter::once(&link.weight).chain(&link.bias).chain(norm.flatten())
        });
        links.chain(self.labels.iter().map(|labels| &labels.table)).map(String::as_str)
    }
}

/// Largest kernel that a convolution may have.
const MAX_KERNEL: usize = 8;

fn is_picture(maps: &usize) -> bool {
    *maps == 1 || *maps == 3
}

/// The network of this kind that the parts are: in the order of their names, in the other order, or in one that fits.
fn assemble(kind: Kind, parts: &Parts) -> Result<Chain, String> {
    let named: Vec<&Dense> = parts.convolutions.iter().collect();
    let reversed: Vec<&Dense> = named.iter().rev().copied().collect();
    // From the narrow end to the picture.
    let orders = if kind == Kind::Generator { [named, reversed] } else { [reversed, named] };
    let mut why = None;
    for order in orders {
        match walk(kind, &order, parts) {
            Ok(links) => return finish(kind, links, parts),
            Err(error) => why = why.or(Some(error)),
        }
    }
    if let Some(links) = sorted(&parts.convolutions).and_then(|order| walk(kind, &order, parts).ok()) {
        return finish(kind, links, parts);
    }
    Err(why.unwrap_or_else(|| "its convolutions are no chain in which each takes what another gives".to_owned()))
}

/// The convolutions in an order in which each gives what the next takes, from the picture back; weights are `[narrow, wide, ..]`.
fn sorted(convolutions: &[Dense]) -> Option<Vec<&Dense>> {
    for last in (0..convolutions.len()).filter(|&i| is_picture(&convolutions[i].shape[1])) {
        let mut chain = vec![&convolutions[last]];
        let mut left: Vec<&Dense> = (0..convolutions.len()).filter(|&i| i != last).map(|i| &convolutions[i]).collect();
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

/// Links from the narrow end through these convolutions to the picture.
fn walk(kind: Kind, order: &[&Dense], parts: &Parts) -> Result<Vec<Link>, String> {
    let generator = kind == Kind::Generator;
    let (end, rest) = match parts.connected.first() {
        Some(matrix) => (None, (matrix, order)),
        None => {
            let (end, rest) = order.split_first().ok_or("there are no convolutions in it")?;
            (Some(*end), (*end, rest))
        }
    };
    let (dense, rest) = rest;
    let first = rest
        .first()
        .ok_or_else(|| format!("{} is its only convolution, and two at least make a DCGAN", dense.weight))?;
    if rest.len() < 2 {
        return Err(format!(
            "{} is its only convolution besides the narrow end, and two at least make a DCGAN",
            first.weight
        ));
    }
    // Both sides of the first weight may be what the narrow end gives.
    let widths = if generator { vec![first.shape[0], first.shape[1]] } else { vec![first.shape[0]] };
    let mut why = String::new();
    for maps in widths {
        let found = match end {
            Some(end) => narrow(end, maps),
            None => matrix(dense, maps),
        };
        match found.and_then(|end| through(kind, end, rest)) {
            Ok(links) => return Ok(links),
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// The narrow end as a convolution over maps of its kernel's size.
fn narrow(dense: &Dense, maps: usize) -> Result<Link, String> {
    let &[free, found, side, _] = dense.shape.as_slice() else {
        return Err(format!("{} has no four sides", dense.weight));
    };
    if found != maps {
        return Err(format!("{} {:?} does not give the {maps} maps that are taken", dense.weight, dense.shape));
    }
    if !(2..=MAX_END).contains(&side) {
        return Err(format!(
            "{} is {side}x{side} at the narrow end; 2x2 to {MAX_END}x{MAX_END} are known",
            dense.weight
        ));
    }
    Ok(link(dense, Turn::Transposed, (free, maps, side)))
}

/// The narrow end as a matrix.
fn matrix(dense: &Dense, maps: usize) -> Result<Link, String> {
    let &[a, b] = dense.shape.as_slice() else { return Err(format!("{} is no matrix", dense.weight)) };
    // PyTorch has a projection's units first, the DCGAN authors last; a verdict's are first only if turned.
    let read = |side: usize| match (a == maps * side * side, b == maps * side * side) {
        (true, _) => Some((side, b, true)),
        (_, true) => Some((side, a, false)),
        _ => None,
    };
    match (2..=MAX_END).filter_map(read).next() {
        Some((side, free, turned)) => Ok(link(dense, Turn::Matrix(turned), (free, maps, side))),
        None => Err(format!(
            "{} {:?} does not lead to or from {maps} maps of 2x2 to {MAX_END}x{MAX_END}, with which networks begin and end",
            dense.weight, dense.shape
        )),
    }
}

fn link(dense: &Dense, turn: Turn, (inputs, maps, kernel): (usize, usize, usize)) -> Link {
    Link {
        weight: dense.weight.clone(),
        turn,
        inputs,
        maps,
        kernel,
        bias: None,
        bias_per: Per::None,
        norm: None,
        norm_per: Per::None,
        place: dense.place,
    }
}

/// The links from the narrow end on, if each convolution takes what the one before gives.
fn through(kind: Kind, end: Link, rest: &[&Dense]) -> Result<Vec<Link>, String> {
    let generator = kind == Kind::Generator;
    if generator != (end.inputs > 1) {
        let what = if generator { "has one input only, and z has more" } else { "gives more than one verdict" };
        return Err(format!("{} {what}", end.weight));
    }
    let mut width = end.maps;
    let mut links = vec![end];
    for dense in rest {
        let (a, b) = (dense.shape[0], dense.shape[1]);
        if dense.shape[2] > MAX_KERNEL {
            return Err(format!(
                "{} is a {1}x{1} kernel, and 1x1 to {MAX_KERNEL}x{MAX_KERNEL} are known",
                dense.weight, dense.shape[2]
            ));
        }
        let (turn, next) = match (generator, a == width, b == width) {
            (true, true, true) => (Turn::Either, a),
            (true, true, false) => (Turn::Transposed, b),
            (true, false, true) => (Turn::Plain, a),
            (false, true, _) => (Turn::Plain, b),
            _ => {
                return Err(format!(
                    "its convolutions are no chain in which each takes what another gives: {} {:?} comes after {width} maps",
                    dense.weight, dense.shape
                ));
            }
        };
        // A discriminator's give the narrower ones.
        let (inputs, maps) = if generator { (width, next) } else { (next, width) };
        links.push(link(dense, turn, (inputs, maps, dense.shape[2])));
        width = next;
    }
    if !is_picture(&width) {
        return Err(format!("its last convolution gives or takes {width} channels, and pictures have one or three"));
    }
    if !generator {
        links.reverse();
        // Its end gives the verdict.
        if let Some(last) = links.last_mut() {
            (last.inputs, last.maps) = (last.maps, 1);
        }
    }
    Ok(links)
}

/// The chain with its biases, batch norms and table of classes.
fn finish(kind: Kind, mut links: Vec<Link>, parts: &Parts) -> Result<Chain, String> {
    for link in &mut links {
        let dense = parts.convolutions.iter().chain(&parts.connected).find(|dense| dense.place == link.place);
        if let Some((name, length)) = dense.and_then(|dense| dense.bias.as_ref()) {
            let units = if matches!(link.turn, Turn::Matrix(_)) && kind == Kind::Generator {
                link.maps * link.kernel.pow(2)
            } else {
                link.maps
            };
            link.bias_per = match *length {
                length if length == link.maps => Per::Map,
                length if length == units => Per::Unit,
                length => {
                    return Err(format!("{name} has {length} values, and its layer gives {} maps", link.maps));
                }
            };
            link.bias = Some(name.clone());
        }
    }
    give_norms(&mut links, &parts.norms, kind)?;
    let channels = match kind {
        Kind::Generator => links.last().map_or(0, |link| link.maps),
        Kind::Discriminator => links.first().map_or(0, |link| link.inputs),
    };
    let labels = parts.embeddings.first().map(|dense| Labels {
        table: dense.weight.clone(),
        classes: dense.shape[0],
        columns: dense.shape[1],
    });
    if labels.as_ref().is_some_and(|labels| labels.classes == 0 || labels.columns == 0) {
        return Err("its table of classes is empty".to_owned());
    }
    if let (Kind::Generator, Some(Labels { table, classes, columns })) = (kind, &labels) {
        let free = links[0].inputs;
        if columns > &free {
            return Err(format!(
                "{table} [{classes}, {columns}] gives {columns} numbers for each class, and {} takes {free} in all; classes that come \
                 in at another place than z are not known",
                links[0].weight
            ));
        }
    } else if let Some(labels) = &labels {
        return Err(format!(
            "{} makes it a conditional discriminator, which needs a class beside each picture",
            labels.table
        ));
    }
    Ok(Chain { kind, links, channels, labels })
}

/// Gives each batch norm to the layer that it follows; or, where the order of the names does not say which that is, to the one that
/// it fits, in the order of their names among those of equal length. From the picture's end of a discriminator nothing is
/// missing but on the first layer, so its last layers are served first.
fn give_norms(links: &mut [Link], norms: &[Scaling], kind: Kind) -> Result<(), String> {
    // What makes pictures or verdicts has no batch norm in any DCGAN.
    let hidden = links.len() - 1;
    let per = |link: &Link, first: bool, norm: &Scaling| match norm.length {
        length if length == link.maps => Some(Per::Map),
        length if first && length == link.maps * link.kernel.pow(2) => Some(Per::Unit),
        _ => None,
    };
    let generator = kind == Kind::Generator;
    let followed = |norm: &Scaling| {
        let before = links.iter().enumerate().filter(|(_, link)| link.place < norm.place);
        let (i, link) = before.max_by_key(|(_, link)| link.place)?;
        let per = per(link, generator && i == 0, norm).filter(|_| i < hidden)?;
        Some((i, per))
    };
    let mut taken = vec![false; links.len()];
    let once = |i: usize, taken: &mut Vec<bool>| !std::mem::replace(&mut taken[i], true);
    let given: Option<Vec<_>> = norms.iter().map(|norm| followed(norm).filter(|&(i, _)| once(i, &mut taken))).collect();
    if let Some(given) = given {
        for ((i, per), norm) in given.into_iter().zip(norms) {
            (links[i].norm_per, links[i].norm) = (per, Some(norm.clone()));
        }
        return Ok(());
    }
    let mut norms = norms.to_vec();
    let order: Vec<usize> = if generator { (0..hidden).collect() } else { (0..hidden).rev().collect() };
    for i in order {
        let link = &mut links[i];
        let fits = |norm: &Scaling| per(link, generator && i == 0, norm).is_some();
        let found = if generator { norms.iter().position(fits) } else { norms.iter().rposition(fits) };
        if let Some(found) = found {
            let norm = norms.remove(found);
            link.norm_per = per(link, generator && i == 0, &norm).unwrap_or(Per::None);
            link.norm = Some(norm);
        }
    }
    match norms.first() {
        None => Ok(()),
        Some(left) => Err(format!("a batch norm or bias of {} values belongs to none of its layers", left.length)),
    }
}

#[cfg(test)]
impl Link {
    /// A convolution without biases and batch norm.
    pub(super) fn of(turn: Turn, (inputs, maps): (usize, usize), kernel: usize) -> Self {
        let (bias, norm) = (None, None);
        let weight = "weight".to_owned();
        Self { weight, turn, inputs, maps, kernel, bias, bias_per: Per::None, norm, norm_per: Per::None, place: 0 }
    }
}
