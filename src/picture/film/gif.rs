//! Films as GIF: each picture as the part that differs from the one before. What is on a picture is painted in `paint`.

use std::borrow::Cow;

use ::gif::{DisposalMethod, Encoder, EncodingError, Frame as Picture, Repeat};

use super::paint::{CLEAR, Painter};
use super::{Film, Layout, MOST_FRAMES};
use crate::error::{Error, Result};
use crate::picture::kept;

/// Hundredths of a second that a step takes.
const STEP: usize = 24;
/// The same for the last state.
const HOLD: u16 = 150;
/// Pictures from one state to the next.
const PICTURES: usize = 3;
/// Pixels of all pictures together.
const MOST_PIXELS: usize = 300_000_000;

pub(super) fn bytes(film: &Film) -> Result<Vec<u8>> {
    let mut painter = Painter::new(film);
    let (pictures, states) = schedule(film, &painter.layout);
    let mut bytes = Vec::new();
    let failed = |e: EncodingError| Error::Usage(format!("an episode cannot be drawn: {e}"));
    animate(&mut bytes, &mut painter, pictures, &states).map_err(failed)?;
    Ok(bytes)
}

/// How many pictures a step has and which states are shown.
pub(super) fn schedule(film: &Film, layout: &Layout) -> (usize, Vec<usize>) {
    // Where a cell has a few pixels only, in-between positions are not worth their size.
    let pictures = if layout.cell >= 8.0 { PICTURES } else { 1 };
    let most = (MOST_PIXELS / (layout.width * layout.height) / pictures).clamp(2, MOST_FRAMES);
    (pictures, kept(film.frames.len(), most))
}

fn animate(
    bytes: &mut Vec<u8>,
    painter: &mut Painter,
    pictures: usize,
    states: &[usize],
) -> std::result::Result<(), EncodingError> {
    let (width, height) = (painter.layout.width, painter.layout.height);
    // Both sides are some 1000 pixels at most (Layout::of).
    let mut encoder = Encoder::new(bytes, width as u16, height as u16, &painter.palette.bytes())?;
    encoder.set_repeat(Repeat::Infinite)?;
    let mut before: Option<Vec<u8>> = None;
    let delay = (STEP / pictures) as u16;
    for (i, &state) in states.iter().enumerate() {
        let Some(&next) = states.get(i + 1) else {
            painter.paint(state as f32);
            return encoder.write_frame(&difference(&painter.pixels, before.as_deref(), width, height, HOLD));
        };
        for part in 0..pictures {
            painter.paint(state as f32 + (next - state) as f32 * part as f32 / pictures as f32);
            encoder.write_frame(&difference(&painter.pixels, before.as_deref(), width, height, delay))?;
            before.get_or_insert_default().clone_from(&painter.pixels);
        }
    }
    Ok(())
}

/// The rectangle that differs from the picture before; within it equal pixels are left transparent, which packs well.
fn difference<'a>(
    pixels: &'a [u8],
    before: Option<&[u8]>,
    width: usize,
    height: usize,
    delay: u16,
) -> Picture<'a> {
    let mut picture = Picture {
        delay,
        dispose: DisposalMethod::Keep,
        width: width as u16,
        height: height as u16,
        ..Picture::default()
    };
    let Some(before) = before else {
        picture.buffer = Cow::Borrowed(pixels);
        return picture;
    };
    let (mut left, mut right, mut top, mut bottom) = (width, 0, height, 0);
    for (y, (new, old)) in pixels.chunks_exact(width).zip(before.chunks_exact(width)).enumerate() {
        if new == old {
            continue;
        }
        let differs = |x: &usize| new[*x] != old[*x];
        left = left.min((0..width).find(differs).unwrap_or(width));
        right = right.max((0..width).rev().find(differs).map_or(0, |x| x + 1));
        top = top.min(y);
        bottom = y + 1;
    }
    if right == 0 {
        (left, right, top, bottom) = (0, 1, 0, 1); // nothing changed; a picture has one pixel at least
    }
    let mut buffer = Vec::with_capacity((right - left) * (bottom - top));
    for y in top..bottom {
        let row = y * width + left..y * width + right;
        buffer.extend(
            pixels[row.clone()].iter().zip(&before[row]).map(|(n, o)| if n == o { CLEAR } else { *n }),
        );
    }
    picture.left = left as u16;
    picture.top = top as u16;
    picture.width = (right - left) as u16;
    picture.height = (bottom - top) as u16;
    picture.transparent = Some(CLEAR);
    picture.buffer = Cow::Owned(buffer);
    picture
}
