//! Python's pickle machine: a stack, and values that were kept by number. It obeys what builds containers and descriptions of
//! tensors, and calls nothing.

use std::collections::HashMap;

use super::pickle::{Object, PickleError, Storage, Tensor, Value, text};

/// Objects that one pickle may have.
const MOST_OBJECTS: usize = 4 << 20;

/// Obeys the pickle that begins at `from`: its objects, its result, and where the next one begins.
pub(super) fn run(bytes: &[u8], from: usize) -> Result<(Vec<Object>, Value, usize), PickleError> {
    let mut machine = Machine { bytes, at: from, stack: Vec::new(), memo: HashMap::new(), objects: Vec::new() };
    loop {
        let at = machine.at;
        match machine.step() {
            Ok(None) => {}
            Ok(Some(root)) => return Ok((machine.objects, root, machine.at)),
            Err(PickleError::Damaged(cause)) => return Err(PickleError::Damaged(format!("at byte {at}: {cause}"))),
            Err(unknown) => return Err(unknown),
        }
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    memo: HashMap<u64, Value>,
    objects: Vec<Object>,
}

fn damaged<T>(cause: impl Into<String>) -> Result<T, PickleError> {
    Err(PickleError::Damaged(cause.into()))
}

type Step<T> = Result<T, PickleError>;

impl<'a> Machine<'a> {
    fn take(&mut self, length: u64) -> Step<&'a [u8]> {
        let end = usize::try_from(length).ok().and_then(|length| self.at.checked_add(length));
        match end.and_then(|end| self.bytes.get(self.at..end)) {
            Some(bytes) => {
                self.at += bytes.len();
                Ok(bytes)
            }
            None => damaged("it ends in the middle"),
        }
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let bytes = self.take(N as u64)?;
        bytes.try_into().or_else(|_| damaged("it ends in the middle"))
    }

    fn byte(&mut self) -> Step<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn four(&mut self) -> Step<u64> {
        self.array().map(|bytes| u32::from_le_bytes(bytes).into())
    }

    fn eight(&mut self) -> Step<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn line(&mut self) -> Step<String> {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else { return damaged("a line has no end") };
        self.at += end + 1;
        Ok(String::from_utf8_lossy(&rest[..end]).trim_end_matches('\r').to_owned())
    }

    fn push(&mut self, value: Value) -> Step<Option<Value>> {
        self.stack.push(value);
        Ok(None)
    }

    fn text(&mut self, length: u64) -> Step<Option<Value>> {
        let bytes = self.take(length)?;
        self.push(Value::Text(String::from_utf8_lossy(bytes).into()))
    }

    fn nothing(&mut self, length: u64) -> Step<Option<Value>> {
        self.take(length)?;
        self.push(Value::Nothing)
    }

    fn object(&mut self, object: Object) -> Step<Option<Value>> {
        if self.objects.len() >= MOST_OBJECTS {
            return Err(PickleError::Unknown(format!("it has more than {MOST_OBJECTS} objects")));
        }
        self.objects.push(object);
        self.push(Value::Object(self.objects.len() - 1))
    }

    fn pop(&mut self) -> Step<Value> {
        match self.stack.pop() {
            Some(Value::Mark) | None => damaged("it takes a value where there is none"),
            Some(value) => Ok(value),
        }
    }

    fn since_mark(&mut self) -> Step<Vec<Value>> {
        let Some(mark) = self.stack.iter().rposition(|value| matches!(value, Value::Mark)) else {
            return damaged("it closes a list that was not begun");
        };
        let values = self.stack.split_off(mark + 1);
        self.stack.truncate(mark);
        Ok(values)
    }

    fn last(&mut self, count: usize) -> Step<Option<Value>> {
        let mut values = (0..count).map(|_| self.pop()).collect::<Step<Vec<_>>>()?;
        values.reverse();
        self.object(Object::List(values))
    }

    fn pairs(values: Vec<Value>) -> Vec<(Value, Value)> {
        let mut values = values.into_iter();
        let mut pairs = Vec::new();
        while let (Some(key), Some(value)) = (values.next(), values.next()) {
            pairs.push((key, value));
        }
        pairs
    }

    /// Puts pairs into the dictionary, or whatever has items, below them on the stack.
    fn set(&mut self, pairs: Vec<(Value, Value)>) -> Step<Option<Value>> {
        let Some(&Value::Object(number)) = self.stack.last() else {
            return damaged("it adds to something that holds nothing");
        };
        match self.objects.get_mut(number) {
            Some(Object::Dict(items) | Object::Opaque { items, .. }) => items.extend(pairs),
            _ => return damaged("it adds to something that is no dictionary"),
        }
        Ok(None)
    }

    fn append(&mut self, values: Vec<Value>) -> Step<Option<Value>> {
        let Some(&Value::Object(number)) = self.stack.last() else {
            return damaged("it adds to something that holds nothing");
        };
        match self.objects.get_mut(number) {
            Some(Object::List(items)) => items.extend(values),
            Some(Object::Opaque { items, .. }) => {
                let from = items.len();
                items.extend(values.into_iter().enumerate().map(|(i, value)| (Value::Int((from + i) as i64), value)));
            }
            _ => return damaged("it adds to something that is no list"),
        }
        Ok(None)
    }

    fn keep(&mut self, number: u64) -> Step<Option<Value>> {
        match self.stack.last() {
            Some(value) => drop(self.memo.insert(number, value.clone())),
            None => return damaged("it keeps a value where there is none"),
        }
        Ok(None)
    }

    fn kept(&mut self, number: u64) -> Step<Option<Value>> {
        match self.memo.get(&number).cloned() {
            Some(value) => self.push(value),
            None => damaged(format!("it asks for value {number}, which was never kept")),
        }
    }

    fn decimal(line: &str) -> u64 {
        line.trim().parse().unwrap_or(u64::MAX)
    }

    /// Obeys one instruction; the result, if it was the last.
    fn step(&mut self) -> Step<Option<Value>> {
        match self.byte()? {
            0x80 => match self.byte()? {
                0..=5 => Ok(None),
                version => {
                    Err(PickleError::Unknown(format!("it is of pickle protocol {version}, and 0 to 5 are known")))
                }
            },
            0x95 => self.eight().map(|_| None),
            b'.' => self.pop().map(Some),
            b'N' => self.push(Value::Nothing),
            0x88 => self.push(Value::Int(1)),
            0x89 => self.push(Value::Int(0)),
            b'K' => self.byte().and_then(|byte| self.push(Value::Int(byte.into()))),
            b'M' => self.array().and_then(|two| self.push(Value::Int(u16::from_le_bytes(two).into()))),
            b'J' => self.array().and_then(|four| self.push(Value::Int(i32::from_le_bytes(four).into()))),
            b'I' | b'L' => {
                let line = self.line()?;
                let number = line.trim().trim_end_matches('L').parse();
                self.push(number.map_or(Value::Nothing, Value::Int))
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
            b'F' => self.line().and_then(|_| self.push(Value::Nothing)),
            b'G' => self.nothing(8),
            b'S' => {
                let line = self.line()?;
                let line = line.trim();
                let inner = line.get(1..line.len().saturating_sub(1)).unwrap_or_default();
                self.push(Value::Text(inner.into()))
            }
            b'V' => self.line().and_then(|line| self.push(Value::Text(line.into()))),
            b'X' | b'T' => self.four().and_then(|length| self.text(length)),
            0x8c | b'U' => self.byte().and_then(|length| self.text(length.into())),
            0x8d => self.eight().and_then(|length| self.text(length)),
            b'C' => self.byte().and_then(|length| self.nothing(length.into())),
            b'B' => self.four().and_then(|length| self.nothing(length)),
            0x8e | 0x96 => self.eight().and_then(|length| self.nothing(length)),
            b'(' => self.push(Value::Mark),
            b'}' => self.object(Object::Dict(Vec::new())),
            b']' | b')' | 0x8f => self.object(Object::List(Vec::new())),
            b't' | b'l' | 0x91 => self.since_mark().and_then(|values| self.object(Object::List(values))),
            b'd' => self.since_mark().and_then(|values| self.object(Object::Dict(Self::pairs(values)))),
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
            b'0' => self.stack.pop().map_or_else(|| damaged("it drops a value where there is none"), |_| Ok(None)),
            b'1' => self.since_mark().map(|_| None),
            b'2' => match self.stack.last().cloned() {
                Some(value) => self.push(value),
                None => damaged("it repeats a value where there is none"),
            },
            b'p' => self.line().and_then(|line| self.keep(Self::decimal(&line))),
            b'q' => self.byte().and_then(|number| self.keep(number.into())),
            b'r' => self.four().and_then(|number| self.keep(number)),
            0x94 => self.keep(self.memo.len() as u64),
            b'g' => self.line().and_then(|line| self.kept(Self::decimal(&line))),
            b'h' => self.byte().and_then(|number| self.kept(number.into())),
            b'j' => self.four().and_then(|number| self.kept(number)),
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.object(Object::Class(format!("{module}.{name}")))
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (text(&module), text(&name)) {
                    (Some(module), Some(name)) => self.object(Object::Class(format!("{module}.{name}"))),
                    _ => damaged("it names something by what is no text"),
                }
            }
            b'R' | 0x81 => {
                let (given, maker) = (self.pop()?, self.pop()?);
                self.make(&maker, given)
            }
            0x92 => {
                let (_, given, maker) = (self.pop()?, self.pop()?, self.pop()?);
                self.make(&maker, given)
            }
            b'i' => {
                let class = format!("{}.{}", self.line()?, self.line()?);
                let given = self.since_mark()?;
                self.instance(class, given)
            }
            b'o' => {
                let mut given = self.since_mark()?;
                if given.is_empty() {
                    return damaged("it makes an object of no class");
                }
                let class = self.class(&given.remove(0)).unwrap_or_default();
                self.instance(class, given)
            }
            b'b' => {
                let state = self.pop()?;
                if let Some(&Value::Object(number)) = self.stack.last()
                    && let Some(Object::Opaque { state: kept, .. }) = self.objects.get_mut(number)
                {
                    *kept = Some(state);
                }
                Ok(None)
            }
            b'Q' => {
                let id = self.pop()?;
                self.persistent(&id)
            }
            b'P' => self.line().and_then(|_| self.push(Value::Nothing)),
            0x82 => self.nothing(1),
            0x83 => self.nothing(2),
            0x84 => self.nothing(4),
            0x97 => self.push(Value::Nothing),
            0x98 => Ok(None),
            other => damaged(format!("there is no instruction {other:#04x}")),
        }
    }

    fn instance(&mut self, class: String, given: Vec<Value>) -> Step<Option<Value>> {
        self.objects.push(Object::List(given));
        let given = Value::Object(self.objects.len() - 1);
        self.object(Object::Opaque { class, state: None, items: Vec::new(), given })
    }

    fn class(&self, value: &Value) -> Option<String> {
        let Value::Object(number) = *value else { return None };
        match self.objects.get(number)? {
            Object::Class(class) | Object::Opaque { class, .. } => Some(class.clone()),
            _ => None,
        }
    }

    fn list(&self, value: &Value) -> &[Value] {
        match value {
            Value::Object(number) => match self.objects.get(*number) {
                Some(Object::List(items)) => items,
                _ => &[],
            },
            _ => &[],
        }
    }

    /// What a call of a known maker gives: a tensor or a container. No other is called.
    fn make(&mut self, maker: &Value, given: Value) -> Step<Option<Value>> {
        let Some(class) = self.class(maker) else { return damaged("it calls what is no class") };
        let list = self.list(&given).to_vec();
        match class.as_str() {
            "collections.OrderedDict" | "collections.defaultdict" | "builtins.dict" => {
                let mut items = Vec::new();
                for pair in list.first().map(|pairs| self.list(pairs).to_vec()).unwrap_or_default() {
                    if let [key, value] = self.list(&pair) {
                        items.push((key.clone(), value.clone()));
                    }
                }
                self.object(Object::Dict(items))
            }
            "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor_v3" => {
                let kind = list.get(6).filter(|_| class.ends_with("v3")).and_then(|kind| self.class(kind));
                match self.tensor(&list, kind) {
                    Some(tensor) => self.object(Object::Tensor(tensor)),
                    None => damaged("a tensor of it has no shape or storage"),
                }
            }
            "torch._utils._rebuild_parameter"
            | "torch._utils._rebuild_parameter_with_state"
            | "torch.nn.parameter.Parameter" => match list.into_iter().next() {
                Some(tensor) => self.push(tensor),
                None => damaged("a parameter of it has no values"),
            },
            "torch._tensor._rebuild_from_type_v2" if list.len() >= 3 => self.make(&list[0], list[2].clone()),
            "builtins.set" | "builtins.frozenset" | "builtins.list" | "__builtin__.set" => {
                let items = list.first().map(|items| self.list(items).to_vec()).unwrap_or_default();
                self.object(Object::List(items))
            }
            _ => self.object(Object::Opaque { class, state: None, items: Vec::new(), given }),
        }
    }

    /// A tensor of `(storage, offset, shape, strides, ..)`.
    fn tensor(&self, given: &[Value], kind: Option<String>) -> Option<Tensor> {
        let [Value::Object(storage), Value::Int(offset), shape, strides, ..] = given else { return None };
        let Some(Object::Storage(storage)) = self.objects.get(*storage) else { return None };
        let sides = |value: &Value| -> Option<Vec<usize>> {
            let side = |side: &Value| match side {
                Value::Int(side) => usize::try_from(*side).ok(),
                _ => None,
            };
            self.list(value).iter().map(side).collect()
        };
        let (shape, strides) = (sides(shape)?, sides(strides)?);
        let storage = Storage { kind: kind.unwrap_or_else(|| storage.kind.clone()), key: storage.key.clone() };
        (shape.len() == strides.len()).then_some(Tensor {
            storage,
            offset: usize::try_from(*offset).ok()?,
            shape,
            strides,
        })
    }

    /// What lies outside the pickle: a storage, or the source of a class.
    fn persistent(&mut self, id: &Value) -> Step<Option<Value>> {
        let list = self.list(id).to_vec();
        match (list.first().and_then(text).as_deref(), list.as_slice()) {
            (Some("storage"), [_, kind, key, ..]) => {
                let kind = self.class(kind).or_else(|| text(kind)).unwrap_or_default();
                let Some(key) = text(key) else { return damaged("a storage of it has no key") };
                self.object(Object::Storage(Storage { kind, key }))
            }
            (Some("module"), [_, class, ..]) => self.push(class.clone()),
            _ => self.push(Value::Nothing),
        }
    }
}

/// A whole number of up to eight bytes.
fn long(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::Nothing;
    }
    let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
    let mut whole = [if negative { 0xff } else { 0 }; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(whole))
}
