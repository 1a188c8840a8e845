//! 8-bit pictures, their tensor values, and their files: decoding, encoding, contact sheets, films and plots.
//!
//! A [`Picture`] holds 8-bit pixels. Networks see the same pixels as `f32` in [-1, 1], laid out as `[channels,
//! height, width]` (paper, section 4: no preprocessing besides this scaling).

mod area;
mod background;
mod decode;
mod film;
mod grid;
pub(crate) mod jpeg;
mod label;
mod output;
mod picture;
pub mod plot;
mod preparation;
mod video;

pub use area::{Area, NotAnArea, Rectangle};
pub use background::{Background, UnknownBackground};
pub use decode::{DecodeError, DecodeOptions, Decoded, Range, Ranges, Samples, Treatment, decode};
pub(crate) use decode::{LIMIT, Spread, orientation, spread, swaps, turned};
pub use film::{FRAME_RATE, ZOOM, write_frames, write_gif};
pub use grid::{Sheet, grid};
pub use label::{LABEL_HEIGHT, LabelError, label};
pub use output::{OutputError, check_picture_name, names_folder, write_numbered};
pub use picture::{Picture, PictureError, from_signed, to_signed};
pub use preparation::{Fit, MAX_CROP, PictureFormat, Placement, Preparation, PreparationError, Resize, SourceRect};
pub use video::write_mp4;
