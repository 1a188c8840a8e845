//! The panel of feature maps: a strip for each layer of both networks, and one map in detail.

use egui::{RichText, Ui};

use super::atlas::{Atlas, cell};
use super::inspected;
use super::statistics::StatisticsChoice;
use super::worker::{InspectedSample, InspectorRequest, InspectorWorker, MapEffect, MapId, NetworkKind, OpenedModel};
use crate::dissect::layers::{ActivationSummary, LayerMaps};
use crate::image::Picture;
use crate::latent::session::Session;
use crate::model::Ablation;

/// Sides of the large image, of those beside it, and of the top samples, in points.
const LARGE: f32 = 232.0;
const MIDDLE: f32 = 128.0;
const SMALL: f32 = 72.0;

struct Strip {
    network: NetworkKind,
    layer: usize,
    name: String,
    side: usize,
    summary: ActivationSummary,
    maps: Atlas,
}

/// A feature map in detail.
struct Focus {
    map: MapId,
    overlay: Atlas,
    /// Numbers and activations of the samples that activate it most.
    top_samples: Vec<(u64, f32)>,
    top_pictures: Atlas,
    effect: ShownEffect,
}

/// A [`MapEffect`] whose images are on a texture.
enum ShownEffect {
    Images(Atlas),
    Logits([f32; 3]),
}

#[derive(Default)]
pub(super) struct LayersPanel {
    requested: Option<InspectedSample>,
    picture: Option<Atlas>,
    strips: Vec<Strip>,
    logit: Option<f32>,
    chosen: Option<MapId>,
    focus_requested: Option<(InspectedSample, MapId)>,
    focus: Option<Focus>,
}

impl LayersPanel {
    /// Shows the sample's image and the generator's maps of it.
    pub fn take(&mut self, ctx: &egui::Context, picture: &Picture, maps: &[LayerMaps]) {
        self.replace_strips(ctx, NetworkKind::Generator, maps);
        self.picture = Some(Atlas::new(ctx, "subject", vec![picture.clone()]));
    }

    /// Shows the discriminator's maps of the sample, and its logit.
    pub fn take_responses(&mut self, ctx: &egui::Context, maps: &[LayerMaps], logit: f32) {
        self.replace_strips(ctx, NetworkKind::Discriminator, maps);
        self.logit = Some(logit);
    }

    /// Replaces the strips of a network; the generator's come first.
    fn replace_strips(&mut self, ctx: &egui::Context, network: NetworkKind, layers: &[LayerMaps]) {
        let strip = |(layer, maps): (usize, &LayerMaps)| Strip {
            network,
            layer,
            name: maps.name.clone(),
            side: maps.side,
            summary: maps.summary(),
            maps: Atlas::new(ctx, &format!("{network:?} {layer}"), maps.pictures()),
        };
        self.strips.retain(|strip| strip.network != network);
        self.strips.extend(layers.iter().enumerate().map(strip));
        self.strips.sort_by_key(|strip| strip.network == NetworkKind::Discriminator);
    }

    pub fn take_focus(
        &mut self,
        ctx: &egui::Context,
        map: MapId,
        overlay: &Picture,
        top_samples: Vec<(u64, f32, Picture)>,
        effect: MapEffect,
    ) {
        let top_pictures = top_samples.iter().map(|(_, _, picture)| picture.clone()).collect();
        self.focus = Some(Focus {
            map,
            overlay: Atlas::new(ctx, "overlay", vec![overlay.clone()]),
            top_samples: top_samples.into_iter().map(|(number, value, _)| (number, value)).collect(),
            top_pictures: Atlas::new(ctx, "tops", top_pictures),
            effect: match effect {
                MapEffect::Images(images) => ShownEffect::Images(Atlas::new(ctx, "dropped and doubled", images)),
                MapEffect::Logits(logits) => ShownEffect::Logits(logits),
            },
        });
    }

    /// Requests everything again: the model has been trained further.
    pub fn refresh(&mut self) {
        (self.requested, self.focus_requested) = (None, None);
    }

    pub fn ui(
        &mut self,
        ui: &mut Ui,
        inspector: &InspectorWorker,
        opened: &OpenedModel,
        session: &mut Session,
        statistics: &mut StatisticsChoice,
    ) {
        ui.horizontal_wrapped(|ui| {
            cell(ui, self.picture.as_ref(), 0, 64.0, "the sample".to_owned());
            ui.vertical(|ui| {
                ui.strong(session.subject.name());
                ui.weak("Click another sample on the left; click a map to see it large");
                match (opened.has_discriminator, self.logit) {
                    (true, logit) => {
                        ui.horizontal_wrapped(|ui| {
                            statistics.ui(ui);
                            if let Some(logit) = logit {
                                let class = if logit > 0.0 { "real" } else { "generated" };
                                ui.label(format!("classified as {class} (logit {logit:+.2})"));
                            }
                        });
                    }
                    (false, _) => drop(ui.weak("This model is a generator only; a run has a discriminator too")),
                }
            });
        });
        let sample = inspected(session, opened, statistics.source());
        if self.requested.as_ref() != Some(&sample) {
            self.requested = Some(sample.clone());
            inspector.send(InspectorRequest::Layers(sample.clone()));
            if opened.has_discriminator {
                inspector.send(InspectorRequest::Responses(sample.clone()));
            }
        }
        if let Some(map) = self.chosen
            && self.focus_requested.as_ref() != Some(&(sample.clone(), map))
        {
            self.focus_requested = Some((sample.clone(), map));
            inspector.send(InspectorRequest::Focus(sample, map));
        }
        self.focus(ui, session);
        let mut clicked = None;
        for strip in &self.strips {
            ui.separator();
            let network = if strip.network == NetworkKind::Generator { "Generator" } else { "Discriminator" };
            let count = strip.maps.pictures.len();
            ui.horizontal_wrapped(|ui| {
                ui.strong(format!("{network} {}: {count} maps of {1}x{1}", strip.name, strip.side));
                let summary = strip.summary;
                ui.weak(format!(
                    "mean {:.3}, largest {:.2}, {:.0} % of places active, {} maps silent",
                    summary.mean,
                    summary.largest,
                    100.0 * summary.active,
                    summary.silent
                ));
            });
            let side = (strip.side as f32 * 2.0).clamp(24.0, 64.0);
            ui.scope(|ui| {
                ui.spacing_mut().item_spacing = egui::Vec2::splat(2.0);
                ui.horizontal_wrapped(|ui| {
                    for map in 0..count {
                        let id = MapId { network: strip.network, layer: strip.layer, map };
                        let name = format!("map {map} of {}", strip.name);
                        let shown = cell(ui, Some(&strip.maps), map, side, name.clone());
                        if self.chosen == Some(id) {
                            let stroke = egui::Stroke::new(2.0, ui.visuals().selection.bg_fill);
                            ui.painter().rect_stroke(shown.rect, 0.0, stroke, egui::StrokeKind::Inside);
                        }
                        if shown.clicked() {
                            clicked = Some(id);
                        }
                        shown.on_hover_text(name);
                    }
                });
            });
        }
        if clicked.is_some() {
            self.chosen = clicked;
        }
    }

    /// Draws the chosen map over the image, its top samples, and the image without it and with it doubled.
    fn focus(&mut self, ui: &mut Ui, session: &mut Session) {
        let Some(id) = self.chosen else { return };
        let Some(focus) = self.focus.as_ref().filter(|focus| focus.map == id) else {
            ui.spinner();
            return;
        };
        let strip = self.strips.iter().find(|strip| strip.network == id.network && strip.layer == id.layer);
        let layer = strip.map_or_else(String::new, |strip| strip.name.clone());
        let mut closed = false;
        egui::Frame::group(ui.style()).show(ui, |ui| {
            ui.horizontal_top(|ui| {
                cell(ui, Some(&focus.overlay), 0, LARGE, "the map over the picture".to_owned());
                ui.vertical(|ui| {
                    ui.horizontal(|ui| {
                        ui.strong(format!("Map {} of {layer}", id.map));
                        if id.network == NetworkKind::Generator {
                            let drop = ui.button("Drop it everywhere");
                            let about =
                                "Adds a set of this one filter, which acts in every tool until it is turned off";
                            if drop.on_hover_text(about).clicked() {
                                session.ablations.push(Ablation {
                                    name: format!("{layer} map {}", id.map),
                                    ..Ablation::drop(id.layer, &[id.map])
                                });
                            }
                        }
                        closed = ui.button("Close").clicked();
                    });
                    effect(ui, &focus.effect);
                    ui.weak("the samples that drive it most:");
                    ui.horizontal_wrapped(|ui| {
                        for (i, (number, value)) in focus.top_samples.iter().enumerate() {
                            let name = format!("top sample {number}");
                            cell(ui, Some(&focus.top_pictures), i, SMALL, name)
                                .on_hover_text(format!("sample {number}: {value:.2}"));
                        }
                    });
                });
            });
        });
        if closed {
            (self.chosen, self.focus) = (None, None);
        }
    }
}

/// Draws the effect of a feature map.
fn effect(ui: &mut Ui, effect: &ShownEffect) {
    const CHANGES: [&str; 3] = ["as it is", "dropped", "doubled"];
    match effect {
        ShownEffect::Images(images) => drop(ui.horizontal(|ui| {
            for (i, change) in CHANGES.into_iter().enumerate() {
                ui.vertical(|ui| {
                    cell(ui, Some(images), i, MIDDLE, format!("map {change}"));
                    ui.label(RichText::new(change).weak());
                });
            }
        })),
        ShownEffect::Logits(logits) => {
            ui.weak("Lit where the map is active. The verdict on the sample, above 0 for a real picture:");
            egui::Grid::new("verdicts").show(ui, |ui| {
                for (change, logit) in CHANGES.into_iter().zip(logits) {
                    ui.label(format!("map {change}"));
                    ui.strong(format!("{logit:+.2}"));
                    ui.end_row();
                }
            });
        }
    }
}
