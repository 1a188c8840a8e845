//! Uncompressed arrays of pictures of one size, which CIFAR, SVHN, IDX and NumPy files contain.

use half::f16;

use super::file_slice::FileSlice;
use super::{PictureData, PictureStore};
use crate::image::{Picture, Range, Samples, Spread};

/// Limit of the values of a picture.
const MAX_VALUES: u64 = 1 << 28;

/// Type of a stored value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ElementType {
    Byte,
    /// 16 bits, unsigned.
    Word,
    F16,
    F32,
    F64,
}

impl ElementType {
    pub fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Word | Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    fn samples(self) -> Samples {
        match self {
            Self::Byte => Samples::U8,
            Self::Word => Samples::U16,
            Self::F16 | Self::F32 | Self::F64 => Samples::F32,
        }
    }
}

/// Memory layout of the values of one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PixelLayout {
    pub width: usize,
    pub height: usize,
    /// 1 or 3.
    pub channels: usize,
    /// Strides, in values: between rows, columns and channels.
    pub steps: [usize; 3],
}

impl PixelLayout {
    /// Layout `[height, width, channels]`.
    pub fn channels_last(height: usize, width: usize, channels: usize) -> Self {
        Self { width, height, channels, steps: [width * channels, channels, 1] }
    }

    /// Layout `[channels, height, width]`.
    pub fn channels_first(height: usize, width: usize, channels: usize) -> Self {
        Self { width, height, channels, steps: [width, 1, width * height] }
    }

    /// Layout `[height, width, channels]` in MATLAB's column-major order.
    pub fn column_major(height: usize, width: usize, channels: usize) -> Self {
        Self { width, height, channels, steps: [1, height, width * height] }
    }

    pub fn values(&self) -> usize {
        self.width * self.height * self.channels
    }
}

/// Consecutive pictures of one size in a file.
#[derive(Debug)]
pub(super) struct PictureArray {
    /// Prefix of the pictures' names, before `#` and their number.
    name: String,
    data: FileSlice,
    count: u64,
    shape: PixelLayout,
    element: ElementType,
    big_endian: bool,
    /// Bytes from one picture to the next.
    stride: u64,
    /// Bytes of a record before its picture.
    skip: u64,
    range: Range,
}

impl PictureArray {
    /// `count` pictures in `data`, with sides `[height, width, channels]`.
    pub fn new(
        name: &str,
        data: FileSlice,
        count: u64,
        sides: [u64; 3],
        shape: fn(usize, usize, usize) -> PixelLayout,
        element: ElementType,
    ) -> Result<Self, String> {
        let [height, width, channels] = sides;
        let values = height.checked_mul(width).and_then(|area| area.checked_mul(channels));
        let values = values.filter(|&values| values > 0 && values <= MAX_VALUES).ok_or_else(|| {
            format!("its header announces pictures of {width}x{height} with {channels} channels, which is impossible")
        })?;
        if channels != 1 && channels != 3 {
            return Err(format!("its pictures have {channels} channels; only 1 (gray) and 3 (color) are supported"));
        }
        let shape = shape(height as usize, width as usize, channels as usize);
        let stride = values * element.bytes() as u64;
        let full = if element == ElementType::Word { Range::WORD } else { Range::BYTE };
        let array = Self {
            name: name.to_owned(),
            data,
            count,
            shape,
            element,
            big_endian: false,
            stride,
            skip: 0,
            range: full,
        };
        array.check()
    }

    /// Declares that each record has `skip` bytes before its picture.
    pub fn records(mut self, skip: u64) -> Result<Self, String> {
        self.skip = skip;
        self.stride += skip;
        self.check()
    }

    /// Sets the byte order.
    pub fn big_endian(mut self, big_endian: bool) -> Self {
        self.big_endian = big_endian;
        self
    }

    fn check(self) -> Result<Self, String> {
        let bytes = self.count.checked_mul(self.stride);
        if self.count == 0 || bytes.is_none_or(|bytes| bytes > self.data.length()) {
            return Err(format!(
                "it announces {} pictures of {} bytes and has {} bytes; it may be only half copied",
                self.count,
                self.stride,
                self.data.length()
            ));
        }
        Ok(self)
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    fn values(&self, index: u64) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; self.shape.values() * self.element.bytes()];
        self.data.read(&mut bytes, index * self.stride + self.skip).map_err(|e| e.to_string())?;
        if self.big_endian {
            bytes.chunks_exact_mut(self.element.bytes()).for_each(<[u8]>::reverse);
        }
        Ok(bytes)
    }

    fn number(&self, bytes: &[u8]) -> f64 {
        // Chunks have the element's size; the impossible other case reads as black.
        match self.element {
            ElementType::Byte => f64::from(bytes[0]),
            ElementType::Word => bytes.try_into().map_or(0.0, |two| f64::from(u16::from_le_bytes(two))),
            ElementType::F16 => bytes.try_into().map_or(0.0, |two| f16::from_le_bytes(two).to_f64()),
            ElementType::F32 => bytes.try_into().map_or(0.0, |four| f64::from(f32::from_le_bytes(four))),
            ElementType::F64 => bytes.try_into().map_or(0.0, f64::from_le_bytes),
        }
    }

    /// Measures on a sample which values are black and white, if values have more than 8 bits. Returns a note.
    pub fn measure_range(&mut self) -> Result<Option<String>, String> {
        const SAMPLED: u64 = 64;
        if self.element == ElementType::Byte {
            return Ok(None);
        }
        let mut spread = Spread::NONE;
        let sampled = self.count.min(SAMPLED);
        for i in 0..sampled {
            let bytes = self.values((u128::from(i) * u128::from(self.count) / u128::from(sampled)) as u64)?;
            spread = spread.and(Spread::of(bytes.chunks_exact(self.element.bytes()).map(|bytes| self.number(bytes))));
        }
        let Spread { least, most } = spread;
        self.range = spread.range(self.element.samples());
        if self.element == ElementType::Word {
            return Ok(Some(format!("{}: values from {least} to {most}, taken as {}", self.name, self.range)));
        }
        if !self.range.is_usual() {
            return Err(format!(
                "its values reach from {least} to {most}; give uint8, or floats in 0..1, -1..1 or 0..255"
            ));
        }
        Ok(Some(format!("{}: values from {least:.3} to {most:.3}, taken as {}", self.name, self.range)))
    }

    fn picture(&self, index: u64) -> Result<Picture, String> {
        let bytes = self.values(index)?;
        let PixelLayout { width, height, channels, steps: [row, column, channel] } = self.shape;
        let size = self.element.bytes();
        let mut pixels = Vec::with_capacity(self.shape.values());
        for y in 0..height {
            for x in 0..width {
                for c in 0..channels {
                    let at = (y * row + x * column + c * channel) * size;
                    pixels.push(if self.element == ElementType::Byte {
                        bytes[at]
                    } else {
                        let value = self.number(&bytes[at..at + size]);
                        if !value.is_finite() {
                            return Err(format!("its value {} is not a number", at / size));
                        }
                        self.range.byte(value)
                    });
                }
            }
        }
        Ok(Picture::new(width, height, channels, pixels))
    }
}

/// Arrays in sequence: the files of a set.
#[derive(Debug)]
pub(super) struct PictureArrays(pub Vec<PictureArray>);

impl PictureArrays {
    fn find(&self, mut index: u64) -> Option<(&PictureArray, u64)> {
        self.0.iter().find_map(|array| {
            let found = (index < array.count).then_some((array, index));
            index = index.saturating_sub(array.count);
            found
        })
    }
}

impl PictureStore for PictureArrays {
    fn len(&self) -> Option<u64> {
        Some(self.0.iter().map(PictureArray::count).sum())
    }

    fn name(&self, index: u64) -> String {
        self.find(index).map(|(array, index)| format!("{}#{index}", array.name)).unwrap_or_default()
    }

    fn read(&self, index: u64, _size: usize) -> Result<PictureData, String> {
        let (array, index) = self.find(index).ok_or("there is no such picture")?;
        array.picture(index).map(PictureData::Decoded)
    }

    fn samples(&self) -> (Samples, Option<Range>) {
        let deep = self.0.iter().find(|array| array.element != ElementType::Byte);
        deep.map_or((Samples::U8, None), |array| (array.element.samples(), Some(array.range)))
    }
}
