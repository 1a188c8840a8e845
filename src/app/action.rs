//! Requests of panels to the window.

use std::path::PathBuf;

use super::tool::Tool;
use crate::latent::session::Point;
use crate::train::{SettingsChange, TrainerCommand, TrainerOptions};

/// What a panel asks the window to do. Panels return actions; [`App::apply`](super::App) carries them out.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Use a clicked sample in the tool that is shown.
    Pick(Point),
    ShowTool(Tool),
    OpenModel(PathBuf),
    OpenSession(PathBuf),
    /// Show the boxes of a file over samples.
    OpenBoxes(PathBuf),
    /// Project a photo into the latent space; in the discriminator's tool, show the discriminator's output for it.
    OpenPhoto(PathBuf),
    /// Explore the generator in training while it learns, or no longer.
    FollowTraining(bool),
    /// Choose data in the training form.
    ChooseData(String),
    /// Start a training on the synthetic rooms at once, unless one is running.
    TrainOnRooms,
    StartTraining(Box<TrainerOptions>),
    /// Send a command to the running training.
    Command(TrainerCommand),
    /// Change the settings of the run; one that has ended is resumed with them.
    ChangeRun(SettingsChange),
    /// Leave images of a data set out of the next training.
    SkipImages {
        data: String,
        names: Vec<String>,
    },
    MeasureNetwork(PathBuf),
    /// Measure with images; asks what they are for.
    MeasureImages(PathBuf),
    /// Show a notice in all views.
    Notify(String),
}
