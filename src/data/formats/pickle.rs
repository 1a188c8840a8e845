//! Python's pickles, read and never executed.
//!
//! A pickle is a program that builds objects. This reader builds only numbers, texts, lists and dictionaries of them, and
//! NumPy's arrays of plain numbers; what else a pickle names is refused by that name. Long texts and bytes are not read
//! but remembered by their place in the file, so that a batch of pictures costs no memory. Everything built lies in two
//! flat lists and refers to others by number: no pickle can make it recurse.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

use super::slice::{Reader, Slice};

/// Instructions of one pickle; a batch of CIFAR has forty thousand.
const MOST_STEPS: usize = 4 << 20;
/// Bytes of the text that names a class of values.
const MOST_NAME: u64 = 256;

/// A stretch of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region {
    pub start: u64,
    pub length: u64,
}

/// What pickles may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// `numpy.ndarray`
    Array,
    /// `numpy.dtype`
    Element,
    /// `numpy.core.multiarray._reconstruct`
    Reconstruct,
    /// `numpy.core.numeric._frombuffer`
    FromBuffer,
    /// `_codecs.encode`
    Encode,
}

impl Known {
    fn named(module: &str, name: &str) -> Result<Self, String> {
        match (module, name) {
            ("numpy", "ndarray") => Ok(Self::Array),
            ("numpy", "dtype") => Ok(Self::Element),
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Ok(Self::Reconstruct),
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Ok(Self::FromBuffer),
            ("_codecs", "encode") => Ok(Self::Encode),
            _ => Err(format!("it wants to run {module}.{name}, which is refused; only arrays of numbers are read")),
        }
    }
}

/// A value; those that hold others name them by number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    /// None, or something of no use here.
    Nothing,
    Int(i64),
    /// Text in UTF-8, where it lies.
    Text(Region),
    Bytes(Region),
    /// Bytes that lie as text, a character each: how Python 3 writes bytes for Python 2.
    Latin(Region),
    /// A list, tuple or dictionary (its keys and values in turn).
    List(usize),
    Array(usize),
    /// NumPy's name of a kind of numbers: `u1`, `i8`.
    Element(Region),
    Known(Known),
    Mark,
}

/// An array of numbers.
#[derive(Debug, Clone)]
pub(super) struct Numbers {
    pub shape: Vec<u64>,
    pub element: String,
    pub values: Value,
}

/// What a pickle held.
#[derive(Debug)]
pub(super) struct Pickle {
    slice: Slice,
    lists: Vec<Vec<Value>>,
    arrays: Vec<Option<Numbers>>,
    root: Value,
}

impl Pickle {
    /// Reads a pickle of protocol 2 to 5.
    pub fn read(slice: &Slice) -> Result<Self, String> {
        let mut machine = Machine {
            reader: BufReader::with_capacity(1 << 14, slice.reader()),
            at: 0,
            stack: Vec::new(),
            memo: HashMap::new(),
            pickle: Self { slice: slice.clone(), lists: Vec::new(), arrays: Vec::new(), root: Value::Nothing },
        };
        for _ in 0..MOST_STEPS {
            let at = machine.at;
            if machine.step().map_err(|cause| format!("at byte {at}: {cause}"))? {
                return Ok(machine.pickle);
            }
        }
        Err(format!("it has more than {MOST_STEPS} instructions, which no batch of pictures needs"))
    }

    /// The value under `key` of the dictionary that the pickle is.
    pub fn get(&self, key: &str) -> Option<Value> {
        let Value::List(number) = self.root else { return None };
        let pairs = self.lists.get(number)?.chunks_exact(2);
        let mut found = pairs.filter(|pair| self.text(pair[0]).is_some_and(|text| text == key)).map(|pair| pair[1]);
        found.next_back()
    }

    /// A short text, whichever way it lies.
    pub fn text(&self, value: Value) -> Option<String> {
        match value {
            Value::Text(region) | Value::Bytes(region) | Value::Latin(region) => name(&self.slice, region).ok(),
            _ => None,
        }
    }

    /// The values of a list or tuple.
    pub fn list(&self, value: Value) -> Option<&[Value]> {
        match value {
            Value::List(number) => self.lists.get(number).map(Vec::as_slice),
            _ => None,
        }
    }

    /// An array of numbers.
    pub fn array(&self, value: Value) -> Option<&Numbers> {
        match value {
            Value::Array(number) => self.arrays.get(number)?.as_ref(),
            _ => None,
        }
    }
}

fn name(slice: &Slice, region: Region) -> Result<String, String> {
    if region.length > MOST_NAME {
        return Err("a name of it is too long".to_owned());
    }
    let bytes = slice.part(region.start, region.length)?.beginning(MOST_NAME).map_err(|e| e.to_string())?;
    String::from_utf8(bytes).map_err(|_| "a name of it is no text".to_owned())
}

/// What Python's unpickler is: a stack, and values that were kept by number.
struct Machine {
    reader: BufReader<Reader>,
    at: u64,
    stack: Vec<Value>,
    memo: HashMap<u32, Value>,
    pickle: Pickle,
}

impl Machine {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.reader
            .read_exact(&mut bytes)
            .map_err(|_| "it ends in the middle; it may be only half copied".to_owned())?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.bytes::<1>().map(|[byte]| byte)
    }

    fn four(&mut self) -> Result<u32, String> {
        self.bytes().map(u32::from_le_bytes)
    }

    /// Passes over `length` bytes.
    fn region(&mut self, length: u64) -> Result<Region, String> {
        let region = Region { start: self.at, length };
        let end = self.at.checked_add(length).filter(|&end| end <= self.pickle.slice.length());
        let end =
            end.ok_or_else(|| format!("it announces {length} bytes and ends before; it may be only half copied"))?;
        match i64::try_from(length) {
            Ok(by) => self.reader.seek_relative(by).map_err(|e| e.to_string())?,
            Err(_) => self.reader.seek(SeekFrom::Start(end)).map(|_| ()).map_err(|e| e.to_string())?,
        }
        self.at = end;
        Ok(region)
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        let read = self.reader.by_ref().take(MOST_NAME).read_until(b'\n', &mut line);
        self.at += read.map_err(|e| e.to_string())? as u64;
        match line.pop() {
            Some(b'\n') => String::from_utf8(line).map_err(|_| "a name of it is no text".to_owned()),
            _ => Err("a name of it has no end".to_owned()),
        }
    }

    fn push(&mut self, value: Value) -> Result<bool, String> {
        self.stack.push(value);
        Ok(false)
    }

    fn pop(&mut self) -> Result<Value, String> {
        match self.stack.pop() {
            Some(Value::Mark) | None => Err("it takes a value where there is none; it is damaged".to_owned()),
            Some(value) => Ok(value),
        }
    }

    /// The values since the last mark.
    fn since_mark(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.stack.iter().rposition(|value| *value == Value::Mark);
        let mark = mark.ok_or("it closes a list that was not begun; it is damaged")?;
        let values = self.stack.split_off(mark + 1);
        self.stack.truncate(mark);
        Ok(values)
    }

    fn push_list(&mut self, values: Vec<Value>) -> Result<bool, String> {
        self.pickle.lists.push(values);
        self.push(Value::List(self.pickle.lists.len() - 1))
    }

    fn push_last(&mut self, count: usize) -> Result<bool, String> {
        let mut values = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        values.reverse();
        self.push_list(values)
    }

    /// Puts values at the end of the list below them on the stack.
    fn extend(&mut self, values: Vec<Value>) -> Result<bool, String> {
        match self.stack.last() {
            Some(&Value::List(number)) => {
                // A number on the stack is always one of a list that was made.
                self.pickle.lists.get_mut(number).into_iter().for_each(|list| list.extend_from_slice(&values));
                Ok(false)
            }
            _ => Err("it adds to something that is no list; it is damaged".to_owned()),
        }
    }

    fn keep(&mut self, number: u32) -> Result<bool, String> {
        let value = *self.stack.last().ok_or("it keeps a value where there is none; it is damaged")?;
        self.memo.insert(number, value);
        Ok(false)
    }

    fn kept(&mut self, number: u32) -> Result<bool, String> {
        let value = self.memo.get(&number).copied();
        self.push(value.ok_or_else(|| format!("it asks for value {number}, which was never kept; it is damaged"))?)
    }

    /// Obeys one instruction; whether it was the last.
    fn step(&mut self) -> Result<bool, String> {
        match self.byte()? {
            // The protocol, and the length of what follows.
            0x80 => match self.byte()? {
                2..=5 => Ok(false),
                version => Err(format!("it is of protocol {version}, and 2 to 5 are known")),
            },
            0x95 => self.bytes::<8>().map(|_| false),
            b'.' => {
                self.pickle.root = self.pop()?;
                Ok(true)
            }
            // Numbers.
            b'N' => self.push(Value::Nothing),
            0x88 => self.push(Value::Int(1)),
            0x89 => self.push(Value::Int(0)),
            b'K' => self.byte().and_then(|byte| self.push(Value::Int(byte.into()))),
            b'M' => self.bytes().and_then(|two| self.push(Value::Int(u16::from_le_bytes(two).into()))),
            b'J' => self.bytes().and_then(|four| self.push(Value::Int(i32::from_le_bytes(four).into()))),
            0x8a => {
                let length = self.byte()?;
                self.region(length.into())?;
                self.push(Value::Nothing)
            }
            b'G' => self.bytes::<8>().and_then(|_| self.push(Value::Nothing)),
            // Texts and bytes. Python 2's own strings are bytes that are meant as text or not.
            b'X' => self.four().and_then(|length| self.region(length.into())).and_then(|at| self.push(Value::Text(at))),
            0x8c => self.byte().and_then(|length| self.region(length.into())).and_then(|at| self.push(Value::Text(at))),
            0x8d => self
                .bytes()
                .and_then(|eight| self.region(u64::from_le_bytes(eight)))
                .and_then(|at| self.push(Value::Text(at))),
            b'U' | b'C' => {
                self.byte().and_then(|length| self.region(length.into())).and_then(|at| self.push(Value::Bytes(at)))
            }
            b'T' | b'B' => {
                self.four().and_then(|length| self.region(length.into())).and_then(|at| self.push(Value::Bytes(at)))
            }
            0x8e | 0x96 => self
                .bytes()
                .and_then(|eight| self.region(u64::from_le_bytes(eight)))
                .and_then(|at| self.push(Value::Bytes(at))),
            // Lists, tuples and dictionaries.
            b'(' => self.push(Value::Mark),
            b'}' | b']' | b')' => self.push_list(Vec::new()),
            b't' | b'l' | b'd' => self.since_mark().and_then(|values| self.push_list(values)),
            0x85 => self.push_last(1),
            0x86 => self.push_last(2),
            0x87 => self.push_last(3),
            b'a' => self.pop().and_then(|value| self.extend(vec![value])),
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.extend(vec![key, value])
            }
            b'e' | b'u' => self.since_mark().and_then(|values| self.extend(values)),
            b'0' => self.pop().map(|_| false),
            b'1' => self.since_mark().map(|_| false),
            // What is kept by number.
            b'q' => self.byte().and_then(|number| self.keep(number.into())),
            b'r' => self.four().and_then(|number| self.keep(number)),
            0x94 => self.keep(self.memo.len() as u32),
            b'h' => self.byte().and_then(|number| self.kept(number.into())),
            b'j' => self.four().and_then(|number| self.kept(number)),
            // What is named, and made of it.
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Known(Known::named(&module, &name)?))
            }
            0x93 => {
                let (named, module) = (self.pop()?, self.pop()?);
                let (Some(module), Some(named)) = (self.pickle.text(module), self.pickle.text(named)) else {
                    return Err("it names something by what is no text; it is damaged".to_owned());
                };
                self.push(Value::Known(Known::named(&module, &named)?))
            }
            b'R' => self.make(),
            b'b' => self.fill(),
            other => Err(format!(
                "instruction {other:#04x} has no place in a batch of pictures; it is damaged, or written by another protocol than 2 to 5"
            )),
        }
    }

    /// A known maker and what it is given become a value.
    fn make(&mut self) -> Result<bool, String> {
        let (given, maker) = (self.pop()?, self.pop()?);
        let given = self.pickle.list(given).ok_or("it gives a maker no list; it is damaged")?;
        let made = match (maker, given) {
            (Value::Known(Known::Reconstruct), [Value::Known(Known::Array), ..]) => {
                self.pickle.arrays.push(None);
                Value::Array(self.pickle.arrays.len() - 1)
            }
            (Value::Known(Known::Element), [Value::Text(named) | Value::Bytes(named), ..]) => Value::Element(*named),
            (Value::Known(Known::Encode), [Value::Text(text), ..]) => Value::Latin(*text),
            (Value::Known(Known::FromBuffer), [values, element, shape, order]) => {
                if self.pickle.text(*order).as_deref() != Some("C") {
                    return Err("its array is in Fortran order; save it with numpy.ascontiguousarray".to_owned());
                }
                let numbers = self.numbers(*shape, *element, *values)?;
                self.pickle.arrays.push(Some(numbers));
                Value::Array(self.pickle.arrays.len() - 1)
            }
            _ => return Err("it makes something other than an array of numbers; that is refused".to_owned()),
        };
        self.push(made)
    }

    fn numbers(&self, shape: Value, element: Value, values: Value) -> Result<Numbers, String> {
        let sides = self.pickle.list(shape).filter(|sides| sides.len() <= 8);
        let side = |side: &Value| match side {
            Value::Int(side) => u64::try_from(*side).ok(),
            _ => None,
        };
        let shape = sides.and_then(|sides| sides.iter().map(side).collect());
        match (shape, element) {
            (Some(shape), Value::Element(named)) => {
                Ok(Numbers { shape, element: name(&self.pickle.slice, named)?, values })
            }
            _ => Err("its array has no shape or no kind of numbers; it is damaged".to_owned()),
        }
    }

    /// What was made is told what it is to hold.
    fn fill(&mut self) -> Result<bool, String> {
        let state = self.pop()?;
        let state = self.pickle.list(state).unwrap_or_default();
        match (self.stack.last(), state) {
            (Some(Value::Element(_)), [_, order, ..]) if self.pickle.text(*order).as_deref() == Some(">") => {
                Err("its numbers have their highest byte first; save it on a common machine".to_owned())
            }
            (Some(Value::Element(_)), _) => Ok(false),
            (Some(&Value::Array(number)), [_, shape, element, fortran, values]) => {
                if *fortran != Value::Int(0) {
                    return Err("its array is in Fortran order; save it with numpy.ascontiguousarray".to_owned());
                }
                let numbers = self.numbers(*shape, *element, *values)?;
                self.pickle.arrays.get_mut(number).into_iter().for_each(|array| *array = Some(numbers.clone()));
                Ok(false)
            }
            _ => Err("it fills something other than an array of numbers; that is refused".to_owned()),
        }
    }
}
