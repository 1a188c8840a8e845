//! Looks at data and run folders on threads of their own, so that no file is opened by the window.

use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, Sender, unbounded};
use egui::TextureHandle;

use super::settings::Settings;
use super::texture::upload;
use crate::data::{Dataset, Problem, Source, peek};
use crate::image::{Picture, grid};

/// Pictures in a look at the data.
const COUNT: usize = 40;
const COLUMNS: usize = 8;

/// What a look at the data found.
pub(super) struct Look {
    pub data: String,
    pub size: usize,
    pub channels: usize,
    pub found: Result<Found, String>,
}

pub(super) struct Found {
    pub pictures: Option<usize>,
    pub classes: Vec<String>,
    pub sheet: Option<TextureHandle>,
    pub problems: Vec<Problem>,
}

/// A preview grid of the run's past.
pub(super) struct Frame {
    pub step: u64,
    pub sheet: Picture,
}

enum Answer {
    Look { data: String, size: usize, channels: usize, found: Result<Seen, String> },
    Chosen(PathBuf),
    Folder(PathBuf),
    Frame(Frame),
}

type Seen = (Option<usize>, Vec<String>, Picture, Vec<Problem>);

pub(super) struct Looker {
    ctx: egui::Context,
    answers: (Sender<Answer>, Receiver<Answer>),
}

impl Looker {
    pub fn new(ctx: &egui::Context) -> Self {
        Self { ctx: ctx.clone(), answers: unbounded() }
    }

    fn spawn(&self, work: impl FnOnce(&dyn Fn(Answer)) + Send + 'static) {
        let (sender, ctx) = (self.answers.0.clone(), self.ctx.clone());
        std::thread::spawn(move || {
            work(&|answer| {
                let _ = sender.send(answer);
                ctx.request_repaint();
            });
        });
    }

    /// Looks at the pictures of `data`.
    pub fn look(&self, data: String, size: usize, channels: usize) {
        self.spawn(move |answer| {
            let see = || -> Result<Seen, crate::data::DataError> {
                let dataset = Dataset::open(&Source::parse(&data)?, size, channels, 1)?;
                let (pictures, problems) = peek(&dataset, COUNT, 1);
                let pictures: Vec<_> = pictures.into_iter().map(|(_, picture)| picture).collect();
                Ok((dataset.len(), dataset.classes().to_vec(), grid(&pictures, COLUMNS, 2), problems))
            };
            let found = see().map_err(|error| error.to_string());
            answer(Answer::Look { data, size, channels, found });
        });
    }

    /// Finds a run folder that is not taken yet, named after the data.
    pub fn free_folder(&self, data: String) {
        self.spawn(move |answer| {
            let stem = Path::new(data.trim_start_matches("synth:")).file_stem().unwrap_or_default().to_string_lossy();
            let free = (1..).map(|i| Path::new("runs").join(format!("{stem}-{i}"))).find(|path| !path.exists());
            free.into_iter().for_each(|path| answer(Answer::Folder(path)));
        });
    }

    /// Asks for a folder of pictures.
    pub fn ask_folder(&self) {
        self.spawn(|answer| {
            let chosen = rfd::FileDialog::new().set_title("A folder of pictures").pick_folder();
            chosen.into_iter().for_each(|path| answer(Answer::Chosen(path)));
        });
    }

    /// Asks for an archive of pictures.
    pub fn ask_archive(&self) {
        self.spawn(|answer| {
            let dialog = rfd::FileDialog::new().set_title("An archive of pictures");
            let chosen = dialog.add_filter("Archives", &["zip", "tar", "gz", "tgz"]).pick_file();
            chosen.into_iter().for_each(|path| answer(Answer::Chosen(path)));
        });
    }

    /// Reads the filmstrip that earlier sessions of a run left in `samples/`.
    pub fn read_samples(&self, run: PathBuf) {
        self.spawn(move |answer| {
            let files = std::fs::read_dir(run.join("samples")).into_iter().flatten().flatten();
            let mut frames: Vec<(u64, PathBuf)> = files
                .filter_map(|file| {
                    let path = file.path();
                    let step = path.file_stem()?.to_str()?.strip_prefix("step-")?.parse().ok()?;
                    Some((step, path))
                })
                .collect();
            frames.sort();
            for (step, path) in frames {
                if let Ok(sheet) = Picture::read(&path) {
                    answer(Answer::Frame(Frame { step, sheet }));
                }
            }
        });
    }

    /// Hands the answers to the settings; returns the frames of a resumed run.
    pub fn receive(&self, ctx: &egui::Context, settings: &mut Settings) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Ok(answer) = self.answers.1.try_recv() {
            match answer {
                Answer::Look { data, size, channels, found } => {
                    let found = found.map(|(pictures, classes, sheet, problems)| Found {
                        pictures,
                        classes,
                        sheet: (sheet.width() > 0).then(|| upload(ctx, "a look at the data", &sheet)),
                        problems,
                    });
                    settings.looked(Look { data, size, channels, found });
                }
                Answer::Chosen(path) => settings.use_data(path.to_string_lossy().into_owned()),
                Answer::Folder(path) => settings.use_folder(path),
                Answer::Frame(frame) => frames.push(frame),
            }
        }
        frames
    }
}
