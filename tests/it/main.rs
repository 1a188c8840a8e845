//! End-to-end tests: what a user does. All are in one binary, since each binary links the whole program again.

mod cards;
#[cfg(unix)]
mod child;
mod command_line;
mod decoding;
mod devices;
mod dialogs;
mod dissect;
mod documentation;
mod drawable;
mod dropping;
mod epochs;
mod exploring;
mod failing;
mod formats;
mod hyperparameters;
mod killing;
mod measure_commands;
mod measure_window;
mod models;
mod normalization;
mod preparing;
mod presets;
mod readings;
mod refusals;
mod report;
mod resuming;
mod snapshots;
mod support;
mod video;
mod window;
