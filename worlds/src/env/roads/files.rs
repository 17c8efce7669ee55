//! Road networks in files: TOML, read as what nobody trusts.
//!
//! ```toml
//! [[lane]]
//! name = "in"
//! points = [[-100.0, 0.0], [0.0, 0.0]]   # the middle line, in metres
//! limit = 13.9                           # m/s
//! demand = 600.0                         # vehicles that come in here, an hour; entries only
//! next = ["out"]                         # none for exits
//!
//! [[lane]]
//! name = "out"
//! points = [[0.0, 0.0], [80.0, 0.0]]
//! limit = 13.9
//! # left = "name"                        # the lane beside it that can be changed to and from
//! # priority = 1                         # 0 to 9: which way goes first where two meet; 0 unless given
//!
//! # [[junction]]                         # where lanes part, meet or cross: the lanes in between
//! # name = "middle"
//! # movements = ["a", "b"]
//! ```

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::network::{Fault, JunctionParts, LaneParts, MOST_LANES, MOST_MOVEMENTS, Network, Part};
use crate::env::pathfinding::read_up_to;
use crate::error::{Error, Result, nearest};

/// The largest file of a network, in bytes (4 MiB).
pub const MAX_FILE_BYTES: u64 = 4 << 20;
/// Points of a lane at most.
const MOST_POINTS: usize = 1 << 10;
/// Letters of a name at most.
const LONGEST_NAME: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileOf {
    #[serde(default)]
    lane: Vec<Spanned<LaneOf>>,
    #[serde(default)]
    junction: Vec<Spanned<JunctionOf>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LaneOf {
    name: Spanned<String>,
    points: Spanned<Vec<[f64; 2]>>,
    limit: Spanned<f64>,
    #[serde(default)]
    next: Vec<Spanned<String>>,
    left: Option<Spanned<String>>,
    demand: Option<Spanned<f64>>,
    priority: Option<Spanned<u8>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JunctionOf {
    name: Spanned<String>,
    movements: Spanned<Vec<Spanned<String>>>,
}

/// A text with its file's name, to say where something is.
struct Text<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Text<'_> {
    fn line(&self, at: usize) -> usize {
        1 + self.text.as_bytes()[..at.min(self.text.len())].iter().filter(|byte| **byte == b'\n').count()
    }

    fn fault(&self, at: usize, key: &str, message: impl std::fmt::Display) -> Error {
        Error::file(self.path, Some(self.line(at)), format!("`{key}`: {message}"))
    }

    /// The number of the lane of that name.
    fn find(&self, names: &HashMap<&str, usize>, name: &Spanned<String>, key: &str) -> Result<usize> {
        names.get(name.get_ref().as_str()).copied().ok_or_else(|| {
            let hint = nearest(name.get_ref(), names.keys().copied());
            let hint = hint.map_or(String::new(), |other| format!("; did you mean `{other}`?"));
            let shown: String = name.get_ref().chars().take(LONGEST_NAME).collect();
            self.fault(name.span().start, key, format!("there is no lane `{shown}`{hint}"))
        })
    }

    /// Names of lanes or junctions, each once.
    fn names<'n>(&self, names: impl Iterator<Item = &'n Spanned<String>>) -> Result<HashMap<&'n str, usize>> {
        let mut all = HashMap::new();
        for (number, name) in names.enumerate() {
            let text = name.get_ref().as_str();
            if text.is_empty() || text.chars().count() > LONGEST_NAME || text.contains(char::is_control) {
                let message = format!("expected 1 to {LONGEST_NAME} letters");
                return Err(self.fault(name.span().start, "name", message));
            }
            if all.insert(text, number).is_some() {
                return Err(self.fault(name.span().start, "name", format!("there is a `{text}` already")));
            }
        }
        Ok(all)
    }
}

impl Network {
    /// Reads a network from a TOML file, as the documentation of this module (`env::roads::files`) says; vehicles
    /// need `clearance` metres between the middles of lanes to pass each other.
    ///
    /// # Errors
    /// [`Error::File`], with the line: the file cannot be read, is larger than 4 MiB or no TOML, has an unknown key,
    /// a lane that is not there, or [`Network::new`] refuses it.
    pub fn load(path: impl AsRef<Path>, clearance: f64) -> Result<Network> {
        let path = path.as_ref();
        Network::from_text(&read_up_to(path, MAX_FILE_BYTES)?, path, clearance)
    }

    /// The same from a text; `path` is what errors call it.
    ///
    /// # Errors
    /// As [`Network::load`].
    pub fn from_text(text: &str, path: &Path, clearance: f64) -> Result<Network> {
        let text = Text { path, text };
        let file: FileOf = toml::from_str(text.text).map_err(|e| {
            Error::file(path, e.span().map(|span| text.line(span.start)), e.message().to_owned())
        })?;
        if !(1..=MOST_LANES).contains(&file.lane.len()) || file.junction.len() > MOST_LANES {
            let got = file.lane.len();
            return Err(Error::file(path, None, format!("`lane`: expected 1 to {MOST_LANES}, got {got}")));
        }
        let names = text.names(file.lane.iter().map(|lane| &lane.get_ref().name))?;
        text.names(file.junction.iter().map(|junction| &junction.get_ref().name))?;
        let mut lanes = Vec::with_capacity(file.lane.len());
        for lane in &file.lane {
            let lane = lane.get_ref();
            if lane.points.get_ref().len() > MOST_POINTS {
                let message = format!("expected at most {MOST_POINTS} points");
                return Err(text.fault(lane.points.span().start, "points", message));
            }
            if let Some(many) = lane.next.get(MOST_MOVEMENTS) {
                let message = format!("expected at most {MOST_MOVEMENTS} lanes");
                return Err(text.fault(many.span().start, "next", message));
            }
            if let Some(priority) = lane.priority.as_ref().filter(|priority| *priority.get_ref() > 9) {
                return Err(text.fault(priority.span().start, "priority", "expected 0 to 9"));
            }
            lanes.push(LaneParts {
                name: lane.name.get_ref().clone(),
                points: lane.points.get_ref().clone(),
                limit: *lane.limit.get_ref(),
                next: lane.next.iter().map(|name| text.find(&names, name, "next")).collect::<Result<_>>()?,
                left: lane.left.as_ref().map(|name| text.find(&names, name, "left")).transpose()?,
                demand: lane.demand.as_ref().map(|demand| *demand.get_ref()),
                priority: lane.priority.as_ref().map_or(0, |priority| *priority.get_ref()),
            });
        }
        let mut junctions = Vec::with_capacity(file.junction.len());
        for junction in &file.junction {
            let junction = junction.get_ref();
            let movements = junction.movements.get_ref();
            let find = |name| text.find(&names, name, "movements");
            junctions.push(JunctionParts {
                name: junction.name.get_ref().clone(),
                movements: movements.iter().map(find).collect::<Result<_>>()?,
            });
        }
        Network::new(lanes, junctions, clearance).map_err(|fault| file.locate(&text, &fault))
    }
}

impl FileOf {
    /// Says where a fault of the network is in the file.
    fn locate(&self, text: &Text, fault: &Fault) -> Error {
        let start = |lane: &LaneOf| match fault.key {
            "points" => Some(lane.points.span().start),
            "limit" => Some(lane.limit.span().start),
            "next" => lane.next.first().map(|name| name.span().start),
            "left" => lane.left.as_ref().map(|name| name.span().start),
            "demand" => lane.demand.as_ref().map(|demand| demand.span().start),
            _ => None,
        };
        let (at, name) = match fault.part {
            Part::Whole => {
                return Error::file(text.path, None, format!("`{}`: {}", fault.key, fault.message));
            }
            Part::Lane(number) => {
                let lane = self.lane[number].get_ref();
                (start(lane).unwrap_or(lane.name.span().start), lane.name.get_ref())
            }
            Part::Junction(number) => {
                let junction = self.junction[number].get_ref();
                (junction.movements.span().start, junction.name.get_ref())
            }
        };
        text.fault(at, fault.key, format!("of `{name}`: {}", fault.message))
    }
}
