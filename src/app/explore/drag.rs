//! Samples that are carried: from the gallery into trays, from tray to tray, along the timeline, and out again.

use std::sync::Arc;

use egui::{DragAndDrop, LayerId, Order, Rect, Response, TextureId, Ui, Vec2};

use super::Explorer;
use crate::latent::session::{Point, Session};

/// Side of what is carried, in points.
const SIDE: f32 = 56.0;

/// A place that a point can be taken out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// Tray, and member of it.
    Tray(usize, usize),
    /// An exemplar of where the turn comes from.
    From(usize),
    /// An exemplar of where the turn goes to.
    To(usize),
    /// A row of the turn's figure.
    On(usize),
    /// A keyframe of the walk.
    Keyframe(usize),
}

impl Home {
    /// The list that the point is in, and where.
    fn list(self, session: &mut Session) -> Option<(&mut Vec<Point>, usize)> {
        match self {
            Self::Tray(tray, at) => Some((&mut session.trays.get_mut(tray)?.members, at)),
            Self::From(at) => Some((&mut session.turn.from, at)),
            Self::To(at) => Some((&mut session.turn.to, at)),
            Self::On(at) => Some((&mut session.turn.on, at)),
            Self::Keyframe(at) => Some((&mut session.walk.keyframes, at)),
        }
    }

    /// Whether both are places of one collection, between which points are moved and not copied.
    fn relates(self, other: Self) -> bool {
        match (self, other) {
            (Self::Tray(..), Self::Tray(..)) | (Self::Keyframe(_), Self::Keyframe(_)) => true,
            (Self::Keyframe(_) | Self::Tray(..), _) | (_, Self::Keyframe(_) | Self::Tray(..)) => false,
            _ => true,
        }
    }
}

/// What the pointer carries.
#[derive(Clone)]
pub(super) struct Carried {
    pub point: Point,
    pub home: Option<Home>,
    image: Option<(TextureId, Rect)>,
}

impl Carried {
    /// Takes a point up when a drag of its picture begins.
    pub fn take_up(
        response: &Response,
        point: impl FnOnce() -> Point,
        home: Option<Home>,
        image: Option<&egui::Image<'static>>,
    ) {
        if response.drag_started() {
            let whole = Rect::from_min_max(egui::pos2(0.0, 0.0), egui::pos2(1.0, 1.0));
            let image = image.and_then(|image| {
                let texture = image.load_for_size(&response.ctx, Vec2::splat(SIDE)).ok()?.texture_id()?;
                Some((texture, image.image_options().uv))
            });
            let image = image.map(|(texture, uv)| (texture, if uv.is_positive() { uv } else { whole }));
            response.dnd_set_drag_payload(Self { point: point(), home, image });
        }
    }

    /// Whether something is carried over `response`.
    pub fn hovers(response: &Response) -> bool {
        response.dnd_hover_payload::<Self>().is_some()
    }

    /// What is let go over `response`, if anything is.
    pub fn dropped(response: &Response) -> Option<Self> {
        response.dnd_release_payload::<Self>().map(Arc::unwrap_or_clone)
    }
}

/// Frames what is in `contents` as a place where samples can be let go; returns what was.
pub(super) fn drop_zone<R>(
    ui: &mut Ui,
    framed: bool,
    contents: impl FnOnce(&mut Ui) -> R,
) -> (egui::InnerResponse<R>, Option<Carried>) {
    let inner = egui::Frame::group(ui.style()).show(ui, contents);
    // Painted over the frame, so that nothing moves when it changes.
    let colour = match (Carried::hovers(&inner.response), framed) {
        (true, _) => Some(ui.visuals().warn_fg_color),
        (false, true) => Some(ui.visuals().selection.bg_fill),
        (false, false) => None,
    };
    if let Some(colour) = colour {
        let rounding = ui.visuals().widgets.noninteractive.corner_radius;
        let stroke = egui::Stroke::new(2.0, colour);
        ui.painter().rect_stroke(inner.response.rect, rounding, stroke, egui::StrokeKind::Inside);
    }
    let dropped = Carried::dropped(&inner.response);
    (inner, dropped)
}

impl Explorer {
    /// Puts what was carried into the list at `home`, before the member there; what it was moved from lets it go.
    pub(super) fn put(&mut self, carried: Carried, home: Home) {
        let mut home = home;
        if let Some(from) = carried.home.filter(|from| from.relates(home)) {
            let left = self.leave(from, &carried.point);
            // The place in the same list moves up by what was taken out before it.
            match (from, &mut home) {
                (Home::Keyframe(from), Home::Keyframe(to)) if left && from < *to => *to -= 1,
                (Home::Tray(from, i), Home::Tray(tray, to)) if left && from == *tray && i < *to => *to -= 1,
                (Home::From(i), Home::From(to)) | (Home::To(i), Home::To(to)) | (Home::On(i), Home::On(to))
                    if left && i < *to =>
                {
                    *to -= 1;
                }
                _ => {}
            }
        }
        // A walk may come by twice; an average of one thing twice is hardly meant.
        let once = !matches!(home, Home::Keyframe(_));
        if let Some((list, at)) = home.list(&mut self.session)
            && !(once && list.contains(&carried.point))
        {
            list.insert(at.min(list.len()), carried.point);
        }
    }

    /// Takes a point out of where it is; false if it is not there any more.
    fn leave(&mut self, home: Home, point: &Point) -> bool {
        match home.list(&mut self.session) {
            Some((list, at)) if list.get(at) == Some(point) => {
                list.remove(at);
                true
            }
            _ => false,
        }
    }

    /// Draws what is carried beneath the pointer, and takes it out of where it was when it is let go over nothing.
    pub(super) fn carried(&mut self, ctx: &egui::Context) {
        let Some(carried) = DragAndDrop::payload::<Carried>(ctx) else { return };
        if ctx.input(|input| input.pointer.any_released()) {
            DragAndDrop::clear_payload(ctx);
            if let Some(home) = carried.home {
                self.leave(home, &carried.point);
            }
            return;
        }
        ctx.set_cursor_icon(egui::CursorIcon::Grabbing);
        if let (Some(at), Some((texture, uv))) = (ctx.pointer_latest_pos(), carried.image) {
            let painter = ctx.layer_painter(LayerId::new(Order::Tooltip, egui::Id::unique("carried")));
            let rect = Rect::from_min_size(at + Vec2::splat(6.0), Vec2::splat(SIDE));
            painter.image(texture, rect, uv, egui::Color32::WHITE);
            painter.rect_stroke(rect, 2.0, egui::Stroke::new(1.0, egui::Color32::WHITE), egui::StrokeKind::Outside);
        }
    }
}
