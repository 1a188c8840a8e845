//! The tools that look into the networks: layers, filters that draw an object, the discriminator.

use egui::Ui;

use super::context::PanelContext;
use super::model_change::ModelChange;
use super::panel::Panel;
use crate::app::action::Action;
use crate::app::dissect::{Inspector, InspectorTab};
use crate::latent::session::{Point, Session};

/// Shows one tab of the networks at a time.
pub(super) struct InspectorPanel {
    pub inspector: Inspector,
    pub tab: InspectorTab,
}

impl Panel for InspectorPanel {
    fn ui(&mut self, ui: &mut Ui, cx: &mut PanelContext) -> Option<Action> {
        self.inspector.ui(ui, self.tab, &mut cx.session);
        None
    }

    fn pick(&mut self, point: Point, cx: &mut PanelContext) {
        cx.session.subject = point;
    }

    fn points<'a>(&self, session: &'a Session) -> Vec<&'a Point> {
        match self.tab {
            InspectorTab::Layers | InspectorTab::Discriminator => vec![&session.subject],
            // The inspector generates its own samples.
            InspectorTab::Forget => Vec::new(),
        }
    }

    fn on_model_change(&mut self, change: ModelChange, _cx: &mut PanelContext) {
        if change != ModelChange::Weights {
            self.inspector.reopen();
        }
    }
}
