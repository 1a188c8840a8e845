//! Detects truncated or damaged JPEGs by reading all Huffman codes without decoding pixels.
//!
//! The decoder silently fills missing parts with gray, so it is only used for files that pass this check. What this
//! module does not support (arithmetic coding, a height that follows later) is left to the decoder.

use super::bits::{Bits, Huffman};

/// Coefficients of a block.
const LAST: usize = 63;

#[derive(Debug, Clone, Default)]
struct ScanComponent {
    id: u8,
    /// Blocks per MCU of an interleaved scan.
    blocks: [usize; 2],
    /// Blocks that contain the picture, and blocks per row including padding.
    own: [usize; 2],
    stride: usize,
    /// Coefficients of each block that are nonzero so far: later scans have one bit for each of them.
    known: Vec<u64>,
    codes: [usize; 2],
}

#[derive(Debug, Default)]
struct CheckedFrame {
    height: usize,
    units: [usize; 2],
    progressive: bool,
    components: Vec<ScanComponent>,
}

#[derive(Debug, Default)]
struct CodeChecker {
    codes: [[Option<Huffman>; 4]; 2],
    picture: Option<CheckedFrame>,
    restart: usize,
}

/// The part of the coefficients that a scan contains: first and last coefficient, and their bits.
#[derive(Debug, Clone, Copy)]
struct Band {
    first: usize,
    last: usize,
    refines: bool,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Missing data.
    CutOff(String),
    /// Invalid data.
    Damaged(String),
}

/// Why reading stopped.
enum End {
    /// The rest is left to the decoder.
    Unknown,
    Wrong(Flaw),
}

/// Checks that a JPEG has all its codes and its end marker.
///
/// # Errors
/// What is missing or invalid.
pub(crate) fn check(bytes: &[u8]) -> Result<(), Flaw> {
    match CodeChecker::default().read(bytes) {
        Ok(()) | Err(End::Unknown) => Ok(()),
        Err(End::Wrong(flaw)) => Err(flaw),
    }
}

/// Whether the end marker is the next marker after a scan.
pub(super) fn ends(behind: &[u8]) -> bool {
    marker(behind, 0).is_some_and(|at| behind[at + 1] == 0xd9)
}

/// Offset of the next marker.
fn marker(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len().saturating_sub(1)).find(|&at| bytes[at] == 0xff && !matches!(bytes[at + 1], 0 | 0xff))
}

impl CodeChecker {
    fn read(&mut self, bytes: &[u8]) -> Result<(), End> {
        let mut at = 2;
        let mut scans = 0;
        while let Some(found) = marker(bytes, at) {
            let kind = bytes[found + 1];
            at = found + 2;
            match kind {
                0xd9 if scans > 0 => return Ok(()),
                0xd9 => return Err(End::Unknown),
                0x01 | 0xd0..=0xd8 => continue,
                _ => {}
            }
            let length = bytes.get(at..at + 2).map(|two| usize::from(u16::from_be_bytes([two[0], two[1]])));
            let segment = length.and_then(|length| bytes.get(at + 2..at + length.max(2)));
            let Some(segment) = segment else { break };
            at += 2 + segment.len();
            match kind {
                0xc4 => self.codes(segment).ok_or(End::Unknown)?,
                0xc0..=0xc2 => self.picture(segment, kind == 0xc2).ok_or(End::Unknown)?,
                0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => return Err(End::Unknown),
                0xdd => self.restart = segment.first_chunk::<2>().map_or(0, |&two| u16::from_be_bytes(two).into()),
                0xda => {
                    at += self.scan(segment, &bytes[at..])?;
                    scans += 1;
                }
                _ => {}
            }
        }
        Err(End::Wrong(Flaw::CutOff(match (&self.picture, scans) {
            (Some(_), 1..) => "its end mark is missing".to_owned(),
            (Some(CheckedFrame { height, .. }), 0) => format!("none of its {height} rows of pixels are there"),
            _ => "it ends in its header".to_owned(),
        })))
    }

    fn codes(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&first, rest)) = segment.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let (symbols, rest) = rest.split_at_checked(counts.iter().map(|&count| usize::from(count)).sum())?;
            let code = Huffman::new(counts, symbols)?;
            *self.codes.get_mut(usize::from(first >> 4))?.get_mut(usize::from(first & 15))? = Some(code);
            segment = rest;
        }
        Some(())
    }

    fn picture(&mut self, segment: &[u8], progressive: bool) -> Option<()> {
        let (&[8, a, b, c, d, count], parts) = segment.split_first_chunk::<6>()? else { return None };
        let [height, width] = [[a, b], [c, d]].map(|side| usize::from(u16::from_be_bytes(side)));
        let parts = parts.as_chunks::<3>().0;
        if self.picture.is_some() || height == 0 || width == 0 || count == 0 || parts.len() != usize::from(count) {
            return None;
        }
        let factors = |part: &[u8; 3]| [usize::from(part[1] >> 4), usize::from(part[1] & 15)];
        if parts.iter().any(|part| !factors(part).iter().all(|factor| (1..=4).contains(factor))) || parts.len() > 4 {
            return None;
        }
        let most = [0, 1].map(|i| parts.iter().map(|part| factors(part)[i]).max().unwrap_or(1));
        let units = [width.div_ceil(8 * most[0]), height.div_ceil(8 * most[1])];
        let component = |part: &[u8; 3]| {
            let blocks = factors(part);
            let own = [0, 1].map(|i| ([width, height][i] * blocks[i]).div_ceil(most[i]).div_ceil(8));
            let stride = units[0] * blocks[0];
            let known = if progressive { vec![0; stride * units[1] * blocks[1]] } else { Vec::new() };
            ScanComponent { id: part[0], blocks, own, stride, known, ..ScanComponent::default() }
        };
        let components = parts.iter().map(component).collect();
        self.picture = Some(CheckedFrame { height, units, progressive, components });
        Some(())
    }

    /// Reads the codes of a scan; returns their length in bytes.
    fn scan(&mut self, header: &[u8], data: &[u8]) -> Result<usize, End> {
        let Self { codes, picture: Some(picture), restart } = self else { return Err(End::Unknown) };
        let (&count, rest) = header.split_first().ok_or(End::Unknown)?;
        let (parts, band) = rest.split_at_checked(2 * usize::from(count)).ok_or(End::Unknown)?;
        let &[first, last, bits] = band.first_chunk::<3>().ok_or(End::Unknown)?;
        let band = match picture.progressive {
            true => Band { first: first.into(), last: last.into(), refines: bits >> 4 > 0 },
            false => Band { first: 0, last: LAST, refines: false },
        };
        let alone = count == 1;
        let mut chosen = Vec::new();
        for part in parts.as_chunks::<2>().0 {
            let which = picture.components.iter().position(|component| component.id == part[0]).ok_or(End::Unknown)?;
            picture.components[which].codes = [usize::from(part[1] >> 4), usize::from(part[1] & 15)];
            chosen.push(which);
        }
        if chosen.is_empty() || band.first > band.last || band.last > LAST || band.first > 0 && !alone {
            return Err(End::Unknown);
        }
        let [across, down] = if alone { picture.components[chosen[0]].own } else { picture.units };
        let height = picture.height;
        let mut bits = Bits::new(data);
        let mut zeros = 0;
        for row in 0..down {
            for column in 0..across {
                let unit = row * across + column;
                if *restart > 0 && unit > 0 && unit.is_multiple_of(*restart) {
                    zeros = 0;
                    bits.behind_restart().ok_or_else(|| missing(row, down, height))?;
                }
                for &which in &chosen {
                    let ScanComponent { blocks, stride, known, codes: [dc, ac], .. } = &mut picture.components[which];
                    let [wide, high] = if alone { [1, 1] } else { *blocks };
                    let code = |kind: usize, number: usize| codes[kind].get(number).and_then(Option::as_ref);
                    let [dc, ac] = [code(0, *dc), code(1, *ac)];
                    for number in 0..wide * high {
                        if !picture.progressive {
                            let [Some(dc), Some(ac)] = [dc, ac] else { return Err(End::Unknown) };
                            plain(&mut bits, dc, ac).ok_or_else(|| damaged(&bits, row, down, height))?;
                            continue;
                        }
                        let at = (row * high + number / wide) * *stride + column * wide + number % wide;
                        let known = known.get_mut(at).ok_or(End::Unknown)?;
                        let read = match (band, dc, ac) {
                            (Band { first: 0, refines: true, .. }, ..) => bits.number(1).map(|_| ()),
                            (Band { first: 0, .. }, Some(dc), _) => {
                                bits.code(dc).and_then(|size| bits.number(size.into())).map(|_| ())
                            }
                            (Band { refines: false, .. }, _, Some(ac)) => fresh(&mut bits, ac, band, known, &mut zeros),
                            (_, _, Some(ac)) => refined(&mut bits, ac, band, known, &mut zeros),
                            _ => return Err(End::Unknown),
                        };
                        read.ok_or_else(|| damaged(&bits, row, down, height))?;
                    }
                }
            }
            if !bits.whole() {
                return Err(missing(row, down, height));
            }
        }
        Ok(bits.place())
    }
}

fn missing(row: usize, down: usize, height: usize) -> End {
    let rows = row * height / down.max(1);
    End::Wrong(Flaw::CutOff(match rows {
        0 => format!("none of its {height} rows of pixels are whole"),
        rows => format!("only about {rows} of its {height} rows of pixels are whole"),
    }))
}

/// The error for an invalid code; after the last byte it counts as missing.
fn damaged(bits: &Bits, row: usize, down: usize, height: usize) -> End {
    if bits.at_end() {
        return missing(row, down, height);
    }
    let rows = row * height / down.max(1);
    End::Wrong(Flaw::Damaged(format!("it is damaged after about {rows} of its {height} rows of pixels; get it again")))
}

/// A block of a sequential picture.
fn plain(bits: &mut Bits, dc: &Huffman, ac: &Huffman) -> Option<()> {
    let size = bits.code(dc)?;
    bits.number(size.into())?;
    let mut at = 1;
    while at <= LAST {
        let symbol = bits.code(ac)?;
        let (zeros, size) = (usize::from(symbol >> 4), symbol & 15);
        if size == 0 {
            if zeros < 15 {
                break;
            }
            at += 16;
            continue;
        }
        bits.number(size.into())?;
        at += zeros + 1;
    }
    (at <= LAST + 1).then_some(())
}

/// The first scan of some coefficients of a progressive picture. `zeros` counts the blocks without any.
fn fresh(bits: &mut Bits, ac: &Huffman, band: Band, known: &mut u64, zeros: &mut u32) -> Option<()> {
    if *zeros > 0 {
        *zeros -= 1;
        return Some(());
    }
    let mut at = band.first;
    while at <= band.last {
        let symbol = bits.code(ac)?;
        let (run, size) = (symbol >> 4, symbol & 15);
        match (run, size) {
            (15, 0) => at += 16,
            (run, 0) => {
                *zeros = (1 << run) - 1 + bits.number(run.into())?;
                return Some(());
            }
            (run, size) => {
                at += usize::from(run);
                bits.number(size.into())?;
                if at > band.last {
                    return None;
                }
                *known |= 1 << at;
                at += 1;
            }
        }
    }
    Some(())
}

/// A refinement scan: one more bit of known coefficients, and new ones.
fn refined(bits: &mut Bits, ac: &Huffman, band: Band, known: &mut u64, zeros: &mut u32) -> Option<()> {
    let mut at = band.first;
    while *zeros == 0 && at <= band.last {
        let symbol = bits.code(ac)?;
        let (mut run, size) = (u32::from(symbol >> 4), symbol & 15);
        if size == 0 && run < 15 {
            *zeros = (1 << run) + bits.number(run)?;
            break;
        }
        bits.number(size.into())?;
        while at <= band.last {
            if *known >> at & 1 == 1 {
                bits.number(1)?;
            } else if run == 0 {
                break;
            } else {
                run -= 1;
            }
            at += 1;
        }
        if size > 0 {
            if at > band.last {
                return None;
            }
            *known |= 1 << at;
        }
        at += 1;
    }
    if *zeros > 0 {
        for at in at..=band.last {
            if *known >> at & 1 == 1 {
                bits.number(1)?;
            }
        }
        *zeros -= 1;
    }
    Some(())
}
