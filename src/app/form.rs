//! Rows of forms: a label, and a value to choose or type.

use egui::{DragValue, Ui};

/// Draws a row of options that share a tool tip.
pub(super) fn choice<T: Copy + PartialEq + std::fmt::Display>(
    ui: &mut Ui,
    name: &str,
    tip: &str,
    value: &mut T,
    all: &[T],
) {
    options(ui, name, tip, value, all, |_| tip);
}

/// Draws a row of options, each with its own tool tip.
pub(super) fn options<'a, T: Copy + PartialEq + std::fmt::Display>(
    ui: &mut Ui,
    name: &str,
    tip: &str,
    value: &mut T,
    all: &[T],
    about: impl Fn(T) -> &'a str,
) {
    ui.label(name).on_hover_text(tip);
    ui.horizontal(|ui| {
        for option in all {
            ui.selectable_value(value, *option, option.to_string()).on_hover_text(about(*option));
        }
    });
    ui.end_row();
}

/// Draws a row with a number.
pub(super) fn number(ui: &mut Ui, name: &str, tip: &str, value: &mut usize, range: std::ops::RangeInclusive<usize>) {
    let label = ui.label(name);
    ui.add(DragValue::new(value).range(range)).labelled_by(label.id).on_hover_text(tip);
    ui.end_row();
}
