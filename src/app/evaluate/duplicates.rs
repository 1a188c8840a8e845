//! The *Duplicates* tab: finds images that a data set contains more than once, and leaves them out of training.

use std::collections::HashSet;
use std::ops::Range;
use std::path::PathBuf;

use burn::tensor::Device;
use crossbeam_channel::{Sender, unbounded};
use egui::{Color32, DragValue, Rect, Stroke, StrokeKind, Ui, Vec2, vec2};

use super::clustering::{self, ClusteringEvent, ClusteringRequest, Duplicate, DuplicateGroup};
use super::controls::{error_label, job_controls, placeholder};
use super::sources::Sources;
use crate::app::action::Action;
use crate::app::background::BackgroundTasks;
use crate::app::dialogs::Dialog;
use crate::app::dissect::{Atlas, cell};
use crate::app::service::Job;
use crate::data::{DuplicateRow, Problem, write_duplicate_list};
use crate::evaluate::dedup::{DedupSettings, DuplicateCriterion};
use crate::evaluate::hash::BITS;

/// Groups on a page, and most images of each that are shown.
const PAGE: usize = 30;
const MAX_SHOWN: usize = 12;
/// In points: the side of an image, and the space for a group's heading, for the number of images not shown, and between groups.
const SIDE: f32 = 60.0;
const HEADING: f32 = 76.0;
const MORE: f32 = 88.0;
const GROUP_GAP: f32 = 28.0;
const CROSS: Color32 = Color32::from_rgb(225, 60, 50);

/// Which groups are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum GroupFilter {
    All,
    Exact,
    Near,
}

impl GroupFilter {
    fn includes(self, group: &DuplicateGroup) -> bool {
        match self {
            Self::All => true,
            Self::Exact => group.exact,
            Self::Near => !group.exact,
        }
    }
}

/// A data set whose images are hashed.
struct HashedSet {
    data: String,
    pictures: usize,
    bits: usize,
    skipped: Vec<Problem>,
    groups: Vec<DuplicateGroup>,
    /// The criterion by which they were grouped.
    grouped_by: Option<DuplicateCriterion>,
}

pub(super) struct DuplicatesPanel {
    device: Device,
    alike: DuplicateCriterion,
    steps: usize,
    /// Hashes, then serves requests.
    job: Option<Job<ClusteringEvent>>,
    requests: Option<Sender<ClusteringRequest>>,
    /// The data set that is hashed.
    data: String,
    found: Option<HashedSet>,
    requested: Option<DuplicateCriterion>,
    requested_pictures: Vec<u64>,
    atlas: Option<(Vec<u64>, Atlas)>,
    /// Images for which a click overrode the rule that all but the first of a group are left out.
    flipped: HashSet<u64>,
    filter: GroupFilter,
    page: usize,
    tasks: BackgroundTasks<Result<PathBuf, String>>,
    exports: Option<PathBuf>,
    error: Option<String>,
    notice: Option<String>,
}

impl DuplicatesPanel {
    pub fn new(device: Device, exports: Option<PathBuf>, ctx: &egui::Context) -> Self {
        Self {
            device,
            alike: DuplicateCriterion::default(),
            steps: DedupSettings::default().steps,
            job: None,
            requests: None,
            data: String::new(),
            found: None,
            requested: None,
            requested_pictures: Vec::new(),
            atlas: None,
            flipped: HashSet::new(),
            filter: GroupFilter::All,
            page: 0,
            tasks: BackgroundTasks::new(ctx, Err),
            exports,
            error: None,
            notice: None,
        }
    }

    pub fn receive(&mut self, ctx: &egui::Context) {
        for event in Job::receive(&mut self.job, &mut self.error) {
            match (event, &mut self.found) {
                (ClusteringEvent::Hashed { pictures, bits, skipped }, _) => {
                    let data = self.data.clone();
                    self.found =
                        Some(HashedSet { data, pictures, bits, skipped, groups: Vec::new(), grouped_by: None });
                }
                (ClusteringEvent::Groups(grouped_by, groups), Some(found)) => {
                    (found.groups, found.grouped_by) = (groups, Some(grouped_by));
                    self.requested_pictures.clear();
                }
                (ClusteringEvent::Pictures(numbers, pictures), _) => {
                    self.atlas = Some((numbers, Atlas::new(ctx, "duplicates", pictures)));
                }
                (ClusteringEvent::Groups(..), None) => {}
            }
        }
        while let Ok(written) = self.tasks.responses().try_recv() {
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
        let hashing = self.job.is_some() && self.found.is_none();
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
            job_controls(ui, &mut self.job, "", "", None);
        } else {
            let obstacle = sources.training.trim().is_empty().then_some("Choose training pictures");
            let tip = "Teaches a hash with the training pictures, and finds those that are there more than once (the paper's \
                section 4.1)";
            if job_controls(ui, &mut None::<Job<ClusteringEvent>>, "Look for duplicates", tip, obstacle) {
                self.start(ui.ctx(), sources);
            }
        }
        error_label(ui, &mut self.error);
        self.request_groups();
    }

    fn start(&mut self, ctx: &egui::Context, sources: &Sources) {
        (self.error, self.notice, self.found, self.requested, self.atlas) = (None, None, None, None, None);
        (self.page, self.filter) = (0, GroupFilter::All);
        self.requested_pictures.clear();
        self.flipped.clear();
        self.data.clone_from(&sources.training);
        let settings = DedupSettings { steps: self.steps, seed: sources.seed };
        let (requests, inbox) = unbounded();
        self.requests = Some(requests);
        let (data, device, preparation) = (self.data.clone(), self.device.clone(), sources.preparation);
        self.job = Some(Job::start("clustering", ctx, move |reporter| {
            clustering::run(&data, preparation, settings, &inbox, &device, reporter)
        }));
    }

    /// Requests the groups of the slider's value, once the hashes are there.
    fn request_groups(&mut self) {
        if let (Some(_), Some(requests), true) = (&self.found, &self.requests, self.requested != Some(self.alike)) {
            let _ = requests.send(ClusteringRequest::Groups(self.alike));
            self.requested = Some(self.alike);
        }
    }

    /// Draws the groups. Returns the images to leave out of training when the button for that was clicked.
    pub fn results(&mut self, ui: &mut Ui) -> Option<Action> {
        let Some(found) = &self.found else {
            ui.heading("Which pictures are there more than once?");
            ui.label(
                "A picture that a set has many times is learnt by heart. Here an autoencoder learns to hash the training \
                 pictures; those with equal or similar hashes are shown in groups, and can be left out of the next training.",
            );
            placeholder(ui, self.job.as_ref(), "Choose training pictures. No network is needed.");
            return None;
        };
        let shown: Vec<usize> = (0..found.groups.len()).filter(|&i| self.filter.includes(&found.groups[i])).collect();
        let pages = shown.len().div_ceil(PAGE).max(1);
        self.page = self.page.min(pages - 1);
        let visible: Vec<usize> = shown.iter().copied().skip(self.page * PAGE).take(PAGE).collect();
        let leave_out = self.head(ui, pages);
        let found = self.found.as_ref()?;
        let numbers: Vec<u64> = visible
            .iter()
            .flat_map(|&i| found.groups[i].members.iter().take(MAX_SHOWN).map(|member| member.number))
            .collect();
        // Only once the requested groups have come: a newer request would replace this one.
        if numbers != self.requested_pictures
            && found.grouped_by == self.requested
            && let Some(requests) = &self.requests
        {
            let _ = requests.send(ClusteringRequest::Pictures(numbers.clone()));
            self.requested_pictures = numbers;
        }
        ui.separator();
        egui::ScrollArea::vertical().id_salt("groups").auto_shrink(false).show(ui, |ui| {
            let (room, gap) = (ui.available_width(), ui.spacing().item_spacing.x);
            let sizes: Vec<GroupExtent> =
                visible.iter().map(|&i| GroupExtent::new(found.groups[i].members.len(), room, gap)).collect();
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

    /// Draws the numbers of groups, the buttons, and the filter.
    fn head(&mut self, ui: &mut Ui, pages: usize) -> Option<Action> {
        let found = self.found.as_ref()?;
        let mut leave_out = None;
        let removed: Vec<&Duplicate> = found
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
            if found.grouped_by != self.requested {
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
                leave_out = Some(Action::SkipImages { data: found.data.clone(), names });
            }
            let tip = "A table of the groups, for `zscape train --skip`";
            if ui.add_enabled(!found.groups.is_empty(), egui::Button::new("Save list...")).on_hover_text(tip).clicked() {
                let rows = listed(&found.groups, &self.flipped);
                let dialog = Dialog::save("Save the list", "duplicates.csv").filter("CSV", &["csv"]);
                self.tasks.choose_destination(self.exports.clone(), dialog, move |path| {
                    let path = path?;
                    Some(match write_duplicate_list(&path, rows) {
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
            let count = |filter: GroupFilter| found.groups.iter().filter(|group| filter.includes(group)).count();
            for (filter, name, tip) in [
                (GroupFilter::All, "all", "Every group"),
                (GroupFilter::Exact, "exact", "Groups whose pictures are the same in every pixel, at 32x32"),
                (GroupFilter::Near, "near", "Groups whose pictures differ a little"),
            ] {
                ui.selectable_value(&mut self.filter, filter, format!("{} {name}", count(filter))).on_hover_text(tip);
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

/// Whether an image is left out: all but the first of its group are, unless a click decided otherwise.
fn removed(place: usize, member: &Duplicate, flipped: &HashSet<u64>) -> bool {
    (place > 0) != flipped.contains(&member.number)
}

fn listed(groups: &[DuplicateGroup], flipped: &HashSet<u64>) -> Vec<DuplicateRow> {
    let rows = groups.iter().enumerate().flat_map(|(number, group)| {
        group.members.iter().enumerate().map(move |(place, member)| DuplicateRow {
            group: number,
            kept: !removed(place, member, flipped),
            bits: member.bits,
            name: member.name.clone(),
        })
    });
    rows.collect()
}

/// How many images of a group are shown, and how wide they are in points.
#[derive(Debug, Clone, Copy)]
struct GroupExtent {
    shown: usize,
    width: f32,
}

impl GroupExtent {
    /// For a group of `members` images in a panel that is `room` wide, with `gap` between widgets.
    fn new(members: usize, room: f32, gap: f32) -> Self {
        let fitting = ((room - HEADING - MORE - GROUP_GAP) / (SIDE + gap)) as usize;
        let shown = members.min(fitting.clamp(2, MAX_SHOWN));
        let more = if members > shown { MORE } else { 0.0 };
        Self { shown, width: HEADING + shown as f32 * (SIDE + gap) + more + GROUP_GAP }
    }
}

/// Breaks groups into lines that are at most `room` wide.
fn lines(groups: &[GroupExtent], room: f32) -> Vec<Range<usize>> {
    let mut lines: Vec<Range<usize>> = Vec::new();
    let mut width = f32::INFINITY;
    for (at, group) in groups.iter().enumerate() {
        width += group.width;
        match lines.last_mut() {
            Some(line) if width <= room => line.end = at + 1,
            _ => {
                lines.push(at..at + 1);
                width = group.width;
            }
        }
    }
    lines
}

/// Draws a group: its heading and its first images, which a click crosses out or keeps.
fn group(
    ui: &mut Ui,
    number: usize,
    group: &DuplicateGroup,
    shown: usize,
    atlas: Option<&(Vec<u64>, Atlas)>,
    flipped: &mut HashSet<u64>,
) {
    ui.horizontal(|ui| {
        ui.vertical(|ui| {
            ui.set_width(HEADING);
            ui.strong(format!("{} pictures", group.members.len()));
            ui.weak(if group.exact { "exact" } else { "near" });
            let any = group.members.iter().enumerate().any(|(place, member)| removed(place, member, flipped));
            let (name, tip) =
                if any { ("Keep all", "Leaves out none of them") } else { ("Cross", "Leaves out all but the first") };
            if ui.push_id(number, |ui| ui.small_button(name).on_hover_text(tip).clicked()).inner {
                for (place, member) in group.members.iter().enumerate() {
                    // The first is kept by the rule, all others by overriding it.
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
                    // The cross is in a corner, so that the image can still be compared with the others.
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
        let sizes = [40, 3, 2, 2, 2, 2].map(|members| GroupExtent::new(members, 1000.0, 8.0));
        assert_eq!(sizes.map(|size| size.shown), [11, 3, 2, 2, 2, 2]);
        assert_eq!(lines(&sizes, 1000.0), [0..1, 1..4, 4..6]);
        for line in lines(&sizes, 1000.0) {
            assert!(sizes[line].iter().map(|size| size.width).sum::<f32>() <= 1000.0);
        }
        let narrow = [40, 2].map(|members| GroupExtent::new(members, 200.0, 8.0));
        assert_eq!(narrow.map(|size| size.shown), [2, 2]);
        assert_eq!(lines(&narrow, 200.0), [0..1, 1..2], "one at least");
        assert!(lines(&[], 200.0).is_empty());
    }
}
