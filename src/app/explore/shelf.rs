//! The shelf: points that were kept for later use. They are used as samples are.

use egui::Ui;

use super::context::PanelContext;
use super::drag::Carried;
use super::panel::Panel;
use super::worker::Slot;
use crate::app::action::Action;
use crate::latent::session::{Point, Session};

/// Side of their images, in points.
const SIDE: f32 = 48.0;

/// Shows the session's kept points, and keeps what is dragged onto it.
#[derive(Default)]
pub(super) struct Shelf;

impl Panel for Shelf {
    fn ui(&mut self, ui: &mut Ui, cx: &mut PanelContext) -> Option<Action> {
        cx.views.request(&cx.worker, Slot::Shelf, &cx.plans.shelf);
        let (mut picked, mut removed, mut renamed) = (None, None, None);
        let shelf = ui.horizontal_wrapped(|ui| {
            ui.label("Kept:").on_hover_text("Drag samples here to keep them; right click for their names");
            if cx.session.shelf.is_empty() {
                ui.weak("drag samples here to use them later");
            }
            for (i, point) in cx.session.shelf.iter().enumerate() {
                let response = cx.views.point(ui, Slot::Shelf, i, SIDE, point, None);
                if response.clicked() {
                    picked = Some(point.clone());
                }
                response.context_menu(|ui| {
                    let mut name = point.name();
                    if matches!(point, Point::Custom { .. }) && ui.text_edit_singleline(&mut name).changed() {
                        renamed = Some((i, name));
                    }
                    if ui.button("Remove").clicked() {
                        removed = Some(i);
                        ui.close();
                    }
                });
                response.on_hover_text(format!("{}; right click to name or remove it", point.name()));
            }
        });
        if let Some(carried) = Carried::dropped(&shelf.response) {
            add_point(&mut cx.session, carried.point);
        }
        if let Some((i, new)) = renamed
            && let Point::Custom { name, .. } = &mut cx.session.shelf[i]
        {
            *name = new;
        }
        if let Some(i) = removed {
            cx.session.shelf.remove(i);
        }
        picked.map(Action::Pick)
    }
}

/// Puts a z on the shelf.
pub(super) fn add_to_shelf(session: &mut Session, name: String, z: Vec<f32>) {
    add_point(session, Point::Custom { name, z });
}

fn add_point(session: &mut Session, point: Point) {
    if !session.shelf.contains(&point) {
        session.shelf.push(point);
    }
}

#[cfg(test)]
mod tests {
    use egui_kittest::kittest::Queryable;

    use super::*;
    use crate::app::explore::testing::{context, show};

    #[test]
    fn a_click_on_a_kept_point_picks_it() {
        let mut cx = context();
        for _ in 0..2 {
            add_to_shelf(&mut cx.session, "smile".into(), vec![0.5; 4]);
        }
        assert_eq!(cx.session.shelf.len(), 1, "a point is kept once");
        let kept = cx.session.shelf[0].clone();
        let mut harness = show(Shelf, cx);
        harness.get_by_label("smile").click();
        harness.run_steps(2);
        assert_eq!(harness.state().actions, [Action::Pick(kept)]);
    }
}
