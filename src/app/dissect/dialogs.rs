//! Dialogs and files of the inside, on threads of their own.

use std::path::{Path, PathBuf};

use crossbeam_channel::Receiver;

use crate::app::dialogs::{Dialog, PICTURES};
use crate::app::errands::Errands;
use crate::image::{LabelError, Picture};
use crate::latent::boxes::Boxes;

pub(super) enum Answer {
    Boxes(Box<Boxes>),
    Picture(PathBuf),
    Data(PathBuf),
    Written(PathBuf),
    Failed(String),
}

pub(super) struct Dialogs {
    errands: Errands<Answer>,
    /// Where figures and boxes go without being asked for.
    exports: Option<PathBuf>,
}

fn read(path: &Path) -> Answer {
    match Boxes::read(path) {
        Ok(boxes) => Answer::Boxes(Box::new(boxes)),
        Err(error) => Answer::Failed(error.to_string()),
    }
}

impl Dialogs {
    pub fn new(ctx: &egui::Context, exports: Option<PathBuf>) -> Self {
        Self { errands: Errands::new(ctx), exports }
    }

    pub fn answers(&self) -> &Receiver<Answer> {
        self.errands.answers()
    }

    pub fn read_boxes(&self, path: PathBuf) {
        self.errands.ask(move || Some(read(&path)));
    }

    pub fn ask_boxes(&self) {
        self.errands.choose(Dialog::file("Open boxes").filter("Boxes", &["json"]), |path| read(&path));
    }

    pub fn ask_picture(&self) {
        self.errands.choose(Dialog::file("Open a picture").filter("Pictures", &PICTURES), Answer::Picture);
    }

    pub fn ask_data(&self) {
        self.errands.choose(Dialog::folder("A folder of pictures"), Answer::Data);
    }

    pub fn save_boxes(&self, boxes: Boxes) {
        self.save("boxes.json", "json", move |path| boxes.write(path).map_err(|error| error.to_string()));
    }

    /// Saves a picture that is drawn on another thread, unless that fails.
    pub fn save_picture(&self, name: &str, picture: impl FnOnce() -> Result<Picture, LabelError> + Send + 'static) {
        self.save(name, "png", move |path| {
            let picture = picture().map_err(|error| error.to_string())?;
            picture.write(path).map_err(|error| error.to_string())
        });
    }

    fn save(&self, name: &str, ending: &'static str, write: impl FnOnce(&Path) -> Result<(), String> + Send + 'static) {
        let dialog = Dialog::save("Save", name).filter(ending, &[ending]);
        self.errands.place(self.exports.clone(), dialog, move |path| {
            let path = path?;
            Some(match write(&path) {
                Ok(()) => Answer::Written(path),
                Err(error) => Answer::Failed(error),
            })
        });
    }
}
