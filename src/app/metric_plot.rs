//! Plots of training metrics.

use egui::Ui;
use egui_plot::{Corner, Legend, Line, Plot, PlotPoints};

use super::history::History;
use crate::train::Metrics;

/// Most points that a plot draws, however long the run.
const MAX_POINTS: usize = 1000;

/// Selects a metric of a step.
pub(super) type MetricOf = fn(&Metrics) -> f32;

/// Plots two metrics over the training steps, faint as measured and strong as smoothed, on an axis from 0 to `top` at least.
pub(super) fn plot(ui: &mut Ui, name: &str, history: &History, top: f64, curves: [(&str, MetricOf); 2]) {
    if history.metrics.is_empty() {
        ui.weak("drawn as soon as the first step is taken");
        return;
    }
    let colors = if ui.visuals().dark_mode {
        [egui::Color32::from_rgb(110, 170, 255), egui::Color32::from_rgb(255, 165, 80)]
    } else {
        [egui::Color32::from_rgb(20, 90, 200), egui::Color32::from_rgb(200, 90, 0)]
    };
    let stride = history.metrics.len().div_ceil(MAX_POINTS);
    // On the left, since the newest steps are on the right.
    let legend = Legend::default().position(Corner::LeftTop).follow_insertion_order(true);
    let plot = Plot::new(name.to_owned()).legend(legend).include_y(0.0).include_y(top).allow_scroll(false);
    plot.x_axis_label("step").show(ui, |plot| {
        for ((name, value), color) in curves.into_iter().zip(colors) {
            let raw: Vec<[f64; 2]> =
                history.metrics.iter().step_by(stride).map(|m| [m.step as f64, f64::from(value(m))]).collect();
            plot.line(Line::new("", PlotPoints::from(raw)).color(color.gamma_multiply(0.25)).width(1.0));
            let smoothed: Vec<[f64; 2]> = smooth(&history.metrics, value).into_iter().step_by(stride).collect();
            plot.line(Line::new(name, PlotPoints::from(smoothed)).color(color).width(1.8));
        }
    });
}

/// An exponential average over about 25 steps.
fn smooth(metrics: &[Metrics], value: MetricOf) -> Vec<[f64; 2]> {
    let mut average = f64::from(metrics.first().map_or(0.0, value));
    let step = |m: &Metrics| {
        average += 0.08 * (f64::from(value(m)) - average);
        [m.step as f64, average]
    };
    metrics.iter().map(step).collect()
}
