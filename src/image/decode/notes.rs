//! Orientation metadata of PNG files, wherever it is: programs also write it after the pixels, where the decoder does
//! not look.

use std::io::Read;

use image::metadata::Orientation;

use super::orientation;
use super::whole::chunks;

/// Maximum size of decompressed metadata in bytes.
const LIMIT: u64 = 1 << 20;
const XMP: &[u8] = b"XML:com.adobe.xmp\0";
/// ImageMagick's keyword for EXIF, from before PNG had a chunk for it.
const RAW: [&[u8]; 2] = [b"Raw profile type exif\0", b"Raw profile type APP1\0"];

/// The orientation stored in a PNG.
pub(super) fn of_png(bytes: &[u8]) -> Orientation {
    let (mut exif, mut xmp) = (None, None);
    for (name, content) in chunks(bytes) {
        match name {
            b"eXIf" => exif = exif.or(Some(content.to_vec())),
            b"iTXt" => xmp = xmp.or_else(|| international(content.strip_prefix(XMP)?)),
            b"zTXt" => {
                let raw = RAW.into_iter().find_map(|name| content.strip_prefix(name));
                exif = exif.or_else(|| hexadecimal(&inflated(raw?.get(1..)?)?));
            }
            b"tEXt" => {
                exif = exif.or_else(|| hexadecimal(RAW.into_iter().find_map(|name| content.strip_prefix(name))?));
            }
            _ => {}
        }
    }
    orientation(exif.as_deref(), xmp.as_deref())
}

/// The text of an iTXt chunk after its keyword: compression flag and method, language, translated keyword, text.
fn international(rest: &[u8]) -> Option<Vec<u8>> {
    let (&[packed, _], rest) = rest.split_first_chunk::<2>()?;
    let mut parts = rest.splitn(3, |&byte| byte == 0);
    let text = parts.nth(2)?;
    if packed == 0 { Some(text.to_vec()) } else { inflated(text) }
}

fn inflated(packed: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    flate2::read::ZlibDecoder::new(packed).take(LIMIT).read_to_end(&mut text).ok()?;
    Some(text)
}

/// Parses a line feed, the name of the profile, its length, and its bytes as hexadecimal digits.
fn hexadecimal(text: &[u8]) -> Option<Vec<u8>> {
    let mut lines = std::str::from_utf8(text).ok()?.trim_start().split('\n');
    let digits: String = lines.by_ref().skip(2).flat_map(|line| line.trim().chars()).collect();
    let byte = |i: usize| u8::from_str_radix(digits.get(2 * i..2 * i + 2)?, 16).ok();
    (0..digits.len() / 2).map(byte).collect()
}
