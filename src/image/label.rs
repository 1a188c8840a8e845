//! Text labels for figures.

use epaint_default_fonts::UBUNTU_LIGHT;
use plotters::backend::BitMapBackend;
use plotters::drawing::IntoDrawingArea;
use plotters::element::Text;
use plotters::style::{FontStyle, IntoFont, WHITE, register_font};

use super::Picture;

/// Font of all text in pictures: that of the window.
pub(super) const FONT: &str = "sans-serif";
/// Font size in pixels: the smallest that is easy to read beside pictures of 64x64.
const SIZE: u32 = 15;

/// Height of a label in pixels.
pub const LABEL_HEIGHT: usize = 20;
/// Text position given to the drawing library. It draws from four pixels above that (accents of capitals) to ten
/// below (commas).
const TOP: i32 = 6;
/// Left edge of the text: the edge of a letter such as r reaches one pixel further left.
const LEFT: i32 = 1;

/// A label could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("the label {text:?} cannot be drawn: {cause}")]
pub struct LabelError {
    /// The text.
    pub text: String,
    /// The message of the drawing library.
    pub cause: String,
}

/// Registers [`FONT`] with the drawing library.
pub(super) fn register() -> Result<(), String> {
    let registered = register_font(FONT, FontStyle::Normal, UBUNTU_LIGHT);
    registered.map_err(|_error| "the font that is built in cannot be read".to_owned())
}

/// Draws a line of black text on white, [`LABEL_HEIGHT`] pixels high and as wide as the text.
///
/// # Errors
/// [`LabelError`] if the font or the drawing fails.
pub fn label(text: &str) -> Result<Picture, LabelError> {
    let failed = |cause: String| LabelError { text: text.to_owned(), cause };
    register().map_err(failed)?;
    let font = (FONT, SIZE).into_font();
    let (width, _) = font.box_size(text).map_err(|cause| failed(cause.to_string()))?;
    // The box has no room for the edges of the first and last letter.
    let size = (width + 2 + LEFT as u32, LABEL_HEIGHT as u32);
    let mut pixels = vec![0; size.0 as usize * LABEL_HEIGHT * 3];
    let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
    let draw = || {
        area.fill(&WHITE)?;
        area.draw(&Text::new(text, (LEFT, TOP), font.clone()))?;
        area.present()
    };
    draw().map_err(|cause| failed(cause.to_string()))?;
    drop(area);
    Ok(Picture::new(size.0 as usize, LABEL_HEIGHT, 3, pixels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_as_wide_as_its_text_and_all_of_it_is_drawn() {
        let [short, long] = ["fresh", "fresh samples (150 to 157)"].map(|text| label(text).unwrap());
        assert_eq!((short.height(), long.height()), (LABEL_HEIGHT, LABEL_HEIGHT));
        assert!(long.width() > 3 * short.width(), "{short:?} {long:?}");
        let dark = |x: usize, picture: &Picture| {
            let pixel = |y: usize| picture.pixels()[(y * picture.width() + x) * 3];
            (0..LABEL_HEIGHT).any(|y| pixel(y) < 128)
        };
        let last = (0..long.width()).rev().find(|&x| dark(x, &long)).unwrap();
        assert!(
            last + 8 > long.width() && !dark(long.width() - 1, &long),
            "the last letter is whole: {last} of {long:?}"
        );
        let tallest = label("(\u{c5}gjpqy|{}_)").unwrap();
        let row = |y: usize| tallest.pixels()[y * tallest.width() * 3..][..tallest.width() * 3].iter().min();
        let edges = [0, LABEL_HEIGHT - 1].map(row);
        assert_eq!(edges, [Some(&255); 2], "nothing is cut off above or below");
    }
}
