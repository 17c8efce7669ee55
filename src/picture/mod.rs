//! Pictures: animations of episodes ([`film`]), line charts ([`plot`]), what goes on inside a team ([`inspect`]). All SVG
//! is written by one writer, `svg`.
//!
//! What is drawn is plain data: drawings that worlds make of themselves ([`crate::env::Drawing`]), points, recorded
//! arrays. This room knows no trainer and no agent, and does not touch the disk: whoever asks for a picture gets its text
//! or bytes.

mod axis;
pub mod film;
mod font;
pub mod inspect;
pub mod number;
pub mod plot;
mod svg;
#[cfg(test)]
mod xml;

pub(crate) type Colour = [u8; 3];

/// The page around a picture.
pub(crate) const PAGE: Colour = [255, 255, 255];
/// Lines that guide the eye.
pub(crate) const GRID: Colour = [230, 233, 238];
/// Words.
pub(crate) const TEXT: Colour = [58, 66, 80];

/// The colours of agents; they come round again after the last. Neighbours in this list differ most, so that few agents
/// are told apart at a glance.
pub(crate) const AGENTS: [Colour; 16] = [
    [0x2F, 0x6F, 0xDE],
    [0xE8, 0x5D, 0x2C],
    [0x2A, 0x9D, 0x5C],
    [0x8E, 0x44, 0xAD],
    [0xE3, 0xA6, 0x00],
    [0x11, 0xA3, 0xB8],
    [0xD6, 0x33, 0x7A],
    [0x8A, 0x5A, 0x3B],
    [0x7F, 0xB8, 0x00],
    [0x26, 0x41, 0x8F],
    [0xF2, 0x8C, 0x7B],
    [0x6B, 0x7A, 0x1E],
    [0xA7, 0x8B, 0xFA],
    [0x9B, 0x1C, 0x31],
    [0x5B, 0xB8, 0xF5],
    [0xF0, 0x9C, 0xCB],
];

/// At most `most` (2 or more) of `count` states, evenly spaced, with the first and the last among them.
pub(crate) fn kept(count: usize, most: usize) -> Vec<usize> {
    if count <= most {
        (0..count).collect()
    } else {
        (0..most).map(|i| i * (count - 1) / (most - 1)).collect()
    }
}

/// How far a curve between two places bends aside, in its own length, so that those of two agents who attend to each
/// other stay apart.
const BEND: f32 = 0.16;

/// The middle handle of the curve from one place to another. It lies between `low` and `high`, and with both ends there
/// the whole curve does.
pub(crate) fn bend(from: [f32; 2], to: [f32; 2], low: [f32; 2], high: [f32; 2]) -> [f32; 2] {
    let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
    let handle = [(from[0] + to[0]) / 2.0 + 2.0 * BEND * dy, (from[1] + to[1]) / 2.0 - 2.0 * BEND * dx];
    [0, 1].map(|axis| handle[axis].max(low[axis]).min(high[axis]))
}

/// The words of a line, cut where it is longer than so many characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.chars().nth(most) {
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
        None => text.to_string(),
    }
}
