//! Looks at data and run folders on threads of their own, so that no file is opened by the window.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use egui::TextureHandle;

use super::background::BackgroundTasks;
use super::dialogs::Dialog;
use super::settings::Settings;
use super::texture::upload;
use crate::data::{Dataset, FILE_ENDINGS, Problem, Report, Source, compare, figure, find_test_split, mirrors, peek};
use crate::image::{Picture, PictureFormat, grid};
use crate::train::{EpochEnd, Metrics, MetricsLog, Run, RunConfig, epoch_ends};

/// Pictures in a look at the data.
const COUNT: usize = 64;
const COLUMNS: usize = 8;

/// Pictures that are shown before and after their preparation, and the side that they have, in pixels.
const COMPARED: usize = 6;
const SIDE: usize = 144;

/// What a look at the data depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub data: String,
    pub format: PictureFormat,
    /// The seed by which pictures are mirrored; `None` for none.
    pub mirror: Option<u64>,
}

impl Question {
    /// Whether only the preparation is another one.
    pub fn same_set(&self, other: &Self) -> bool {
        let of = |question: &Self| (question.data.clone(), question.format.size, question.format.channels);
        of(self) == of(other)
    }
}

/// What a look at the data found.
pub(super) struct Look {
    pub question: Question,
    /// Whether the settings have changed since.
    pub stale: bool,
    pub found: Result<Found, String>,
}

pub(super) struct Found {
    pub pictures: Option<usize>,
    /// How many pictures, in which classes.
    pub summary: String,
    pub classes: usize,
    /// Test pictures that lie beside.
    pub held_out: Option<String>,
    pub notes: Vec<String>,
    /// What is done to the pictures; it takes longer than a look.
    pub report: Option<Report>,
    pub sheet: Option<TextureHandle>,
    /// Some pictures before and after their preparation; none of what the program draws.
    pub compared: Option<TextureHandle>,
    pub problems: Vec<Problem>,
}

/// What earlier sessions left of a run that is resumed.
pub(super) enum Past {
    /// Every step's numbers, in order.
    Metrics(Vec<Metrics>),
    /// A preview grid.
    Frame { step: u64, sheet: Picture },
    /// The ends of epochs that are kept.
    Epochs(Vec<EpochEnd>),
}

enum Answer {
    Look(Question, Result<Seen, String>),
    Report(Question, Box<Report>),
    Chosen(PathBuf),
    Moved(PathBuf),
    Folder(PathBuf),
    Run(PathBuf, RunConfig),
    Past(PathBuf, Past),
    Failed(String),
}

struct Seen {
    pictures: Option<usize>,
    summary: String,
    classes: usize,
    held_out: Option<String>,
    notes: Vec<String>,
    sheet: Picture,
    compared: Picture,
    problems: Vec<Problem>,
}

pub(super) struct Looker {
    errands: BackgroundTasks<Answer>,
    /// How many looks were asked for: an older one stops.
    looks: Arc<AtomicU64>,
}

impl Looker {
    pub fn new(ctx: &egui::Context) -> Self {
        Self { errands: BackgroundTasks::new(ctx, Answer::Failed), looks: Arc::default() }
    }

    /// Looks at the pictures that `question` names, as they are and as they are prepared.
    pub fn look(&self, question: Question) {
        let looks = self.looks.clone();
        let mine = looks.fetch_add(1, Ordering::Relaxed) + 1;
        self.errands.send(move |answer| {
            let see = || -> Result<(Seen, Dataset), crate::data::DataError> {
                let Question { data, format, mirror } = &question;
                let source = Source::parse(data)?;
                let dataset = Dataset::open(&source, *format, 1)?;
                let (pictures, problems) = peek(&dataset, COUNT, 1);
                let mirrored = |(index, picture): (u64, Picture)| match mirror {
                    Some(seed) if mirrors(*seed, 0, index) => picture.mirrored(),
                    _ => picture,
                };
                let pictures: Vec<_> = pictures.into_iter().map(mirrored).collect();
                let compared = match source {
                    Source::Synth(_) => Vec::new(),
                    _ => compare(&dataset, COMPARED, 1, SIDE, *mirror).0,
                };
                let seen = Seen {
                    pictures: dataset.len(),
                    summary: dataset.summary(),
                    classes: dataset.classes().len(),
                    held_out: find_test_split(data),
                    notes: dataset.notes().to_vec(),
                    sheet: grid(&pictures, COLUMNS, 2),
                    compared: figure(&compared, SIDE),
                    problems,
                };
                Ok((seen, dataset))
            };
            match see() {
                Ok((seen, dataset)) => {
                    answer(Answer::Look(question.clone(), Ok(seen)));
                    let report = Report::of(&dataset, &|| looks.load(Ordering::Relaxed) != mine);
                    answer(Answer::Report(question, Box::new(report)));
                }
                Err(error) => answer(Answer::Look(question, Err(error.to_string()))),
            }
        });
    }

    /// Finds a run folder that is not taken yet, named after the data.
    pub fn free_folder(&self, data: String) {
        self.errands.send(move |answer| {
            let stem = Path::new(data.trim_start_matches("synth:")).file_stem().unwrap_or_default().to_string_lossy();
            let free = (1..).map(|i| Path::new("runs").join(format!("{stem}-{i}"))).find(|path| !path.exists());
            free.into_iter().for_each(|path| answer(Answer::Folder(path)));
        });
    }

    /// Asks for a folder of pictures.
    pub fn ask_folder(&self) {
        self.errands.choose(Dialog::folder("A folder of pictures"), Answer::Chosen);
    }

    /// Asks for an archive of pictures or a data set's own file.
    pub fn ask_file(&self) {
        // CIFAR's pickles and IDX files have no ending to go by.
        let dialog = Dialog::file("An archive of pictures, or a data set's own file")
            .filter("Pictures", &FILE_ENDINGS)
            .filter("All files", &["*"]);
        self.errands.choose(dialog, Answer::Chosen);
    }

    /// Asks where the pictures of a run are now: a folder, or a file of them.
    pub fn ask_moved(&self, folder: bool) {
        let title = "Where the run's pictures are now";
        let dialog = if folder { Dialog::folder(title) } else { Dialog::file(title) };
        self.errands.choose(dialog, Answer::Moved);
    }

    /// Reads the settings of the run in `folder`, if one is there.
    pub fn open_run(&self, folder: PathBuf) {
        self.errands.send(move |answer| {
            if let Ok(run) = Run::open(&folder) {
                answer(Answer::Run(folder, run.config().clone()));
            }
        });
    }

    /// Reads what earlier sessions of a run left up to `last`: the numbers of its steps, and its filmstrip.
    pub fn read_past(&self, run: PathBuf, last: u64) {
        self.errands.send(move |answer| {
            let tell = |past| answer(Answer::Past(run.clone(), past));
            if let Ok(mut lines) = MetricsLog::read(&run.join("metrics.csv")) {
                // The run goes on writing its file meanwhile.
                lines.retain(|line| line.step <= last);
                tell(Past::Metrics(lines));
            }
            let mut ends = epoch_ends(&run.join("checkpoints"));
            ends.retain(|end| end.step <= last);
            tell(Past::Epochs(ends));
            let files = std::fs::read_dir(run.join("samples")).into_iter().flatten().flatten();
            let mut frames: Vec<(u64, PathBuf)> = files
                .filter_map(|file| {
                    let path = file.path();
                    let step = path.file_stem()?.to_str()?.strip_prefix("step-")?.parse().ok()?;
                    Some((step, path))
                })
                .filter(|(step, _)| *step <= last)
                .collect();
            frames.sort();
            for (step, path) in frames {
                if let Ok(sheet) = Picture::read(&path) {
                    tell(Past::Frame { step, sheet });
                }
            }
        });
    }

    /// Hands the answers to the settings; returns what was found of resumed runs' past, with their folders.
    pub fn receive(&self, ctx: &egui::Context, settings: &mut Settings) -> Vec<(PathBuf, Past)> {
        let mut found_past = Vec::new();
        while let Ok(answer) = self.errands.answers().try_recv() {
            match answer {
                Answer::Look(question, found) => {
                    let found = found.map(|seen| Found {
                        pictures: seen.pictures,
                        summary: seen.summary,
                        classes: seen.classes,
                        held_out: seen.held_out,
                        notes: seen.notes,
                        report: None,
                        sheet: (seen.sheet.width() > 0).then(|| upload(ctx, "a look at the data", &seen.sheet)),
                        compared: (seen.compared.width() > 0)
                            .then(|| upload(ctx, "before and after preparation", &seen.compared)),
                        problems: seen.problems,
                    });
                    settings.looked(Look { question, stale: false, found });
                }
                Answer::Report(question, report) => settings.reported(&question, *report),
                Answer::Chosen(path) => settings.use_data(path.to_string_lossy().into_owned()),
                Answer::Moved(path) => settings.moved(path.to_string_lossy().into_owned()),
                Answer::Folder(path) => settings.use_folder(path),
                Answer::Run(folder, config) => settings.use_run(&folder, config),
                Answer::Failed(error) => tracing::error!("{error}"),
                Answer::Past(run, past) => found_past.push((run, past)),
            }
        }
        found_past
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::history::History;
    use crate::train::Event;

    #[test]
    fn a_resumed_runs_plots_begin_where_the_run_began() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().to_owned();
        let mut log = MetricsLog::open(&run.join("metrics.csv"), 0).unwrap();
        for step in 1..=7 {
            log.write(&Metrics { step, ..Metrics::default() }).unwrap();
        }
        for step in [0, 5, 6] {
            Picture::new(8, 8, 1, vec![0; 64]).write_png(&run.join(format!("samples/step-{step:08}.png"))).unwrap();
        }
        let state = r#"{"step": 5, "images": 20, "seconds": 1, "place": {"epoch": 0, "used": 20}, "epoch_end": 1,
            "generator_rate": 1, "discriminator_rate": 1}"#;
        let checkpoint = run.join("checkpoints/step-00000005");
        std::fs::create_dir_all(&checkpoint).unwrap();
        std::fs::write(checkpoint.join("state.json"), state).unwrap();
        let mut history = History::default();
        history.take(Event::Started { step: 5, last: None, folder: run.clone(), device: String::new() });
        history.metrics.push(Metrics { step: 6, ..Metrics::default() });
        let ctx = egui::Context::default();
        let (looker, mut settings) = (Looker::new(&ctx), Settings::new(String::new(), None));
        looker.read_past(run, 5);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while history.frames.len() < 2 {
            assert!(std::time::Instant::now() < deadline, "the past is read");
            for (run, past) in looker.receive(&ctx, &mut settings) {
                history.add_past(Path::new("another"), Past::Metrics(vec![Metrics::default()]));
                history.add_past(&run, past);
            }
        }
        assert_eq!(history.metrics.iter().map(|line| line.step).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(history.frames.keys().copied().collect::<Vec<_>>(), [0, 5], "what was never saved is drawn anew");
        assert_eq!([0, 5].map(|step| history.name(step)), ["step 0", "step 5, the end of epoch 1"]);
    }
}
