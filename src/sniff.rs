//! File types by their first bytes: [`picture_format`] recognizes the picture formats that can be decoded,
//! [`describe`] names other files for error messages.

/// Picture formats that can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PictureFileFormat {
    Png,
    Jpeg,
    Gif,
    WebP,
    Bmp,
    Tiff,
    Pnm,
}

/// The number of bytes that are examined at most.
pub(crate) const HEADER_BYTES: usize = 4096;

/// The description of a text of unknown kind.
pub(crate) const TEXT: &str = "a text";

/// The picture format of a file that starts with `bytes`. `None` if it is not a picture that can be decoded.
pub(crate) fn picture_format(bytes: &[u8]) -> Option<PictureFileFormat> {
    let webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    let pnm = matches!(bytes, [b'P', b'1'..=b'7', space, ..] if space.is_ascii_whitespace() || *space == b'#');
    let starts: [(&[u8], PictureFileFormat); 8] = [
        (b"\x89PNG\r\n\x1a\n", PictureFileFormat::Png),
        (b"\xff\xd8\xff", PictureFileFormat::Jpeg),
        (b"GIF8", PictureFileFormat::Gif),
        (b"BM", PictureFileFormat::Bmp),
        (b"II*\0", PictureFileFormat::Tiff),
        (b"MM\0*", PictureFileFormat::Tiff),
        (b"II+\0", PictureFileFormat::Tiff),
        (b"MM\0+", PictureFileFormat::Tiff),
    ];
    match starts.into_iter().find(|(start, _)| bytes.starts_with(start)) {
        // Two letters are weak evidence, so also check the size of the header that follows.
        Some((_, PictureFileFormat::Bmp)) => {
            matches!(bytes.get(14..18), Some([12 | 16 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0]) | None)
                .then_some(PictureFileFormat::Bmp)
        }
        Some((_, format)) => Some(format),
        None if webp => Some(PictureFileFormat::WebP),
        None => pnm.then_some(PictureFileFormat::Pnm),
    }
}

/// Describes a file that cannot be decoded as a picture, and says what to do about it if possible. The text continues
/// a sentence that ends in "it is". `None` if the type is unknown.
pub(crate) fn describe(bytes: &[u8]) -> Option<&'static str> {
    if bytes.is_empty() {
        return Some("empty");
    }
    let head = &bytes[..bytes.len().min(HEADER_BYTES)];
    if head.iter().all(|&byte| byte == 0) {
        return Some("all zeros, probably from a failed download; download it again");
    }
    if let Some(kind) = iso_media(head) {
        return Some(kind);
    }
    let starts: [(&[u8], &str); 40] = [
        (
            b"version https://git-lfs",
            "a Git LFS pointer and not the file itself; run `git lfs pull` where it came from",
        ),
        (b"8BPS", "a Photoshop document (PSD); save it as PNG"),
        (b"%PDF", "a PDF document; save its pictures as PNG"),
        (b"%!PS", "a PostScript document; save it as PNG"),
        (b"\xff\x0a", "a JPEG XL picture, which is not supported; save it as PNG or JPEG"),
        (b"\0\0\0\x0cJXL ", "a JPEG XL picture, which is not supported; save it as PNG or JPEG"),
        (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture, which is not supported; save it as PNG or JPEG"),
        (b"\xff\x4f\xff\x51", "a JPEG 2000 picture, which is not supported; save it as PNG or JPEG"),
        (b"\x76\x2f\x31\x01", "an OpenEXR picture, which is not supported; save it as PNG or TIFF"),
        (b"#?RADIANCE", "a Radiance HDR picture, which is not supported; save it as PNG or TIFF"),
        (b"#?RGBE", "a Radiance HDR picture, which is not supported; save it as PNG or TIFF"),
        (b"\0\0\x01\0", "a Windows icon (ICO), which is not supported; save it as PNG"),
        (b"\0\0\x02\0", "a Windows cursor (CUR), which is not supported; save it as PNG"),
        (b"DDS ", "a DirectDraw texture (DDS), which is not supported; save it as PNG"),
        (b"qoif", "a QOI picture, which is not supported; save it as PNG"),
        (b"farbfeld", "a farbfeld picture, which is not supported; save it as PNG"),
        (b"gimp xcf", "a GIMP document (XCF); save it as PNG"),
        (b"Pf\n", "a portable floatmap (PFM), which is not supported; save it as TIFF"),
        (b"PF\n", "a portable floatmap (PFM), which is not supported; save it as TIFF"),
        (b"SIMPLE  =", "a FITS file, which is not supported; save it as TIFF"),
        (b"FUJIFILMCCD-RAW", "a camera's raw file; save it as TIFF or PNG with a raw converter"),
        (b"IIRO", "a camera's raw file; save it as TIFF or PNG with a raw converter"),
        (b"IIU\0", "a camera's raw file; save it as TIFF or PNG with a raw converter"),
        (b"\xd7\xcd\xc6\x9a", "a Windows metafile (WMF); save it as PNG"),
        (b"PK\x03\x04", "a zip archive"),
        (b"PK\x05\x06", "an empty zip archive"),
        (b"\x1f\x8b", "packed with gzip"),
        (b"BZh", "packed with bzip2; unpack it first"),
        (b"\xfd7zXZ\0", "packed with xz; unpack it first"),
        (b"\x28\xb5\x2f\xfd", "packed with Zstandard; unpack it first"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
        (b"Rar!\x1a\x07", "a RAR archive; unpack it first"),
        (b"\x93NUMPY", "a NumPy array"),
        (b"\x89HDF\r\n", "an HDF5 file"),
        (b"MATLAB 5.0", "a MATLAB file"),
        (b"PAR1", "a Parquet file"),
        (b"SQLite format 3", "an SQLite database"),
        (b"\x1a\x45\xdf\xa3", "a video (Matroska or WebM); save its frames as PNG"),
        (b"\x7fELF", "a program"),
        (b"ID3", "a sound (MP3)"),
    ];
    if let Some((_, kind)) = starts.into_iter().find(|(start, _)| head.starts_with(start)) {
        return Some(kind);
    }
    match (head.get(..4), head.get(8..12)) {
        (Some(b"RIFF"), Some(b"AVI ")) => return Some("a video (AVI); save its frames as PNG"),
        (Some(b"RIFF"), Some(b"WAVE")) => return Some("a sound (WAV)"),
        _ => {}
    }
    if head.get(128..132) == Some(b"DICM") {
        return Some("a DICOM file, which is not supported; save it as 16-bit PNG or TIFF");
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some("a tar archive");
    }
    text(head)
}

/// Files that begin with an ISO base media box `ftyp`: newer picture formats, and videos.
fn iso_media(head: &[u8]) -> Option<&'static str> {
    let brands =
        head.get(4..).filter(|rest| rest.starts_with(b"ftyp")).and_then(|rest| rest.get(4..rest.len().min(60)))?;
    let has = |brand: &[u8]| brands.chunks(4).any(|known| known.eq_ignore_ascii_case(brand));
    Some(if has(b"avif") || has(b"avis") {
        "an AVIF picture, which is not supported; save it as PNG or JPEG"
    } else if [b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"].iter().any(|brand| has(*brand)) {
        "an HEIC picture, which is not supported; save it as PNG or JPEG"
    } else if brands.starts_with(b"crx ") {
        "a camera's raw file (CR3); save it as TIFF or PNG with a raw converter"
    } else {
        "a video (MP4 or MOV); save its frames as PNG"
    })
}

fn text(head: &[u8]) -> Option<&'static str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The last character may be cut off.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    if text.chars().any(|letter| letter.is_control() && !letter.is_ascii_whitespace()) {
        return None;
    }
    let start = text.trim_start_matches(['\u{feff}', ' ', '\n', '\r', '\t']).to_ascii_lowercase();
    let marked = start.starts_with('<');
    Some(if marked && (start.contains("<html") || start.contains("<!doctype html") || start.contains("<head")) {
        "a web page (HTML): the server sent a page instead of the file; download it again"
    } else if marked && start.contains("<svg") {
        "an SVG drawing, which is not supported; save it as PNG"
    } else if marked {
        "an XML text"
    } else if start.starts_with(['{', '[']) {
        "a JSON text"
    } else {
        TEXT
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_types_are_recognized_by_their_first_bytes() {
        for (bytes, format) in [
            (&b"\x89PNG\r\n\x1a\n...."[..], PictureFileFormat::Png),
            (b"\xff\xd8\xff\xe0", PictureFileFormat::Jpeg),
            (b"GIF89a", PictureFileFormat::Gif),
            (b"RIFF\0\0\0\0WEBPVP8 ", PictureFileFormat::WebP),
            (b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", PictureFileFormat::Bmp),
            (b"MM\0*\0\0\0\x08", PictureFileFormat::Tiff),
            (b"P5\n2 2", PictureFileFormat::Pnm),
            (b"P6#by hand", PictureFileFormat::Pnm),
        ] {
            assert_eq!(picture_format(bytes), Some(format));
        }
        for (bytes, said) in [
            (&b""[..], "empty"),
            (&[0; 900], "zeros"),
            (b"<!DOCTYPE html><html>", "web page"),
            (b"\n\n<html lang=\"en\">", "web page"),
            (b"<?xml version=\"1.0\"?>\n<svg xmlns=\"\">", "SVG"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "Git LFS"),
            (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1", "AVIF"),
            (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "AVIF"),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
            (b"\0\0\0\x18ftypisom\0\0\0\0isommp41", "video"),
            (b"%PDF-1.7", "PDF"),
            (b"{\"error\": \"not found\"}", "JSON"),
            (b"Not Found", "a text"),
            (b"BMW and other cars", "a text"),
            (b"P5 is a magic number", "a text"),
            (b"PK\x03\x04\x14\0", "zip"),
        ] {
            assert!(describe(bytes).is_some_and(|kind| kind.contains(said)), "{said}: {:?}", describe(bytes));
        }
        assert_eq!((picture_format(b"BMW and other cars, and more"), picture_format(b"\x01\x02\x03")), (None, None));
        assert_eq!(describe(b"\x01\x02\x03"), None);
    }
}
