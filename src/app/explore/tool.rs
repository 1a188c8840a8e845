//! The tools of the explorer.

use egui::{Key, KeyboardShortcut, Modifiers};

use crate::app::dissect::Part;

pub(super) const UNDO: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::Z);
pub(super) const REDO: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND.plus(Modifiers::SHIFT), Key::Z);
pub(super) const REDO_TOO: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::Y);
pub(super) const OPEN: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::O);
pub(super) const SAVE: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::S);
pub(super) const SAVE_AS: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND.plus(Modifiers::SHIFT), Key::S);
pub(super) const GO_TO: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::G);

/// Every key, for the menu that tells them.
pub(super) const KEYS: [(&str, &str); 15] = [
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Gallery,
    Arithmetic,
    Walk,
    Directions,
    Plane,
    Photo,
    Inside(Part),
}

impl Tool {
    /// Tools with their names, what they are for, and their keys.
    pub const ALL: [(Self, &'static str, &'static str, Key); 9] = [
        (Self::Gallery, "Gallery", "Only the samples", Key::Num1),
        (
            Self::Arithmetic,
            "Arithmetic",
            "Add and take away what samples have in common (the paper's figures 7 and 8)",
            Key::Num2,
        ),
        (Self::Walk, "Walk", "From sample to sample through Z (figure 4)", Key::Num3),
        (Self::Directions, "Directions", "Sliders that change one thing of a sample", Key::Num4),
        (Self::Plane, "Plane", "A map of Z: drag points over it", Key::Num5),
        (Self::Photo, "Photo", "Find the z that draws a picture of your own", Key::Num6),
        (Self::Inside(Part::Layers), "Layers", "Every layer's feature maps, and what each of them does", Key::Num7),
        (
            Self::Inside(Part::Forget),
            "Forget",
            "Find the filters that draw an object, and draw without them (figure 6)",
            Key::Num8,
        ),
        (
            Self::Inside(Part::Discriminator),
            "Discriminator",
            "What its features look for, and its verdicts (figure 5)",
            Key::Num9,
        ),
    ];

    /// What to do with the samples beside the tool.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Gallery => "",
            Self::Arithmetic => "Click samples, or drag them into a tray.",
            Self::Walk => "Click samples, or drag them onto the timeline.",
            Self::Directions => "Click the sample that the sliders move.",
            Self::Plane => "Click samples: they become the corner that is framed.",
            Self::Photo => "What is found can be used as these samples are.",
            Self::Inside(Part::Layers) => "Click the sample whose layers are shown.",
            Self::Inside(Part::Forget) => "",
            Self::Inside(Part::Discriminator) => "Click the sample that is judged.",
        }
    }

    /// Whether the arrow keys are the tool's own while the pointer is over it.
    pub fn takes_arrows(self) -> bool {
        matches!(self, Self::Walk | Self::Directions | Self::Plane)
    }
}
