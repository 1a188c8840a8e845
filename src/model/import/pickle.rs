//! PyTorch's pickles, read and never executed.
//!
//! A pickle is a program that builds objects. This reader builds lists, dictionaries and tensors' descriptions; whatever else it names is
//! an opaque object that is remembered by its class. Objects lie in one flat list and refer to others by number, so that no
//! pickle can make it recurse.

use std::collections::HashSet;
use std::rc::Rc;

use super::machine;

/// How deep tensors may lie in one another's containers, and how many places are looked at for them.
const DEPTH: usize = 32;
const MOST_PLACES: usize = 4 << 20;
/// The tables of a `torch.nn.Module`, which its state dict is made of.
const TABLES: [&str; 3] = ["_parameters", "_buffers", "_modules"];
/// Classes of values that training scripts keep beside their weights.
const KNOWN: [&str; 9] = [
    "torch.",
    "numpy.",
    "collections.",
    "argparse.Namespace",
    "pathlib.",
    "datetime.",
    "builtins.",
    "__builtin__.",
    "_codecs.",
];
/// The names under which TorchScript has its modules.
const SCRIPTED: &str = "__torch__.";

/// Why a pickle is not read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PickleError {
    /// It ends in its middle, or contradicts itself.
    Damaged(String),
    /// It is whole, and something of it is not known.
    Unknown(String),
}

/// A value; what holds others names them by number.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// None, numbers that are not counted with, bytes.
    Nothing,
    Int(i64),
    Text(Rc<str>),
    Object(usize),
    Mark,
}

#[derive(Debug, Clone)]
pub(super) enum Object {
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    /// Something that can be called, by its name.
    Class(String),
    Storage(Storage),
    Tensor(Tensor),
    /// What a call of a class gave: its state, and what was put into it.
    Opaque {
        class: String,
        state: Option<Value>,
        items: Vec<(Value, Value)>,
        given: Value,
    },
}

/// Where numbers lie.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Storage {
    /// The name of their kind: `FloatStorage`.
    pub kind: String,
    pub key: String,
}

/// A tensor's place in its storage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub storage: Storage,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// What a pickle held.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Tensors by the names that their containers give them, in order.
    pub tensors: Vec<(String, Tensor)>,
    /// Classes of the objects that were not built.
    pub skipped: Vec<String>,
}

/// One pickle of several that may follow one another in `bytes`.
pub(super) struct Pickle {
    objects: Vec<Object>,
    root: Value,
    /// Where the next one begins.
    pub end: usize,
}

impl Pickle {
    /// Reads the pickle that begins at `from`.
    pub fn read(bytes: &[u8], from: usize) -> Result<Self, PickleError> {
        let (objects, root, end) = machine::run(bytes, from)?;
        Ok(Self { objects, root, end })
    }

    /// The whole number that the pickle is.
    pub fn number(&self) -> Option<i64> {
        match self.root {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }

    /// The texts of the list that the pickle is; numbers are written out.
    pub fn texts(&self) -> Vec<String> {
        let Value::Object(number) = self.root else { return Vec::new() };
        let Some(Object::List(items)) = self.objects.get(number) else { return Vec::new() };
        items.iter().filter_map(text).collect()
    }

    /// Every class that it names.
    pub fn classes(&self) -> impl Iterator<Item = &str> {
        self.objects.iter().filter_map(|object| match object {
            Object::Class(class) => Some(class.as_str()),
            _ => None,
        })
    }

    /// The tensors in it, under the names that a state dict would give them.
    pub fn tensors(&self) -> Found {
        let mut found = Found::default();
        let mut places = MOST_PLACES;
        self.walk(&self.root, "", DEPTH, &mut places, &mut found);
        found.skipped.dedup();
        let mut seen = HashSet::new();
        found.skipped.retain(|class| seen.insert(class.clone()));
        found
    }

    fn walk(&self, value: &Value, name: &str, depth: usize, places: &mut usize, found: &mut Found) {
        let Value::Object(number) = *value else { return };
        let Some(object) = self.objects.get(number) else { return };
        if depth == 0 || *places == 0 {
            return;
        }
        *places -= 1;
        let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
        match object {
            Object::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.walk(item, &below(&i.to_string()), depth - 1, places, found);
                }
            }
            Object::Dict(items) => {
                for (key, item) in items {
                    if let Some(key) = text(key) {
                        self.walk(item, &below(&key), depth - 1, places, found);
                    }
                }
            }
            Object::Tensor(tensor) => found.tensors.push((name.to_owned(), tensor.clone())),
            Object::Class(class) => skip(class, found),
            Object::Storage(_) => {}
            Object::Opaque { class, state, items, given } => {
                let before = found.tensors.len();
                let state = state.as_ref().and_then(|state| self.pairs(state)).unwrap_or_default();
                let table = |wanted: &str| {
                    let found = state.iter().find(|(key, _)| text(key).is_some_and(|key| key == wanted));
                    found.and_then(|(_, table)| self.pairs(table))
                };
                let module = TABLES.map(table);
                if module.iter().all(Option::is_some) {
                    for (key, item) in module.into_iter().flatten().flatten() {
                        if let Some(key) = text(key) {
                            self.walk(item, &below(&key), depth - 1, places, found);
                        }
                    }
                    return;
                }
                for (i, (key, item)) in state.iter().chain(items).enumerate() {
                    let key = text(key).unwrap_or_else(|| i.to_string());
                    self.walk(item, &below(&key), depth - 1, places, found);
                }
                // What it was made of may hold tensors that no other place names.
                self.walk(given, name, depth - 1, places, found);
                if found.tensors.len() == before {
                    skip(class, found);
                }
            }
        }
    }

    /// The pairs of a dictionary, whichever kind of one it is.
    fn pairs(&self, value: &Value) -> Option<&[(Value, Value)]> {
        let Value::Object(number) = *value else { return None };
        match self.objects.get(number)? {
            Object::Dict(items) => Some(items),
            Object::Opaque { items, .. } => Some(items),
            // State of objects with slots: a pair of dictionaries.
            Object::List(items) => items.iter().find_map(|item| match item {
                Value::Object(number) => match self.objects.get(*number) {
                    Some(Object::Dict(items)) => Some(items.as_slice()),
                    _ => None,
                },
                _ => None,
            }),
            _ => None,
        }
    }
}

fn skip(class: &str, found: &mut Found) {
    if !KNOWN.iter().any(|known| class.starts_with(known)) && !class.starts_with(SCRIPTED) {
        found.skipped.push(class.to_owned());
    }
}

/// A name, or a number as one.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.to_string()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_objects_are_passed_over_and_named() {
        // {'a': callbacks.Stop(tensor), 'b': defaultdict(list)} with a tensor inside an object's state.
        let bytes = b"\x80\x02}(U\x01accallbacks\nStop\n)\x81}U\x04bestK\x03sbU\x01dccollections\ndefaultdict\nc__builtin__\nlist\n\x85R\
            U\x01k(lsU\x01ectorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x04tQK\x00(K\x02K\x02t(K\x02K\x01t\x89NtRu.";
        let pickle = Pickle::read(bytes, 0).unwrap();
        let found = pickle.tensors();
        assert_eq!(found.skipped, ["callbacks.Stop"]);
        assert_eq!(found.tensors.len(), 1);
        let (name, tensor) = &found.tensors[0];
        assert_eq!((name.as_str(), tensor.shape.as_slice(), tensor.storage.key.as_str()), ("e", &[2, 2][..], "0"));
        for cut in 0..bytes.len() - 1 {
            assert!(Pickle::read(&bytes[..cut], 0).is_err(), "{cut}");
        }
    }
}
