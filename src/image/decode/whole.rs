//! Detects truncated picture files. Decoders differ in what they accept, and some say nothing.
//!
//! Only the sizes that the file declares are checked here; other damage is left to the decoder.

use super::DecodeError;
use crate::image::jpeg::{self, Flaw};
use crate::sniff::PictureFileFormat;

/// Checks that a file is complete.
///
/// # Errors
/// What is missing.
pub(super) fn check(format: PictureFileFormat, bytes: &[u8]) -> Result<(), DecodeError> {
    let whole = match format {
        PictureFileFormat::Png => png(bytes),
        PictureFileFormat::Jpeg => {
            return jpeg::check(bytes).map_err(|flaw| match flaw {
                Flaw::CutOff(what) => DecodeError::CutOff(what),
                Flaw::Damaged(what) => DecodeError::Refused(what),
            });
        }
        PictureFileFormat::Gif => gif(bytes),
        PictureFileFormat::WebP => webp(bytes),
        PictureFileFormat::Bmp => bmp(bytes),
        PictureFileFormat::Pnm => pnm(bytes),
        // Checked by its directories.
        PictureFileFormat::Tiff => Ok(()),
    };
    whole.map_err(DecodeError::CutOff)
}

/// The message for a file that should have `needed` bytes.
fn short(bytes: &[u8], needed: u64) -> String {
    format!("{} of {needed} bytes are there", bytes.len())
}

fn only_zeros(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// The chunks of a PNG (name and content) as far as they are complete.
pub(super) fn chunks(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = bytes.get(8..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let (name, behind) = behind.split_at_checked(4)?;
        let (content, behind) = behind.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        rest = behind.get(4..)?;
        Some((name, content))
    })
}

fn png(bytes: &[u8]) -> Result<(), String> {
    let mut at = 8;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some((&[a, b, c, d, name @ ..], _)) = rest.split_first_chunk::<8>() else {
            return Err("its last part, IEND, is missing".to_owned());
        };
        if !name.iter().all(u8::is_ascii_alphabetic) {
            return if only_zeros(rest) { Err("its end is nothing but zeros".to_owned()) } else { Ok(()) };
        }
        at += 12 + u32::from_be_bytes([a, b, c, d]) as usize;
        if at > bytes.len() {
            return Err(format!(
                "its part {} ends at byte {at}, and it has {} bytes",
                String::from_utf8_lossy(&name),
                bytes.len()
            ));
        }
        if name == *b"IEND" {
            return Ok(());
        }
    }
}

fn gif(bytes: &[u8]) -> Result<(), String> {
    let missing = |pictures: usize| match pictures {
        0 => "its first picture is not all there".to_owned(),
        count => format!("its end mark is missing after {count} pictures"),
    };
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let mut at = 13 + bytes.get(10).map_or(0, |&flags| table(flags));
    let mut pictures = 0;
    loop {
        match bytes.get(at) {
            Some(0x3b) => return Ok(()),
            Some(0x21) => at += 2,
            Some(0x2c) => {
                let Some(&flags) = bytes.get(at + 9) else { return Err(missing(pictures)) };
                at += 11 + table(flags);
            }
            // Some programs write an additional empty block.
            Some(0) if !only_zeros(&bytes[at..]) => {
                at += 1;
                continue;
            }
            None | Some(0) => return Err(missing(pictures)),
            Some(_) => return Ok(()),
        }
        let is_picture = bytes.get(at - 2..at).is_some() && bytes.get(at - 2) != Some(&0x21);
        loop {
            match bytes.get(at) {
                Some(0) => break,
                Some(&length) => at += 1 + usize::from(length),
                None => return Err(missing(pictures)),
            }
        }
        at += 1;
        pictures += usize::from(is_picture);
    }
}

fn webp(bytes: &[u8]) -> Result<(), String> {
    let Some(&size) = bytes.get(4..).and_then(<[u8]>::first_chunk::<4>) else { return Err(short(bytes, 12)) };
    let needed = u64::from(u32::from_le_bytes(size)) + 8;
    if (bytes.len() as u64) < needed { Err(short(bytes, needed)) } else { Ok(()) }
}

fn bmp(bytes: &[u8]) -> Result<(), String> {
    let number = |at: usize, width: usize| {
        let bytes = bytes.get(at..at + width).ok_or_else(|| short(bytes, 54))?;
        Ok::<u64, String>(bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
    };
    let (offset, header) = (number(10, 4)?, number(14, 4)?);
    let (width, height, bits, packing) = match header {
        12 => (number(18, 2)?, number(20, 2)?, number(24, 2)?, 0),
        // A negative height means rows from the top.
        _ => (number(18, 4)?, u64::from((number(22, 4)? as i32).unsigned_abs()), number(28, 2)?, number(30, 4)?),
    };
    let row = width.saturating_mul(bits).div_ceil(8);
    match packing {
        0 | 3 | 6 if height > 0 => {
            // The padding of the last row may be missing.
            let needed = offset.saturating_add(row.next_multiple_of(4).saturating_mul(height - 1)).saturating_add(row);
            if (bytes.len() as u64) < needed { Err(short(bytes, needed)) } else { Ok(()) }
        }
        1 | 2 => runs(bytes.get(offset as usize..).unwrap_or_default(), packing == 2),
        _ => Ok(()),
    }
}

/// Run-length data ends with an end marker.
fn runs(mut rest: &[u8], half: bool) -> Result<(), String> {
    loop {
        rest = match *rest {
            [0, 1, ..] => return Ok(()),
            [0, 0, ref behind @ ..] => behind,
            [0, 2, _, _, ref behind @ ..] => behind,
            [0, 2, ..] | [] | [_] => return Err("its end mark is missing".to_owned()),
            [0, count, ref behind @ ..] => {
                let bytes = if half { usize::from(count).div_ceil(2) } else { count.into() };
                behind.get(bytes.next_multiple_of(2)..).unwrap_or_default()
            }
            [_, _, ref behind @ ..] => behind,
        };
    }
}

/// The header of a portable anymap.
#[derive(Debug, PartialEq)]
pub(super) struct Anymap {
    kind: u8,
    sides: [u64; 2],
    channels: u64,
    /// Maximum value.
    pub white: u64,
    /// Offset of the pixels.
    start: usize,
}

/// The header of a portable anymap; none where it is not understood or not all there.
pub(super) fn anymap(bytes: &[u8]) -> Option<Anymap> {
    let kind = *bytes.get(1)?;
    let mut at = 2;
    let mut word = || {
        loop {
            match *bytes.get(at)? {
                b'#' => at += bytes[at..].iter().position(|&byte| byte == b'\n')?,
                byte if byte.is_ascii_whitespace() => at += 1,
                _ => break,
            }
        }
        let length = bytes[at..].iter().position(|byte| byte.is_ascii_whitespace() || *byte == b'#')?;
        let word = std::str::from_utf8(&bytes[at..at + length]).ok()?;
        at += length;
        Some((word, at))
    };
    let mut number = || word().and_then(|(word, at)| Some((word.parse().ok()?, at)));
    if kind != b'7' {
        let (width, _) = number()?;
        let (height, end) = number()?;
        let (white, end) = if matches!(kind, b'1' | b'4') { (1, end) } else { number()? };
        let channels = if matches!(kind, b'3' | b'6') { 3 } else { 1 };
        return Some(Anymap { kind, sides: [width, height], channels, white, start: end + 1 });
    }
    let mut found = Anymap { kind, sides: [0, 0], channels: 0, white: 0, start: 0 };
    loop {
        let (name, end) = word()?;
        let to = match name {
            "WIDTH" => &mut found.sides[0],
            "HEIGHT" => &mut found.sides[1],
            "DEPTH" => &mut found.channels,
            "MAXVAL" => &mut found.white,
            "ENDHDR" => {
                found.start = end + 1;
                return Some(found);
            }
            _ => continue,
        };
        *to = word()?.0.parse().ok()?;
    }
}

fn pnm(bytes: &[u8]) -> Result<(), String> {
    let Some(Anymap { kind, sides: [width, height], channels, white, start }) = anymap(bytes) else {
        // If the header is complete, the decoder checks the rest.
        return if bytes.len() < 64 { Err("it ends in its header".to_owned()) } else { Ok(()) };
    };
    let values = width.saturating_mul(height).saturating_mul(channels);
    let pixels = bytes.get(start..).unwrap_or_default();
    let (there, needed) = match kind {
        b'1' => (pixels.iter().filter(|byte| matches!(byte, b'0' | b'1')).count() as u64, values),
        b'2' | b'3' => (pixels.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count() as u64, values),
        b'4' => (pixels.len() as u64, width.div_ceil(8).saturating_mul(height)),
        _ => (pixels.len() as u64, values.saturating_mul(if white > 255 { 2 } else { 1 })),
    };
    if there >= needed {
        return Ok(());
    }
    let unit = if matches!(kind, b'1'..=b'3') { "values" } else { "bytes of pixels" };
    Err(format!("{there} of {needed} {unit} are there"))
}
