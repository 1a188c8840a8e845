//! The pickle virtual machine: a stack and a memo. It executes the opcodes that build containers and descriptions of
//! tensors, and never calls Python functions.

use std::collections::HashMap;

use super::pickle::{PickleError, PickleObject, StackValue, StorageRef, TensorRef, text};

/// Maximum number of objects in a pickle.
const MAX_OBJECTS: usize = 4 << 20;

/// Runs the pickle that begins at `from`; returns its objects, its value, and the position after it.
pub(super) fn run(bytes: &[u8], from: usize) -> Result<(Vec<PickleObject>, StackValue, usize), PickleError> {
    let mut machine = PickleMachine { bytes, at: from, stack: Vec::new(), memo: HashMap::new(), objects: Vec::new() };
    loop {
        let at = machine.at;
        match machine.step() {
            Ok(None) => {}
            Ok(Some(root)) => return Ok((machine.objects, root, machine.at)),
            Err(PickleError::Damaged(reason)) => return Err(PickleError::Damaged(format!("at byte {at}: {reason}"))),
            Err(unsupported) => return Err(unsupported),
        }
    }
}

struct PickleMachine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<StackValue>,
    memo: HashMap<u64, StackValue>,
    objects: Vec<PickleObject>,
}

fn damaged<T>(reason: impl Into<String>) -> Result<T, PickleError> {
    Err(PickleError::Damaged(reason.into()))
}

type PickleResult<T> = Result<T, PickleError>;

impl<'a> PickleMachine<'a> {
    fn take(&mut self, length: u64) -> PickleResult<&'a [u8]> {
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length));
        match end.and_then(|end| self.bytes.get(self.at..end)) {
            Some(bytes) => {
                self.at += bytes.len();
                Ok(bytes)
            }
            None => damaged("it is truncated"),
        }
    }

    fn array<const N: usize>(&mut self) -> PickleResult<[u8; N]> {
        let bytes = self.take(N as u64)?;
        bytes.try_into().or_else(|_| damaged("it is truncated"))
    }

    fn byte(&mut self) -> PickleResult<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn four(&mut self) -> PickleResult<u64> {
        self.array().map(|bytes| u32::from_le_bytes(bytes).into())
    }

    fn eight(&mut self) -> PickleResult<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn line(&mut self) -> PickleResult<String> {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else { return damaged("a line is not terminated") };
        self.at += end + 1;
        Ok(String::from_utf8_lossy(&rest[..end]).trim_end_matches('\r').to_owned())
    }

    fn push(&mut self, value: StackValue) -> PickleResult<Option<StackValue>> {
        self.stack.push(value);
        Ok(None)
    }

    fn text(&mut self, length: u64) -> PickleResult<Option<StackValue>> {
        let bytes = self.take(length)?;
        self.push(StackValue::Text(String::from_utf8_lossy(bytes).into()))
    }

    fn nothing(&mut self, length: u64) -> PickleResult<Option<StackValue>> {
        self.take(length)?;
        self.push(StackValue::Nothing)
    }

    fn object(&mut self, object: PickleObject) -> PickleResult<Option<StackValue>> {
        if self.objects.len() >= MAX_OBJECTS {
            return Err(PickleError::Unsupported(format!("it has more than {MAX_OBJECTS} objects")));
        }
        self.objects.push(object);
        self.push(StackValue::Object(self.objects.len() - 1))
    }

    fn pop(&mut self) -> PickleResult<StackValue> {
        match self.stack.pop() {
            Some(StackValue::Mark) | None => damaged("an opcode needs a value, but the stack is empty"),
            Some(value) => Ok(value),
        }
    }

    fn since_mark(&mut self) -> PickleResult<Vec<StackValue>> {
        let Some(mark) = self.stack.iter().rposition(|value| matches!(value, StackValue::Mark)) else {
            return damaged("a list is closed that was not opened");
        };
        let values = self.stack.split_off(mark + 1);
        self.stack.truncate(mark);
        Ok(values)
    }

    fn last(&mut self, count: usize) -> PickleResult<Option<StackValue>> {
        let mut values = (0..count).map(|_| self.pop()).collect::<PickleResult<Vec<_>>>()?;
        values.reverse();
        self.object(PickleObject::List(values))
    }

    fn pairs(values: Vec<StackValue>) -> Vec<(StackValue, StackValue)> {
        let mut values = values.into_iter();
        let mut pairs = Vec::new();
        while let (Some(key), Some(value)) = (values.next(), values.next()) {
            pairs.push((key, value));
        }
        pairs
    }

    /// Sets items of the dictionary or object on top of the stack.
    fn set(&mut self, pairs: Vec<(StackValue, StackValue)>) -> PickleResult<Option<StackValue>> {
        let Some(&StackValue::Object(number)) = self.stack.last() else {
            return damaged("an item is added to a value that is not a container");
        };
        match self.objects.get_mut(number) {
            Some(PickleObject::Dict(items) | PickleObject::Opaque { items, .. }) => items.extend(pairs),
            _ => return damaged("an item is set on a value that is not a dictionary"),
        }
        Ok(None)
    }

    fn append(&mut self, values: Vec<StackValue>) -> PickleResult<Option<StackValue>> {
        let Some(&StackValue::Object(number)) = self.stack.last() else {
            return damaged("an item is added to a value that is not a container");
        };
        match self.objects.get_mut(number) {
            Some(PickleObject::List(items)) => items.extend(values),
            Some(PickleObject::Opaque { items, .. }) => {
                let from = items.len();
                items.extend(
                    values.into_iter().enumerate().map(|(i, value)| (StackValue::Int((from + i) as i64), value)),
                );
            }
            _ => return damaged("an item is appended to a value that is not a list"),
        }
        Ok(None)
    }

    fn memoize(&mut self, number: u64) -> PickleResult<Option<StackValue>> {
        match self.stack.last() {
            Some(value) => drop(self.memo.insert(number, value.clone())),
            None => return damaged("a value is memoized, but the stack is empty"),
        }
        Ok(None)
    }

    fn recall(&mut self, number: u64) -> PickleResult<Option<StackValue>> {
        match self.memo.get(&number).cloned() {
            Some(value) => self.push(value),
            None => damaged(format!("memo entry {number} does not exist")),
        }
    }

    fn decimal(line: &str) -> u64 {
        line.trim().parse().unwrap_or(u64::MAX)
    }

    /// Executes one opcode; returns the pickle's value after STOP.
    fn step(&mut self) -> PickleResult<Option<StackValue>> {
        match self.byte()? {
            0x80 => match self.byte()? {
                0..=5 => Ok(None),
                version => Err(PickleError::Unsupported(format!(
                    "it uses pickle protocol {version}, but only 0 to 5 are supported"
                ))),
            },
            0x95 => self.eight().map(|_| None),
            b'.' => self.pop().map(Some),
            b'N' => self.push(StackValue::Nothing),
            0x88 => self.push(StackValue::Int(1)),
            0x89 => self.push(StackValue::Int(0)),
            b'K' => self.byte().and_then(|byte| self.push(StackValue::Int(byte.into()))),
            b'M' => self.array().and_then(|two| self.push(StackValue::Int(u16::from_le_bytes(two).into()))),
            b'J' => self.array().and_then(|four| self.push(StackValue::Int(i32::from_le_bytes(four).into()))),
            b'I' | b'L' => {
                let line = self.line()?;
                let number = line.trim().trim_end_matches('L').parse();
                self.push(number.map_or(StackValue::Nothing, StackValue::Int))
            }
            0x8a => {
                let length = self.byte()?;
                let bytes = self.take(length.into())?;
                self.push(long(bytes))
            }
            0x8b => {
                let length = self.four()?;
                self.nothing(length)
            }
            b'F' => self.line().and_then(|_| self.push(StackValue::Nothing)),
            b'G' => self.nothing(8),
            b'S' => {
                let line = self.line()?;
                let line = line.trim();
                let inner = line.get(1..line.len().saturating_sub(1)).unwrap_or_default();
                self.push(StackValue::Text(inner.into()))
            }
            b'V' => self.line().and_then(|line| self.push(StackValue::Text(line.into()))),
            b'X' | b'T' => self.four().and_then(|length| self.text(length)),
            0x8c | b'U' => self.byte().and_then(|length| self.text(length.into())),
            0x8d => self.eight().and_then(|length| self.text(length)),
            b'C' => self.byte().and_then(|length| self.nothing(length.into())),
            b'B' => self.four().and_then(|length| self.nothing(length)),
            0x8e | 0x96 => self.eight().and_then(|length| self.nothing(length)),
            b'(' => self.push(StackValue::Mark),
            b'}' => self.object(PickleObject::Dict(Vec::new())),
            b']' | b')' | 0x8f => self.object(PickleObject::List(Vec::new())),
            b't' | b'l' | 0x91 => self.since_mark().and_then(|values| self.object(PickleObject::List(values))),
            b'd' => self.since_mark().and_then(|values| self.object(PickleObject::Dict(Self::pairs(values)))),
            0x85 => self.last(1),
            0x86 => self.last(2),
            0x87 => self.last(3),
            b'a' => self.pop().and_then(|value| self.append(vec![value])),
            b'e' | 0x90 => self.since_mark().and_then(|values| self.append(values)),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(vec![(key, value)])
            }
            b'u' => self.since_mark().and_then(|values| self.set(Self::pairs(values))),
            b'0' => {
                self.stack.pop().map_or_else(|| damaged("a value is dropped, but the stack is empty"), |_| Ok(None))
            }
            b'1' => self.since_mark().map(|_| None),
            b'2' => match self.stack.last().cloned() {
                Some(value) => self.push(value),
                None => damaged("a value is duplicated, but the stack is empty"),
            },
            b'p' => self.line().and_then(|line| self.memoize(Self::decimal(&line))),
            b'q' => self.byte().and_then(|number| self.memoize(number.into())),
            b'r' => self.four().and_then(|number| self.memoize(number)),
            0x94 => self.memoize(self.memo.len() as u64),
            b'g' => self.line().and_then(|line| self.recall(Self::decimal(&line))),
            b'h' => self.byte().and_then(|number| self.recall(number.into())),
            b'j' => self.four().and_then(|number| self.recall(number)),
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.object(PickleObject::Class(format!("{module}.{name}")))
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (text(&module), text(&name)) {
                    (Some(module), Some(name)) => self.object(PickleObject::Class(format!("{module}.{name}"))),
                    _ => damaged("the name of a class is not a string"),
                }
            }
            b'R' | 0x81 => {
                let (given, callee) = (self.pop()?, self.pop()?);
                self.call(&callee, given)
            }
            0x92 => {
                let (_, given, callee) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(&callee, given)
            }
            b'i' => {
                let class = format!("{}.{}", self.line()?, self.line()?);
                let given = self.since_mark()?;
                self.instance(class, given)
            }
            b'o' => {
                let mut given = self.since_mark()?;
                if given.is_empty() {
                    return damaged("an object has no class");
                }
                let class = self.class(&given.remove(0)).unwrap_or_default();
                self.instance(class, given)
            }
            b'b' => {
                let state = self.pop()?;
                if let Some(&StackValue::Object(number)) = self.stack.last()
                    && let Some(PickleObject::Opaque { state: slot, .. }) = self.objects.get_mut(number)
                {
                    *slot = Some(state);
                }
                Ok(None)
            }
            b'Q' => {
                let id = self.pop()?;
                self.persistent(&id)
            }
            b'P' => self.line().and_then(|_| self.push(StackValue::Nothing)),
            0x82 => self.nothing(1),
            0x83 => self.nothing(2),
            0x84 => self.nothing(4),
            0x97 => self.push(StackValue::Nothing),
            0x98 => Ok(None),
            other => damaged(format!("unknown opcode {other:#04x}")),
        }
    }

    fn instance(&mut self, class: String, given: Vec<StackValue>) -> PickleResult<Option<StackValue>> {
        self.objects.push(PickleObject::List(given));
        let given = StackValue::Object(self.objects.len() - 1);
        self.object(PickleObject::Opaque { class, state: None, items: Vec::new(), given })
    }

    fn class(&self, value: &StackValue) -> Option<String> {
        let StackValue::Object(number) = *value else { return None };
        match self.objects.get(number)? {
            PickleObject::Class(class) | PickleObject::Opaque { class, .. } => Some(class.clone()),
            _ => None,
        }
    }

    fn list(&self, value: &StackValue) -> &[StackValue] {
        match value {
            StackValue::Object(number) => match self.objects.get(*number) {
                Some(PickleObject::List(items)) => items,
                _ => &[],
            },
            _ => &[],
        }
    }

    /// Emulates a call: known functions give tensors and containers, all others an opaque object.
    fn call(&mut self, callee: &StackValue, given: StackValue) -> PickleResult<Option<StackValue>> {
        let Some(class) = self.class(callee) else { return damaged("the callee is not a class or function") };
        let list = self.list(&given).to_vec();
        match class.as_str() {
            "collections.OrderedDict" | "collections.defaultdict" | "builtins.dict" => {
                let mut items = Vec::new();
                for pair in list.first().map(|pairs| self.list(pairs).to_vec()).unwrap_or_default() {
                    if let [key, value] = self.list(&pair) {
                        items.push((key.clone(), value.clone()));
                    }
                }
                self.object(PickleObject::Dict(items))
            }
            "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor_v3" => {
                let kind = list.get(6).filter(|_| class.ends_with("v3")).and_then(|kind| self.class(kind));
                match self.tensor(&list, kind) {
                    Some(tensor) => self.object(PickleObject::Tensor(tensor)),
                    None => damaged("a tensor has no shape or storage"),
                }
            }
            "torch._utils._rebuild_parameter"
            | "torch._utils._rebuild_parameter_with_state"
            | "torch.nn.parameter.Parameter" => match list.into_iter().next() {
                Some(tensor) => self.push(tensor),
                None => damaged("a parameter has no values"),
            },
            "torch._tensor._rebuild_from_type_v2" if list.len() >= 3 => self.call(&list[0], list[2].clone()),
            "builtins.set" | "builtins.frozenset" | "builtins.list" | "__builtin__.set" => {
                let items = list.first().map(|items| self.list(items).to_vec()).unwrap_or_default();
                self.object(PickleObject::List(items))
            }
            _ => self.object(PickleObject::Opaque { class, state: None, items: Vec::new(), given }),
        }
    }

    /// A tensor of `(storage, offset, shape, strides, ..)`.
    fn tensor(&self, given: &[StackValue], kind: Option<String>) -> Option<TensorRef> {
        let [StackValue::Object(storage), StackValue::Int(offset), shape, strides, ..] = given else { return None };
        let Some(PickleObject::Storage(storage)) = self.objects.get(*storage) else { return None };
        let sides = |value: &StackValue| -> Option<Vec<usize>> {
            let side = |side: &StackValue| match side {
                StackValue::Int(side) => usize::try_from(*side).ok(),
                _ => None,
            };
            self.list(value).iter().map(side).collect()
        };
        let (shape, strides) = (sides(shape)?, sides(strides)?);
        let storage = StorageRef { kind: kind.unwrap_or_else(|| storage.kind.clone()), key: storage.key.clone() };
        (shape.len() == strides.len()).then_some(TensorRef {
            storage,
            offset: usize::try_from(*offset).ok()?,
            shape,
            strides,
        })
    }

    /// Resolves a persistent id, which refers to a storage or to the source code of a class.
    fn persistent(&mut self, id: &StackValue) -> PickleResult<Option<StackValue>> {
        let list = self.list(id).to_vec();
        match (list.first().and_then(text).as_deref(), list.as_slice()) {
            (Some("storage"), [_, kind, key, ..]) => {
                let kind = self.class(kind).or_else(|| text(kind)).unwrap_or_default();
                let Some(key) = text(key) else { return damaged("a storage has no key") };
                self.object(PickleObject::Storage(StorageRef { kind, key }))
            }
            (Some("module"), [_, class, ..]) => self.push(class.clone()),
            _ => self.push(StackValue::Nothing),
        }
    }
}

/// A little-endian integer of up to eight bytes.
fn long(bytes: &[u8]) -> StackValue {
    if bytes.len() > 8 {
        return StackValue::Nothing;
    }
    let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
    let mut whole = [if negative { 0xff } else { 0 }; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    StackValue::Int(i64::from_le_bytes(whole))
}
