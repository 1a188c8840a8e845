//! Rendering of figure 5 of the paper: guided backpropagation of random and trained features.

use super::guided::FeatureResponses;
use super::labeled_rows::{CHANNELS, GAP, LabeledRows};
use crate::image::{LabelError, Picture, Sheet, label};

/// The gap between the halves of the figure, in pixels.
const HALF_GAP: usize = 12;

/// Renders figure 5 of the paper: features of random weights on the left, trained ones on the right, one row per
/// feature; below them the pictures they respond to.
///
/// # Errors
/// [`LabelError`] if a label cannot be rendered.
pub fn render_guided_figure(random: &[FeatureResponses], trained: &[FeatureResponses]) -> Result<Picture, LabelError> {
    let [left, right] = [half("random filters", random)?, half("trained filters", trained)?];
    let mut sheet = Sheet::new(left.width() + HALF_GAP + right.width(), left.height().max(right.height()), CHANNELS);
    sheet.put(&left, 0, 0);
    sheet.put(&right, left.width() + HALF_GAP, 0);
    Ok(sheet.into_picture())
}

/// One half of the figure, below its title.
fn half(title: &str, features: &[FeatureResponses]) -> Result<Picture, LabelError> {
    let signals: Vec<&[Picture]> = features.iter().map(|feature| &feature.signals[..]).collect();
    let originals: Vec<Vec<Picture>> =
        features.iter().map(|f| f.responses.iter().map(|r| r.picture.clone()).collect()).collect();
    let originals: Vec<&[Picture]> = originals.iter().map(|row| &row[..]).collect();
    let labels = features.iter().map(|feature| label(&feature.map.to_string())).collect::<Result<Vec<_>, _>>()?;
    let blocks = [
        label(title)?,
        label("feature, guided backpropagation")?,
        labeled_rows(&labels, &signals),
        label("feature, strongest responses")?,
        labeled_rows(&labels, &originals),
    ];
    Ok(stacked(&blocks))
}

/// Rows of pictures, each with its label on the left.
fn labeled_rows(labels: &[Picture], rows: &[&[Picture]]) -> Picture {
    let columns = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let Some(first) = rows.iter().copied().flatten().next() else { return Picture::new(0, 0, 1, Vec::new()) };
    let layout = LabeledRows::new(first.width(), first.height());
    let left = labels.iter().map(Picture::width).max().unwrap_or(0) + GAP;
    let (width, height) = (left + columns * layout.column_width, rows.len() * layout.row_height);
    let mut sheet = Sheet::new(width, height, CHANNELS);
    layout.put_labels(&mut sheet, labels, 0);
    layout.put_pictures(&mut sheet, rows.iter().copied(), left, 0);
    sheet.into_picture()
}

fn stacked(blocks: &[Picture]) -> Picture {
    let width = blocks.iter().map(Picture::width).max().unwrap_or(0);
    let height = blocks.iter().map(|block| block.height() + GAP).sum();
    let mut sheet = Sheet::new(width, height, CHANNELS);
    let mut y = 0;
    for block in blocks.iter().filter(|block| block.width() > 0) {
        sheet.put(block, 0, y);
        y += block.height() + GAP;
    }
    sheet.into_picture()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::data::synth::Scene;
    use crate::dissect::guided::{FIGURE_FEATURES, ResponseSearch};
    use crate::image::LABEL_HEIGHT;
    use crate::model::{Discriminator, ModelConfig, Preset};

    fn search(channels: usize, features: usize, pictures: &[(u64, Picture)], keep: usize) -> Vec<FeatureResponses> {
        let config = ModelConfig { size: 16, base: 4, channels, ..ModelConfig::preset(Preset::Pytorch) };
        let device = Device::flex();
        let discriminator = Discriminator::new(&config, 2, &device);
        let mut search = ResponseSearch::new(1, 0..features, keep);
        search.scan(&discriminator, pictures, &device).unwrap();
        search.finish(&discriminator, &device).unwrap()
    }

    #[test]
    fn each_half_has_two_blocks_of_rows() {
        let pictures: Vec<_> = (0..24).map(|n| (n, Scene::Rooms.draw(1, n, 16).picture)).collect();
        let features = search(3, FIGURE_FEATURES, &pictures, 4);
        let sheet = render_guided_figure(&features, &features).unwrap();
        assert!(sheet.width() >= 2 * 4 * 18 + HALF_GAP, "four pictures per row");
        assert_eq!(sheet.height(), 3 * (LABEL_HEIGHT + GAP) + 2 * (6 * (LABEL_HEIGHT + GAP) + GAP));
    }

    #[test]
    fn gray_pictures_are_drawn_in_a_color_figure() {
        let gray = |n: u64| Picture::new(16, 16, 1, (0..256).map(|i| ((i * (n + 3)) % 251) as u8).collect());
        let pictures: Vec<_> = (0..8).map(|n| (n, gray(n))).collect();
        let features = search(1, 2, &pictures, 3);
        let sheet = render_guided_figure(&features, &features).unwrap();
        assert_eq!(sheet.channels(), 3);
        assert_eq!(sheet.height(), 3 * (LABEL_HEIGHT + GAP) + 2 * (2 * (LABEL_HEIGHT + GAP) + GAP));
        assert!(render_guided_figure(&[], &[]).is_ok(), "a figure without features is empty");
    }
}
