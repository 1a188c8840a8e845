//! Concepts by name: saved from the arithmetic or from sliders, renamed, removed, and tried on any sample.

use egui::{Ui, Vec2};

use super::Explorer;
use super::arithmetic::Active;
use super::drag::{Carried, drop_zone};
use super::worker::Slot;
use crate::latent::directions::LatentDirection;
use crate::latent::session::{AppliedConcept, Session};

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

impl Explorer {
    /// Tries a concept on the sample that the last one was tried on.
    pub(super) fn apply(&mut self, direction: LatentDirection) {
        let on = self.session.applied.take().map_or_else(|| self.session.subject.clone(), |applied| applied.on);
        self.session.applied = Some(AppliedConcept { direction, amount: 1.0, on });
    }

    /// The concepts, and the one that is tried on a sample.
    pub(super) fn concepts(&mut self, ui: &mut Ui) {
        ui.strong("Concepts").on_hover_text("Differences that were saved by name; Directions has them as sliders, too");
        if self.session.concepts.is_empty() {
            ui.weak("None yet: fill a plus and a minus tray,\nand save what differs by name.");
            return;
        }
        let mut changed = None;
        ui.horizontal_wrapped(|ui| {
            for (i, concept) in self.session.concepts.iter().enumerate() {
                let chosen = self.session.applied.as_ref().is_some_and(|applied| applied.direction == *concept);
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
        match changed {
            Some((i, Change::Apply)) => self.apply(self.session.concepts[i].clone()),
            Some((i, Change::Rename(name))) => rename(&mut self.session, i, name),
            Some((i, Change::Remove)) => remove(&mut self.session, i),
            None => {}
        }
        self.applied(ui);
    }

    fn applied(&mut self, ui: &mut Ui) {
        self.views.ask(&self.worker, Slot::Applied, &self.plans.applied);
        let Some(AppliedConcept { direction, amount, on }) = self.session.applied.clone() else { return };
        let mut strength = amount;
        ui.horizontal_top(|ui| {
            let active = self.arithmetic.active == Active::Applied;
            let (_, dropped): (_, Option<Carried>) = drop_zone(ui, active, |ui| {
                ui.vertical(|ui| {
                    let label = ui.selectable_label(active, "On");
                    if label.on_hover_text("Clicked samples go here").clicked() {
                        self.arithmetic.active = Active::Applied;
                    }
                    let cell = self.views.point(ui, Slot::Applied, 1, SMALL, &on, None);
                    cell.on_hover_text(format!("{}: drag another one here", on.name()));
                });
            });
            if let (Some(carried), Some(applied)) = (dropped, &mut self.session.applied) {
                applied.on = carried.point;
            }
            let name = format!("{} with {:.2} {}", on.name(), amount, direction.name);
            self.views
                .made(ui, Slot::Applied, 0, LARGE, &name)
                .on_hover_text(format!("{name}: drag it to wherever a sample can be used"));
        });
        ui.spacing_mut().slider_width = 120.0;
        ui.horizontal(|ui| {
            let label = ui.label(&direction.name);
            let slider = egui::Slider::new(&mut strength, -2.0..=2.0).fixed_decimals(2);
            let slider = ui.add(slider).labelled_by(label.id);
            if slider.on_hover_text("1 is the whole concept, 0 none of it").changed()
                && let Some(applied) = &mut self.session.applied
            {
                applied.amount = strength;
            }
        });
        if ui.button("Keep").on_hover_text("Puts it on the shelf, to be used as a sample").clicked()
            && let Some(z) = self.plans.applied.first().cloned()
        {
            self.keep(format!("{} with {amount:.2} {}", on.name(), direction.name), z);
        }
        ui.add_space(Vec2::splat(4.0).y);
    }
}

enum Change {
    Apply,
    Rename(String),
    Remove,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::session::Slider;

    #[test]
    fn a_concept_is_renamed_and_removed_wherever_it_is_used() {
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
