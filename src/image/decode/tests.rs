//! Files of every format: whole, cut off, deep, turned, and of other kinds.

use super::*;

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

fn png(picture: impl Into<DynamicImage>) -> Vec<u8> {
    encoded(&picture.into(), ImageFormat::Png)
}

fn read(bytes: &[u8]) -> Picture {
    decode(bytes, &DecodeOptions::default()).unwrap().picture
}

#[test]
fn transparency_is_laid_on_the_background_and_reported() {
    let clear = png(image::RgbaImage::from_pixel(2, 2, Rgba([0, 0, 0, 0])));
    let Decoded { picture, treatment } = decode(&clear, &DecodeOptions::default()).unwrap();
    assert_eq!(picture.pixels(), [255; 12]);
    assert!(treatment.alpha && treatment.flattened && treatment.channels == 3, "{treatment:?}");
    let red = DecodeOptions { background: [200, 0, 0], ..DecodeOptions::default() };
    assert_eq!(decode(&clear, &red).unwrap().picture.pixels(), [200, 0, 0].repeat(4));
    // Gray with alpha stays gray on a gray background.
    let gray = png(image::GrayAlphaImage::from_raw(2, 1, vec![10, 255, 10, 0]).unwrap());
    let Decoded { picture, treatment } = decode(&gray, &DecodeOptions::default()).unwrap();
    assert_eq!((picture.channels(), picture.pixels()), (1, &[10, 255][..]));
    assert!(treatment.flattened && treatment.channels == 1);
    let on_red = decode(&gray, &red).unwrap().picture;
    assert_eq!((on_red.channels(), on_red.pixels()), (3, &[10, 10, 10, 200, 0, 0][..]));
    let opaque = png(image::RgbaImage::from_pixel(2, 2, Rgba([1, 2, 3, 255])));
    let treatment = decode(&opaque, &red).unwrap().treatment;
    assert!(treatment.alpha && !treatment.flattened, "{treatment:?}");
    assert!(decode(&clear[..20], &red).is_err() && decode(b"", &red).is_err());
}

#[test]
fn sixteen_bits_become_eight() {
    let deep = ImageBuffer::<image::Luma<u16>, _>::from_pixel(2, 2, image::Luma([0x8080]));
    assert_eq!(read(&png(DynamicImage::ImageLuma16(deep))), Picture::new(2, 2, 1, vec![0x80; 4]));
}

#[test]
fn a_picture_of_absurd_size_is_refused_before_it_fills_the_memory() {
    // A header needs no more than these bytes to announce 90 GB.
    let header = [&300_000u32.to_be_bytes()[..], &300_000u32.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    let small = png(image::GrayImage::new(1, 1));
    let huge = [&small[..8], &with_chunk(&small, b"IHDR", &header, false)[33..58], &small[33..]].concat();
    let cause = error(&huge).to_string();
    assert!(cause.contains("300000x300000") && cause.contains("512 MiB"), "{cause}");
    assert!(matches!(error(b"P5 300000 300000 255\n"), DecodeError::CutOff(_)));
}

fn error(bytes: &[u8]) -> DecodeError {
    decode(bytes, &DecodeOptions::default()).expect_err("it is refused")
}

/// A gradient with some noise, so that no packing makes it nothing.
fn pattern(width: u32, height: u32, channels: usize) -> Vec<u8> {
    (0..width * height * channels as u32).map(|i| (i * 7 + i * i % 13) as u8).collect()
}

fn whole_files() -> Vec<(&'static str, Vec<u8>)> {
    use image::ImageFormat::{Bmp, Gif, Png, Tiff, WebP};
    let color = dynamic(20, 16, 3, pattern(20, 16, 3));
    let gray = dynamic(20, 16, 1, pattern(20, 16, 1));
    let pixels = |header: &str, count: usize| [header.as_bytes(), &pattern(count as u32, 1, 1)].concat();
    let numbers = |header: &str, count: usize, most: u8| {
        let numbers = pattern(count as u32, 1, 1).into_iter().map(|value| (value % (most + 1)).to_string() + "\n");
        [header.to_owned(), numbers.collect()].concat().into_bytes()
    };
    // Two runs a row of four pixels, an end mark for each row and one for the picture.
    let mut runs = vec![0; 54 + 1024];
    runs[..2].copy_from_slice(b"BM");
    for (at, value) in [(10, 54 + 1024), (14, 40), (18, 4), (22, 4), (28, 8 << 16 | 1), (30, 1)] {
        runs[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
    }
    runs[26] = 1;
    runs[28..30].copy_from_slice(&[8, 0]);
    (0..4).for_each(|row| runs.extend([3, row, 1, 9, 0, 0]));
    runs.extend([0, 1]);
    let animated = {
        let mut gif = Vec::new();
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut gif);
        for shade in [9, 200] {
            encoder
                .encode(
                    &pattern(12, 12, 3).iter().map(|byte| byte ^ shade).collect::<Vec<_>>(),
                    12,
                    12,
                    image::ExtendedColorType::Rgb8,
                )
                .unwrap();
        }
        drop(encoder);
        gif
    };
    vec![
        ("png", encoded(&color, Png)),
        ("gray.png", encoded(&gray, Png)),
        ("gif", encoded(&dynamic(20, 16, 4, pattern(20, 16, 4)), Gif)),
        ("animated.gif", animated),
        ("webp", encoded(&color, WebP)),
        ("bmp", encoded(&color, Bmp)),
        ("gray.bmp", encoded(&gray, Bmp)),
        ("runs.bmp", runs),
        ("tif", encoded(&color, Tiff)),
        ("gray.tif", encoded(&gray, Tiff)),
        ("planes.tif", planar(false)),
        ("big-endian.tif", planar(true)),
        ("p1", numbers("P1 8 8\n", 64, 1)),
        ("p2", numbers("P2 # by hand\n8 8\n9\n", 64, 9)),
        ("p3", numbers("P3\n4 4\n7\n", 48, 7)),
        ("p4", pixels("P4\n20 16\n", 48)),
        ("p5", pixels("P5\n20 16\n255\n", 320)),
        ("deep.p5", pixels("P5 20 16 4095\n", 640)),
        ("p6", pixels("P6\n20 16\n255\n", 960)),
        ("pam", pixels("P7\nWIDTH 20\nHEIGHT 16\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n", 960)),
        ("full.jpg", include_bytes!("../../../tests/jpegs/full.jpg").to_vec()),
        ("half.jpg", include_bytes!("../../../tests/jpegs/half.jpg").to_vec()),
        ("restarts.jpg", include_bytes!("../../../tests/jpegs/restarts.jpg").to_vec()),
        ("grey.jpg", include_bytes!("../../../tests/jpegs/grey.jpg").to_vec()),
        ("turned.jpg", include_bytes!("../../../tests/jpegs/turned.jpg").to_vec()),
        ("progressive.jpg", include_bytes!("../../../tests/jpegs/progressive.jpg").to_vec()),
        ("rgb.jpg", include_bytes!("../../../tests/jpegs/rgb.jpg").to_vec()),
        ("cmyk.jpg", include_bytes!("../../../tests/jpegs/cmyk.jpg").to_vec()),
    ]
}

/// Tiles of 16x16 in three planes, of a picture of 20x20 pixels: each plane of one value, 40, 80 and 120.
fn planar(big_endian: bool) -> Vec<u8> {
    let put = |file: &mut Vec<u8>, number: u32, width: usize| match big_endian {
        true => file.extend(&number.to_be_bytes()[4 - width..]),
        false => file.extend(&number.to_le_bytes()[..width]),
    };
    let (tiles, directory) = (8 + 12 * 256, 8 + 12 * 256 + 96 + 6);
    let mut file = if big_endian { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
    put(&mut file, directory, 4);
    (0..12).for_each(|tile| file.extend([40 * (tile / 4 + 1); 256]));
    (0..12).for_each(|tile| put(&mut file, 8 + tile * 256, 4));
    (0..12).for_each(|_| put(&mut file, 256, 4));
    (0..3).for_each(|_| put(&mut file, 8, 2));
    let tags = [
        (256, 4, 1, 20),
        (257, 4, 1, 20),
        (258, 3, 3, tiles + 96),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (277, 3, 1, 3),
        (284, 3, 1, 2),
        (322, 4, 1, 16),
        (323, 4, 1, 16),
        (324, 4, 12, tiles),
        (325, 4, 12, tiles + 48),
    ];
    put(&mut file, tags.len() as u32, 2);
    for (tag, kind, count, value) in tags {
        put(&mut file, tag, 2);
        put(&mut file, kind, 2);
        put(&mut file, count, 4);
        if kind == 3 && count == 1 {
            put(&mut file, value, 2);
            put(&mut file, 0, 2);
        } else {
            put(&mut file, value, 4);
        }
    }
    put(&mut file, 0, 4);
    file
}

#[test]
fn a_file_that_ends_early_is_cut_off_wherever_it_ends() {
    for (name, bytes) in whole_files() {
        assert!(decode(&bytes, &DecodeOptions::default()).is_ok(), "{name}: {:?}", error(&bytes));
        // What comes behind the end does not matter.
        assert!(decode(&[&bytes[..], b"more"].concat(), &DecodeOptions::default()).is_ok(), "{name} with more");
        // The last line feed of numbers, and what fills up a row, are no pixels.
        let end = bytes.len() - if name.starts_with('p') && name.len() == 2 && &name[1..] < "4" { 2 } else { 1 };
        for cut in (20..end).step_by((end / 150).max(1)).chain(end - 12..end) {
            let cause = decode(&bytes[..cut], &DecodeOptions::default()).err();
            let cause = cause.unwrap_or_else(|| panic!("{name}: {cut} of {} bytes are no whole file", bytes.len()));
            assert!(matches!(cause, DecodeError::CutOff(_)), "{name}, {cut} of {}: {cause}", bytes.len());
        }
        // A copy that was begun at full length, and not finished.
        let mut hollow = bytes.clone();
        let half = hollow.len() / 2;
        hollow[half..].fill(0);
        if name.ends_with(".jpg") || name.ends_with("png") || name.ends_with("gif") {
            assert!(decode(&hollow, &DecodeOptions::default()).is_err(), "{name} that ends in zeros");
        }
    }
}

#[test]
fn a_jpeg_whose_end_is_only_marked_is_cut_off_too() {
    for (name, bytes) in whole_files().into_iter().filter(|(name, _)| name.ends_with(".jpg")) {
        // In the middle of the codes of its first scan, since a progressive one may end after any of them.
        let scan = bytes.windows(2).position(|two| two == b"\xff\xda").unwrap();
        for cut in [scan + 20, scan + 40, scan + 60] {
            let bytes = [&bytes[..cut], b"\xff\xd9"].concat();
            let cause = error(&bytes).to_string();
            assert!(cause.contains("rows of pixels"), "{name}: {cause}");
        }
    }
}

#[test]
fn a_jpeg_with_codes_that_make_no_sense_is_damaged_and_not_cut_off() {
    let whole = include_bytes!("../../../tests/jpegs/full.jpg");
    let scan = whole.windows(2).position(|two| two == b"\xff\xda").unwrap();
    // Some changes are codes like others; none is a panic, and most make no sense later on.
    let damaged = |at: usize| {
        let mut bytes = whole.to_vec();
        bytes[at..at + 8].fill(0xfe);
        decode(&bytes, &DecodeOptions::default()).err()
    };
    let found: Vec<_> = (scan + 20..whole.len() - 20).step_by(40).filter_map(damaged).collect();
    assert!(
        found.iter().any(|cause| matches!(cause, DecodeError::Refused(what) if what.contains("damaged"))),
        "{found:?}"
    );
}

#[test]
fn tiled_planes_of_colors_are_put_together() {
    for big_endian in [false, true] {
        let Decoded { picture, treatment } = decode(&planar(big_endian), &DecodeOptions::default()).unwrap();
        assert_eq!((picture.width(), picture.height()), (20, 20));
        assert_eq!(picture.pixels(), [40, 80, 120].repeat(400));
        assert_eq!((treatment.channels, treatment.samples, treatment.alpha), (3, Samples::U8, false));
    }
}

/// A TIFF of one strip of gray, whose values are of a format: 1 unsigned, 2 signed, 3 floats.
fn strip(width: u32, bits: u32, format: u32, photometric: u32, extra: &[(u32, u32, u32)], values: &[u8]) -> Vec<u8> {
    let mut file = [b"II*\0", &(8 + values.len() as u32).to_le_bytes()[..], values].concat();
    let (count, height) = (values.len() as u32, values.len() as u32 * 8 / bits / width);
    let mut tags = vec![
        (256, 3, width),
        (257, 3, height),
        (258, 3, bits),
        (259, 3, 1),
        (262, 3, photometric),
        (273, 4, 8),
        (277, 3, 1),
        (279, 4, count),
        (339, 3, format),
    ];
    tags.extend_from_slice(extra);
    tags.sort_unstable();
    file.extend((tags.len() as u16).to_le_bytes());
    for (tag, kind, value) in tags {
        file.extend(
            [&(tag as u16).to_le_bytes()[..], &(kind as u16).to_le_bytes(), &1u32.to_le_bytes(), &value.to_le_bytes()]
                .concat(),
        );
    }
    file.extend([0; 4]);
    file
}

#[test]
fn deep_values_are_read_by_their_own_range_or_the_one_of_their_set() {
    let read_values = |bytes: &[u8], ranges: Ranges| {
        let Decoded { picture, treatment } =
            decode(bytes, &DecodeOptions { ranges, ..DecodeOptions::default() }).unwrap();
        (picture.pixels().to_vec(), treatment.samples, treatment.range.map(|range| (range.black, range.white)))
    };
    let words: Vec<u8> = [0u16, 1024, 2048, 4095].iter().flat_map(|value| value.to_le_bytes()).collect();
    let own = read_values(&strip(2, 16, 1, 1, &[], &words), Ranges::default());
    assert_eq!(own, (vec![0, 64, 128, 255], Samples::U16, Some((0.0, 4095.0))));
    let ranges = Ranges { words: Some(Range::WORD), ..Ranges::default() };
    assert_eq!(
        read_values(&strip(2, 16, 1, 1, &[], &words), ranges),
        (vec![0, 4, 8, 16], Samples::U16, Some((0.0, 65535.0)))
    );
    let signed: Vec<u8> = [-1000i16, 0, 1000, 500].iter().flat_map(|value| value.to_le_bytes()).collect();
    let own = read_values(&strip(2, 16, 2, 1, &[], &signed), Ranges::default());
    assert_eq!(own, (vec![0, 128, 255, 191], Samples::I16, Some((-1000.0, 1000.0))));
    let floats: Vec<u8> = [0.0f32, 0.25, 1.0, 0.5].iter().flat_map(|value| value.to_le_bytes()).collect();
    let own = read_values(&strip(2, 32, 3, 1, &[], &floats), Ranges::default());
    assert_eq!(own, (vec![0, 64, 255, 128], Samples::F32, Some((0.0, 1.0))));
    // A PNG, and a graymap that says itself that 4095 is white.
    let deep = ImageBuffer::<image::Luma<u16>, _>::from_raw(4, 1, vec![0, 300, 500, 1023]).unwrap();
    assert_eq!(read_values(&png(DynamicImage::ImageLuma16(deep)), Ranges::default()).0, [0, 75, 125, 255]);
    let dark = [&b"P5 2 1 4095\n"[..], &[0, 0, 1, 0]].concat();
    assert_eq!(read_values(&dark, Ranges::default()), (vec![0, 16], Samples::U16, Some((0.0, 65535.0))));
    assert_eq!(spread(&dark).unwrap(), None, "it says nothing of its set");
    let nan = strip(1, 32, 3, 1, &[], &f32::NAN.to_le_bytes());
    assert!(error(&nan).to_string().contains("no number"));
}

#[test]
fn palettes_few_bits_and_inverted_gray_of_tiffs_are_read() {
    assert_eq!(read(&strip(8, 1, 1, 0, &[], &[0b1010_0000])).pixels(), [0, 255, 0, 255, 255, 255, 255, 255]);
    assert_eq!(read(&strip(2, 4, 1, 1, &[], &[0x0f])).pixels(), [0, 255]);
    // All reds, all greens, all blues, behind the file.
    let mut file = strip(2, 1, 1, 3, &[(320, 3, 0)], &[0b0100_0000]);
    let palette: Vec<u8> = [0u16, 65535, 257, 514, 0, 0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let entry = file.windows(4).rposition(|four| four == b"\x40\x01\x03\0").unwrap();
    let at = (file.len() as u32).to_le_bytes();
    file[entry + 4..entry + 8].copy_from_slice(&6u32.to_le_bytes());
    file[entry + 8..entry + 12].copy_from_slice(&at);
    file.extend(palette);
    assert_eq!(read(&file).pixels()[..6], [0, 1, 0, 255, 2, 0]);
    // Half transparent and multiplied by that: 100 is 200, of which half is laid on white.
    let mut multiplied = strip(2, 8, 1, 1, &[(338, 3, 1)], &[100, 128]);
    for (tag, value) in [(256u16, 1u8), (277, 2)] {
        let entry = multiplied.windows(4).rposition(|four| four == [&tag.to_le_bytes()[..], &[3, 0]].concat()).unwrap();
        multiplied[entry + 8] = value;
    }
    assert_eq!(read(&multiplied).pixels(), [227]);
    let raw = strip(1, 8, 1, 1, &[(50706, 4, 1)], &[1]);
    assert!(error(&raw).to_string().contains("raw converter"));
    let lab = strip(1, 8, 1, 8, &[], &[1]);
    assert!(matches!(error(&lab), DecodeError::Refused(_)));
}

/// An EXIF block that holds nothing but an orientation.
fn exif(mark: u8) -> Vec<u8> {
    [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", &[mark, 0, 0, 0, 0, 0, 0, 0][..]].concat()
}

const XMP: &[u8] = br#"<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>"#;

/// White on the left, which mark 6 turns to the top.
fn half() -> DynamicImage {
    dynamic(4, 2, 3, (0..8).flat_map(|i| [if i % 4 < 2 { 255 } else { 0 }; 3]).collect())
}

fn with_chunk(png: &[u8], name: &[u8; 4], content: &[u8], late: bool) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(name);
    crc.update(content);
    let chunk = [&(content.len() as u32).to_be_bytes()[..], name, content, &crc.sum().to_be_bytes()].concat();
    // Behind the header, or before the end.
    let at = if late { png.len() - 12 } else { 33 };
    [&png[..at], &chunk, &png[at..]].concat()
}

fn with_riff(webp: &[u8], name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    // An extended header that announces EXIF or XMP, and a canvas of 4x2.
    let announced = if name == b"EXIF" { 8 } else { 4 };
    let header = [&b"VP8X\x0a\0\0\0"[..], &[announced, 0, 0, 0, 3, 0, 0, 1, 0, 0]].concat();
    let mut body = [b"WEBP", &header[..], &webp[12..], name, &(content.len() as u32).to_le_bytes(), content].concat();
    body.resize(body.len().next_multiple_of(2), 0);
    [b"RIFF", &(body.len() as u32).to_le_bytes()[..], &body].concat()
}

#[test]
fn orientation_is_obeyed_wherever_a_file_keeps_it() {
    let png = png(half());
    let webp = encoded(&half(), ImageFormat::WebP);
    let itxt = [b"XML:com.adobe.xmp\0\0\0\0\0", XMP].concat();
    let raw = {
        let digits: String = exif(6).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("Raw profile type exif\0\nexif\n{:8}\n{digits}\n", exif(6).len()).into_bytes()
    };
    let headed = [b"Exif\0\0", &exif(6)[..]].concat();
    let mut jpeg = encoded(&half(), ImageFormat::Jpeg);
    let xmp = [b"http://ns.adobe.com/xap/1.0/\0", XMP].concat();
    let segment = [b"\xff\xe1", &(xmp.len() as u16 + 2).to_be_bytes()[..], &xmp].concat();
    jpeg.splice(2..2, segment);
    for (name, bytes) in [
        ("eXIf", with_chunk(&png, b"eXIf", &exif(6), false)),
        ("eXIf behind the pixels", with_chunk(&png, b"eXIf", &headed, true)),
        ("iTXt", with_chunk(&png, b"iTXt", &itxt, false)),
        ("iTXt behind the pixels", with_chunk(&png, b"iTXt", &itxt, true)),
        ("a raw profile", with_chunk(&png, b"tEXt", &raw, false)),
        ("WebP's EXIF", with_riff(&webp, b"EXIF", &exif(6))),
        ("WebP's EXIF with a head", with_riff(&webp, b"EXIF", &headed)),
        ("WebP's XMP", with_riff(&webp, b"XMP ", XMP)),
        ("JPEG's XMP", jpeg),
        ("TIFF's tag", strip(4, 8, 1, 1, &[(274, 3, 6)], &[255, 255, 0, 0, 255, 255, 0, 0])),
    ] {
        let Decoded { picture, treatment } = decode(&bytes, &DecodeOptions::default()).unwrap();
        assert_eq!((picture.width(), picture.height(), treatment.turned), (2, 4, true), "{name}");
        assert_eq!(treatment.full, [2, 4], "{name}");
        let each = picture.channels();
        assert!(picture.pixels()[0] > 240 && picture.pixels()[7 * each] < 16, "{name}: {:?}", picture.pixels());
    }
    assert_eq!(read(&png).width(), 4);
}

#[test]
fn what_is_no_picture_is_named_whatever_its_ending() {
    for (bytes, said) in [
        (&b"<!doctype html><html><title>404</title>"[..], "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miaf", "AVIF"),
        (b"", "empty"),
        (b"\x07\x08\x09", "07 08 09"),
    ] {
        let cause = error(bytes);
        assert!(matches!(cause, DecodeError::NotAPicture(_)) && cause.to_string().contains(said), "{cause}");
    }
}

#[test]
fn a_panic_is_an_error_with_its_text() {
    let cause = DecodeError::Panic("index out of bounds".to_owned()).to_string();
    assert!(cause.contains("index out of bounds") && cause.contains("PNG"), "{cause}");
}
