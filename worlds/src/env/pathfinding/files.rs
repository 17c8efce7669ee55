//! Reading and writing maps: MovingAI's `.map` and POGEMA's text. Files are not trusted: none above
//! [`MAX_FILE_BYTES`] is read, no declared size is believed before the rows are there, and every refusal names the
//! file, the line and the reason.
//!
//! What editors and people leave in files does not matter: a byte-order mark, blanks and tabs at the ends of lines, empty
//! lines, Windows' line ends, and comments. A comment goes to the end of its line and begins with `//` or `;`, in
//! MovingAI's files also with `#` or `%`, at the start of a line or after a blank.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::map::{Cell, MAX_SIDE, Map};
use super::scenario::Scenario;
use crate::error::{Error, Result};

/// The largest file that is read, in bytes (64 MiB).
pub const MAX_FILE_BYTES: u64 = 64 << 20;

/// The most files that a folder of maps may hold.
const MAX_FOLDER: usize = 1 << 16;

pub(super) fn read(path: &Path) -> Result<String> {
    read_up_to(path, MAX_FILE_BYTES)
}

/// The text of a regular file of at most so many bytes.
pub(in crate::env) fn read_up_to(path: &Path, most: u64) -> Result<String> {
    let file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let metadata = file.metadata().map_err(|e| Error::io(path, e))?;
    let too_large = |size: u64| {
        Error::file(path, None, format!("{size} bytes or more; files of up to {most} bytes are read"))
    };
    if !metadata.is_file() {
        return Err(Error::file(path, None, "not a regular file"));
    }
    if metadata.len() > most {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // The file may grow while it is read.
    file.take(most + 1).read_to_end(&mut bytes).map_err(|e| Error::io(path, e))?;
    if bytes.len() as u64 > most {
        return Err(too_large(bytes.len() as u64));
    }
    String::from_utf8(bytes).map_err(|e| {
        let line = e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        Error::file(path, Some(line), "not a text in UTF-8")
    })
}

/// Something wrong in a text that may or may not come from a file.
pub(super) fn fault(origin: &Path, line: usize, message: impl Into<String>) -> Error {
    Error::file(origin, Some(line), message)
}

/// What begins comments in MovingAI's files and in POGEMA's text, where `#` is an obstacle.
pub(super) const MOVINGAI_COMMENTS: [&str; 4] = ["//", ";", "#", "%"];
const TEXT_COMMENTS: [&str; 2] = ["//", ";"];

/// The lines of a text that say something, numbered from 1, without comments and what is blank at their ends.
pub(super) fn meaningful<'a>(
    text: &'a str,
    comments: &'a [&'a str],
) -> impl Iterator<Item = (usize, &'a str)> + Clone {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let cut = |line: &'a str| {
        let begins = |(at, _): &(usize, char)| {
            line[..*at].chars().next_back().is_none_or(char::is_whitespace)
                && comments.iter().any(|mark| line[*at..].starts_with(mark))
        };
        let end = line.char_indices().find(begins).map_or(line.len(), |(at, _)| at);
        line[..end].trim_end()
    };
    text.lines()
        .enumerate()
        .map(move |(number, line)| (number + 1, cut(line)))
        .filter(|(_, line)| !line.is_empty())
}

impl Map {
    /// Reads a `.map` file of MovingAI, or POGEMA's text from a file of any other name. A file that begins with
    /// `type` is taken for MovingAI's whatever its name. A `.scen` file gives the map that it names, which is looked for
    /// beside it, with the starts and targets of its lines as the agents that the map fixes.
    ///
    /// # Errors
    /// The file cannot be read, or is broken; with its line where one is at fault.
    pub fn load(path: impl AsRef<Path>) -> Result<Map> {
        let path = path.as_ref();
        let is = |extension: &str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(extension));
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if is("scen") {
            let mut map = Scenario::load(path)?.map_with_agents()?;
            map.name = name;
            map.path = Some(path.to_path_buf());
            return Ok(map);
        }
        let text = read(path)?;
        let first = meaningful(&text, &MOVINGAI_COMMENTS).next();
        let movingai = is("map") || first.is_some_and(|(_, l)| l.split_whitespace().next() == Some("type"));
        let mut map = if movingai { parse_movingai(&text, path)? } else { parse_text(&text, path)? };
        map.name = name;
        map.path = Some(path.to_path_buf());
        Ok(map)
    }

    /// POGEMA's text: `.` free, `#` blocked, `a`..`z` an agent's start, `A`..`Z` its target. With any of `@`
    /// (an agent may start here), `$` (a target may be here) or `!` (neither) in the text, starts may be on `@`, `.`
    /// and letters alone, and targets on `$`, `.` and letters alone. Blank lines are skipped, and so are comments: from
    /// `//` or `;` to the end of the line.
    ///
    /// # Errors
    /// [`Error::File`] with `name` for the file, and the line: an unknown letter, ragged rows, a letter twice, a
    /// start without its target, letters together with `@`, `$` or `!`.
    pub fn from_text(text: &str, name: &str) -> Result<Map> {
        let origin = if name.is_empty() { "map text" } else { name };
        let mut map = parse_text(text, Path::new(origin))?;
        map.name = name.to_owned();
        Ok(map)
    }

    /// Parses the text of a MovingAI `.map`: `type octile`, `height`, `width`, `map`, then the rows; `.`, `G` and `S`
    /// (swamp) are free, `@`, `O`, `T` and `W` (water, which cannot be entered from land) are blocked.
    ///
    /// # Errors
    /// [`Error::File`] with `name` for the file, and the line: a wrong heading, a size out of range or unlike the
    /// rows, an unknown letter.
    pub fn from_movingai(text: &str, name: &str) -> Result<Map> {
        let mut map = parse_movingai(text, Path::new(if name.is_empty() { "map text" } else { name }))?;
        map.name = name.to_owned();
        Ok(map)
    }

    /// The map as [`Map::from_text`] reads it. Fixed agents are written as letters if there are at most 26 and no
    /// two share a cell; else they are left out, as a text cannot hold them.
    pub fn to_text(&self) -> String {
        let mut letters: Vec<Vec<char>> = (0..self.height())
            .map(|row| {
                (0..self.width())
                    .map(|column| if self.is_blocked((row, column)) { '#' } else { '.' })
                    .collect()
            })
            .collect();
        if self.possible_starts.is_some() || self.possible_targets.is_some() {
            let marks = |list: &Option<Vec<Cell>>| {
                let mut marked = vec![list.is_none(); self.height() * self.width()];
                for (row, column) in list.iter().flatten() {
                    marked[row * self.width() + column] = true;
                }
                marked
            };
            let (starts, targets) = (marks(&self.possible_starts), marks(&self.possible_targets));
            for (at, letter) in letters.iter_mut().flatten().enumerate() {
                if *letter == '.' {
                    *letter = match (starts[at], targets[at]) {
                        (true, true) => '.',
                        (true, false) => '@',
                        (false, true) => '$',
                        (false, false) => '!',
                    };
                }
            }
        } else if self.agents.len() <= 26 {
            let mut cells: Vec<Cell> =
                self.agents.iter().flat_map(|(start, target)| [*start, *target]).collect();
            cells.sort_unstable();
            if cells.windows(2).all(|pair| pair[0] != pair[1]) {
                for (letter, (start, target)) in ('a'..='z').zip(&self.agents) {
                    letters[start.0][start.1] = letter;
                    letters[target.0][target.1] = letter.to_ascii_uppercase();
                }
            }
        }
        let mut text = String::with_capacity(self.height() * (self.width() + 1));
        for row in letters {
            text.extend(row);
            text.push('\n');
        }
        text
    }

    /// The map in MovingAI's form: `.` and `@`. What the map says of agents is not part of that form.
    pub fn to_movingai(&self) -> String {
        let mut text = format!("type octile\nheight {}\nwidth {}\nmap\n", self.height(), self.width());
        for row in self.cells().chunks(self.width()) {
            text.extend(row.iter().map(|blocked| if *blocked { '@' } else { '.' }));
            text.push('\n');
        }
        text
    }

    /// Every `.map` and `.txt` file of a folder, in the order of their names.
    ///
    /// # Errors
    /// The folder cannot be read, holds no map or more than 65,536, or one of them is broken.
    pub fn load_folder(path: impl AsRef<Path>) -> Result<Vec<Map>> {
        let path = path.as_ref();
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path).map_err(|e| Error::io(path, e))? {
            let file = entry.map_err(|e| Error::io(path, e))?.path();
            let known = file
                .extension()
                .is_some_and(|e| e.eq_ignore_ascii_case("map") || e.eq_ignore_ascii_case("txt"));
            if known && file.is_file() {
                files.push(file);
            }
            if files.len() > MAX_FOLDER {
                return Err(Error::file(path, None, format!("more than {MAX_FOLDER} maps in one folder")));
            }
        }
        if files.is_empty() {
            return Err(Error::file(path, None, "no .map or .txt file in this folder"));
        }
        files.sort();
        files.iter().map(Map::load).collect()
    }
}

/// The maps of files and folders.
pub(super) fn load_all(paths: &[PathBuf]) -> Result<Vec<Map>> {
    let mut maps = Vec::new();
    for path in paths {
        if path.is_dir() {
            maps.extend(Map::load_folder(path)?);
        } else {
            maps.push(Map::load(path)?);
        }
    }
    Ok(maps)
}

fn parse_movingai(text: &str, origin: &Path) -> Result<Map> {
    let mut lines = meaningful(text, &MOVINGAI_COMMENTS);
    let mut heading = |key: &str| match lines.next() {
        Some((number, line)) => Ok((number, line.trim().to_owned())),
        None => Err(fault(
            origin,
            text.lines().count().max(1),
            format!("the file ends where `{key}` should stand"),
        )),
    };
    let (number, line) = heading("type")?;
    if line.split_whitespace().next() != Some("type") {
        return Err(fault(origin, number, format!("expected `type octile`, got `{}`", shorten(&line))));
    }
    let (mut height, mut width) = (None, None);
    while height.is_none() || width.is_none() {
        let (number, line) = heading("height or width")?;
        let mut words = line.split_whitespace();
        let (key, value) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let slot = match key {
            "height" => &mut height,
            "width" => &mut width,
            _ => {
                return Err(fault(
                    origin,
                    number,
                    format!("expected `height` or `width`, got `{}`", shorten(&line)),
                ));
            }
        };
        let side: usize = value.parse().ok().filter(|s| (1..=MAX_SIDE).contains(s)).ok_or_else(|| {
            fault(origin, number, format!("{key} goes from 1 to {MAX_SIDE}, got `{}`", shorten(value)))
        })?;
        if slot.replace((number, side)).is_some() {
            return Err(fault(origin, number, format!("{key} is given twice")));
        }
    }
    let (Some((height_line, height)), Some((_, width))) = (height, width) else {
        unreachable!("the loop ends with both");
    };
    let (number, line) = heading("map")?;
    if line != "map" {
        return Err(fault(origin, number, format!("expected `map`, got `{}`", shorten(&line))));
    }
    let mut blocked = Vec::new();
    let mut rows = 0;
    for (number, line) in lines {
        if rows == height {
            return Err(fault(
                origin,
                number,
                format!("a row more than the height of {height} (line {height_line})"),
            ));
        }
        let length = line.chars().count();
        if length != width {
            return Err(fault(origin, number, format!("a row of {length} cells, the width is {width}")));
        }
        for (column, letter) in line.chars().enumerate() {
            blocked.push(match letter {
                '.' | 'G' | 'S' => false,
                '@' | 'O' | 'T' | 'W' => true,
                _ => {
                    return Err(fault(
                        origin,
                        number,
                        format!("unknown letter {letter:?} in column {column}"),
                    ));
                }
            });
        }
        rows += 1;
    }
    if rows != height {
        return Err(fault(origin, height_line, format!("the height is {height}, but there are {rows} rows")));
    }
    Map::new("", height, width, blocked)
}

fn parse_text(text: &str, origin: &Path) -> Result<Map> {
    let mut blocked = Vec::new();
    let (mut height, mut width, mut width_line) = (0, 0, 0);
    let (mut starts, mut targets) = (Vec::new(), Vec::new());
    let mut agents: [(Option<Cell>, Option<Cell>); 26] = [(None, None); 26];
    let (mut special, mut lettered) = (None, None);
    let mut lines = Vec::new();
    for (number, line) in meaningful(text, &TEXT_COMMENTS) {
        let line = line.trim_start();
        lines.push(number);
        let length = line.chars().count();
        if height == 0 {
            (width, width_line) = (length, number);
            if width > MAX_SIDE {
                return Err(fault(
                    origin,
                    number,
                    format!("a row of {width} cells; a side has at most {MAX_SIDE}"),
                ));
            }
        } else if length != width {
            return Err(fault(
                origin,
                number,
                format!("a row of {length} cells, line {width_line} has {width}"),
            ));
        }
        if height == MAX_SIDE {
            return Err(fault(origin, number, format!("more than {MAX_SIDE} rows")));
        }
        for (column, letter) in line.chars().enumerate() {
            let cell = (height, column);
            blocked.push(letter == '#');
            let (may_start, may_end) = match letter {
                '#' => (false, false),
                '@' => (true, false),
                '$' => (false, true),
                '!' => (false, false),
                '.' => (true, true),
                'a'..='z' | 'A'..='Z' => {
                    let (start, target) = &mut agents[(letter.to_ascii_lowercase() as u8 - b'a') as usize];
                    let slot = if letter.is_ascii_lowercase() { start } else { target };
                    if slot.replace(cell).is_some() {
                        return Err(fault(
                            origin,
                            number,
                            format!("the letter {letter:?} stands here a second time"),
                        ));
                    }
                    lettered = Some(number);
                    (true, true)
                }
                _ => {
                    return Err(fault(
                        origin,
                        number,
                        format!("unknown letter {letter:?} in column {column}"),
                    ));
                }
            };
            if matches!(letter, '@' | '$' | '!') {
                special = special.or(Some(number));
            }
            if may_start {
                starts.push(cell);
            }
            if may_end {
                targets.push(cell);
            }
        }
        height += 1;
    }
    if height == 0 {
        return Err(fault(origin, 1, "no rows"));
    }
    let mut map = Map::new("", height, width, blocked)?;
    for (letter, agent) in ('a'..='z').zip(agents) {
        match agent {
            (Some(start), Some(target)) => map.agents.push((start, target)),
            (None, None) => {}
            (Some((row, _)), None) | (None, Some((row, _))) => {
                let (has, lacks) = if agent.0.is_some() { ("start", "target") } else { ("target", "start") };
                let line = lines.get(row).copied().unwrap_or(1);
                return Err(fault(origin, line, format!("agent `{letter}` has a {has} but no {lacks}")));
            }
        }
    }
    if let (Some(line), Some(_)) = (special, lettered) {
        return Err(fault(
            origin,
            line,
            "`@`, `$` and `!` do not go together with the letters of fixed agents",
        ));
    }
    if special.is_some() {
        map.possible_starts = Some(starts);
        map.possible_targets = Some(targets);
    }
    Ok(map)
}

/// Text of a file as an error may show it.
pub(super) fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}
