//! Orientation of a picture: from EXIF, or from XMP if EXIF has none.

use image::metadata::Orientation;

/// Header that JPEG requires before EXIF, and that some programs write in any format.
const EXIF_HEAD: &[u8] = b"Exif\0\0";
/// The same field in XMP.
const XMP_NAME: &[u8] = b"tiff:Orientation";

/// The orientation stored in metadata.
pub(crate) fn orientation(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> Orientation {
    exif.and_then(of_exif).or_else(|| xmp.and_then(of_xmp)).unwrap_or(Orientation::NoTransforms)
}

fn of_exif(mut exif: &[u8]) -> Option<Orientation> {
    while let Some(behind) = exif.strip_prefix(EXIF_HEAD) {
        exif = behind;
    }
    Orientation::from_exif_chunk(exif)
}

/// Finds `tiff:Orientation="6"` or `<tiff:Orientation>6<`.
fn of_xmp(xmp: &[u8]) -> Option<Orientation> {
    let is_space = |byte: &u8| byte.is_ascii_whitespace();
    let mut rest = xmp;
    while let Some(at) = rest.windows(XMP_NAME.len()).position(|window| window == XMP_NAME) {
        rest = &rest[at + XMP_NAME.len()..];
        let mut value = rest.iter().skip_while(|byte| is_space(byte) || matches!(byte, b'=' | b'>' | b'"' | b'\''));
        let digit = value.next().copied().unwrap_or(0);
        let ends = value.next().is_none_or(|byte| !byte.is_ascii_digit());
        if ends && let Some(found) = Orientation::from_exif(digit.wrapping_sub(b'0')) {
            return Some(found);
        }
    }
    None
}

/// Whether this orientation swaps width and height.
pub(crate) fn swaps(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An EXIF block with nothing but an orientation.
    pub(super) fn exif(mark: u8) -> Vec<u8> {
        [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", &[mark, 0, 0, 0, 0, 0, 0, 0][..]].concat()
    }

    #[test]
    fn exif_counts_with_and_without_its_head_and_before_xmp() {
        let attribute = br#"<rdf:Description tiff:Orientation="8" tiff:Make="x"/>"#.as_slice();
        let element = b"<tiff:Orientation> 3 </tiff:Orientation>".as_slice();
        let headed = [EXIF_HEAD, &exif(6)].concat();
        assert_eq!(orientation(Some(&exif(6)), None), Orientation::Rotate90);
        assert_eq!(orientation(Some(&headed), Some(attribute)), Orientation::Rotate90);
        assert_eq!(orientation(Some(&exif(1)), Some(attribute)), Orientation::NoTransforms);
        assert_eq!(orientation(None, Some(attribute)), Orientation::Rotate270);
        assert_eq!(orientation(Some(b"II*\0\x08\0\0\0\0\0"), Some(element)), Orientation::Rotate180);
        for none in
            [&b""[..], b"tiff:Orientation", b"tiff:Orientation=\"12\"", b"tiff:Orientation=\"0\"", b"Orientation=\"6\""]
        {
            assert_eq!(orientation(Some(none), Some(none)), Orientation::NoTransforms, "{none:?}");
        }
    }
}
