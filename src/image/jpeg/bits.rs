//! Bit reader and Huffman codes of a JPEG scan.

/// Bits of the lookup table; longer codes are rare.
const LOOK: u32 = 10;

/// Positions of the coefficients of a block in storage order.
pub(super) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// A Huffman table.
#[derive(Debug, Clone)]
pub(super) struct Huffman {
    /// For each prefix of [`LOOK`] bits: the symbol and the length of its code, 0 if it is longer.
    symbols: Box<[(u8, u8); 1 << LOOK]>,
    /// For each prefix that contains a whole coefficient: value, preceding zeros, and length.
    values: Box<[(i16, u8, u8); 1 << LOOK]>,
    /// Per code length: one past the last code, left-aligned in 16 bits, and the offset from code to symbol.
    ends: [u32; 17],
    offsets: [i32; 17],
    all: Vec<u8>,
}

impl Huffman {
    /// Builds the table from the number of symbols of each length 1 to 16; `None` if there is no such code.
    pub fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut code = Self {
            symbols: Box::new([(0, 0); 1 << LOOK]),
            values: Box::new([(0, 0, 0); 1 << LOOK]),
            ends: [0; 17],
            offsets: [0; 17],
            all: symbols.to_vec(),
        };
        let (mut next, mut at) = (0u32, 0usize);
        for (length, &count) in (1..=16u32).zip(counts) {
            code.offsets[length as usize] = at as i32 - next as i32;
            for &symbol in symbols.get(at..at + usize::from(count))? {
                if length <= LOOK {
                    let spare = LOOK - length;
                    let first = (next << spare) as usize;
                    code.symbols.get_mut(first..first + (1 << spare))?.fill((symbol, length as u8));
                }
                next += 1;
            }
            at += usize::from(count);
            if next > 1 << length {
                return None;
            }
            code.ends[length as usize] = next << (16 - length);
            next <<= 1;
        }
        (0..1u32 << LOOK).for_each(|bits| code.values[bits as usize] = code.value(bits));
        Some(code)
    }

    /// The symbol and length of a code longer than [`LOOK`] bits, from the next 16 bits.
    #[cold]
    fn long(&self, bits: u32) -> Option<(u8, u8)> {
        let length = (LOOK + 1..=16).find(|&length| bits < self.ends[length as usize])?;
        let place = (bits >> (16 - length)) as i32 + self.offsets[length as usize];
        let symbol = self.all.get(usize::try_from(place).ok()?)?;
        Some((*symbol, length as u8))
    }

    /// The coefficient at the start of [`LOOK`] bits, if it is complete.
    fn value(&self, bits: u32) -> (i16, u8, u8) {
        let (symbol, length) = self.symbols[bits as usize];
        let (zeros, size) = (symbol >> 4, u32::from(symbol & 15));
        let whole = u32::from(length) + size;
        if length == 0 || size == 0 || whole > LOOK {
            return (0, 0, 0);
        }
        let magnitude = bits >> (LOOK - whole) & ((1 << size) - 1);
        (extend(magnitude, size) as i16, zeros, whole as u8)
    }
}

/// The signed value of `size` bits: those that begin with 0 are negative.
fn extend(bits: u32, size: u32) -> i32 {
    if size > 0 && bits < 1 << (size - 1) { bits as i32 - (1 << size) + 1 } else { bits as i32 }
}

/// Reads bits up to the next marker. Copied into and out of hot loops so that it stays in registers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// Bytes before `data`.
    base: usize,
    /// The next bits, the first of them the highest.
    next: u64,
    /// Number of valid bits.
    count: u32,
    /// Number of those that are zeros appended after the end of the file.
    lent: u32,
}

impl<'a> Bits<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, base: 0, next: 0, count: 0, lent: 0 }
    }

    fn from(self, base: usize) -> Self {
        Self { base, ..self }
    }

    /// Ensures 56 bits.
    #[inline(always)]
    fn fill(&mut self) {
        if let Some(&bytes) = self.data.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            let word = u64::from_be_bytes(bytes);
            // Without 0xff bytes nothing is escaped and no marker begins.
            if (!word).wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080 == 0 {
                // Bits beyond the counted ones stay: the next word ORs in the same values.
                self.next |= word >> self.count;
                self.at += (63 - self.count as usize) / 8;
                self.count |= 56;
                return;
            }
        }
        *self = self.filled_by_bytes();
    }

    #[cold]
    fn filled_by_bytes(mut self) -> Self {
        while self.count <= 56 {
            let byte = match (self.data.get(self.at), self.data.get(self.at + 1)) {
                (Some(0xff), Some(0)) => {
                    self.at += 2;
                    0xff
                }
                (Some(0xff), _) | (None, _) => {
                    self.lent += 8;
                    0
                }
                (Some(&byte), _) => {
                    self.at += 1;
                    byte
                }
            };
            self.next |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
        self
    }

    #[inline(always)]
    fn skip(&mut self, count: u32) {
        self.next <<= count;
        self.count -= count;
    }

    #[inline(always)]
    fn take(&mut self, count: u32) -> u32 {
        // In two steps, because `count` may be 0.
        let bits = (self.next >> 1 >> (63 - count)) as u32;
        self.skip(count);
        bits
    }

    #[inline(always)]
    fn symbol(&mut self, code: &Huffman) -> Option<u8> {
        let (mut symbol, mut length) = code.symbols[(self.next >> (64 - LOOK)) as usize];
        if length == 0 {
            (symbol, length) = code.long((self.next >> 48) as u32)?;
        }
        self.skip(length.into());
        Some(symbol)
    }

    /// Reads a block: the difference of its mean to the previous one, and its other coefficients, times
    /// `quantum`, into `block`, which is zero except for the mean. Returns the difference and the position of the
    /// last coefficient.
    #[inline(always)]
    pub fn block(
        &mut self,
        [dc, ac]: [&Huffman; 2],
        quantum: &[f32; 64],
        block: &mut [f32; 64],
    ) -> Option<(i32, usize)> {
        let mut bits = *self;
        bits.fill();
        let size = u32::from(bits.symbol(dc)?);
        if size > 11 {
            return None;
        }
        let difference = extend(bits.take(size), size);
        let (mut at, mut last) = (1, 0);
        while at < 64 {
            // A code and its value take at most 31 bits.
            if bits.count < 32 {
                bits.fill();
            }
            let (value, zeros, length) = ac.values[(bits.next >> (64 - LOOK)) as usize];
            let value = if length > 0 {
                at += usize::from(zeros);
                bits.skip(length.into());
                value.into()
            } else {
                let symbol = bits.symbol(ac)?;
                at += usize::from(symbol >> 4);
                match (symbol, u32::from(symbol & 15)) {
                    (0xf0, 0) => {
                        at += 1;
                        continue;
                    }
                    (0, _) => break,
                    (_, 0) => return None,
                    (_, size) => extend(bits.take(size), size),
                }
            };
            let place = usize::from(*ZIGZAG.get(at)? & 63);
            block[place] = value as f32 * quantum[place];
            last = at;
            at += 1;
        }
        *self = bits;
        Some((difference, last))
    }

    /// The symbol of the next code; `None` if the code is invalid.
    #[inline(always)]
    pub fn code(&mut self, code: &Huffman) -> Option<u8> {
        if self.count < 32 {
            self.fill();
        }
        self.symbol(code)
    }

    /// The next `count` bits, at most 16, as a number. They were fetched together with the code before them.
    #[inline(always)]
    pub fn number(&mut self, count: u32) -> Option<u32> {
        if self.count < 16 {
            self.fill();
        }
        (count <= 16).then(|| self.take(count))
    }

    /// Whether all bytes of the scan were fetched.
    pub fn at_end(&self) -> bool {
        self.lent > 0
    }

    /// Bytes fetched so far; the next marker is not before that.
    pub fn place(&self) -> usize {
        self.base + self.at
    }

    /// Skips to the next restart marker, whatever its number; `None` if the codes before it are incomplete or
    /// another marker comes first.
    pub fn behind_restart(&mut self) -> Option<()> {
        if !self.whole() {
            return None;
        }
        let rest = self.data.get(self.at..)?;
        let found = rest.windows(2).position(|two| two[0] == 0xff && !matches!(two[1], 0 | 0xff))?;
        if !matches!(rest[found + 1], 0xd0..=0xd7) {
            return None;
        }
        *self = Self::new(&rest[found + 2..]).from(self.base + self.at + found + 2);
        Some(())
    }

    /// Whether all bits read so far came from the file.
    pub fn whole(&self) -> bool {
        self.lent <= self.count
    }

    /// Skips to restart marker `number`, which must come next.
    pub fn restart(&mut self, number: u8) -> Option<()> {
        if !self.whole() || self.count - self.lent >= 8 {
            return None;
        }
        let behind = self.data.get(self.at..)?.strip_prefix(&[0xff, 0xd0 + number])?;
        *self = Self::new(behind).from(self.base + self.at + 2);
        Some(())
    }
}
