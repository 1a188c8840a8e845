//! *Duplicates*: pictures that a set has more than once, to look at and to leave out of training.

use std::collections::HashSet;
use std::ops::Range;
use std::path::PathBuf;

use burn::tensor::Device;
use crossbeam_channel::{Sender, unbounded};
use egui::{Color32, DragValue, Rect, Stroke, StrokeKind, Ui, Vec2, vec2};

use super::classes::error;
use super::grouping::{Ask, Group, Member, Told, serve};
use super::sources::Sources;
use super::work::{Work, controls, receive, until};
use crate::app::dialogs::Dialog;
use crate::app::dissect::{Atlas, cell};
use crate::app::errands::Errands;
use crate::data::{Listed, Problem, write_list};
use crate::evaluate::dedup::{Alike, Settings};
use crate::evaluate::hash::BITS;

/// Groups on a page, and pictures of each that are shown.
const PAGE: usize = 30;
const SHOWN: usize = 12;
/// Side of a picture, in points; room for what a group is, for how many more it has, and before the next group.
const SIDE: f32 = 60.0;
const HEAD: f32 = 76.0;
const MORE: f32 = 88.0;
const APART: f32 = 28.0;
const CROSS: Color32 = Color32::from_rgb(225, 60, 50);

/// Pictures that a training is to leave out.
pub(in crate::app) struct LeaveOut {
    pub data: String,
    pub names: Vec<String>,
}

/// Which groups are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    Exact,
    Near,
}

impl Which {
    fn holds(self, group: &Group) -> bool {
        match self {
            Self::All => true,
            Self::Exact => group.exact,
            Self::Near => !group.exact,
        }
    }
}

/// A set whose pictures are hashed.
struct Found {
    data: String,
    pictures: usize,
    bits: usize,
    skipped: Vec<Problem>,
    groups: Vec<Group>,
    of: Option<Alike>,
}

pub(super) struct Duplicates {
    device: Device,
    alike: Alike,
    steps: usize,
    /// Hashes, and stays to answer.
    work: Option<Work<Told>>,
    asks: Option<Sender<Ask>>,
    /// The set that is looked at.
    data: String,
    found: Option<Found>,
    /// What was asked for last.
    asked: Option<Alike>,
    asked_pictures: Vec<u64>,
    atlas: Option<(Vec<u64>, Atlas)>,
    /// Pictures of which it was decided otherwise than by their place in their group.
    flipped: HashSet<u64>,
    which: Which,
    page: usize,
    files: Errands<Result<PathBuf, String>>,
    exports: Option<PathBuf>,
    error: Option<String>,
    notice: Option<String>,
}

impl Duplicates {
    pub fn new(device: Device, exports: Option<PathBuf>, ctx: &egui::Context) -> Self {
        Self {
            device,
            alike: Alike { radius: 12, confirm: true },
            steps: 2000,
            work: None,
            asks: None,
            data: String::new(),
            found: None,
            asked: None,
            asked_pictures: Vec::new(),
            atlas: None,
            flipped: HashSet::new(),
            which: Which::All,
            page: 0,
            files: Errands::new(ctx),
            exports,
            error: None,
            notice: None,
        }
    }

    pub fn receive(&mut self, ctx: &egui::Context) {
        for told in receive(&mut self.work, &mut self.error) {
            match (told, &mut self.found) {
                (Told::Hashed { pictures, bits, skipped }, _) => {
                    let data = self.data.clone();
                    self.found = Some(Found { data, pictures, bits, skipped, groups: Vec::new(), of: None });
                }
                (Told::Groups(of, groups), Some(found)) => {
                    (found.groups, found.of) = (groups, Some(of));
                    self.asked_pictures.clear();
                }
                (Told::Pictures(numbers, pictures), _) => {
                    self.atlas = Some((numbers, Atlas::new(ctx, "duplicates", pictures)));
                }
                (Told::Groups(..), None) => {}
            }
        }
        while let Ok(written) = self.files.answers().try_recv() {
            match written {
                Ok(path) => self.notice = Some(format!("written: {}", path.display())),
                Err(error) => self.error = Some(error),
            }
        }
    }

    pub fn settings(&mut self, ui: &mut Ui, sources: &Sources) {
        let label = ui.label("Bits that may differ");
        ui.spacing_mut().slider_width = (ui.available_width() - 60.0).max(80.0);
        ui.add(egui::Slider::new(&mut self.alike.radius, 0..=24)).labelled_by(label.id).on_hover_text(format!(
            "Of a hash's {BITS}. 0 takes equal hashes only, as the paper does; 12 finds pictures that were encoded anew or lost \
             a little at their sides; more finds more, and more that are none"
        ));
        ui.checkbox(&mut self.alike.confirm, "They must also show the same").on_hover_text(
            "Pictures whose hashes differ must correlate at 0.9 when one is moved by up to two pixels; otherwise the hash alone \
             decides, as in the paper",
        );
        let hashing = self.work.is_some() && self.found.is_none();
        ui.add_enabled_ui(!hashing, |ui| {
            ui.horizontal(|ui| {
                let label = ui.label("The hash learns for");
                ui.add(DragValue::new(&mut self.steps).range(1..=100_000).speed(10).suffix(" steps"))
                    .labelled_by(label.id)
                    .on_hover_text("Steps of 128 pictures that the autoencoder, whose code is the hash, learns for");
            });
        });
        ui.add_space(6.0);
        if hashing {
            controls(ui, &mut self.work, "", "", None);
        } else {
            let obstacle = sources.training.trim().is_empty().then_some("Choose training pictures");
            let tip = "Teaches a hash with the training pictures, and finds those that are there more than once (the paper's \
                section 4.1)";
            if controls(ui, &mut None::<Work<Told>>, "Look for duplicates", tip, obstacle) {
                self.start(ui.ctx(), sources);
            }
        }
        error(ui, &mut self.error);
        self.ask_groups();
    }

    fn start(&mut self, ctx: &egui::Context, sources: &Sources) {
        (self.error, self.notice, self.found, self.asked, self.atlas) = (None, None, None, None, None);
        (self.page, self.which) = (0, Which::All);
        self.asked_pictures.clear();
        self.flipped.clear();
        self.data.clone_from(&sources.training);
        let settings = Settings { steps: self.steps, seed: sources.seed };
        let (asks, inbox) = unbounded();
        self.asks = Some(asks);
        let (data, device, preparation) = (self.data.clone(), self.device.clone(), sources.preparation);
        self.work = Some(Work::start(ctx, move |teller| serve(&data, preparation, settings, &inbox, &device, teller)));
    }

    /// Asks for the groups that the slider says, once there are hashes.
    fn ask_groups(&mut self) {
        if let (Some(_), Some(asks), true) = (&self.found, &self.asks, self.asked != Some(self.alike)) {
            let _ = asks.send(Ask::Groups(self.alike));
            self.asked = Some(self.alike);
        }
    }

    /// Draws what was found; tells what a training is to leave out when that was asked for.
    pub fn results(&mut self, ui: &mut Ui) -> Option<LeaveOut> {
        let Some(found) = &self.found else {
            ui.heading("Which pictures are there more than once?");
            ui.label(
                "A picture that a set has many times is learnt by heart. Here an autoencoder learns to hash the training \
                 pictures; those with equal or similar hashes are shown in groups, and can be left out of the next training.",
            );
            until(ui, self.work.as_ref(), "Choose training pictures. No network is needed.");
            return None;
        };
        let shown: Vec<usize> = (0..found.groups.len()).filter(|&i| self.which.holds(&found.groups[i])).collect();
        let pages = shown.len().div_ceil(PAGE).max(1);
        self.page = self.page.min(pages - 1);
        let visible: Vec<usize> = shown.iter().copied().skip(self.page * PAGE).take(PAGE).collect();
        let leave_out = self.head(ui, pages);
        let found = self.found.as_ref()?;
        let numbers: Vec<u64> = visible
            .iter()
            .flat_map(|&i| found.groups[i].members.iter().take(SHOWN).map(|member| member.number))
            .collect();
        // Once the groups are those that were asked for: a newer question would push this one out.
        if numbers != self.asked_pictures
            && found.of == self.asked
            && let Some(asks) = &self.asks
        {
            let _ = asks.send(Ask::Pictures(numbers.clone()));
            self.asked_pictures = numbers;
        }
        ui.separator();
        egui::ScrollArea::vertical().id_salt("groups").auto_shrink(false).show(ui, |ui| {
            let (room, gap) = (ui.available_width(), ui.spacing().item_spacing.x);
            let sizes: Vec<Extent> =
                visible.iter().map(|&i| Extent::new(found.groups[i].members.len(), room, gap)).collect();
            for line in lines(&sizes, room) {
                ui.horizontal_top(|ui| {
                    for at in line {
                        let (i, size) = (visible[at], sizes[at]);
                        ui.allocate_ui(vec2(size.width, 0.0), |ui| {
                            ui.set_width(size.width);
                            group(ui, i, &found.groups[i], size.shown, self.atlas.as_ref(), &mut self.flipped);
                        });
                    }
                });
                ui.separator();
            }
        });
        leave_out
    }

    /// What there is, what is done with it, and which of it is shown.
    fn head(&mut self, ui: &mut Ui, pages: usize) -> Option<LeaveOut> {
        let found = self.found.as_ref()?;
        let mut leave_out = None;
        let removed: Vec<&Member> = found
            .groups
            .iter()
            .flat_map(|group| group.members.iter().enumerate().filter(|(i, member)| removed(*i, member, &self.flipped)))
            .map(|(_, member)| member)
            .collect();
        ui.horizontal_wrapped(|ui| {
            ui.strong(&found.data);
            ui.label(format!(
                "{} pictures, {} groups of duplicates; {} of {BITS} bits tell pictures apart",
                found.pictures,
                found.groups.len(),
                found.bits
            ));
            if found.of != self.asked {
                ui.spinner();
            }
            if !found.skipped.is_empty() {
                let names: Vec<_> = found.skipped.iter().take(20).map(|p| format!("{}: {}", p.name, p.cause)).collect();
                ui.colored_label(
                    ui.visuals().warn_fg_color,
                    format!("{} pictures cannot be read", found.skipped.len()),
                )
                .on_hover_text(names.join("\n"));
            }
        });
        ui.horizontal_wrapped(|ui| {
            let text = format!("Leave {} pictures out of training", removed.len());
            let button = egui::Button::new(egui::RichText::new(text).strong());
            let tip = "The next training that is started in this window leaves out what is crossed; the run writes it down, so \
                that it is resumed without them too";
            if ui.add_enabled(!removed.is_empty(), button).on_hover_text(tip).clicked() {
                let names: Vec<String> = removed.iter().map(|member| member.name.clone()).collect();
                self.notice = Some(format!("The next training leaves out {} pictures: see Train", names.len()));
                leave_out = Some(LeaveOut { data: found.data.clone(), names });
            }
            let tip = "A table of the groups, for `zscape train --skip`";
            if ui.add_enabled(!found.groups.is_empty(), egui::Button::new("Save list...")).on_hover_text(tip).clicked() {
                let rows = listed(&found.groups, &self.flipped);
                let dialog = Dialog::save("Save the list", "duplicates.csv").filter("CSV", &["csv"]);
                self.files.place(self.exports.clone(), dialog, move |path| {
                    let path = path?;
                    Some(match write_list(&path, rows) {
                        Ok(()) => Ok(path),
                        Err(cause) => Err(format!("{} cannot be written: {cause}", path.display())),
                    })
                });
            }
            let tip = "Crosses all but the first of each group, as at the beginning";
            if ui.add_enabled(!self.flipped.is_empty(), egui::Button::new("Cross all again")).on_hover_text(tip).clicked() {
                self.flipped.clear();
            }
            ui.separator();
            let count = |which: Which| found.groups.iter().filter(|group| which.holds(group)).count();
            for (which, name, tip) in [
                (Which::All, "all", "Every group"),
                (Which::Exact, "exact", "Groups whose pictures are the same in every pixel, at 32x32"),
                (Which::Near, "near", "Groups whose pictures differ a little"),
            ] {
                ui.selectable_value(&mut self.which, which, format!("{} {name}", count(which))).on_hover_text(tip);
            }
            if pages > 1 {
                ui.separator();
                if ui.add_enabled(self.page > 0, egui::Button::new("Back")).on_hover_text("The page before").clicked() {
                    self.page -= 1;
                }
                ui.label(format!("page {} of {pages}", self.page + 1));
                if ui.add_enabled(self.page + 1 < pages, egui::Button::new("On")).on_hover_text("The next page").clicked() {
                    self.page += 1;
                }
            }
        });
        if let Some(notice) = &self.notice {
            ui.label(notice);
        }
        leave_out
    }
}

/// Whether a picture is left out: all but the first of its group, but for what was decided otherwise.
fn removed(place: usize, member: &Member, flipped: &HashSet<u64>) -> bool {
    (place > 0) != flipped.contains(&member.number)
}

fn listed(groups: &[Group], flipped: &HashSet<u64>) -> Vec<Listed> {
    let rows = groups.iter().enumerate().flat_map(|(number, group)| {
        group.members.iter().enumerate().map(move |(place, member)| Listed {
            group: number,
            kept: !removed(place, member, flipped),
            bits: member.bits,
            name: member.name.clone(),
        })
    });
    rows.collect()
}

/// How much of a group is shown, and the room that it takes, in points.
#[derive(Debug, Clone, Copy)]
struct Extent {
    shown: usize,
    width: f32,
}

impl Extent {
    /// Of a group of so many pictures in a window with `room`; `gap` is between two things side by side.
    fn new(members: usize, room: f32, gap: f32) -> Self {
        let fitting = ((room - HEAD - MORE - APART) / (SIDE + gap)) as usize;
        let shown = members.min(fitting.clamp(2, SHOWN));
        let more = if members > shown { MORE } else { 0.0 };
        Self { shown, width: HEAD + shown as f32 * (SIDE + gap) + more + APART }
    }
}

/// Puts groups side by side, as many to a line as there is room for.
fn lines(groups: &[Extent], room: f32) -> Vec<Range<usize>> {
    let mut lines: Vec<Range<usize>> = Vec::new();
    let mut taken = f32::INFINITY;
    for (at, group) in groups.iter().enumerate() {
        taken += group.width;
        match lines.last_mut() {
            Some(line) if taken <= room => line.end = at + 1,
            _ => {
                lines.push(at..at + 1);
                taken = group.width;
            }
        }
    }
    lines
}

/// A group: what it is, and the first of its pictures, to be crossed or kept by a click.
fn group(
    ui: &mut Ui,
    number: usize,
    group: &Group,
    shown: usize,
    atlas: Option<&(Vec<u64>, Atlas)>,
    flipped: &mut HashSet<u64>,
) {
    ui.horizontal(|ui| {
        ui.vertical(|ui| {
            ui.set_width(HEAD);
            ui.strong(format!("{} pictures", group.members.len()));
            ui.weak(if group.exact { "exact" } else { "near" });
            let any = group.members.iter().enumerate().any(|(place, member)| removed(place, member, flipped));
            let (name, tip) =
                if any { ("Keep all", "Leaves out none of them") } else { ("Cross", "Leaves out all but the first") };
            if ui.push_id(number, |ui| ui.small_button(name).on_hover_text(tip).clicked()).inner {
                for (place, member) in group.members.iter().enumerate() {
                    // The first is kept by its place, all others by having been decided otherwise.
                    if any && place > 0 {
                        flipped.insert(member.number);
                    } else {
                        flipped.remove(&member.number);
                    }
                }
            }
        });
        for (place, member) in group.members.iter().take(shown).enumerate() {
            let out = removed(place, member, flipped);
            let at = atlas.and_then(|(numbers, _)| numbers.iter().position(|&number| number == member.number));
            ui.vertical(|ui| {
                ui.set_width(SIDE);
                let state = if out { "left out" } else { "kept" };
                let name = format!("{}, {state}", member.name);
                let picture = atlas.filter(|_| at.is_some()).map(|(_, atlas)| atlas);
                let response = cell(ui, picture, at.unwrap_or(0), SIDE, name.clone());
                if out {
                    let rect = response.rect;
                    // In a corner, since what is crossed is to be compared with what is kept.
                    let corner = Rect::from_min_size(rect.right_top() - vec2(16.0, 0.0), Vec2::splat(16.0));
                    ui.painter().rect_stroke(rect, 0.0, Stroke::new(2.0, CROSS), StrokeKind::Inside);
                    ui.painter().rect_filled(corner, 0.0, CROSS);
                    let (cross, white) = (corner.shrink(4.0), Stroke::new(2.0, Color32::WHITE));
                    ui.painter().line_segment([cross.left_top(), cross.right_bottom()], white);
                    ui.painter().line_segment([cross.right_top(), cross.left_bottom()], white);
                }
                ui.weak(match (place, member.bits) {
                    (0, _) => "the first".to_owned(),
                    (_, 1) => "1 bit off".to_owned(),
                    (_, bits) => format!("{bits} bits off"),
                });
                let act = if out { "keep it" } else { "leave it out" };
                if response.clicked() && !flipped.remove(&member.number) {
                    flipped.insert(member.number);
                }
                response.on_hover_text(format!("{name}\nClick to {act}"));
            });
        }
        if group.members.len() > shown {
            ui.weak(format!("and {} more", group.members.len() - shown));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_stand_side_by_side_where_there_is_room() {
        let sizes = [40, 3, 2, 2, 2, 2].map(|members| Extent::new(members, 1000.0, 8.0));
        assert_eq!(sizes.map(|size| size.shown), [11, 3, 2, 2, 2, 2]);
        assert_eq!(lines(&sizes, 1000.0), [0..1, 1..4, 4..6]);
        for line in lines(&sizes, 1000.0) {
            assert!(sizes[line].iter().map(|size| size.width).sum::<f32>() <= 1000.0);
        }
        let narrow = [40, 2].map(|members| Extent::new(members, 200.0, 8.0));
        assert_eq!(narrow.map(|size| size.shown), [2, 2]);
        assert_eq!(lines(&narrow, 200.0), [0..1, 1..2], "one at least");
        assert!(lines(&[], 200.0).is_empty());
    }
}
