//! Concepts: named directions that were saved from the arithmetic or from sliders. They are renamed, removed and applied to
//! any sample.

use egui::Ui;

use super::context::PanelContext;
use super::drag::drop_zone;
use super::panel::Panel;
use super::shelf::add_to_shelf;
use super::worker::Slot;
use crate::app::action::Action;
use crate::latent::directions::LatentDirection;
use crate::latent::session::{AppliedConcept, Point, Session};

/// Sides of the sample's image and of the result's, in points.
const SMALL: f32 = 64.0;
const LARGE: f32 = 112.0;

/// Renames a concept wherever the session uses it.
pub(super) fn rename(session: &mut Session, at: usize, name: String) {
    let Some(concept) = session.concepts.get(at).cloned() else { return };
    let sliders = session.sliders.iter_mut().map(|slider| &mut slider.direction);
    let applied = session.applied.iter_mut().map(|applied| &mut applied.direction);
    let axes = session.axes.iter_mut().flatten();
    for used in sliders.chain(applied).chain(axes).filter(|used| **used == concept) {
        used.name.clone_from(&name);
    }
    session.concepts[at].name = name;
}

/// Removes a concept, and its slider.
pub(super) fn remove(session: &mut Session, at: usize) {
    let concept = session.concepts.remove(at);
    session.sliders.retain(|slider| slider.direction != concept);
    if session.applied.as_ref().is_some_and(|applied| applied.direction == concept) {
        session.applied = None;
    }
}

/// Applies a concept to the sample that the previous one was applied to.
pub(super) fn apply(session: &mut Session, direction: LatentDirection) {
    let on = session.applied.take().map_or_else(|| session.subject.clone(), |applied| applied.on);
    session.applied = Some(AppliedConcept { direction, amount: 1.0, on });
}

/// A change of a concept that its label or its menu asks for.
enum Change {
    Apply,
    Rename(String),
    Remove,
}

/// Lists the session's concepts, and shows the one that is applied to a sample.
#[derive(Default)]
pub(super) struct ConceptsPanel {
    /// Whether clicked samples become the one that the concept is applied to.
    pub takes_clicks: bool,
}

impl Panel for ConceptsPanel {
    fn ui(&mut self, ui: &mut Ui, cx: &mut PanelContext) -> Option<Action> {
        ui.strong("Concepts").on_hover_text("Differences that were saved by name; Directions has them as sliders, too");
        if cx.session.concepts.is_empty() {
            ui.weak("None yet: fill a plus and a minus tray,\nand save what differs by name.");
            return None;
        }
        let mut changed = None;
        ui.horizontal_wrapped(|ui| {
            for (i, concept) in cx.session.concepts.iter().enumerate() {
                let chosen = cx.session.applied.as_ref().is_some_and(|applied| applied.direction == *concept);
                let label = ui.selectable_label(chosen, &concept.name);
                if label.clicked() {
                    changed = Some((i, Change::Apply));
                }
                label.context_menu(|ui| {
                    let mut name = concept.name.clone();
                    if ui.text_edit_singleline(&mut name).changed() {
                        changed = Some((i, Change::Rename(name)));
                    }
                    if ui.button("Remove").clicked() {
                        changed = Some((i, Change::Remove));
                        ui.close();
                    }
                });
                label.on_hover_text("Click to try it on a sample; right click to rename or remove it");
            }
        });
        let session = &mut cx.session;
        match changed {
            Some((i, Change::Apply)) => apply(session, session.concepts[i].clone()),
            Some((i, Change::Rename(name))) => rename(session, i, name),
            Some((i, Change::Remove)) => remove(session, i),
            None => {}
        }
        self.applied(ui, cx);
        None
    }

    fn pick(&mut self, point: Point, cx: &mut PanelContext) {
        match &mut cx.session.applied {
            Some(applied) => applied.on = point,
            None => cx.session.subject = point,
        }
    }

    fn request_changed(&self, cx: &mut PanelContext) {
        cx.views.request(&cx.worker, Slot::Applied, &cx.plans.applied);
    }
}

impl ConceptsPanel {
    /// The concept that is applied to a sample, with a slider for its strength.
    fn applied(&mut self, ui: &mut Ui, cx: &mut PanelContext) {
        cx.views.request(&cx.worker, Slot::Applied, &cx.plans.applied);
        let Some(AppliedConcept { direction, amount, on }) = cx.session.applied.clone() else { return };
        let name = format!("{} with {:.2} {}", on.name(), amount, direction.name);
        ui.horizontal_top(|ui| {
            let (_, dropped) = drop_zone(ui, self.takes_clicks, egui::Sense::hover(), |ui| {
                ui.vertical(|ui| {
                    let label = ui.selectable_label(self.takes_clicks, "On");
                    if label.on_hover_text("Clicked samples go here").clicked() {
                        self.takes_clicks = true;
                    }
                    let cell = cx.views.point(ui, Slot::Applied, 1, SMALL, &on, None);
                    cell.on_hover_text(format!("{}: drag another one here", on.name()));
                });
            });
            if let (Some(carried), Some(applied)) = (dropped, &mut cx.session.applied) {
                applied.on = carried.point;
            }
            cx.views
                .made(ui, Slot::Applied, 0, LARGE, &name)
                .on_hover_text(format!("{name}: drag it to wherever a sample can be used"));
        });
        ui.spacing_mut().slider_width = 120.0;
        ui.horizontal(|ui| {
            let label = ui.label(&direction.name);
            let mut strength = amount;
            let slider = egui::Slider::new(&mut strength, -2.0..=2.0).fixed_decimals(2);
            let slider = ui.add(slider).labelled_by(label.id);
            if slider.on_hover_text("1 is the whole concept, 0 none of it").changed()
                && let Some(applied) = &mut cx.session.applied
            {
                applied.amount = strength;
            }
        });
        if ui.button("Keep").on_hover_text("Puts it on the shelf, to be used as a sample").clicked()
            && let Some(z) = cx.plans.applied.first().cloned()
        {
            add_to_shelf(&mut cx.session, name, z);
        }
        ui.add_space(4.0);
    }
}

#[cfg(test)]
mod tests {
    use egui_kittest::kittest::Queryable;

    use super::*;
    use crate::app::explore::testing::{TestPanel, context, sample, show};
    use crate::latent::session::Slider;

    #[test]
    fn a_clicked_concept_is_applied_to_the_subject() {
        let mut cx = context();
        cx.session.subject = sample(5);
        cx.session.concepts = vec![LatentDirection { name: "smile".into(), vector: vec![1.0; 4], weight: 2.0 }];
        let mut harness = show(ConceptsPanel::default(), cx);
        harness.get_by_label("smile").click();
        harness.run_steps(2);
        let TestPanel { panel, cx, .. } = harness.state_mut();
        let applied = cx.session.applied.clone().expect("the concept is applied");
        assert_eq!((applied.direction.name.as_str(), applied.amount, applied.on), ("smile", 1.0, sample(5)));
        panel.pick(sample(6), cx);
        assert_eq!(cx.session.applied.as_ref().map(|applied| &applied.on), Some(&sample(6)));
    }

    #[test]
    fn renaming_and_removing_a_concept_reaches_every_use_of_it() {
        let mut session = Session::new("bundled:faces".into());
        let smile = LatentDirection { name: "smile".into(), vector: vec![1.0, 0.0], weight: 1.0 };
        let other = LatentDirection { name: "hat".into(), vector: vec![0.0, 1.0], weight: 1.0 };
        session.concepts = vec![other.clone(), smile.clone()];
        session.sliders =
            [&smile, &other].map(|direction| Slider { direction: direction.clone(), amount: 1.0 }).to_vec();
        session.applied = Some(AppliedConcept { direction: smile, amount: 0.5, on: session.subject.clone() });
        rename(&mut session, 1, "grin".into());
        assert_eq!(session.concepts[1].name, "grin");
        assert_eq!(session.sliders[0].direction.name, "grin");
        assert_eq!(session.applied.as_ref().unwrap().direction.name, "grin");
        remove(&mut session, 1);
        assert_eq!((session.concepts.len(), session.sliders.len(), session.applied), (1, 1, None));
    }
}
