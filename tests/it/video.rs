//! Videos play: the MP4 that a walk is written as is taken apart and decoded here, down to its pixels.
//!
//! A real decoder would need a C library. None is necessary: every macroblock is I_PCM, which stores samples as they are, so a
//! few hundred bits of headers (ITU-T H.264, sections 7.3.2 to 7.3.5) are all that has to be parsed.

use zscape::image::{Picture, write_mp4};

/// A frame: luma at full size, and both chroma planes at half, row by row and cropped as the sequence says.
struct Frame {
    width: usize,
    height: usize,
    planes: [Vec<u8>; 3],
}

/// A video as its containers describe it.
struct Video {
    size: [usize; 2],
    /// Frames a second.
    rate: f64,
    frames: Vec<Frame>,
}

fn number(bytes: &[u8], at: usize, length: usize) -> usize {
    bytes[at..at + length].iter().fold(0, |value, &byte| value << 8 | usize::from(byte))
}

/// The payloads of the boxes in `bytes` (ISO 14496-12, section 4.2), which must fill it.
fn boxes(bytes: &[u8]) -> Vec<([u8; 4], &[u8])> {
    let mut boxes = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = number(bytes, at, 4);
        boxes.push((bytes[at + 4..at + 8].try_into().unwrap(), &bytes[at + 8..at + length]));
        at += length;
    }
    assert_eq!(at, bytes.len(), "the last box ends with its parent");
    boxes
}

/// The payload of the box that the names lead to, one inside the other.
fn find<'a>(bytes: &'a [u8], names: &[&[u8; 4]]) -> &'a [u8] {
    names.iter().fold(bytes, |bytes, &name| {
        let mut all = boxes(bytes).into_iter().filter(|(found, _)| found == name);
        all.next().unwrap_or_else(|| panic!("no box {}", String::from_utf8_lossy(name))).1
    })
}

/// The 32-bit entries of a table with a header of `header` bytes whose last four are their number.
fn table(bytes: &[u8], header: usize, width: usize) -> Vec<Vec<usize>> {
    let count = number(bytes, header - 4, 4);
    assert_eq!(bytes.len(), header + count * width * 4, "the table has the length that it says");
    bytes[header..].chunks(width * 4).map(|row| (0..width).map(|i| number(row, i * 4, 4)).collect()).collect()
}

/// Reads bits, the most significant first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> usize {
        let bit = self.bytes[self.at / 8] >> (7 - self.at % 8) & 1;
        self.at += 1;
        usize::from(bit)
    }

    fn bits(&mut self, count: usize) -> usize {
        (0..count).fold(0, |value, _| value << 1 | self.bit())
    }

    /// Skips this many Exp-Golomb codes.
    fn skip_golomb(&mut self, count: usize) {
        for _ in 0..count {
            self.golomb();
        }
    }

    /// An Exp-Golomb code, ue(v); se(v) is as long.
    fn golomb(&mut self) -> usize {
        let mut zeros = 0;
        while self.bit() == 0 {
            zeros += 1;
        }
        (1 << zeros) - 1 + self.bits(zeros)
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }

    fn bytes(&mut self, count: usize) -> &[u8] {
        let start = self.at / 8;
        self.at += count * 8;
        &self.bytes[start..start + count]
    }
}

/// The payload of a NAL unit, without the bytes that keep it from looking like a start code.
fn payload(unit: &[u8]) -> Vec<u8> {
    let mut payload: Vec<u8> = Vec::new();
    let mut zeros = 0;
    for &byte in &unit[1..] {
        assert!(zeros < 2 || byte > 2, "a start code inside a unit");
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        payload.push(byte);
    }
    payload
}

/// What the sequence parameter set (7.3.2.1.1) says, as far as slices need it.
struct Sequence {
    frame_num_bits: usize,
    order_bits: usize,
    /// Macroblocks.
    columns: usize,
    rows: usize,
    /// Samples cut off at the right and at the bottom.
    crop: [usize; 2],
}

fn sequence(unit: &[u8]) -> Sequence {
    assert_eq!(unit[0] & 31, 7, "a sequence parameter set");
    let payload = payload(unit);
    assert_eq!(payload[0], 66, "the baseline profile: 4:2:0 at 8 bits");
    let mut bits = Bits { bytes: &payload, at: 24 };
    bits.golomb();
    let frame_num_bits = bits.golomb() + 4;
    assert_eq!(bits.golomb(), 0, "pic_order_cnt_type");
    let order_bits = bits.golomb() + 4;
    bits.golomb();
    bits.bit();
    let (columns, rows) = (bits.golomb() + 1, bits.golomb() + 1);
    assert_eq!(bits.bit(), 1, "frames, no fields");
    bits.bit();
    let crop = if bits.bit() == 1 { [(); 4].map(|()| bits.golomb() * 2) } else { [0; 4] };
    assert_eq!((crop[0], crop[2]), (0, 0), "nothing is cut off at the left and at the top");
    Sequence { frame_num_bits, order_bits, columns, rows, crop: [crop[1], crop[3]] }
}

/// Whether the picture parameter set (7.3.2.2) has slices say how they are deblocked.
fn deblocking_is_controlled(unit: &[u8]) -> bool {
    assert_eq!(unit[0] & 31, 8, "a picture parameter set");
    let payload = payload(unit);
    let mut bits = Bits { bytes: &payload, at: 0 };
    bits.skip_golomb(2);
    assert_eq!(bits.bit(), 0, "CAVLC");
    bits.bit();
    assert_eq!(bits.golomb(), 0, "one slice group");
    bits.skip_golomb(2);
    bits.bits(3);
    bits.skip_golomb(3);
    bits.bit() == 1
}

/// An IDR slice that is a whole picture of I_PCM macroblocks (7.3.3 to 7.3.5).
fn slice(unit: &[u8], sequence: &Sequence, deblocking: bool) -> Frame {
    assert_eq!(unit[0] & 31, 5, "every frame is an IDR picture");
    let payload = payload(unit);
    let mut bits = Bits { bytes: &payload, at: 0 };
    assert_eq!(bits.golomb(), 0, "the slice starts at the first macroblock");
    assert_eq!(bits.golomb() % 5, 2, "an I slice");
    bits.golomb();
    bits.bits(sequence.frame_num_bits);
    bits.golomb();
    bits.bits(sequence.order_bits);
    bits.bits(2);
    bits.golomb();
    if deblocking && bits.golomb() != 1 {
        bits.skip_golomb(2);
    }
    let sides = [sequence.columns * 16, sequence.rows * 16];
    let mut planes = [1, 2, 2].map(|halved| vec![0; sides[0] / halved * (sides[1] / halved)]);
    for row in 0..sequence.rows {
        for column in 0..sequence.columns {
            assert_eq!(bits.golomb(), 25, "I_PCM at {column}, {row}");
            bits.align();
            for (plane, side) in planes.iter_mut().zip([16, 8, 8]) {
                for y in 0..side {
                    let at = (row * side + y) * sequence.columns * side + column * side;
                    plane[at..at + side].copy_from_slice(bits.bytes(side));
                }
            }
        }
    }
    assert_eq!(bits.bit(), 1, "the stop bit");
    bits.align();
    assert_eq!(bits.at, payload.len() * 8, "nothing follows");
    let [width, height] = [0, 1].map(|i| sides[i] - sequence.crop[i]);
    let cropped = |plane: &[u8], halved: usize| -> Vec<u8> {
        plane.chunks(sides[0] / halved).take(height / halved).flat_map(|row| &row[..width / halved]).copied().collect()
    };
    let planes = [cropped(&planes[0], 1), cropped(&planes[1], 2), cropped(&planes[2], 2)];
    Frame { width, height, planes }
}

/// Decodes a whole MP4 file.
fn decode(file: &[u8]) -> Video {
    assert_eq!(boxes(file)[0].0, *b"ftyp", "the file type comes first");
    find(file, &[b"mdat"]);
    let media = find(file, &[b"moov", b"trak", b"mdia"]);
    let header = find(media, &[b"mdhd"]);
    assert_eq!(header[0], 0, "32-bit times");
    let (timescale, duration) = (number(header, 12, 4), number(header, 16, 4));
    let samples = find(media, &[b"minf", b"stbl"]);
    let description = find(samples, &[b"stsd"]);
    let entry = find(&description[8..], &[b"avc1"]);
    let size = [number(entry, 24, 2), number(entry, 26, 2)];
    let config = find(&entry[78..], &[b"avcC"]);
    assert_eq!((config[4] & 3, config[5] & 31), (3, 1), "lengths of four bytes, one sequence");
    let first = number(config, 6, 2);
    let sequence = sequence(&config[8..8 + first]);
    let second = number(config, 9 + first, 2);
    let deblocking = deblocking_is_controlled(&config[11 + first..11 + first + second]);

    let sizes: Vec<usize> = table(find(samples, &[b"stsz"]), 12, 1).concat();
    let chunks: Vec<usize> = table(find(samples, &[b"stco"]), 8, 1).concat();
    let runs = table(find(samples, &[b"stsc"]), 8, 3);
    let times = table(find(samples, &[b"stts"]), 8, 2);
    assert_eq!(times.iter().map(|run| run[0]).sum::<usize>(), sizes.len(), "every frame has a duration");
    assert_eq!(times.iter().map(|run| run[0] * run[1]).sum::<usize>(), duration, "which add up to the track's");
    let mut frames = Vec::new();
    let mut rest = sizes.iter();
    for (i, &chunk) in chunks.iter().enumerate() {
        let run = runs.iter().rev().find(|run| run[0] <= i + 1).expect("chunk numbers start at one");
        let mut at = chunk;
        for &size in rest.by_ref().take(run[1]) {
            let sample = &file[at..at + size];
            at += size;
            let mut slices = Vec::new();
            let mut place = 0;
            while place < sample.len() {
                let length = number(sample, place, 4);
                slices.push(&sample[place + 4..place + 4 + length]);
                place += 4 + length;
            }
            slices.retain(|unit| unit[0] & 31 <= 5);
            assert_eq!(slices.len(), 1, "one slice is the whole picture");
            frames.push(slice(slices[0], &sequence, deblocking));
        }
    }
    assert_eq!(frames.len(), sizes.len(), "the chunks hold all frames");
    Video { size, rate: timescale as f64 * sizes.len() as f64 / duration as f64, frames }
}

/// The pixel's luma and chroma by BT.601 in full range.
fn components(pixel: [f32; 3]) -> [f32; 3] {
    let [r, g, b] = pixel;
    let luma = 0.299 * r + 0.587 * g + 0.114 * b;
    [luma, 128.0 + (b - luma) / 1.772, 128.0 + (r - luma) / 1.402]
}

/// Asserts that a frame shows `picture`, to rounding.
fn assert_shows(frame: &Frame, picture: &Picture, what: &str) {
    let pixel = |x: usize, y: usize| {
        let (x, y) = (x.min(picture.width() - 1), y.min(picture.height() - 1));
        let at = (y * picture.width() + x) * picture.channels();
        [0, 1, 2].map(|c| f32::from(picture.pixels()[at + c.min(picture.channels() - 1)]))
    };
    for y in 0..frame.height {
        for x in 0..frame.width {
            let difference = f32::from(frame.planes[0][y * frame.width + x]) - components(pixel(x, y))[0];
            assert!(difference.abs() < 0.51, "luma at {x}, {y} of {what} differs by {difference}");
        }
    }
    let half = frame.width / 2;
    for at in 0..half * (frame.height / 2) {
        let (x, y) = (at % half * 2, at / half * 2);
        let four = [pixel(x, y), pixel(x + 1, y), pixel(x, y + 1), pixel(x + 1, y + 1)];
        let mean = components([0, 1, 2].map(|c| four.iter().map(|pixel| pixel[c]).sum::<f32>() / 4.0));
        for (plane, expected) in [(1, mean[1]), (2, mean[2])] {
            let difference = f32::from(frame.planes[plane][at]) - expected.clamp(0.0, 255.0);
            assert!(difference.abs() < 0.51, "chroma {plane} at {x}, {y} of {what} differs by {difference}");
        }
    }
}

#[test]
fn a_written_video_decodes_to_its_frames() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("walk.mp4");
    // Sides that are no multiple of a macroblock's, and an odd one; runs of zeros, which need escaping.
    for (width, height, channels, zoom) in [(32, 16, 3, 1), (20, 12, 3, 3), (7, 5, 3, 1), (16, 16, 1, 2)] {
        let picture = |i: usize| {
            let pixel = |p: usize| if p.is_multiple_of(3) { 0 } else { ((p * p + i * 61) % 256) as u8 };
            let dark = vec![0; width * height * channels];
            let pixels = if i == 1 { dark } else { (0..width * height * channels).map(pixel).collect() };
            Picture::new(width, height, channels, pixels)
        };
        let pictures: Vec<Picture> = (0..5).map(picture).collect();
        write_mp4(&path, &pictures, 20, zoom).unwrap();
        let video = decode(&std::fs::read(&path).unwrap());
        let even = [width, height].map(|side| (side * zoom).next_multiple_of(2));
        assert_eq!(video.size, even);
        assert!((video.rate - 20.0).abs() < 0.01, "{} frames a second", video.rate);
        assert_eq!(video.frames.len(), pictures.len());
        for (i, (frame, picture)) in video.frames.iter().zip(&pictures).enumerate() {
            assert_eq!([frame.width, frame.height], even);
            assert_shows(frame, &picture.enlarged(zoom), &format!("frame {i} of {width}x{height}"));
        }
    }
}
