//! H.264 video in MP4, playable everywhere, without system libraries. Pictures are stored uncompressed (only color is
//! subsampled, as in all video), so files are large: 1.5 bytes per pixel.

use std::path::Path;

use less_avc::ycbcr_image::{DataPlane, Planes, YCbCrImage};
use less_avc::{BitDepth, LessEncoder};
use muxide::api::{MuxerBuilder, VideoCodec};

use super::{Picture, PictureError};
use crate::files;

/// Side of the macroblocks of H.264.
const BLOCK: usize = 16;

/// Writes `frames` as an MP4 at `rate` frames per second, each pixel enlarged to `zoom` by `zoom`.
///
/// # Errors
/// [`PictureError::Write`] naming the file.
pub fn write_mp4(path: &Path, frames: &[Picture], rate: u32, zoom: usize) -> Result<(), PictureError> {
    let failed = |cause: std::io::Error| PictureError::Write { path: path.to_owned(), cause: cause.into() };
    let bytes = encode(frames, rate.max(1), zoom)
        .map_err(|cause| failed(std::io::Error::other(format!("the video cannot be encoded: {cause}"))))?;
    files::write(path, |file| std::io::Write::write_all(file, &bytes)).map_err(failed)
}

fn encode(frames: &[Picture], rate: u32, zoom: usize) -> Result<Vec<u8>, String> {
    let first = frames.first().ok_or("there are no frames")?.enlarged(zoom);
    // Color is subsampled by two, so sides must be even.
    let (width, height) = (first.width().next_multiple_of(2), first.height().next_multiple_of(2));
    let mut bytes = Vec::new();
    let muxer = MuxerBuilder::new(&mut bytes).video(VideoCodec::H264, width as u32, height as u32, f64::from(rate));
    let mut muxer = muxer.build().map_err(|cause| cause.to_string())?;
    let mut encoder: Option<LessEncoder> = None;
    for (i, picture) in frames.iter().enumerate() {
        let planes = Yuv::new(&picture.enlarged(zoom));
        let image = planes.image(width, height);
        let data = match &mut encoder {
            Some(encoder) => encoder.encode(&image).map_err(|cause| format!("{cause:?}"))?.to_annex_b_data(),
            None => {
                let (start, begun) = LessEncoder::new(&image).map_err(|cause| format!("{cause:?}"))?;
                encoder = Some(begun);
                start.into_iter().flat_map(|unit| unit.to_annex_b_data()).collect()
            }
        };
        // Every frame is a key frame.
        muxer.write_video(i as f64 / f64::from(rate), &data, true).map_err(|cause| cause.to_string())?;
    }
    muxer.finish().map_err(|cause| cause.to_string())?;
    Ok(bytes)
}

/// Full-range BT.601 luma, and both chroma planes at half size; sides are whole macroblocks.
struct Yuv {
    width: usize,
    planes: [Vec<u8>; 3],
}

impl Yuv {
    fn new(picture: &Picture) -> Self {
        let (width, height) = (picture.width(), picture.height());
        let rgb = picture.to_rgb();
        let (wide, tall) = (width.next_multiple_of(BLOCK), height.next_multiple_of(BLOCK));
        let byte = |value: f32| value.round().clamp(0.0, 255.0) as u8;
        let light = |p: [f32; 3]| 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
        // Padding repeats the edge; the player crops it.
        let at = |x: usize, y: usize| {
            let i = (y.min(height - 1) * width + x.min(width - 1)) * 3;
            [rgb[i], rgb[i + 1], rgb[i + 2]].map(f32::from)
        };
        let places =
            |step: usize| (0..tall).step_by(step).flat_map(move |y| (0..wide).step_by(step).map(move |x| (x, y)));
        let bright = places(1).map(|(x, y)| byte(light(at(x, y)))).collect();
        let colors: Vec<[f32; 3]> = places(2)
            .map(|(x, y)| {
                let four = [at(x, y), at(x + 1, y), at(x, y + 1), at(x + 1, y + 1)];
                [0, 1, 2].map(|c| four.iter().map(|p| p[c]).sum::<f32>() / 4.0)
            })
            .collect();
        let blue = colors.iter().map(|&p| byte(128.0 + (p[2] - light(p)) / 1.772)).collect();
        let red = colors.iter().map(|&p| byte(128.0 + (p[0] - light(p)) / 1.402)).collect();
        Self { width: wide, planes: [bright, blue, red] }
    }

    fn image(&self, width: usize, height: usize) -> YCbCrImage<'_> {
        let plane = |i: usize, stride| DataPlane { data: &self.planes[i], stride, bit_depth: BitDepth::Depth8 };
        let half = self.width / 2;
        YCbCrImage {
            planes: Planes::YCbCr((plane(0, self.width), plane(1, half), plane(2, half))),
            width: width as u32,
            height: height as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_video_holds_every_frame_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("walk.mp4");
        let frames: Vec<_> = (0..25).map(|i| Picture::new(16, 16, 3, vec![i * 10; 768])).collect();
        write_mp4(&path, &frames, 20, 2).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(&bytes[4..8], b"ftyp");
        for atom in [b"moov", b"mdat", b"avc1", b"avcC"] {
            assert!(bytes.windows(4).any(|window| window == atom), "{}", String::from_utf8_lossy(atom));
        }
        // Uncompressed macroblocks of 32x32 pixels at 1.5 bytes each, including the luma of the last frame.
        assert!(bytes.len() > 25 * 32 * 32 * 3 / 2);
        assert!(bytes.windows(64).any(|window| window == [240; 64]), "the last frame is there");
        assert!(write_mp4(&path, &[], 20, 1).unwrap_err().to_string().contains("no frames"));
    }

    #[test]
    fn gray_has_no_color_and_edges_are_repeated() {
        let yuv = Yuv::new(&Picture::new(2, 1, 1, vec![0, 255]));
        assert_eq!(yuv.planes[0][..4], [0, 255, 255, 255]);
        assert_eq!(yuv.planes[1].len(), 64);
        assert!(yuv.planes[1].iter().chain(&yuv.planes[2]).all(|&color| color == 128));
    }
}
