//! PyTorch's pickles, parsed without executing them.
//!
//! A pickle is a program that builds objects. This reader builds lists, dictionaries and descriptions of tensors; any
//! other object becomes an opaque value with the name of its class. Objects are stored in a flat list and refer to one
//! another by index, so that no pickle can cause recursion.
//!
//! The data sets have a reader of their own, `data::formats::pickle`, since its requirements are opposite: it streams
//! batches of images from disk, keeps byte ranges instead of values, and rejects every class that it does not know,
//! while a checkpoint is several pickles in memory whose unknown classes must be skipped. Only the opcode numbers would
//! be shared.

use std::collections::HashSet;
use std::rc::Rc;

use super::pickle_machine;

/// Maximum nesting of containers that is searched for tensors.
const MAX_DEPTH: usize = 32;
/// Maximum number of values that are visited in the search.
const MAX_VISITS: usize = 4 << 20;
/// Attributes of a `torch.nn.Module` that make up its state dict.
const MODULE_TABLES: [&str; 3] = ["_parameters", "_buffers", "_modules"];
/// Prefixes of ordinary classes that training scripts save beside their weights; they are not reported as skipped.
const ORDINARY_CLASSES: [&str; 9] = [
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
/// Prefix of TorchScript's module classes.
const TORCHSCRIPT: &str = "__torch__.";

/// Failure to parse a pickle.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PickleError {
    /// The pickle is truncated or inconsistent.
    Damaged(String),
    /// The pickle uses an unsupported feature.
    Unsupported(String),
}

/// A value on the stack; objects are referred to by index.
#[derive(Debug, Clone)]
pub(super) enum StackValue {
    /// `None`, and values that are not needed: floats, long integers, bytes.
    Nothing,
    Int(i64),
    Text(Rc<str>),
    Object(usize),
    Mark,
}

#[derive(Debug, Clone)]
pub(super) enum PickleObject {
    List(Vec<StackValue>),
    Dict(Vec<(StackValue, StackValue)>),
    /// A class or function, by its full name.
    Class(String),
    Storage(StorageRef),
    Tensor(TensorRef),
    /// An instance of an unknown class: its state, its items, and the constructor's arguments.
    Opaque {
        class: String,
        state: Option<StackValue>,
        items: Vec<(StackValue, StackValue)>,
        given: StackValue,
    },
}

/// Reference to a storage, the values behind one or more tensors.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StorageRef {
    /// Name of its class: `FloatStorage`.
    pub kind: String,
    pub key: String,
}

/// A tensor as a strided view of a storage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TensorRef {
    pub storage: StorageRef,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// Tensors and skipped classes of a pickle.
#[derive(Debug, Default)]
pub(super) struct TorchContents {
    /// Tensors with their state dict names, in order.
    pub tensors: Vec<(String, TensorRef)>,
    /// Classes of the objects that were not instantiated.
    pub skipped: Vec<String>,
}

/// A parsed pickle. Several may follow one another in a file.
pub(super) struct TorchPickle {
    objects: Vec<PickleObject>,
    root: StackValue,
    /// Position after the pickle.
    pub end: usize,
}

impl TorchPickle {
    /// Parses the pickle that begins at `from`.
    pub fn read(bytes: &[u8], from: usize) -> Result<Self, PickleError> {
        let (objects, root, end) = pickle_machine::run(bytes, from)?;
        Ok(Self { objects, root, end })
    }

    /// The pickle's value if it is an integer.
    pub fn number(&self) -> Option<i64> {
        match self.root {
            StackValue::Int(number) => Some(number),
            _ => None,
        }
    }

    /// The strings and integers, as text, of the pickle's value if it is a list.
    pub fn texts(&self) -> Vec<String> {
        let StackValue::Object(number) = self.root else { return Vec::new() };
        let Some(PickleObject::List(items)) = self.objects.get(number) else { return Vec::new() };
        items.iter().filter_map(text).collect()
    }

    /// Names of all classes and functions in the pickle.
    pub fn classes(&self) -> impl Iterator<Item = &str> {
        self.objects.iter().filter_map(|object| match object {
            PickleObject::Class(class) => Some(class.as_str()),
            _ => None,
        })
    }

    /// Collects the tensors with the names that a state dict would give them.
    pub fn contents(&self) -> TorchContents {
        let mut contents = TorchContents::default();
        let mut visits = MAX_VISITS;
        self.visit(&self.root, "", MAX_DEPTH, &mut visits, &mut contents);
        let mut unique = HashSet::new();
        contents.skipped.retain(|class| unique.insert(class.clone()));
        contents
    }

    fn visit(&self, value: &StackValue, name: &str, depth: usize, visits: &mut usize, contents: &mut TorchContents) {
        let StackValue::Object(number) = *value else { return };
        let Some(object) = self.objects.get(number) else { return };
        if depth == 0 || *visits == 0 {
            return;
        }
        *visits -= 1;
        let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
        match object {
            PickleObject::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.visit(item, &below(&i.to_string()), depth - 1, visits, contents);
                }
            }
            PickleObject::Dict(items) => {
                for (key, item) in items {
                    if let Some(key) = text(key) {
                        self.visit(item, &below(&key), depth - 1, visits, contents);
                    }
                }
            }
            PickleObject::Tensor(tensor) => contents.tensors.push((name.to_owned(), tensor.clone())),
            PickleObject::Class(class) => skip(class, contents),
            PickleObject::Storage(_) => {}
            PickleObject::Opaque { class, state, items, given } => {
                let before = contents.tensors.len();
                let state = state.as_ref().and_then(|state| self.pairs(state)).unwrap_or_default();
                let table = |wanted: &str| {
                    let found = state.iter().find(|(key, _)| text(key).is_some_and(|key| key == wanted));
                    found.and_then(|(_, table)| self.pairs(table))
                };
                let module = MODULE_TABLES.map(table);
                if module.iter().all(Option::is_some) {
                    for (key, item) in module.into_iter().flatten().flatten() {
                        if let Some(key) = text(key) {
                            self.visit(item, &below(&key), depth - 1, visits, contents);
                        }
                    }
                    return;
                }
                for (i, (key, item)) in state.iter().chain(items).enumerate() {
                    let key = text(key).unwrap_or_else(|| i.to_string());
                    self.visit(item, &below(&key), depth - 1, visits, contents);
                }
                // The constructor's arguments may contain tensors that appear nowhere else.
                self.visit(given, name, depth - 1, visits, contents);
                if contents.tensors.len() == before {
                    skip(class, contents);
                }
            }
        }
    }

    /// The items of a dictionary or of an instance of a dictionary class.
    fn pairs(&self, value: &StackValue) -> Option<&[(StackValue, StackValue)]> {
        let StackValue::Object(number) = *value else { return None };
        match self.objects.get(number)? {
            PickleObject::Dict(items) => Some(items),
            PickleObject::Opaque { items, .. } => Some(items),
            // The state of an object with slots is a pair of dictionaries.
            PickleObject::List(items) => items.iter().find_map(|item| match item {
                StackValue::Object(number) => match self.objects.get(*number) {
                    Some(PickleObject::Dict(items)) => Some(items.as_slice()),
                    _ => None,
                },
                _ => None,
            }),
            _ => None,
        }
    }
}

fn skip(class: &str, contents: &mut TorchContents) {
    if !ORDINARY_CLASSES.iter().any(|prefix| class.starts_with(prefix)) && !class.starts_with(TORCHSCRIPT) {
        contents.skipped.push(class.to_owned());
    }
}

/// A string, or an integer as text.
pub(super) fn text(value: &StackValue) -> Option<String> {
    match value {
        StackValue::Text(text) => Some(text.to_string()),
        StackValue::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_objects_are_skipped_and_listed() {
        // A dictionary with an unknown object, a defaultdict and a tensor.
        let bytes = b"\x80\x02}(U\x01accallbacks\nStop\n)\x81}U\x04bestK\x03sbU\x01dccollections\ndefaultdict\nc__builtin__\nlist\n\x85R\
            U\x01k(lsU\x01ectorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x04tQK\x00(K\x02K\x02t(K\x02K\x01t\x89NtRu.";
        let pickle = TorchPickle::read(bytes, 0).unwrap();
        let found = pickle.contents();
        assert_eq!(found.skipped, ["callbacks.Stop"]);
        assert_eq!(found.tensors.len(), 1);
        let (name, tensor) = &found.tensors[0];
        assert_eq!((name.as_str(), tensor.shape.as_slice(), tensor.storage.key.as_str()), ("e", &[2, 2][..], "0"));
        for cut in 0..bytes.len() - 1 {
            assert!(TorchPickle::read(&bytes[..cut], 0).is_err(), "{cut}");
        }
    }
}
