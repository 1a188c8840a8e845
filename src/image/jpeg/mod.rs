//! JPEG decoding at reduced size: computes only as many pixels of each 8x8 block as are needed.
//!
//! Supports what nearly all files are: baseline Huffman-coded gray or YCbCr in one scan, intact. Everything else,
//! damaged files in particular, is left to the full-size decoder.

mod bits;
mod transform;
mod whole;

use self::bits::{Bits, Huffman, ZIGZAG};
use self::transform::{Shrink, color};
pub(crate) use self::whole::{Flaw, check};

/// Pixels of a side that a block of 8x8 is shrunk to at most. With more, colors that are stored at half the resolution would
/// need more than eight, and what is saved is little.
const MOST: usize = 4;
/// Maximum size of the decoded picture in bytes.
const LIMIT: usize = super::LIMIT as usize;
/// Prefix of an XMP packet.
const XMP_HEAD: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

/// A picture at reduced size.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReducedJpeg {
    /// Scale in eighths.
    pub scale: usize,
    /// Size in the file.
    pub full: [usize; 2],
    /// Reduced size: that of the file times the scale, rounded up.
    pub size: [usize; 2],
    /// 1 (gray) or 3 (red, green, blue).
    pub channels: usize,
    /// `[height, width, channels]`.
    pub pixels: Vec<u8>,
    /// EXIF, if present.
    pub exif: Option<Vec<u8>>,
    /// XMP packet, if present.
    pub xmp: Option<Vec<u8>>,
}

/// Decodes a JPEG at the smallest scale that is `enough`; `None` if the full-size decoder should read it.
pub(crate) fn decode(bytes: &[u8], enough: &Enough) -> Option<ReducedJpeg> {
    let mut headers = Headers::default();
    let data = headers.read(bytes, enough)?;
    let frame = headers.frame.as_ref()?;
    let scale = frame.scale;
    let planes = frame.planes(&headers)?;
    let pixels = scan(data, planes, frame, headers.restart)?;
    let [width, height] = [frame.width, frame.height].map(|side| (side * scale).div_ceil(8));
    Some(ReducedJpeg {
        scale,
        full: [frame.width, frame.height],
        size: [width, height],
        channels: frame.components.len(),
        pixels: join(&pixels, width, height),
        exif: headers.exif.take(),
        xmp: headers.xmp.take(),
    })
}

/// Whether a picture of this width and height still has enough pixels when decoded at the given number of eighths.
/// Width and height may be swapped, because the orientation may follow later in the file.
pub(crate) type Enough<'a> = dyn Fn([usize; 2], usize) -> bool + 'a;

/// A component of the frame: sampling factors and table numbers.
#[derive(Debug, Clone, Copy, Default)]
struct FrameComponent {
    id: u8,
    across: usize,
    down: usize,
    quantum: usize,
    dc: usize,
    ac: usize,
}

#[derive(Debug)]
struct JpegFrame {
    width: usize,
    height: usize,
    /// Scale in eighths.
    scale: usize,
    components: Vec<FrameComponent>,
}

/// The headers before the scan.
#[derive(Debug, Default)]
struct Headers {
    quanta: [Option<[f32; 64]>; 4],
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
    frame: Option<JpegFrame>,
    restart: usize,
    exif: Option<Vec<u8>>,
    xmp: Option<Vec<u8>>,
    jfif: bool,
    /// Color transform of the Adobe marker.
    adobe: Option<u8>,
}

impl Headers {
    /// Reads all headers; returns the bytes of the scan.
    fn read<'a>(&mut self, bytes: &'a [u8], enough: &Enough) -> Option<&'a [u8]> {
        let mut rest = bytes.strip_prefix(&[0xff, 0xd8])?;
        loop {
            let [0xff, kind, ..] = *rest else { return None };
            if kind == 0xff {
                rest = &rest[1..];
                continue;
            }
            let (&length, _) = rest.get(2..)?.split_first_chunk::<2>()?;
            let (segment, behind) = rest.get(2..)?.split_at_checked(u16::from_be_bytes(length).into())?;
            let segment = segment.get(2..)?;
            rest = behind;
            match kind {
                0xdb => self.quanta(segment)?,
                0xc4 => self.codes(segment)?,
                0xc0 | 0xc1 => self.frame(segment, enough)?,
                0xdd => self.restart = u16::from_be_bytes(segment.try_into().ok()?).into(),
                0xda => {
                    self.start(segment)?;
                    return Some(rest);
                }
                0xe0 => self.jfif |= segment.starts_with(b"JFIF\0"),
                0xe1 => {
                    if let Some(exif) = segment.strip_prefix(b"Exif\0\0")
                        && self.exif.replace(exif.to_vec()).is_some()
                    {
                        return None;
                    }
                    if let Some(xmp) = segment.strip_prefix(XMP_HEAD) {
                        self.xmp = Some(xmp.to_vec());
                    }
                }
                0xee => {
                    if segment.starts_with(b"Adobe") {
                        self.adobe = Some(*segment.get(11)?);
                    }
                }
                0xe2..=0xef | 0xfe => {}
                // Progressive, arithmetic, lossless, or with a height that follows later.
                _ => return None,
            }
        }
    }

    fn quanta(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&first, rest)) = segment.split_first() {
            let width = match first >> 4 {
                0 => 1,
                1 => 2,
                _ => return None,
            };
            let (numbers, rest) = rest.split_at_checked(64 * width)?;
            let mut table = [0.0; 64];
            for (number, place) in numbers.chunks_exact(width).zip(ZIGZAG) {
                table[usize::from(place)] = number.iter().fold(0.0, |sum, &byte| sum * 256.0 + f32::from(byte));
            }
            *self.quanta.get_mut(usize::from(first & 15))? = Some(table);
            segment = rest;
        }
        Some(())
    }

    fn codes(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&first, rest)) = segment.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let (symbols, rest) = rest.split_at_checked(counts.iter().map(|&count| usize::from(count)).sum())?;
            let tables = match first >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return None,
            };
            *tables.get_mut(usize::from(first & 15))? = Some(Huffman::new(counts, symbols)?);
            segment = rest;
        }
        Some(())
    }

    fn frame(&mut self, segment: &[u8], enough: &Enough) -> Option<()> {
        let (&[8, a, b, c, d, count], parts) = segment.split_first_chunk::<6>()? else { return None };
        let [height, width] = [[a, b], [c, d]].map(|side| usize::from(u16::from_be_bytes(side)));
        let component = |part: &[u8; 3]| {
            let (across, down) = (usize::from(part[1] >> 4), usize::from(part[1] & 15));
            let quantum = usize::from(part[2]);
            FrameComponent { id: part[0], across, down, quantum, ..FrameComponent::default() }
        };
        let components: Vec<_> = parts.as_chunks().0.iter().map(component).collect();
        let fine = parts.len() == 3 * usize::from(count)
            && matches!(count, 1 | 3)
            && width > 0
            && height > 0
            && self.frame.is_none()
            && components.iter().all(|part| matches!((part.across, part.down), (1..=4, 1..=4)));
        if !fine {
            return None;
        }
        // Huffman tables usually follow: files that need full-size decoding are given up before they are
        // built.
        let scale = (1..=MOST).find(|&scale| enough([width, height], scale))?;
        if (width * scale).div_ceil(8) * (height * scale).div_ceil(8) * usize::from(count) > LIMIT {
            return None;
        }
        self.frame = Some(JpegFrame { width, height, scale, components });
        Some(())
    }

    /// The header of the scan, which must contain all components in order.
    fn start(&mut self, segment: &[u8]) -> Option<()> {
        let frame = self.frame.as_mut()?;
        let (&count, rest) = segment.split_first()?;
        let (parts, ends) = rest.split_at_checked(2 * usize::from(count))?;
        if usize::from(count) != frame.components.len() || ends != [0, 63, 0] {
            return None;
        }
        for (part, component) in parts.as_chunks::<2>().0.iter().zip(&mut frame.components) {
            if part[0] != component.id {
                return None;
            }
            (component.dc, component.ac) = (usize::from(part[1] >> 4), usize::from(part[1] & 15));
        }
        let ids: Vec<u8> = frame.components.iter().map(|component| component.id).collect();
        // Three components may be RGB already.
        let plain = match self.adobe {
            Some(transform) => transform == 1,
            None => self.jfif || ids == [1, 2, 3] || ids == [0, 1, 2],
        };
        (ids.len() == 1 || plain).then_some(())
    }
}

/// The decoding state of a component.
struct Plane<'a> {
    /// Blocks per MCU, horizontally and vertically.
    blocks: [usize; 2],
    /// Pixels per block.
    side: [usize; 2],
    quantum: &'a [f32; 64],
    codes: [&'a Huffman; 2],
    shrink: Shrink,
    /// Pixels per row.
    stride: usize,
    pixels: Vec<u8>,
    /// The mean of the previous block before dequantization.
    mean: i32,
}

impl JpegFrame {
    /// Maximum blocks of a component per MCU, horizontally and vertically.
    fn most(&self) -> [usize; 2] {
        if self.components.len() == 1 {
            return [1, 1];
        }
        let most = |of: fn(&FrameComponent) -> usize| self.components.iter().map(of).max().unwrap_or(1);
        [most(|part| part.across), most(|part| part.down)]
    }

    /// MCUs of the scan, horizontally and vertically.
    fn units(&self) -> [usize; 2] {
        let [across, down] = self.most();
        [self.width.div_ceil(8 * across), self.height.div_ceil(8 * down)]
    }

    fn planes<'a>(&self, headers: &'a Headers) -> Option<Vec<Plane<'a>>> {
        let (most, units) = (self.most(), self.units());
        let plane = |part: &FrameComponent| {
            // A single component is stored block row by block row, whatever its factors.
            let blocks = if self.components.len() == 1 { [1, 1] } else { [part.across, part.down] };
            // Subsampled components are reduced less, so that all planes have the same size.
            let whole = [0, 1].map(|i| self.scale * most[i]);
            let side = [0, 1].map(|i| whole[i] / blocks[i]);
            if (0..2).any(|i| !whole[i].is_multiple_of(blocks[i]) || side[i] > 8) {
                return None;
            }
            let [stride, rows] = [0, 1].map(|i| units[i] * whole[i]);
            Some(Plane {
                blocks,
                side,
                quantum: headers.quanta.get(part.quantum)?.as_ref()?,
                codes: [headers.dc.get(part.dc)?.as_ref()?, headers.ac.get(part.ac)?.as_ref()?],
                shrink: Shrink::new(side),
                stride,
                pixels: vec![0; stride * rows],
                mean: 0,
            })
        };
        self.components.iter().map(plane).collect()
    }
}

/// Decodes the scan into planes; `None` at the first irregularity.
fn scan<'a>(data: &[u8], mut planes: Vec<Plane<'a>>, frame: &JpegFrame, restart: usize) -> Option<Vec<Plane<'a>>> {
    let mut bits = Bits::new(data);
    let [across, down] = frame.units();
    let mut block = [0.0; 64];
    for unit in 0..across * down {
        if restart > 0 && unit > 0 && unit % restart == 0 {
            bits.restart(((unit / restart - 1) % 8) as u8)?;
            planes.iter_mut().for_each(|plane| plane.mean = 0);
        }
        let (row, column) = (unit / across, unit % across);
        for plane in &mut planes {
            for number in 0..plane.blocks[0] * plane.blocks[1] {
                let (difference, last) = bits.block(plane.codes, plane.quantum, &mut block)?;
                plane.mean += difference;
                block[0] = plane.mean as f32 * plane.quantum[0];
                let y = (row * plane.blocks[1] + number / plane.blocks[0]) * plane.side[1];
                let x = (column * plane.blocks[0] + number % plane.blocks[0]) * plane.side[0];
                plane.shrink.write(&block, last, &mut plane.pixels[y * plane.stride + x..], plane.stride);
                if last > 0 {
                    block = [0.0; 64];
                }
            }
        }
    }
    (bits.whole() && whole::ends(data.get(bits.place()..)?)).then_some(planes)
}

/// Interleaves the planes, without the padding of the last blocks.
fn join(planes: &[Plane], width: usize, height: usize) -> Vec<u8> {
    let rows = |plane: &Plane, y: usize| y * plane.stride..y * plane.stride + width;
    match planes {
        [bright, blue, red] => {
            let mut pixels = vec![0; width * height * 3];
            for (y, out) in pixels.chunks_exact_mut(width * 3).enumerate() {
                let [bright, blue, red] = [bright, blue, red].map(|plane| &plane.pixels[rows(plane, y)]);
                color(bright, blue, red, out);
            }
            pixels
        }
        [gray, ..] => (0..height).flat_map(|y| &gray.pixels[rows(gray, y)]).copied().collect(),
        [] => Vec::new(),
    }
}
