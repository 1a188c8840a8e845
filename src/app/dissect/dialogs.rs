//! The inspector's dialogs and files, on background threads.

use std::path::{Path, PathBuf};

use crossbeam_channel::Receiver;

use crate::app::background::BackgroundTasks;
use crate::app::dialogs::Dialog;
use crate::image::{LabelError, Picture};
use crate::latent::boxes::Boxes;

pub(super) enum DialogResponse {
    Boxes(Box<Boxes>),
    Picture(PathBuf),
    Data(PathBuf),
    Written(PathBuf),
    Failed(String),
}

pub(super) struct InspectorDialogs {
    tasks: BackgroundTasks<DialogResponse>,
    /// The folder where files are written without a dialog.
    exports: Option<PathBuf>,
}

fn read(path: &Path) -> DialogResponse {
    match Boxes::read(path) {
        Ok(boxes) => DialogResponse::Boxes(Box::new(boxes)),
        Err(error) => DialogResponse::Failed(error.to_string()),
    }
}

impl InspectorDialogs {
    pub fn new(ctx: &egui::Context, exports: Option<PathBuf>) -> Self {
        Self { tasks: BackgroundTasks::new(ctx, DialogResponse::Failed), exports }
    }

    pub fn responses(&self) -> &Receiver<DialogResponse> {
        self.tasks.responses()
    }

    pub fn read_boxes(&self, path: PathBuf) {
        self.tasks.run(move || Some(read(&path)));
    }

    pub fn ask_boxes(&self) {
        self.tasks.choose(Dialog::file("Open boxes").filter("Boxes", &["json"]), |path| read(&path));
    }

    pub fn ask_picture(&self) {
        self.tasks.choose(
            Dialog::file("Open a picture").filter("Pictures", &crate::extensions::PICTURES),
            DialogResponse::Picture,
        );
    }

    pub fn ask_data(&self) {
        self.tasks.choose(Dialog::folder("A folder of pictures"), DialogResponse::Data);
    }

    pub fn save_boxes(&self, boxes: Boxes) {
        self.save("boxes.json", "json", move |path| boxes.write(path).map_err(|error| error.to_string()));
    }

    /// Renders an image on a background thread and saves it.
    pub fn save_picture(&self, name: &str, picture: impl FnOnce() -> Result<Picture, LabelError> + Send + 'static) {
        self.save(name, "png", move |path| {
            let picture = picture().map_err(|error| error.to_string())?;
            picture.write(path).map_err(|error| error.to_string())
        });
    }

    fn save(&self, name: &str, ending: &'static str, write: impl FnOnce(&Path) -> Result<(), String> + Send + 'static) {
        let dialog = Dialog::save("Save", name).filter(ending, &[ending]);
        self.tasks.choose_destination(self.exports.clone(), dialog, move |path| {
            let path = path?;
            Some(match write(&path) {
                Ok(()) => DialogResponse::Written(path),
                Err(error) => DialogResponse::Failed(error),
            })
        });
    }
}
