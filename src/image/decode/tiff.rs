//! TIFF: more variants than the `image` crate reads, and only complete files.
//!
//! The `tiff` crate decodes strips and tiles of gray and color. Variants on which it panics or fails are rewritten
//! first, by appending a directory to the file: each plane of a planar picture, and the indexes of a palette picture,
//! as a gray picture.

use std::collections::HashSet;
use std::io::Cursor;

use image::metadata::Orientation;
use tiff::TiffError;
use tiff::decoder::{Decoder, DecodingResult, Limits};

use super::{DecodeError, LIMIT, Raw, StoredValues, orientation};

const SUBFILE: u16 = 254;
const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const BITS: u16 = 258;
const COMPRESSION: u16 = 259;
const PHOTOMETRIC: u16 = 262;
const STRIP_OFFSETS: u16 = 273;
const ORIENTATION: u16 = 274;
const SAMPLES: u16 = 277;
const STRIP_BYTES: u16 = 279;
const PLANAR: u16 = 284;
const PALETTE: u16 = 320;
const TILE_OFFSETS: u16 = 324;
const TILE_BYTES: u16 = 325;
const SUB_DIRECTORIES: u16 = 330;
const EXTRA: u16 = 338;
const FORMAT: u16 = 339;
const XMP: u16 = 700;
const DNG_VERSION: u16 = 50706;
/// StoredValues of the photometric interpretation.
const BLACK_IS_ZERO: u64 = 1;
const RGB: u64 = 2;
const RGB_PALETTE: u64 = 3;
const CMYK: u64 = 5;
const YCBCR: u64 = 6;
/// Maximum tags per directory; more means damage.
const MOST_TAGS: u64 = 4096;
/// Maximum pictures per file that are checked.
const MOST_PICTURES: usize = 4096;

/// A tag: value type, count, and offset of the values.
#[derive(Debug, Clone)]
struct TagEntry {
    tag: u16,
    kind: u16,
    count: u64,
    at: u64,
}

/// A directory, which describes one picture.
#[derive(Debug)]
struct TiffDirectory<'a> {
    bytes: &'a [u8],
    big_endian: bool,
    /// Whether it is BigTIFF, with 8-byte offsets.
    wide: bool,
    entries: Vec<TagEntry>,
    /// Offset of the next directory; 0 after the last.
    next: u64,
}

/// Bytes per value of a type.
fn width_of(kind: u16) -> u64 {
    match kind {
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16..=18 => 8,
        _ => 1,
    }
}

impl<'a> TiffDirectory<'a> {
    /// The first directory of a file.
    fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let big_endian = bytes.starts_with(b"MM");
        let empty = Self { bytes, big_endian, wide: false, entries: Vec::new(), next: 0 };
        let wide = empty.number(2, 2)? == 43;
        let next = if wide { empty.number(8, 8)? } else { empty.number(4, 4)? };
        Self { wide, next, ..empty }.following()
    }

    /// The next directory.
    fn following(&self) -> Result<Self, DecodeError> {
        let (counted, size, field) = if self.wide { (8, 20, 8) } else { (2, 12, 4) };
        let first = self.next;
        let count = self.number(first, counted)?;
        if count > MOST_TAGS {
            return Err(DecodeError::Refused(format!("its directory announces {count} tags; it is damaged")));
        }
        let mut entries = Vec::new();
        for i in 0..count {
            let at = first + counted + i * size;
            let (tag, kind) = (self.number(at, 2)? as u16, self.number(at + 2, 2)? as u16);
            let count = self.number(at + 4, field)?;
            let value = at + 4 + field;
            let fits = count.checked_mul(width_of(kind)).is_some_and(|bytes| bytes <= field);
            let at = if fits { value } else { self.number(value, field)? };
            entries.push(TagEntry { tag, kind, count, at });
        }
        let next = self.number(first + counted + count * size, field)?;
        Ok(Self { entries, next, ..*self })
    }

    /// Checks that all pictures of the file are complete; only the first is read.
    fn check_all(&self) -> Result<(), DecodeError> {
        self.check()?;
        let (mut seen, mut next) = (HashSet::new(), self.next);
        while next > 0 && seen.insert(next) && seen.len() < MOST_PICTURES {
            let directory = Self { next, entries: Vec::new(), ..*self }.following()?;
            directory.check()?;
            next = directory.next;
        }
        Ok(())
    }

    /// Reads `width` bytes at `at` as a number.
    fn number(&self, at: u64, width: u64) -> Result<u64, DecodeError> {
        let range = usize::try_from(at).ok().zip(at.checked_add(width).and_then(|end| usize::try_from(end).ok()));
        let bytes = range.and_then(|(from, to)| self.bytes.get(from..to));
        let bytes = bytes.ok_or_else(|| {
            DecodeError::CutOff(format!("its directory goes on at byte {at}, and it has {} bytes", self.bytes.len()))
        })?;
        let sum = |sum: u64, &byte: &u8| sum << 8 | u64::from(byte);
        Ok(if self.big_endian { bytes.iter().fold(0, sum) } else { bytes.iter().rev().fold(0, sum) })
    }

    fn entry(&self, tag: u16) -> Option<&TagEntry> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }

    /// Unsigned values of a tag; empty if the tag is absent.
    fn numbers(&self, tag: u16) -> Result<Vec<u64>, DecodeError> {
        let Some(&TagEntry { kind, count, at, .. }) = self.entry(tag) else { return Ok(Vec::new()) };
        if count > self.bytes.len() as u64 {
            return Err(DecodeError::CutOff(format!("tag {tag} has {count} values, more than the file has bytes")));
        }
        (0..count).map(|i| self.number(at + i * width_of(kind), width_of(kind))).collect()
    }

    fn first(&self, tag: u16, otherwise: u64) -> Result<u64, DecodeError> {
        Ok(self.numbers(tag)?.first().copied().unwrap_or(otherwise))
    }

    /// Offsets and sizes of the strips or tiles.
    fn places(&self) -> Result<[(u16, Vec<u64>); 2], DecodeError> {
        let [offsets, bytes] = match self.entry(TILE_OFFSETS) {
            Some(_) => [TILE_OFFSETS, TILE_BYTES],
            None => [STRIP_OFFSETS, STRIP_BYTES],
        };
        Ok([(offsets, self.numbers(offsets)?), (bytes, self.numbers(bytes)?)])
    }

    /// Checks that all strips and tiles are in the file.
    fn check(&self) -> Result<(), DecodeError> {
        let [(_, offsets), (_, sizes)] = self.places()?;
        let (count, have) = (offsets.len(), self.bytes.len() as u64);
        let samples = self.first(SAMPLES, 1)?;
        let bits = self.first(BITS, 1)?.saturating_mul(samples);
        let needed = self.first(WIDTH, 0)?.saturating_mul(bits).div_ceil(8).saturating_mul(self.first(HEIGHT, 0)?);
        // Some programs write an arbitrarily large size for the only strip of an uncompressed file.
        let alone = count == 1 && self.first(COMPRESSION, 1)? == 1 && self.entry(TILE_OFFSETS).is_none();
        for (i, (offset, size)) in offsets.into_iter().zip(sizes).enumerate() {
            let end = offset.saturating_add(if alone { size.min(needed) } else { size });
            if end > have {
                let what = format!("part {} of {count} ends at byte {end}, and it has {have} bytes", i + 1);
                return Err(DecodeError::CutOff(what));
            }
        }
        Ok(())
    }

    /// Raw files of cameras are TIFFs whose first picture is a small preview or raw sensor data.
    fn check_kind(&self) -> Result<(), DecodeError> {
        let preview = self.first(SUBFILE, 0)? & 1 == 1 && self.entry(SUB_DIRECTORIES).is_some();
        if preview || self.entry(DNG_VERSION).is_some() || self.bytes.get(8..10) == Some(b"CR") {
            let kind = "a camera's raw file; save it as PNG or 16-bit TIFF with a raw converter";
            return Err(DecodeError::NotAPicture(kind.to_owned()));
        }
        Ok(())
    }

    /// The file with another directory appended, in which these tags have other values, or are absent if empty.
    fn with(&self, changes: &[(u16, Vec<u64>)]) -> Vec<u8> {
        let mut file = self.bytes.to_vec();
        let field = if self.wide { 8 } else { 4 };
        let put = |file: &mut Vec<u8>, number: u64, width: usize| match self.big_endian {
            true => file.extend(&number.to_be_bytes()[8 - width..]),
            false => file.extend(&number.to_le_bytes()[..width]),
        };
        let mut entries = self.entries.clone();
        for (tag, numbers) in changes {
            entries.retain(|entry| entry.tag != *tag);
            if numbers.is_empty() {
                continue;
            }
            // StoredValues that fit into the entry must be stored there. Here there are too many, or they are
            // SHORTs.
            let (kind, width) = if numbers.len() == 1 { (3, 2) } else { (if self.wide { 16 } else { 4 }, field) };
            let (kind, width) = if numbers.iter().any(|&number| number > 0xffff) && width == 2 {
                (if self.wide { 16 } else { 4 }, field)
            } else {
                (kind, width)
            };
            let at = file.len() as u64;
            numbers.iter().for_each(|&number| put(&mut file, number, width));
            entries.push(TagEntry { tag: *tag, kind, count: numbers.len() as u64, at });
        }
        entries.sort_by_key(|entry| entry.tag);
        let first = file.len() as u64;
        put(&mut file, entries.len() as u64, if self.wide { 8 } else { 2 });
        for TagEntry { tag, kind, count, at } in entries {
            put(&mut file, tag.into(), 2);
            put(&mut file, kind.into(), 2);
            put(&mut file, count, field);
            let inside = count.saturating_mul(width_of(kind));
            if inside <= field as u64 {
                // The values are stored in the entry, from its first byte.
                let mut value = file[at as usize..(at + inside) as usize].to_vec();
                value.resize(field, 0);
                file.extend(value);
            } else {
                put(&mut file, at, field);
            }
        }
        put(&mut file, 0, field);
        let mut pointer = Vec::new();
        put(&mut pointer, first, field);
        let place = if self.wide { 8 } else { 4 };
        file[place..place + field].copy_from_slice(&pointer);
        file
    }

    /// Decodes each plane as a gray picture and interleaves them.
    fn planes(&self, [count, wanted]: [u64; 2], photometric: u64) -> Result<Pixels, DecodeError> {
        let places = self.places()?;
        let each = places[0].1.len() / count as usize;
        let (bits, formats) = (self.numbers(BITS)?, self.numbers(FORMAT)?);
        let mut planes = Vec::new();
        for plane in 0..count.min(wanted) as usize {
            let mut changes = vec![
                (BITS, vec![bits.get(plane).or(bits.first()).copied().unwrap_or(1)]),
                (PHOTOMETRIC, vec![photometric.min(BLACK_IS_ZERO)]),
                (SAMPLES, vec![1]),
                (PLANAR, vec![1]),
                (EXTRA, Vec::new()),
                (FORMAT, formats.get(plane).or(formats.first()).copied().into_iter().collect()),
            ];
            for (tag, numbers) in &places {
                let Some(own) = numbers.get(plane * each..(plane + 1) * each) else {
                    return Err(DecodeError::Refused(
                        "its planes have not as many parts each; it is damaged".to_owned(),
                    ));
                };
                changes.push((*tag, own.to_vec()));
            }
            planes.push(pixels(&self.with(&changes))?);
        }
        let mut planes = planes.into_iter();
        let first = planes.next().ok_or_else(|| DecodeError::Refused("it has no planes".to_owned()))?;
        planes.try_fold(first, Pixels::beside)
    }
}

/// Decoded values.
struct Pixels {
    size: [u32; 2],
    channels: usize,
    bits: u8,
    values: StoredValues,
}

impl Pixels {
    /// Keeps the first channels only.
    fn only(self, wanted: usize) -> Self {
        fn of<T: Copy>(values: &[T], channels: usize, wanted: usize) -> Vec<T> {
            values.chunks_exact(channels).flat_map(|pixel| &pixel[..wanted]).copied().collect()
        }
        let channels = self.channels;
        if channels <= wanted {
            return self;
        }
        let values = match &self.values {
            StoredValues::Bytes(values) => StoredValues::Bytes(of(values, channels, wanted)),
            StoredValues::Words(values) => StoredValues::Words(of(values, channels, wanted)),
            StoredValues::Signed(values) => StoredValues::Signed(of(values, channels, wanted)),
            StoredValues::Floats(values) => StoredValues::Floats(of(values, channels, wanted)),
        };
        Self { channels: wanted, values, ..self }
    }

    /// Divides premultiplied colors by their alpha.
    fn divide(&mut self) {
        fn of<T: Copy + Into<f64>>(values: &mut [T], channels: usize, full: f64, to: fn(f64) -> T) {
            for pixel in values.chunks_exact_mut(channels) {
                let share = pixel.last().map_or(1.0, |&last| last.into() / full);
                if share > 0.0 {
                    pixel[..channels - 1].iter_mut().for_each(|value| *value = to((*value).into() / share));
                }
            }
        }
        match &mut self.values {
            StoredValues::Bytes(values) => of(values, self.channels, 255.0, |value| value.round() as u8),
            StoredValues::Words(values) => of(values, self.channels, 65535.0, |value| value.round() as u16),
            StoredValues::Signed(values) => of(values, self.channels, 32767.0, |value| value.round() as i16),
            StoredValues::Floats(values) => of(values, self.channels, 1.0, |value| value as f32),
        }
    }

    /// Adds another plane as a channel.
    fn beside(self, other: Self) -> Result<Self, DecodeError> {
        fn joined<T: Copy>(a: &[T], channels: usize, b: &[T]) -> Vec<T> {
            a.chunks_exact(channels).zip(b).flat_map(|(pixel, &last)| pixel.iter().copied().chain([last])).collect()
        }
        let channels = self.channels;
        let values = match (&self.values, &other.values) {
            (StoredValues::Bytes(a), StoredValues::Bytes(b)) => StoredValues::Bytes(joined(a, channels, b)),
            (StoredValues::Words(a), StoredValues::Words(b)) => StoredValues::Words(joined(a, channels, b)),
            (StoredValues::Signed(a), StoredValues::Signed(b)) => StoredValues::Signed(joined(a, channels, b)),
            (StoredValues::Floats(a), StoredValues::Floats(b)) => StoredValues::Floats(joined(a, channels, b)),
            _ => return Err(DecodeError::Refused("its planes have values of different kinds".to_owned())),
        };
        Ok(Self { channels: channels + 1, values, ..self })
    }
}

/// Decodes a picture that the crate supports.
fn pixels(file: &[u8]) -> Result<Pixels, DecodeError> {
    let mut limits = Limits::default();
    limits.decoding_buffer_size = LIMIT as usize;
    limits.intermediate_buffer_size = LIMIT as usize;
    let mut decoder = Decoder::new(Cursor::new(file)).map_err(refused)?.with_limits(limits);
    let (width, height) = decoder.dimensions().map_err(refused)?;
    let color = decoder.colortype().map_err(refused)?;
    let (channels, bits) = (usize::from(color.num_samples()), color.bit_depth());
    let needed = u64::from(width) * u64::from(height) * channels as u64 * u64::from(bits.div_ceil(8));
    if needed > LIMIT {
        return Err(DecodeError::TooLarge { width, height, bytes: needed });
    }
    let whole = |kind: &str| {
        DecodeError::Refused(format!(
            "its values are {kind} integers; save them with 16 bits, or as floating point numbers"
        ))
    };
    let values = match decoder.read_image().map_err(refused)? {
        DecodingResult::U8(values) if bits < 8 => {
            StoredValues::Bytes(unpacked(&values, width as usize * channels, bits))
        }
        DecodingResult::U8(values) => StoredValues::Bytes(values),
        DecodingResult::U16(values) => StoredValues::Words(values),
        DecodingResult::I8(values) => StoredValues::Signed(values.into_iter().map(i16::from).collect()),
        DecodingResult::I16(values) => StoredValues::Signed(values),
        DecodingResult::F16(values) => StoredValues::Floats(values.into_iter().map(f32::from).collect()),
        DecodingResult::F32(values) => StoredValues::Floats(values),
        DecodingResult::F64(values) => StoredValues::Floats(values.into_iter().map(|value| value as f32).collect()),
        DecodingResult::U32(_) => return Err(whole("32-bit")),
        DecodingResult::I32(_) => return Err(whole("signed 32-bit")),
        DecodingResult::U64(_) | DecodingResult::I64(_) => return Err(whole("64-bit")),
    };
    Ok(Pixels { size: [width, height], channels, bits, values })
}

fn refused(error: TiffError) -> DecodeError {
    match error {
        TiffError::IoError(cause) if cause.kind() == std::io::ErrorKind::UnexpectedEof => {
            DecodeError::CutOff("its last strip or tile is not all there".to_owned())
        }
        TiffError::UnsupportedError(cause) => DecodeError::unknown(cause),
        error => DecodeError::damaged(error),
    }
}

/// Expands rows of 1-, 2- or 4-bit values to one byte per value.
fn unpacked(packed: &[u8], width: usize, bits: u8) -> Vec<u8> {
    let each = usize::from(8 / bits.max(1));
    let value = |row: &[u8], i: usize| {
        let shift = 8 - usize::from(bits) * (i % each + 1);
        row[i / each] >> shift & ((1 << bits) - 1)
    };
    packed.chunks_exact(width.div_ceil(each)).flat_map(|row| (0..width).map(move |i| value(row, i))).collect()
}

/// Bits per value of the first picture.
pub(super) fn bits(bytes: &[u8]) -> Result<u64, DecodeError> {
    TiffDirectory::read(bytes)?.first(BITS, 1)
}

/// Reads the first picture of a file.
pub(super) fn read(bytes: &[u8]) -> Result<Raw, DecodeError> {
    let directory = TiffDirectory::read(bytes)?;
    directory.check_all()?;
    directory.check_kind()?;
    let (samples, photometric) = (directory.first(SAMPLES, 1)?, directory.first(PHOTOMETRIC, BLACK_IS_ZERO)?);
    let colors = match photometric {
        0 | BLACK_IS_ZERO | RGB_PALETTE => 1,
        RGB | YCBCR => 3,
        CMYK => 4,
        _ => return Err(DecodeError::Refused(format!("its colors are of kind {photometric}; save it as gray or RGB"))),
    };
    // Extra channels need not be alpha: they may be more colors or anything else.
    let extra = directory.first(EXTRA, 0)?;
    let alpha = samples > colors && (extra == 1 || extra == 2);
    let mut found = if photometric == RGB_PALETTE {
        pixels(&directory.with(&[(PHOTOMETRIC, vec![BLACK_IS_ZERO]), (PALETTE, Vec::new())]))?
    } else if directory.first(PLANAR, 1)? == 2 && samples > 1 {
        directory.planes([samples, colors + u64::from(alpha)], photometric)?
    } else {
        pixels(bytes)?
    };
    if (found.channels as u64) < colors || photometric <= BLACK_IS_ZERO && found.channels > 1 && !alpha {
        let channels = found.channels;
        return Err(DecodeError::Refused(format!("it has {channels} channels; 1 (gray) and 3 (color) can be read")));
    }
    found = found.only(colors as usize + usize::from(alpha));
    if photometric == RGB_PALETTE {
        found = colored(found, &directory.numbers(PALETTE)?)?;
    } else if found.bits < 8 {
        let white = (1u16 << found.bits) - 1;
        if let StoredValues::Bytes(values) = &mut found.values {
            values.iter_mut().for_each(|value| *value = (u16::from(*value) * 255 / white) as u8);
        }
    }
    if photometric == CMYK || photometric == YCBCR {
        found = primaries(found, photometric == CMYK)?;
    }
    if alpha && extra == 1 {
        found.divide();
    }
    let xmp = directory.entry(XMP).and_then(|entry| {
        let at = usize::try_from(entry.at).ok()?;
        bytes.get(at..at.checked_add(usize::try_from(entry.count).ok()?)?)
    });
    let marked = Orientation::from_exif(directory.first(ORIENTATION, 0)?.min(255) as u8);
    let [width, height] = found.size;
    let orientation = marked.unwrap_or_else(|| orientation(None, xmp));
    Ok(Raw { width, height, layout: found.channels, values: found.values, declared: None, orientation })
}

/// Looks up palette colors. The palette has all reds, all greens and all blues, at 16 bits each.
fn colored(found: Pixels, palette: &[u64]) -> Result<Pixels, DecodeError> {
    let StoredValues::Bytes(indexes) = &found.values else {
        return Err(DecodeError::Refused("its palette has more than 256 colors".to_owned()));
    };
    let count = palette.len() / 3;
    // Some programs write 8 bits.
    let narrow = palette.iter().all(|&value| value < 256);
    let color = |index: u8, channel: usize| {
        let value = palette.get(channel * count + usize::from(index)).filter(|_| usize::from(index) < count)?;
        Some(if narrow { *value } else { (value + 128) / 257 } as u8)
    };
    let colors: Option<Vec<u8>> =
        indexes.iter().flat_map(|&index| (0..3).map(move |channel| color(index, channel))).collect();
    let colors =
        colors.ok_or_else(|| DecodeError::Refused("it uses colors that its palette does not have".to_owned()))?;
    Ok(Pixels { channels: 3, bits: 8, values: StoredValues::Bytes(colors), ..found })
}

/// Converts CMYK or YCbCr to RGB.
fn primaries(found: Pixels, inks: bool) -> Result<Pixels, DecodeError> {
    let wanted = if inks { 4 } else { 3 };
    if found.channels < wanted {
        return Err(DecodeError::Refused(format!("it has {} channels where {wanted} are needed", found.channels)));
    }
    let channels = found.channels;
    let values = match &found.values {
        StoredValues::Bytes(values) if inks => StoredValues::Bytes(
            values
                .chunks_exact(channels)
                .flat_map(|p| mixed([p[0], p[1], p[2], p[3]].map(f32::from), 255.0))
                .map(|v| v as u8)
                .collect(),
        ),
        StoredValues::Words(values) if inks => StoredValues::Words(
            values
                .chunks_exact(channels)
                .flat_map(|p| mixed([p[0], p[1], p[2], p[3]].map(f32::from), 65535.0))
                .map(|v| v as u16)
                .collect(),
        ),
        StoredValues::Bytes(values) => {
            StoredValues::Bytes(values.chunks_exact(channels).flat_map(|p| seen([p[0], p[1], p[2]])).collect())
        }
        _ => {
            return Err(DecodeError::Refused(
                "its colors are of a kind that cannot be read; save it as PNG".to_owned(),
            ));
        }
    };
    Ok(Pixels { channels: 3, values, ..found })
}

/// CMYK to RGB.
fn mixed([cyan, magenta, yellow, black]: [f32; 4], full: f32) -> [f32; 3] {
    [cyan, magenta, yellow].map(|ink| (full - ink) * (1.0 - black / full))
}

/// YCbCr to RGB, as in JPEG.
fn seen(pixel: [u8; 3]) -> [u8; 3] {
    let [y, blue, red] = pixel.map(f32::from);
    let (blue, red) = (blue - 128.0, red - 128.0);
    let rgb = [y + 1.402 * red, y - 0.344_136 * blue - 0.714_136 * red, y + 1.772 * blue];
    rgb.map(|value| value.round() as u8)
}
