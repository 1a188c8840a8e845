//! Films: an animated GIF, or a folder of numbered frames.

use std::path::Path;

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, RgbaImage};

use super::{Picture, PictureError};
use crate::files;

/// Default frame rate of films, in frames per second.
pub const FRAME_RATE: u32 = 20;
/// Default factor by which films enlarge pixels.
pub const ZOOM: u16 = 4;

/// Writes `frames` as an endless GIF at `rate` frames per second, each pixel enlarged to `zoom` by `zoom`.
///
/// # Errors
/// [`PictureError::Write`] naming the file.
pub fn write_gif(path: &Path, frames: &[Picture], rate: u32, zoom: usize) -> Result<(), PictureError> {
    let failed = |cause| PictureError::Write { path: path.to_owned(), cause };
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, 10);
    encoder.set_repeat(Repeat::Infinite).map_err(failed)?;
    for picture in frames {
        let picture = picture.enlarged(zoom);
        let rgba = picture.to_rgb().chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
        let buffer = RgbaImage::from_raw(picture.width() as u32, picture.height() as u32, rgba)
            .expect("a picture has as many pixels as its sides say");
        let delay = Delay::from_numer_denom_ms(1000, rate.max(1));
        encoder.encode_frame(Frame::from_parts(buffer, 0, 0, delay)).map_err(failed)?;
    }
    drop(encoder);
    files::write(path, |file| std::io::Write::write_all(file, &bytes)).map_err(|cause| failed(cause.into()))
}

/// Writes `frames` as `frame-00000.png` and so on into `folder`, which is created.
///
/// # Errors
/// [`PictureError::Write`] naming the file.
pub fn write_frames(folder: &Path, frames: &[Picture]) -> Result<(), PictureError> {
    std::fs::create_dir_all(folder)
        .map_err(|cause| PictureError::Write { path: folder.to_owned(), cause: cause.into() })?;
    for (i, picture) in frames.iter().enumerate() {
        picture.write_png(&folder.join(format!("frame-{i:05}.png")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use image::AnimationDecoder;

    use super::*;

    #[test]
    fn a_gif_has_every_frame_at_its_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("walk.gif");
        let frames: Vec<_> = (0..5).map(|i| Picture::new(4, 6, 1, vec![i * 50; 24])).collect();
        write_gif(&path, &frames, 10, 3).unwrap();
        let file = std::io::BufReader::new(std::fs::File::open(&path).unwrap());
        let read = image::codecs::gif::GifDecoder::new(file).unwrap().into_frames().collect_frames().unwrap();
        assert_eq!(read.len(), 5);
        assert_eq!(read[0].buffer().dimensions(), (12, 18));
        let shades: Vec<_> = read.iter().map(|frame| frame.buffer().get_pixel(5, 5).0[0]).collect();
        assert_eq!(shades, [0, 50, 100, 150, 200]);
        let lost = path.join("walk.gif");
        assert!(write_gif(&lost, &frames, 10, 1).unwrap_err().to_string().contains("walk.gif"));
    }
}
