//! The interface of the explorer's panels.

use egui::Ui;

use super::context::PanelContext;
use super::model_change::ModelChange;
use super::worker::ExplorerResponse;
use crate::app::action::Action;
use crate::latent::session::{Point, Session};

/// A panel of the explorer: owns the state of one tool, and changes the session that all panels share.
pub(super) trait Panel {
    /// Draws the panel for the open model, which the session fits; returns what the panel asks the window to do.
    fn ui(&mut self, ui: &mut Ui, cx: &mut PanelContext) -> Option<Action>;

    /// Uses a sample that was clicked in the gallery or on the shelf.
    fn pick(&mut self, _point: Point, _cx: &mut PanelContext) {}

    /// Points of the session that the panel uses; the gallery frames them.
    fn points<'a>(&self, _session: &'a Session) -> Vec<&'a Point> {
        Vec::new()
    }

    /// Requests what the pointer waits for after a change of the session, without waiting for the next frame.
    fn request_changed(&self, _cx: &mut PanelContext) {}

    /// Takes a response of the worker that is meant for this panel.
    fn on_response(&mut self, _response: ExplorerResponse, _cx: &mut PanelContext) {}

    /// Discards what another model has made invalid.
    fn on_model_change(&mut self, _change: ModelChange, _cx: &mut PanelContext) {}
}

/// Whether the keyboard is the panel's: the pointer is over it, and no widget has the focus.
pub(super) fn has_keys(ui: &Ui) -> bool {
    ui.rect_contains_pointer(ui.max_rect()) && ui.memory(|memory| memory.focused().is_none())
}
