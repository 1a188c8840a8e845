//! Every layer of both networks as a strip of feature maps, and one map in all detail.

use egui::{RichText, Ui};

use super::atlas::{Atlas, cell};
use super::desk::{Ask, Inspector, Network, Opened, Place, Subject, Trial};
use super::norms::NormsChoice;
use super::subject;
use crate::dissect::layers::{LayerMaps, Summary};
use crate::image::Picture;
use crate::latent::session::Session;
use crate::model::Ablation;

/// Side of the large picture, of those beside it, and of the top samples, in points.
const LARGE: f32 = 232.0;
const MIDDLE: f32 = 128.0;
const SMALL: f32 = 72.0;

/// A layer as it is shown.
struct Strip {
    network: Network,
    layer: usize,
    name: String,
    side: usize,
    summary: Summary,
    maps: Atlas,
}

struct Focus {
    place: Place,
    lit: Atlas,
    tops: Vec<(u64, f32)>,
    top_pictures: Atlas,
    tried: Tried,
}

/// What the map does: pictures on their texture, or logits.
enum Tried {
    Drawn(Atlas),
    Judged([f32; 3]),
}

#[derive(Default)]
pub(super) struct Layers {
    asked: Option<Subject>,
    picture: Option<Atlas>,
    strips: Vec<Strip>,
    logit: Option<f32>,
    chosen: Option<Place>,
    focus_asked: Option<(Subject, Place)>,
    focus: Option<Focus>,
}

impl Layers {
    /// The sample's picture and the generator's maps of it.
    pub fn take(&mut self, ctx: &egui::Context, picture: &Picture, maps: &[LayerMaps]) {
        self.put(ctx, Network::Generator, maps);
        self.picture = Some(Atlas::new(ctx, "subject", vec![picture.clone()]));
    }

    /// The discriminator's maps of the sample, and its logit.
    pub fn take_responses(&mut self, ctx: &egui::Context, maps: &[LayerMaps], logit: f32) {
        self.put(ctx, Network::Discriminator, maps);
        self.logit = Some(logit);
    }

    /// Replaces the strips of a network; the generator's come first.
    fn put(&mut self, ctx: &egui::Context, network: Network, layers: &[LayerMaps]) {
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
        self.strips.sort_by_key(|strip| strip.network == Network::Discriminator);
    }

    pub fn focus(
        &mut self,
        ctx: &egui::Context,
        place: Place,
        lit: &Picture,
        tops: Vec<(u64, f32, Picture)>,
        trial: Trial,
    ) {
        let top_pictures = tops.iter().map(|(_, _, picture)| picture.clone()).collect();
        self.focus = Some(Focus {
            place,
            lit: Atlas::new(ctx, "lit", vec![lit.clone()]),
            tops: tops.into_iter().map(|(number, value, _)| (number, value)).collect(),
            top_pictures: Atlas::new(ctx, "tops", top_pictures),
            tried: match trial {
                Trial::Drawn(drawn) => Tried::Drawn(Atlas::new(ctx, "dropped and doubled", drawn)),
                Trial::Judged(logits) => Tried::Judged(logits),
            },
        });
    }

    /// The model has learnt: everything is asked for again.
    pub fn refresh(&mut self) {
        (self.asked, self.focus_asked) = (None, None);
    }

    pub fn ui(
        &mut self,
        ui: &mut Ui,
        inspector: &Inspector,
        opened: &Opened,
        session: &mut Session,
        norms: &mut NormsChoice,
    ) {
        ui.horizontal_wrapped(|ui| {
            cell(ui, self.picture.as_ref(), 0, 64.0, "the sample".to_owned());
            ui.vertical(|ui| {
                ui.strong(session.subject.name());
                ui.weak("Click another sample on the left; click a map to see it large");
                match (opened.judges, self.logit) {
                    (true, logit) => {
                        ui.horizontal_wrapped(|ui| {
                            norms.ui(ui);
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
        let now = subject(session, opened, norms.norms());
        if self.asked.as_ref() != Some(&now) {
            self.asked = Some(now.clone());
            inspector.ask(Ask::Layers(now.clone()));
            if opened.judges {
                inspector.ask(Ask::Responses(now.clone()));
            }
        }
        if let Some(place) = self.chosen
            && self.focus_asked.as_ref() != Some(&(now.clone(), place))
        {
            self.focus_asked = Some((now.clone(), place));
            inspector.ask(Ask::Focus(now, place));
        }
        self.large(ui, session);
        let mut clicked = None;
        for strip in &self.strips {
            ui.separator();
            let network = if strip.network == Network::Generator { "Generator" } else { "Discriminator" };
            let count = strip.maps.pictures.len();
            ui.horizontal_wrapped(|ui| {
                ui.strong(format!("{network} {}: {count} maps of {1}x{1}", strip.name, strip.side));
                let told = strip.summary;
                ui.weak(format!(
                    "mean {:.3}, largest {:.2}, {:.0} % of places active, {} maps silent",
                    told.mean,
                    told.largest,
                    100.0 * told.active,
                    told.silent
                ));
            });
            let side = (strip.side as f32 * 2.0).clamp(24.0, 64.0);
            ui.scope(|ui| {
                ui.spacing_mut().item_spacing = egui::Vec2::splat(2.0);
                ui.horizontal_wrapped(|ui| {
                    for map in 0..count {
                        let place = Place { network: strip.network, layer: strip.layer, map };
                        let name = format!("map {map} of {}", strip.name);
                        let shown = cell(ui, Some(&strip.maps), map, side, name.clone());
                        if self.chosen == Some(place) {
                            let stroke = egui::Stroke::new(2.0, ui.visuals().selection.bg_fill);
                            ui.painter().rect_stroke(shown.rect, 0.0, stroke, egui::StrokeKind::Inside);
                        }
                        if shown.clicked() {
                            clicked = Some(place);
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

    /// The chosen map over the picture, its top samples, and the picture without it and with it doubled.
    fn large(&mut self, ui: &mut Ui, session: &mut Session) {
        let Some(place) = self.chosen else { return };
        let Some(focus) = self.focus.as_ref().filter(|focus| focus.place == place) else {
            ui.spinner();
            return;
        };
        let strip = self.strips.iter().find(|strip| strip.network == place.network && strip.layer == place.layer);
        let layer = strip.map_or_else(String::new, |strip| strip.name.clone());
        let mut closed = false;
        egui::Frame::group(ui.style()).show(ui, |ui| {
            ui.horizontal_top(|ui| {
                cell(ui, Some(&focus.lit), 0, LARGE, "the map over the picture".to_owned());
                ui.vertical(|ui| {
                    ui.horizontal(|ui| {
                        ui.strong(format!("Map {} of {layer}", place.map));
                        if place.network == Network::Generator {
                            let drop = ui.button("Drop it everywhere");
                            let about =
                                "Adds a set of this one filter, which acts in every tool until it is turned off";
                            if drop.on_hover_text(about).clicked() {
                                session.ablations.push(Ablation {
                                    name: format!("{layer} map {}", place.map),
                                    ..Ablation::drop(place.layer, &[place.map])
                                });
                            }
                        }
                        closed = ui.button("Close").clicked();
                    });
                    tried(ui, &focus.tried);
                    ui.weak("the samples that drive it most:");
                    ui.horizontal_wrapped(|ui| {
                        for (i, (number, value)) in focus.tops.iter().enumerate() {
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

/// What the map does, tried out.
fn tried(ui: &mut Ui, tried: &Tried) {
    const WHATS: [&str; 3] = ["as it is", "dropped", "doubled"];
    match tried {
        Tried::Drawn(drawn) => drop(ui.horizontal(|ui| {
            for (i, what) in WHATS.into_iter().enumerate() {
                ui.vertical(|ui| {
                    cell(ui, Some(drawn), i, MIDDLE, format!("map {what}"));
                    ui.label(RichText::new(what).weak());
                });
            }
        })),
        Tried::Judged(logits) => {
            ui.weak("Lit where the map is active. The verdict on the sample, above 0 for a real picture:");
            egui::Grid::new("verdicts").show(ui, |ui| {
                for (what, logit) in WHATS.into_iter().zip(logits) {
                    ui.label(format!("map {what}"));
                    ui.strong(format!("{logit:+.2}"));
                    ui.end_row();
                }
            });
        }
    }
}
