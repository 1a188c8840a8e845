//! The 8-bit picture type.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::decode::{DecodeOptions, decode};
use crate::files;

/// A picture could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The file could not be opened or decoded.
    #[error("cannot read the picture {path}: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The decoder or file system error.
        cause: String,
    },
    /// The file could not be encoded or written.
    #[error("cannot write the picture {path}: {cause}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The encoder or file system error.
        cause: image::ImageError,
    },
}

/// An 8-bit picture: `[height, width, channels]` interleaved, rows from the top, 1 channel (gray) or 3 (sRGB).
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    channels: usize,
    pixels: Vec<u8>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture {}x{}x{}", self.width, self.height, self.channels)
    }
}

/// Converts a pixel from 0..=255 to the range of the networks, [-1, 1].
pub fn to_signed(byte: u8) -> f32 {
    f32::from(byte) / 127.5 - 1.0
}

/// Converts a network value from [-1, 1] to 0..=255; values outside are clamped.
pub fn from_signed(value: f32) -> u8 {
    ((value + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8
}

impl Picture {
    /// A picture from its pixels, `[height, width, channels]` interleaved.
    ///
    /// # Panics
    /// If the number of pixels is not `width * height * channels`, or channels is neither 1 nor 3.
    pub fn new(width: usize, height: usize, channels: usize, pixels: Vec<u8>) -> Self {
        assert!(channels == 1 || channels == 3, "a picture has 1 or 3 channels, not {channels}");
        assert_eq!(pixels.len(), width * height * channels, "pixels of a {width}x{height}x{channels} picture");
        Self { width, height, channels, pixels }
    }

    /// A picture from network values `[channels, height, width]` in [-1, 1].
    pub fn from_chw(values: &[f32], channels: usize, height: usize, width: usize) -> Self {
        let plane = height * width;
        let mut pixels = vec![0; plane * channels];
        for c in 0..channels {
            for (i, &value) in values[c * plane..(c + 1) * plane].iter().enumerate() {
                pixels[i * channels + c] = from_signed(value);
            }
        }
        Self::new(width, height, channels, pixels)
    }

    /// The pixels as planes, `[channels, height, width]`.
    pub fn planes(&self) -> Vec<u8> {
        let plane = self.width * self.height;
        let mut planes = vec![0; self.pixels.len()];
        for (i, pixel) in self.pixels.chunks_exact(self.channels).enumerate() {
            for (c, &byte) in pixel.iter().enumerate() {
                planes[c * plane + i] = byte;
            }
        }
        planes
    }

    /// Writes the network values `[channels, height, width]` in [-1, 1] into `out`.
    pub fn write_chw(&self, out: &mut [f32]) {
        let plane = self.width * self.height;
        for (i, pixel) in self.pixels.chunks_exact(self.channels).enumerate() {
            for (c, &byte) in pixel.iter().enumerate() {
                out[c * plane + i] = to_signed(byte);
            }
        }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// 1 (gray) or 3 (red, green, blue).
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The pixels, `[height, width, channels]` interleaved.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The pixels as RGB, whatever the number of channels.
    pub fn to_rgb(&self) -> Vec<u8> {
        match self.channels {
            1 => self.pixels.iter().flat_map(|&gray| [gray, gray, gray]).collect(),
            _ => self.pixels.clone(),
        }
    }

    /// Absolute difference per pixel from a picture of the same size and channels: black where they are equal.
    pub fn difference(&self, other: &Self) -> Self {
        let pixels = self.pixels.iter().zip(&other.pixels).map(|(a, b)| a.abs_diff(*b)).collect();
        Self::new(self.width, self.height, self.channels, pixels)
    }

    /// The picture mirrored horizontally.
    pub fn mirrored(&self) -> Self {
        let rows = self.pixels.chunks_exact((self.width * self.channels).max(1));
        let pixels = rows.flat_map(|row| row.chunks_exact(self.channels).rev().flatten()).copied().collect();
        Self::new(self.width, self.height, self.channels, pixels)
    }

    /// The picture with each pixel enlarged to `zoom` by `zoom`.
    pub fn enlarged(&self, zoom: usize) -> Self {
        let zoom = zoom.max(1);
        let mut pixels = Vec::with_capacity(self.pixels.len() * zoom * zoom);
        for row in self.pixels.chunks_exact((self.width * self.channels).max(1)) {
            let wide: Vec<u8> = row.chunks_exact(self.channels).flat_map(|pixel| pixel.repeat(zoom)).collect();
            for _ in 0..zoom {
                pixels.extend_from_slice(&wide);
            }
        }
        Self::new(self.width * zoom, self.height * zoom, self.channels, pixels)
    }

    /// Reads a picture at full size, as [`decode`] does. Gray files stay gray; everything else becomes RGB.
    ///
    /// # Errors
    /// [`PictureError::Read`] with the file and the cause.
    pub fn read(path: &Path) -> Result<Self, PictureError> {
        let failed = |cause| PictureError::Read { path: path.to_owned(), cause };
        let bytes = std::fs::read(path).map_err(|cause| failed(cause.to_string()))?;
        let decoded = decode(&bytes, &DecodeOptions::default()).map_err(|cause| failed(cause.to_string()))?;
        Ok(decoded.picture)
    }

    /// Converts a decoded picture of the `image` crate. Gray stays gray; everything else becomes RGB.
    pub fn from_dynamic(decoded: image::DynamicImage) -> Self {
        let (width, height) = (decoded.width() as usize, decoded.height() as usize);
        match decoded.color() {
            image::ColorType::L8 | image::ColorType::L16 => {
                Self::new(width, height, 1, decoded.into_luma8().into_raw())
            }
            _ => Self::new(width, height, 3, decoded.into_rgb8().into_raw()),
        }
    }

    /// Encodes the picture as PNG.
    ///
    /// # Errors
    /// The error of the encoder; a valid picture always encodes.
    pub fn to_png(&self) -> Result<Vec<u8>, image::ImageError> {
        let mut png = std::io::Cursor::new(Vec::new());
        let color = if self.channels == 1 { image::ExtendedColorType::L8 } else { image::ExtendedColorType::Rgb8 };
        image::write_buffer_with_format(
            &mut png,
            &self.pixels,
            self.width as u32,
            self.height as u32,
            color,
            image::ImageFormat::Png,
        )?;
        Ok(png.into_inner())
    }

    /// Writes a PNG atomically: beside the target, then renamed.
    ///
    /// # Errors
    /// [`PictureError::Write`] with the file and the cause.
    pub fn write_png(&self, path: &Path) -> Result<(), PictureError> {
        let failed = |cause| PictureError::Write { path: path.to_owned(), cause };
        let png = self.to_png().map_err(failed)?;
        files::write(path, |file| file.write_all(&png)).map_err(|cause| failed(cause.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_way_to_the_network_and_back() {
        for byte in 0..=255 {
            assert_eq!(from_signed(to_signed(byte)), byte);
        }
        assert_eq!(from_signed(-7.0), 0);
        assert_eq!(from_signed(7.0), 255);
    }

    #[test]
    fn planes_and_pixels_are_the_same_picture() {
        let picture = Picture::new(2, 3, 3, (0..18).map(|i| i * 13).collect());
        let mut planes = vec![0.0; 18];
        picture.write_chw(&mut planes);
        assert_eq!(planes[0], to_signed(0));
        assert_eq!(planes[6], to_signed(13), "the second plane starts with the first pixel's green");
        assert_eq!(Picture::from_chw(&planes, 3, 3, 2), picture);
        assert_eq!(picture.planes(), planes.into_iter().map(from_signed).collect::<Vec<u8>>());
    }

    #[test]
    fn a_written_picture_reads_back_equal() {
        let folder = tempfile::tempdir().unwrap();
        for channels in [1, 3] {
            let path = folder.path().join("a/b.png");
            let picture = Picture::new(4, 2, channels, (0..8 * channels as u8).map(|i| i * 9).collect());
            picture.write_png(&path).unwrap();
            assert_eq!(Picture::read(&path).unwrap(), picture);
        }
    }

    #[test]
    fn an_unreadable_file_is_named() {
        let message = Picture::read(Path::new("no/such.png")).unwrap_err().to_string();
        assert!(message.contains("no/such.png"), "{message}");
    }
}
