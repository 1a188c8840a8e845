//! A reader of Python pickles that never executes anything.
//!
//! A pickle is a program that builds objects. This reader builds only numbers, texts, lists and dictionaries of them,
//! and NumPy arrays of plain numbers; any other global is refused by name. Long texts and bytes are not loaded: only
//! their positions are stored, so a batch of pictures takes no memory. Containers are in two flat lists and refer to
//! each other by index, so no pickle causes recursion.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

use super::file_slice::{FileSlice, SliceReader};

/// Limit of instructions; a CIFAR batch has forty thousand.
const MAX_STEPS: usize = 4 << 20;
/// Limit of the length of a name.
const MAX_NAME: u64 = 256;

/// A byte range of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ByteRange {
    pub start: u64,
    pub length: u64,
}

/// Globals that pickles may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KnownGlobal {
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

impl KnownGlobal {
    fn named(module: &str, name: &str) -> Result<Self, String> {
        match (module, name) {
            ("numpy", "ndarray") => Ok(Self::Array),
            ("numpy", "dtype") => Ok(Self::Element),
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Ok(Self::Reconstruct),
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Ok(Self::FromBuffer),
            ("_codecs", "encode") => Ok(Self::Encode),
            _ => Err(format!("it would run {module}.{name}, which is refused; only arrays of numbers are supported")),
        }
    }
}

/// A value; containers refer to others by index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum BatchValue {
    /// None, or a value that is not needed.
    Nothing,
    Int(i64),
    /// UTF-8 text.
    Text(ByteRange),
    Bytes(ByteRange),
    /// Bytes stored as text, one character each: how Python 3 writes bytes for Python 2.
    Latin1(ByteRange),
    /// A list, tuple, or dictionary (alternating keys and values).
    List(usize),
    Array(usize),
    /// NumPy's name of a type: `u1`, `i8`.
    Element(ByteRange),
    Global(KnownGlobal),
    Mark,
}

/// A NumPy array.
#[derive(Debug, Clone)]
pub(super) struct NumericArray {
    pub shape: Vec<u64>,
    pub element: String,
    pub values: BatchValue,
}

/// The values that a pickle built.
#[derive(Debug)]
pub(super) struct PickledBatch {
    slice: FileSlice,
    lists: Vec<Vec<BatchValue>>,
    arrays: Vec<Option<NumericArray>>,
    root: BatchValue,
}

impl PickledBatch {
    /// Reads a pickle of protocol 2 to 5.
    pub fn read(slice: &FileSlice) -> Result<Self, String> {
        let mut machine = Unpickler {
            reader: BufReader::with_capacity(1 << 14, slice.reader()),
            at: 0,
            stack: Vec::new(),
            memo: HashMap::new(),
            pickle: Self { slice: slice.clone(), lists: Vec::new(), arrays: Vec::new(), root: BatchValue::Nothing },
        };
        for _ in 0..MAX_STEPS {
            let at = machine.at;
            if machine.step().map_err(|cause| format!("at byte {at}: {cause}"))? {
                return Ok(machine.pickle);
            }
        }
        Err(format!("it has more than {MAX_STEPS} instructions, which no batch of pictures needs"))
    }

    /// The value of `key`, if the pickle is a dictionary.
    pub fn get(&self, key: &str) -> Option<BatchValue> {
        let BatchValue::List(number) = self.root else { return None };
        let pairs = self.lists.get(number)?.chunks_exact(2);
        let mut found = pairs.filter(|pair| self.text(pair[0]).is_some_and(|text| text == key)).map(|pair| pair[1]);
        found.next_back()
    }

    /// A short text.
    pub fn text(&self, value: BatchValue) -> Option<String> {
        match value {
            BatchValue::Text(region) | BatchValue::Bytes(region) | BatchValue::Latin1(region) => {
                name(&self.slice, region).ok()
            }
            _ => None,
        }
    }

    /// The items of a list or tuple.
    pub fn list(&self, value: BatchValue) -> Option<&[BatchValue]> {
        match value {
            BatchValue::List(number) => self.lists.get(number).map(Vec::as_slice),
            _ => None,
        }
    }

    pub fn array(&self, value: BatchValue) -> Option<&NumericArray> {
        match value {
            BatchValue::Array(number) => self.arrays.get(number)?.as_ref(),
            _ => None,
        }
    }
}

fn name(slice: &FileSlice, region: ByteRange) -> Result<String, String> {
    if region.length > MAX_NAME {
        return Err("it has a name that is too long".to_owned());
    }
    let bytes = slice.part(region.start, region.length)?.head(MAX_NAME).map_err(|e| e.to_string())?;
    String::from_utf8(bytes).map_err(|_error| "it has a name that is not UTF-8".to_owned())
}

/// Python's unpickling machine: a stack and a memo.
struct Unpickler {
    reader: BufReader<SliceReader>,
    at: u64,
    stack: Vec<BatchValue>,
    memo: HashMap<u32, BatchValue>,
    pickle: PickledBatch,
}

impl Unpickler {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.reader
            .read_exact(&mut bytes)
            .map_err(|_error| "it ends in the middle; it may be only half copied".to_owned())?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.bytes::<1>().map(|[byte]| byte)
    }

    fn four(&mut self) -> Result<u32, String> {
        self.bytes().map(u32::from_le_bytes)
    }

    /// Skips `length` bytes.
    fn region(&mut self, length: u64) -> Result<ByteRange, String> {
        let region = ByteRange { start: self.at, length };
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
        let read = self.reader.by_ref().take(MAX_NAME).read_until(b'\n', &mut line);
        self.at += read.map_err(|e| e.to_string())? as u64;
        match line.pop() {
            Some(b'\n') => String::from_utf8(line).map_err(|_error| "it has a name that is not UTF-8".to_owned()),
            _ => Err("it has a name without an end".to_owned()),
        }
    }

    fn push(&mut self, value: BatchValue) -> Result<bool, String> {
        self.stack.push(value);
        Ok(false)
    }

    fn pop(&mut self) -> Result<BatchValue, String> {
        match self.stack.pop() {
            Some(BatchValue::Mark) | None => Err("it takes a value where there is none; it is damaged".to_owned()),
            Some(value) => Ok(value),
        }
    }

    /// Pops the values above the last mark.
    fn since_mark(&mut self) -> Result<Vec<BatchValue>, String> {
        let mark = self.stack.iter().rposition(|value| *value == BatchValue::Mark);
        let mark = mark.ok_or("it closes a list that was not opened; it is damaged")?;
        let values = self.stack.split_off(mark + 1);
        self.stack.truncate(mark);
        Ok(values)
    }

    fn push_list(&mut self, values: Vec<BatchValue>) -> Result<bool, String> {
        self.pickle.lists.push(values);
        self.push(BatchValue::List(self.pickle.lists.len() - 1))
    }

    fn push_last(&mut self, count: usize) -> Result<bool, String> {
        let mut values = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        values.reverse();
        self.push_list(values)
    }

    /// Appends values to the list on top of the stack.
    fn extend(&mut self, values: Vec<BatchValue>) -> Result<bool, String> {
        match self.stack.last() {
            Some(&BatchValue::List(number)) => {
                // Lists on the stack always exist.
                self.pickle.lists.get_mut(number).into_iter().for_each(|list| list.extend_from_slice(&values));
                Ok(false)
            }
            _ => Err("it appends to something other than a list; it is damaged".to_owned()),
        }
    }

    fn memoize(&mut self, number: u32) -> Result<bool, String> {
        let value = *self.stack.last().ok_or("it stores a value where there is none; it is damaged")?;
        self.memo.insert(number, value);
        Ok(false)
    }

    fn recall(&mut self, number: u32) -> Result<bool, String> {
        let value = self.memo.get(&number).copied();
        self.push(value.ok_or_else(|| format!("it recalls value {number}, which was never stored; it is damaged"))?)
    }

    /// Executes one instruction. Returns whether it was the last.
    fn step(&mut self) -> Result<bool, String> {
        match self.byte()? {
            // Protocol version; length of the following frame.
            0x80 => match self.byte()? {
                2..=5 => Ok(false),
                version => Err(format!("it has protocol {version}; protocols 2 to 5 are supported")),
            },
            0x95 => self.bytes::<8>().map(|_| false),
            b'.' => {
                self.pickle.root = self.pop()?;
                Ok(true)
            }
            // Numbers.
            b'N' => self.push(BatchValue::Nothing),
            0x88 => self.push(BatchValue::Int(1)),
            0x89 => self.push(BatchValue::Int(0)),
            b'K' => self.byte().and_then(|byte| self.push(BatchValue::Int(byte.into()))),
            b'M' => self.bytes().and_then(|two| self.push(BatchValue::Int(u16::from_le_bytes(two).into()))),
            b'J' => self.bytes().and_then(|four| self.push(BatchValue::Int(i32::from_le_bytes(four).into()))),
            0x8a => {
                let length = self.byte()?;
                self.region(length.into())?;
                self.push(BatchValue::Nothing)
            }
            b'G' => self.bytes::<8>().and_then(|_| self.push(BatchValue::Nothing)),
            // Texts and bytes. Strings of Python 2 may be either.
            b'X' => {
                self.four().and_then(|length| self.region(length.into())).and_then(|at| self.push(BatchValue::Text(at)))
            }
            0x8c => {
                self.byte().and_then(|length| self.region(length.into())).and_then(|at| self.push(BatchValue::Text(at)))
            }
            0x8d => self
                .bytes()
                .and_then(|eight| self.region(u64::from_le_bytes(eight)))
                .and_then(|at| self.push(BatchValue::Text(at))),
            b'U' | b'C' => self
                .byte()
                .and_then(|length| self.region(length.into()))
                .and_then(|at| self.push(BatchValue::Bytes(at))),
            b'T' | b'B' => self
                .four()
                .and_then(|length| self.region(length.into()))
                .and_then(|at| self.push(BatchValue::Bytes(at))),
            0x8e | 0x96 => self
                .bytes()
                .and_then(|eight| self.region(u64::from_le_bytes(eight)))
                .and_then(|at| self.push(BatchValue::Bytes(at))),
            // Lists, tuples and dictionaries.
            b'(' => self.push(BatchValue::Mark),
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
            // The memo.
            b'q' => self.byte().and_then(|number| self.memoize(number.into())),
            b'r' => self.four().and_then(|number| self.memoize(number)),
            0x94 => self.memoize(self.memo.len() as u32),
            b'h' => self.byte().and_then(|number| self.recall(number.into())),
            b'j' => self.four().and_then(|number| self.recall(number)),
            // Globals, and calls of them.
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(BatchValue::Global(KnownGlobal::named(&module, &name)?))
            }
            0x93 => {
                let (named, module) = (self.pop()?, self.pop()?);
                let (Some(module), Some(named)) = (self.pickle.text(module), self.pickle.text(named)) else {
                    return Err("it names a global by something other than text; it is damaged".to_owned());
                };
                self.push(BatchValue::Global(KnownGlobal::named(&module, &named)?))
            }
            b'R' => self.reduce(),
            b'b' => self.build(),
            other => Err(format!(
                "instruction {other:#04x} is not supported; it is damaged, or has another protocol than 2 to 5"
            )),
        }
    }

    /// REDUCE: calls a known global.
    fn reduce(&mut self) -> Result<bool, String> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let arguments =
            self.pickle.list(arguments).ok_or("it calls a global without a list of arguments; it is damaged")?;
        let value = match (callable, arguments) {
            (BatchValue::Global(KnownGlobal::Reconstruct), [BatchValue::Global(KnownGlobal::Array), ..]) => {
                self.pickle.arrays.push(None);
                BatchValue::Array(self.pickle.arrays.len() - 1)
            }
            (BatchValue::Global(KnownGlobal::Element), [BatchValue::Text(named) | BatchValue::Bytes(named), ..]) => {
                BatchValue::Element(*named)
            }
            (BatchValue::Global(KnownGlobal::Encode), [BatchValue::Text(text), ..]) => BatchValue::Latin1(*text),
            (BatchValue::Global(KnownGlobal::FromBuffer), [values, element, shape, order]) => {
                if self.pickle.text(*order).as_deref() != Some("C") {
                    return Err("its array is in Fortran order; save it with numpy.ascontiguousarray".to_owned());
                }
                let numbers = self.numbers(*shape, *element, *values)?;
                self.pickle.arrays.push(Some(numbers));
                BatchValue::Array(self.pickle.arrays.len() - 1)
            }
            _ => return Err("it builds something other than an array of numbers, which is refused".to_owned()),
        };
        self.push(value)
    }

    fn numbers(&self, shape: BatchValue, element: BatchValue, values: BatchValue) -> Result<NumericArray, String> {
        let sides = self.pickle.list(shape).filter(|sides| sides.len() <= 8);
        let side = |side: &BatchValue| match side {
            BatchValue::Int(side) => u64::try_from(*side).ok(),
            _ => None,
        };
        let shape = sides.and_then(|sides| sides.iter().map(side).collect());
        match (shape, element) {
            (Some(shape), BatchValue::Element(named)) => {
                Ok(NumericArray { shape, element: name(&self.pickle.slice, named)?, values })
            }
            _ => Err("its array has no shape or no type; it is damaged".to_owned()),
        }
    }

    /// BUILD: sets the state of an array or type.
    fn build(&mut self) -> Result<bool, String> {
        let state = self.pop()?;
        let state = self.pickle.list(state).unwrap_or_default();
        match (self.stack.last(), state) {
            (Some(BatchValue::Element(_)), [_, order, ..]) if self.pickle.text(*order).as_deref() == Some(">") => {
                Err("its numbers are big-endian; save it on a little-endian machine".to_owned())
            }
            (Some(BatchValue::Element(_)), _) => Ok(false),
            (Some(&BatchValue::Array(number)), [_, shape, element, fortran, values]) => {
                if *fortran != BatchValue::Int(0) {
                    return Err("its array is in Fortran order; save it with numpy.ascontiguousarray".to_owned());
                }
                let numbers = self.numbers(*shape, *element, *values)?;
                self.pickle.arrays.get_mut(number).into_iter().for_each(|array| *array = Some(numbers.clone()));
                Ok(false)
            }
            _ => Err("it sets the state of something other than an array of numbers, which is refused".to_owned()),
        }
    }
}
