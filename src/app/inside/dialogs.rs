//! Dialogs and files of the inside, on threads of their own.

use std::path::PathBuf;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::image::Picture;
use crate::latent::boxes::Boxes;

pub(super) enum Answer {
    Boxes(Box<Boxes>),
    Picture(PathBuf),
    Data(PathBuf),
    Written(PathBuf),
    Failed(String),
}

pub(super) struct Dialogs {
    ctx: egui::Context,
    channel: (Sender<Answer>, Receiver<Answer>),
}

impl Dialogs {
    pub fn new(ctx: &egui::Context) -> Self {
        Self { ctx: ctx.clone(), channel: unbounded() }
    }

    pub fn answers(&self) -> &Receiver<Answer> {
        &self.channel.1
    }

    fn spawn(&self, work: impl FnOnce() -> Option<Answer> + Send + 'static) {
        let (sender, ctx) = (self.channel.0.clone(), self.ctx.clone());
        std::thread::spawn(move || {
            if let Some(answer) = work() {
                let _ = sender.send(answer);
                ctx.request_repaint();
            }
        });
    }

    pub fn read_boxes(&self, path: PathBuf) {
        self.spawn(move || {
            Some(match Boxes::read(&path) {
                Ok(boxes) => Answer::Boxes(Box::new(boxes)),
                Err(error) => Answer::Failed(error.to_string()),
            })
        });
    }

    pub fn ask_boxes(&self) {
        self.spawn(|| {
            let dialog = rfd::FileDialog::new().set_title("Open boxes").add_filter("Boxes", &["json"]);
            Some(match Boxes::read(&dialog.pick_file()?) {
                Ok(boxes) => Answer::Boxes(Box::new(boxes)),
                Err(error) => Answer::Failed(error.to_string()),
            })
        });
    }

    pub fn ask_picture(&self) {
        self.spawn(|| {
            let endings = ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff", "ppm"];
            let dialog = rfd::FileDialog::new().set_title("Open a picture").add_filter("Pictures", &endings);
            dialog.pick_file().map(Answer::Picture)
        });
    }

    pub fn ask_data(&self) {
        self.spawn(|| rfd::FileDialog::new().set_title("A folder of pictures").pick_folder().map(Answer::Data));
    }

    pub fn save_boxes(&self, boxes: Boxes) {
        self.save("boxes.json", "json", move |path| boxes.write(path).map_err(|error| error.to_string()));
    }

    pub fn save_picture(&self, name: &str, picture: impl FnOnce() -> Picture + Send + 'static) {
        self.save(name, "png", move |path| picture().write_png(path).map_err(|error| error.to_string()));
    }

    fn save(
        &self,
        name: &str,
        ending: &'static str,
        write: impl FnOnce(&std::path::Path) -> Result<(), String> + Send + 'static,
    ) {
        let name = name.to_owned();
        self.spawn(move || {
            let dialog = rfd::FileDialog::new().set_title("Save").set_file_name(name).add_filter(ending, &[ending]);
            let path = dialog.save_file()?;
            Some(match write(&path) {
                Ok(()) => Answer::Written(path),
                Err(error) => Answer::Failed(error),
            })
        });
    }
}
