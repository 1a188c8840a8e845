//! Drag and drop of samples: from the gallery into trays, from tray to tray, along the timeline, and out again.

use std::sync::Arc;

use egui::{DragAndDrop, LayerId, Order, Rect, Response, TextureId, Ui, Vec2};

use crate::latent::session::{Point, Session};

/// Side of the carried image, in points.
const SIDE: f32 = 56.0;

/// A place in the session that a point can be dragged from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// Tray, and member of it.
    Tray(usize, usize),
    /// An exemplar of the turn's start.
    From(usize),
    /// An exemplar of the turn's end.
    To(usize),
    /// A sample that is turned: a row of the figure.
    On(usize),
    /// A keyframe of the walk.
    Keyframe(usize),
}

impl Home {
    /// The list of the session, and the index in it.
    fn list(self, session: &mut Session) -> Option<(&mut Vec<Point>, usize)> {
        match self {
            Self::Tray(tray, at) => Some((&mut session.trays.get_mut(tray)?.members, at)),
            Self::From(at) => Some((&mut session.turn.from, at)),
            Self::To(at) => Some((&mut session.turn.to, at)),
            Self::On(at) => Some((&mut session.turn.on, at)),
            Self::Keyframe(at) => Some((&mut session.walk.keyframes, at)),
        }
    }

    /// Whether a drag between the two moves a point; otherwise it copies it.
    fn relates(self, other: Self) -> bool {
        match (self, other) {
            (Self::Tray(..), Self::Tray(..)) | (Self::Keyframe(_), Self::Keyframe(_)) => true,
            (Self::Keyframe(_) | Self::Tray(..), _) | (_, Self::Keyframe(_) | Self::Tray(..)) => false,
            _ => true,
        }
    }
}

/// A point that is being dragged.
#[derive(Clone)]
pub(super) struct Carried {
    pub point: Point,
    pub home: Option<Home>,
    image: Option<(TextureId, Rect)>,
}

impl Carried {
    /// Begins to carry a point when its image starts to be dragged.
    pub fn begin(
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

    /// Whether a point is dragged over `response`.
    pub fn hovers(response: &Response) -> bool {
        response.dnd_hover_payload::<Self>().is_some()
    }

    /// The point that is released over `response`, if any.
    pub fn dropped(response: &Response) -> Option<Self> {
        response.dnd_release_payload::<Self>().map(Arc::unwrap_or_clone)
    }
}

/// Shows `contents` in a frame that samples can be dropped on. Returns the response to `sense` beside the contents, whose widgets come first,
/// and the sample that was dropped.
pub(super) fn drop_zone<R>(
    ui: &mut Ui,
    framed: bool,
    sense: egui::Sense,
    contents: impl FnOnce(&mut Ui) -> R,
) -> (egui::InnerResponse<R>, Option<Carried>) {
    // The scope's own interaction lies below its widgets. One on the frame's response would lie above them and take their clicks.
    let zone =
        ui.scope_builder(egui::UiBuilder::new().sense(sense), |ui| egui::Frame::group(ui.style()).show(ui, contents));
    let inner = zone.inner;
    // Painted over the frame, so that nothing moves when it changes.
    let color = match (Carried::hovers(&inner.response), framed) {
        (true, _) => Some(ui.visuals().warn_fg_color),
        (false, true) => Some(ui.visuals().selection.bg_fill),
        (false, false) => None,
    };
    if let Some(color) = color {
        let rounding = ui.visuals().widgets.noninteractive.corner_radius;
        let stroke = egui::Stroke::new(2.0, color);
        ui.painter().rect_stroke(inner.response.rect, rounding, stroke, egui::StrokeKind::Inside);
    }
    let dropped = Carried::dropped(&inner.response);
    (egui::InnerResponse::new(inner.inner, zone.response), dropped)
}

/// Inserts what was carried into the list at `home`, before the member there, and removes it from the list it was moved from.
pub(super) fn insert(session: &mut Session, carried: Carried, home: Home) {
    let mut home = home;
    if let Some(from) = carried.home.filter(|from| from.relates(home)) {
        let removed = remove(session, from, &carried.point);
        // Behind the removed member of the same list all places move up by one.
        match (from, &mut home) {
            (Home::Keyframe(from), Home::Keyframe(to)) if removed && from < *to => *to -= 1,
            (Home::Tray(from, i), Home::Tray(tray, to)) if removed && from == *tray && i < *to => *to -= 1,
            (Home::From(i), Home::From(to)) | (Home::To(i), Home::To(to)) | (Home::On(i), Home::On(to))
                if removed && i < *to =>
            {
                *to -= 1;
            }
            _ => {}
        }
    }
    // A walk may pass a point twice; an average that counts one twice is hardly intended.
    let once = !matches!(home, Home::Keyframe(_));
    if let Some((list, at)) = home.list(session)
        && !(once && list.contains(&carried.point))
    {
        list.insert(at.min(list.len()), carried.point);
    }
}

/// Removes a point from its place; false if it is no longer there.
fn remove(session: &mut Session, home: Home, point: &Point) -> bool {
    match home.list(session) {
        Some((list, at)) if list.get(at) == Some(point) => {
            list.remove(at);
            true
        }
        _ => false,
    }
}

/// Paints what is carried beneath the pointer. What is released over nothing is removed from where it was.
pub(super) fn show_carried(ctx: &egui::Context, session: &mut Session) {
    let Some(carried) = DragAndDrop::payload::<Carried>(ctx) else { return };
    if ctx.input(|input| input.pointer.any_released()) {
        DragAndDrop::clear_payload(ctx);
        if let Some(home) = carried.home {
            remove(session, home, &carried.point);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dragged_keyframe_changes_its_place() {
        let sample = |number| Point::Sample { seed: 1, number };
        let mut session = Session::new("bundled:faces".into());
        session.walk.keyframes = (0..4).map(sample).collect();
        let carried = Carried { point: sample(0), home: Some(Home::Keyframe(0)), image: None };
        insert(&mut session, carried, Home::Keyframe(3));
        assert_eq!(session.walk.keyframes, [1, 2, 0, 3].map(sample));
        let copied = Carried { point: sample(2), home: Some(Home::Keyframe(1)), image: None };
        insert(&mut session, copied.clone(), Home::Tray(0, 0));
        insert(&mut session, copied, Home::Tray(0, 0));
        assert_eq!(session.trays[0].members, [sample(2)], "an average counts a sample once");
        assert_eq!(session.walk.keyframes.len(), 4, "the walk keeps what is used elsewhere");
    }
}
