//! Plots of curves, side by side, as PNG or SVG.

use std::io::Write;
use std::path::{Path, PathBuf};

use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::chart::ChartBuilder;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Text};
use plotters::series::{DashedLineSeries, LineSeries};
use plotters::style::{BLACK, Color, IntoFont, RGBColor, ShapeStyle, WHITE};

use super::label::{FONT, register};
use super::{Picture, PictureError};
use crate::files;

/// Size of one plot in pixels, and height of the lines of text above and below all of them.
const CELL: [u32; 2] = [460, 320];
const LINE: u32 = 34;
/// Maximum plots per row.
const COLUMNS: usize = 4;
const BLUE: RGBColor = RGBColor(20, 90, 200);
const GREEN: RGBColor = RGBColor(20, 130, 50);

/// A value with its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlotValue {
    /// The value.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// A curve with a reference line.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Title.
    pub name: &'static str,
    /// Explanation below the title.
    pub about: &'static str,
    /// Points `(x, value)` in ascending x.
    pub points: Vec<(f64, PlotValue)>,
    /// PlotValue of the reference line.
    pub mark: PlotValue,
}

/// The plot could not be drawn or written.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// Unsupported extension.
    #[error("{0}: curves are drawn to files that end in .png or .svg")]
    Ending(PathBuf),
    /// The font could not be loaded, or drawing failed.
    #[error("{path}: the curves cannot be drawn: {cause}")]
    Draw {
        /// The file.
        path: PathBuf,
        /// The message of the drawing library.
        cause: String,
    },
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] PictureError),
}

/// File format of a plot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlotFormat {
    /// Pixels.
    Png,
    /// Lines.
    Svg,
}

impl PlotFormat {
    /// Chooses the format by the extension.
    ///
    /// # Errors
    /// [`PlotError::Ending`].
    pub fn of(path: &Path) -> Result<Self, PlotError> {
        match path.extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("png") => Ok(Self::Png),
            Some("svg") => Ok(Self::Svg),
            _ => Err(PlotError::Ending(path.to_owned())),
        }
    }
}

/// Plots curves side by side under a title; `x` is the label of the horizontal axes.
///
/// # Errors
/// [`PlotError`]; nothing is written then.
pub fn write(path: &Path, title: &str, x: &str, curves: &[Curve]) -> Result<(), PlotError> {
    let format = PlotFormat::of(path)?;
    let failed = |cause: String| PlotError::Draw { path: path.to_owned(), cause };
    register().map_err(failed)?;
    let columns = match curves.len() {
        count @ 0..=3 => count.max(1),
        5 | 6 | 9 => 3,
        _ => COLUMNS,
    };
    let size = (columns as u32 * CELL[0], curves.len().div_ceil(columns) as u32 * CELL[1] + 2 * LINE);
    let bytes = match format {
        PlotFormat::Png => {
            let mut pixels = vec![0; size.0 as usize * size.1 as usize * 3];
            let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
            draw(&area, title, x, curves, columns).map_err(|cause| failed(cause.to_string()))?;
            drop(area);
            let picture = Picture::new(size.0 as usize, size.1 as usize, 3, pixels);
            picture.to_png().map_err(|cause| failed(cause.to_string()))?
        }
        PlotFormat::Svg => {
            let mut text = String::new();
            let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
            draw(&area, title, x, curves, columns).map_err(|cause| failed(cause.to_string()))?;
            drop(area);
            text.into_bytes()
        }
    };
    let written = files::write(path, |file| file.write_all(&bytes));
    Ok(written.map_err(|cause| PictureError::Write { path: path.to_owned(), cause: cause.into() })?)
}

type Drawn<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

fn draw<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    title: &str,
    x: &str,
    curves: &[Curve],
    columns: usize,
) -> Drawn<B> {
    area.fill(&WHITE)?;
    let (_, height) = area.dim_in_pixel();
    let line = |text: &str, y: u32| area.draw(&Text::new(text.to_owned(), (12, y as i32 + 8), (FONT, 20).into_font()));
    line(title, 0)?;
    line("Blue: samples, bars are intervals. Green: what other real pictures give.", height - LINE)?;
    let middle = area.margin(LINE, LINE, 0, 0);
    let cells = middle.split_evenly((curves.len().div_ceil(columns).max(1), columns));
    for (cell, curve) in cells.iter().zip(curves) {
        one(cell, x, curve)?;
    }
    area.present()
}

fn one<B: DrawingBackend>(area: &DrawingArea<B, Shift>, x: &str, curve: &Curve) -> Drawn<B> {
    let Curve { name, points, mark, .. } = curve;
    let ends = |values: &mut dyn Iterator<Item = f64>| {
        values
            .filter(|v| v.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (first, last) = ends(&mut points.iter().map(|(x, _)| *x));
    // A single point is centered; without points the plot is empty.
    let (first, last) = if points.is_empty() { (0.0, 1.0) } else { (first, last) };
    let beside = if last > first { (last - first) * 0.04 } else { 1.0 };
    let (low, high) = ends(&mut points.iter().flat_map(|(_, v)| [v.low, v.value, v.high]).chain([mark.value, 0.0]));
    let above = if high > low { (high - low) * 0.06 } else { 1.0 };
    let (from, to) = (first - beside, last + beside);
    let mut chart = ChartBuilder::on(area)
        .margin(14)
        .caption(*name, (FONT, 22).into_font())
        .x_label_area_size(42)
        .y_label_area_size(62)
        .build_cartesian_2d(from..to, low - above..high + above)?;
    chart
        .configure_mesh()
        .x_desc(x)
        .x_labels(6)
        .y_labels(6)
        .label_style((FONT, 15).into_font())
        .axis_desc_style((FONT, 16).into_font())
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.12))
        .x_label_formatter(&|value| short(*value))
        .y_label_formatter(&|value| short(*value))
        .draw()?;
    chart.draw_series(DashedLineSeries::new(
        [(from, mark.value), (to, mark.value)],
        6,
        4,
        ShapeStyle::from(GREEN).stroke_width(2),
    ))?;
    let bars =
        points.iter().map(|(x, v)| PathElement::new(vec![(*x, v.low), (*x, v.high)], BLUE.mix(0.6).stroke_width(2)));
    chart.draw_series(bars)?;
    chart.draw_series(LineSeries::new(points.iter().map(|(x, v)| (*x, v.value)), BLUE.stroke_width(2)))?;
    chart.draw_series(points.iter().map(|(x, v)| Circle::new((*x, v.value), 4, BLUE.filled())))?;
    Ok(())
}

/// Formats a number for an axis.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        1.0.. => 1,
        0.1.. => 2,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(name: &'static str, values: &[f64], mark: f64) -> Curve {
        let value = |value: f64| PlotValue { value, low: value - 0.1, high: value + 0.1 };
        let points = values.iter().enumerate().map(|(i, &v)| (i as f64 * 500.0, value(v))).collect();
        Curve { name, about: "", points, mark: value(mark) }
    }

    #[test]
    fn curves_are_pixels_or_lines_by_the_names_ending() {
        let folder = tempfile::tempdir().unwrap();
        let curves = [curve("Recall", &[0.1, 0.5, 0.7], 0.9), curve("FID", &[320.0], 12.0), curve("KID", &[], 0.0)];
        let (png, svg) = (folder.path().join("a.png"), folder.path().join("a.SVG"));
        write(&png, "a run", "step", &curves).unwrap();
        let picture = Picture::read(&png).unwrap();
        assert_eq!((picture.width(), picture.height()), (3 * 460, 320 + 2 * 34));
        let has = |color: [u8; 3]| picture.pixels().chunks_exact(3).any(|pixel| pixel == color);
        assert!(has([20, 90, 200]) && has([20, 130, 50]), "samples and what real pictures give");
        write(&svg, "a run", "step", &curves).unwrap();
        let text = std::fs::read_to_string(&svg).unwrap();
        assert!(text.starts_with("<svg") && ["a run", "Recall", "FID", "step"].iter().all(|word| text.contains(word)));
        assert_eq!(text.matches("<circle").count(), 4);
        let error = write(&folder.path().join("a.pdf"), "", "", &curves).unwrap_err().to_string();
        assert!(error.contains("a.pdf") && error.contains(".png or .svg"), "{error}");
    }

    #[test]
    fn numbers_beside_axes_are_short() {
        assert_eq!([1500.0, 12.5, 0.25, 0.0125, 0.0, -0.5].map(short), ["1500", "12.5", "0.25", "0.0125", "0", "-0.5"]);
    }
}
