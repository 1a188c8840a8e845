//! Pictures as bytes, as tensor values, and as files.
//!
//! A [`Picture`] is what people see: 8-bit pixels. Networks see the same pixels as `f32` in [-1, 1], laid out
//! `[channels, height, width]` (paper section 4: no preprocessing besides this scaling).

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
pub(crate) use decode::{LIMIT, Spread, guarded, orientation, spread, swaps, turned};
pub use film::{FRAME_RATE, ZOOM, write_frames, write_gif};
pub use grid::{Sheet, grid};
pub use label::{LABEL_HEIGHT, LabelError, label};
pub use output::{OutputError, WRITTEN_ENDINGS, check_picture_name, names_folder, write_numbered};
pub use picture::{Picture, PictureError, from_signed, to_signed};
pub use preparation::{Fit, Frame, MAX_CROP, Part, PictureFormat, Preparation, PreparationError, Resize};
pub use video::write_mp4;
