//! The tools of the explorer, and its keyboard shortcuts.

use egui::{Key, KeyboardShortcut, Modifiers};
use strum::{IntoStaticStr, VariantArray};

use crate::app::dissect::InspectorTab;

pub(super) const UNDO: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::Z);
pub(super) const REDO: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND.plus(Modifiers::SHIFT), Key::Z);
pub(super) const REDO_ALTERNATIVE: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::Y);
pub(super) const OPEN: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::O);
pub(super) const SAVE: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::S);
pub(super) const SAVE_AS: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND.plus(Modifiers::SHIFT), Key::S);
pub(super) const GO_TO: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::G);

/// All shortcuts with what they do, for the menu that lists them.
pub(super) const SHORTCUTS: [(&str, &str); 15] = [
    ("1 ... 9", "the tools, from left to right"),
    ("Ctrl Z, Ctrl Shift Z", "undo, redo"),
    ("Ctrl S, Ctrl Shift S", "save the session, save it as another file"),
    ("Ctrl O", "open a session"),
    ("Ctrl G", "go to a sample by its number"),
    ("Ctrl wheel, + and -", "zoom of the samples"),
    ("Arrows, Page, Home", "move among the samples (the pointer over them)"),
    ("Enter", "take the framed sample, as a click does"),
    ("Space", "Walk: play or pause"),
    ("Left, Right", "Walk: a frame back or on; Directions: move the slider"),
    ("Up, Down", "Directions: choose another; Shift makes steps larger"),
    ("Backspace", "Directions: back to zero"),
    ("N, Delete, Arrows", "Plane: new point, remove it, move it"),
    ("Left, Right, Delete", "Forget: another sample, remove the box"),
    ("Esc", "let go of what is dragged"),
];

/// A tool of the explorer, named as its button.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray, IntoStaticStr)]
pub(in crate::app) enum Tool {
    Gallery,
    Arithmetic,
    Walk,
    Directions,
    Plane,
    Photo,
    Layers,
    Forget,
    Discriminator,
}

/// What a tool does with an image file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum ImageUse {
    /// Projects it into the latent space.
    Project,
    /// Shows the discriminator's output for it.
    Discriminate,
}

impl Tool {
    /// The label of its button.
    pub fn label(self) -> &'static str {
        self.into()
    }

    /// The tool tip of its button.
    pub fn tip(self) -> &'static str {
        match self {
            Self::Gallery => "Only the samples",
            Self::Arithmetic => "Add and take away what samples have in common (the paper's figures 7 and 8)",
            Self::Walk => "From sample to sample through Z (figure 4)",
            Self::Directions => "Sliders that change one thing of a sample",
            Self::Plane => "A map of Z: drag points over it",
            Self::Photo => "Find the z that draws a picture of your own",
            Self::Layers => "Every layer's feature maps, and what each of them does",
            Self::Forget => "Find the filters that draw an object, and draw without them (figure 6)",
            Self::Discriminator => "What its features look for, and its verdicts (figure 5)",
        }
    }

    /// The key that shows it.
    pub fn key(self) -> Key {
        match self {
            Self::Gallery => Key::Num1,
            Self::Arithmetic => Key::Num2,
            Self::Walk => Key::Num3,
            Self::Directions => Key::Num4,
            Self::Plane => Key::Num5,
            Self::Photo => Key::Num6,
            Self::Layers => Key::Num7,
            Self::Forget => Key::Num8,
            Self::Discriminator => Key::Num9,
        }
    }

    /// What to do with the samples beside the tool.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Gallery | Self::Forget => "",
            Self::Arithmetic => "Click samples, or drag them into a tray.",
            Self::Walk => "Click samples, or drag them onto the timeline.",
            Self::Directions => "Click the sample that the sliders move.",
            Self::Plane => "Click samples: they become the corner that is framed.",
            Self::Photo => "What is found can be used as these samples are.",
            Self::Layers => "Click the sample whose layers are shown.",
            Self::Discriminator => "Click the sample that is judged.",
        }
    }

    /// The part of the networks that it inspects, if it does.
    pub fn inspector_tab(self) -> Option<InspectorTab> {
        match self {
            Self::Layers => Some(InspectorTab::Layers),
            Self::Forget => Some(InspectorTab::Forget),
            Self::Discriminator => Some(InspectorTab::Discriminator),
            _ => None,
        }
    }

    /// What it does with an image that is dropped on the window.
    pub fn image_use(self) -> Option<ImageUse> {
        match self {
            Self::Photo => Some(ImageUse::Project),
            Self::Discriminator => Some(ImageUse::Discriminate),
            _ => None,
        }
    }

    /// Whether the tool uses the arrow keys while the pointer is over it; otherwise they move among the samples.
    pub fn takes_arrows(self) -> bool {
        matches!(self, Self::Walk | Self::Directions | Self::Plane)
    }

    /// Whether the whole tool scrolls; the others fit themselves into the room.
    pub fn scrolls(self) -> bool {
        !matches!(self, Self::Directions | Self::Plane)
    }
}
