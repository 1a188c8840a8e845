//! Panels in tests: without a window, a graphics card or a model file.

use burn::tensor::Device;
use egui_kittest::Harness;

use super::context::{OpenModel, PanelContext};
use super::files::FileTasks;
use super::panel::Panel;
use super::worker::ExplorerWorker;
use crate::app::action::Action;
use crate::latent::session::{Point, Session};
use crate::model::{ModelConfig, Preset, Provenance};

/// A panel, what it shares with others, and the actions that it returned.
pub(super) struct TestPanel<P> {
    pub panel: P,
    pub cx: PanelContext,
    pub actions: Vec<Action>,
}

/// A context with an open model of 16x16 images and a z of four coordinates. Nothing answers its requests.
pub(super) fn context() -> PanelContext {
    let ctx = egui::Context::default();
    let worker = ExplorerWorker::start(Device::flex(), None, &ctx);
    let session = Session::new("bundled:faces".into());
    let mut cx = PanelContext::new(&ctx, worker, FileTasks::new(&ctx, None, None), session);
    cx.model = Some(OpenModel {
        path: cx.session.model.clone(),
        config: ModelConfig { size: 16, base: 4, z_dim: 4, ..ModelConfig::preset(Preset::Pytorch) },
        provenance: Provenance::default(),
        checkpoints: Vec::new(),
    });
    cx.update_plans();
    cx
}

/// Draws a panel until it rests. Widgets are found and clicked by their labels.
pub(super) fn show<P: Panel + 'static>(panel: P, cx: PanelContext) -> Harness<'static, TestPanel<P>> {
    let draw = |ui: &mut egui::Ui, TestPanel { panel, cx, actions }: &mut TestPanel<P>| {
        cx.update_plans();
        actions.extend(panel.ui(ui, cx));
    };
    let state = TestPanel { panel, cx, actions: Vec::new() };
    let mut harness = Harness::builder().with_size([1280.0, 800.0]).build_ui_state(draw, state);
    harness.run_steps(2);
    harness
}

/// Sample `number` of seed 1.
pub(super) fn sample(number: u64) -> Point {
    Point::Sample { seed: 1, number }
}
