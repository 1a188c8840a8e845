//! Dataset preview: opens the data set that is chosen for training on a background thread, and shows some of its images before and after
//! their preparation.

use egui::TextureHandle;

use super::service::{Job, Reporter};
use super::texture::upload;
use crate::data::{
    DataError, Dataset, DatasetReport, Problem, Source, compare_preparation, comparison_figure, find_test_split,
    mirrors, preview_pictures,
};
use crate::image::{Picture, PictureFormat, grid};

/// Images of the preview, and its columns.
const IMAGES: usize = 64;
const COLUMNS: usize = 8;

/// Images that are shown before and after their preparation, and their side in pixels.
const COMPARED: usize = 6;
const COMPARED_SIDE: usize = 144;

/// What a preview depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PreviewRequest {
    pub data: Source,
    pub format: PictureFormat,
    /// The seed of the random mirroring; `None` where images are not mirrored.
    pub mirror: Option<u64>,
}

impl PreviewRequest {
    /// Whether the two differ at most in how images are prepared.
    fn same_data(&self, other: &Self) -> bool {
        let key = |request: &Self| (request.data.clone(), request.format.size, request.format.channels);
        key(self) == key(other)
    }
}

pub(super) struct DatasetPreview {
    pub request: PreviewRequest,
    /// Whether the settings have changed since.
    pub stale: bool,
    pub result: Result<PreviewedDataset, String>,
}

pub(super) struct PreviewedDataset {
    /// The number of images; `None` for an endless data set.
    pub images: Option<usize>,
    /// The number of images and the names of the classes, in words.
    pub summary: String,
    pub classes: usize,
    /// Test data beside the training data.
    pub test_split: Option<String>,
    pub notes: Vec<String>,
    /// How the images are prepared. It comes later than the rest.
    pub report: Option<DatasetReport>,
    pub sheet: Option<TextureHandle>,
    /// Some images before and after their preparation; `None` for synthetic images.
    pub compared: Option<TextureHandle>,
    pub problems: Vec<Problem>,
}

enum PreviewEvent {
    Opened(Box<Result<PreviewedDataset, String>>),
    Report(Box<DatasetReport>),
}

/// Keeps the preview of the newest request.
pub(super) struct Previewer {
    ctx: egui::Context,
    job: Option<Job<PreviewEvent>>,
    requested: Option<PreviewRequest>,
    /// Whether the newest request has no preview yet.
    opening: bool,
    preview: Option<DatasetPreview>,
}

impl Previewer {
    pub fn new(ctx: &egui::Context) -> Self {
        Self { ctx: ctx.clone(), job: None, requested: None, opening: false, preview: None }
    }

    pub fn preview(&self) -> Option<&DatasetPreview> {
        self.preview.as_ref()
    }

    /// Starts another preview if `request` is not the newest one, and marks the shown preview as stale if it is of another request. An
    /// invalid request is not previewed.
    pub fn update(&mut self, request: PreviewRequest, valid: bool) {
        if let Some(preview) = &mut self.preview {
            preview.stale = preview.request != request;
        }
        if self.requested.as_ref() == Some(&request) || !valid {
            return;
        }
        let same_data = self.requested.as_ref().is_some_and(|requested| requested.same_data(&request));
        // While a setting is dragged, one preview is finished before the next starts.
        if self.opening && same_data {
            return;
        }
        if !same_data {
            self.preview = None;
        }
        let (ctx, previewed) = (self.ctx.clone(), request.clone());
        // The job of an older request is cancelled with its handle.
        self.job = Some(Job::start("dataset preview", &self.ctx, move |reporter| run(&previewed, &ctx, reporter)));
        (self.requested, self.opening) = (Some(request), true);
    }

    /// Takes the results of the job.
    pub fn receive(&mut self) {
        let mut error = None;
        for event in Job::receive(&mut self.job, &mut error) {
            match event {
                PreviewEvent::Opened(result) => self.show(*result),
                PreviewEvent::Report(report) => {
                    if let Some(DatasetPreview { result: Ok(data), .. }) = &mut self.preview {
                        data.report = Some(*report);
                    }
                }
            }
        }
        if let Some(error) = error {
            self.show(Err(error));
        }
    }

    fn show(&mut self, result: Result<PreviewedDataset, String>) {
        if let Some(request) = self.requested.clone() {
            self.opening = false;
            self.preview = Some(DatasetPreview { request, stale: false, result });
        }
    }
}

fn run(request: &PreviewRequest, ctx: &egui::Context, reporter: &Reporter<PreviewEvent>) -> anyhow::Result<()> {
    reporter.report("opening the data set", 0, 0)?;
    match open(request, ctx) {
        Ok((previewed, dataset)) => {
            reporter.send(PreviewEvent::Opened(Box::new(Ok(previewed))));
            let report = DatasetReport::examine(&dataset, &|| reporter.is_cancelled());
            reporter.send(PreviewEvent::Report(Box::new(report)));
        }
        Err(error) => reporter.send(PreviewEvent::Opened(Box::new(Err(error.to_string())))),
    }
    Ok(())
}

fn open(request: &PreviewRequest, ctx: &egui::Context) -> Result<(PreviewedDataset, Dataset), DataError> {
    let PreviewRequest { data, format, mirror } = request;
    let dataset = Dataset::open(data, *format, 1)?;
    let (pictures, problems) = preview_pictures(&dataset, IMAGES, 1);
    let mirrored = |(index, picture): (u64, Picture)| match mirror {
        Some(seed) if mirrors(*seed, 0, index) => picture.mirrored(),
        _ => picture,
    };
    let pictures: Vec<_> = pictures.into_iter().map(mirrored).collect();
    let compared = match data.is_synthetic() {
        true => Vec::new(),
        false => compare_preparation(&dataset, COMPARED, 1, COMPARED_SIDE, *mirror).0,
    };
    let texture = |name: &str, sheet: Picture| (sheet.width() > 0).then(|| upload(ctx, name, &sheet));
    let previewed = PreviewedDataset {
        images: dataset.len(),
        summary: dataset.summary(),
        classes: dataset.classes().len(),
        test_split: find_test_split(&data.to_string()),
        notes: dataset.notes().to_vec(),
        report: None,
        sheet: texture("dataset preview", grid(&pictures, COLUMNS, 2)),
        compared: texture("before and after preparation", comparison_figure(&compared, COMPARED_SIDE)),
        problems,
    };
    Ok((previewed, dataset))
}
