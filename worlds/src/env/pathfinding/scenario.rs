//! MovingAI's `.scen` files: starts and targets on a map. They are trusted as little as maps are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{MOVINGAI_COMMENTS, fault, meaningful, read, shorten};
use super::instance::Instance;
use super::map::{Cell, MAX_SIDE, Map};
use crate::error::{Error, Result};

/// One line of a `.scen` file.
#[derive(Debug, Clone, PartialEq)]
pub struct ScenarioEntry {
    /// The bucket that the benchmark puts it in.
    pub bucket: u32,
    /// (row, column) where the agent starts.
    pub start: Cell,
    /// (row, column) where it has to go.
    pub target: Cell,
    /// The length of a shortest path as the file gives it.
    pub optimal_length: f64,
}

/// A `.scen` file of MovingAI: starts and targets on one map.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// The map's name as the file gives it.
    pub map: String,
    /// Rows of the map that it was made for.
    pub height: usize,
    /// Columns of the map that it was made for.
    pub width: usize,
    /// The lines in their order.
    pub entries: Vec<ScenarioEntry>,
    path: PathBuf,
    /// Where each of them stands in the file.
    lines: Vec<usize>,
}

impl Scenario {
    /// Reads a `.scen` file.
    ///
    /// # Errors
    /// The file cannot be read, or is broken; with its line.
    pub fn load(path: impl AsRef<Path>) -> Result<Scenario> {
        let path = path.as_ref();
        parse_scenario(&read(path)?, path)
    }

    /// Parses the text of a `.scen` file: `version 1`, then a line for each agent with nine fields between tabs
    /// (bucket, map, width, height, start column, start row, goal column, goal row, optimal length). Blanks stand for tabs
    /// where there are none in a line.
    ///
    /// # Errors
    /// [`Error::File`] with `name` for the file, and the line.
    pub fn parse(text: &str, name: &str) -> Result<Scenario> {
        parse_scenario(text, Path::new(if name.is_empty() { "scenario text" } else { name }))
    }

    /// A scenario of these starts and targets on `map`, with their shortest paths' lengths.
    ///
    /// # Errors
    /// A cell that is blocked or outside the map, or a target that cannot be reached.
    pub fn new(map: &Map, agents: &[(Cell, Cell)]) -> Result<Scenario> {
        let mut entries = Vec::with_capacity(agents.len());
        for (agent, &(start, target)) in agents.iter().enumerate() {
            if map.is_blocked(start) || map.is_blocked(target) {
                return Err(map.error(format!("agent {agent} starts or ends on a blocked cell")));
            }
            let Some(length) = super::plan::distance(map, start, target) else {
                return Err(map.error(format!("agent {agent} cannot reach its target")));
            };
            entries.push(ScenarioEntry { bucket: length / 4, start, target, optimal_length: length as f64 });
        }
        let (height, width) = (map.height(), map.width());
        let lines = (2..2 + entries.len()).collect();
        Ok(Scenario { map: map.name.clone(), height, width, entries, path: PathBuf::from("scenario"), lines })
    }

    /// The text of a `.scen` file.
    pub fn to_text(&self) -> String {
        let mut text = String::from("version 1\n");
        for entry in &self.entries {
            let ((start_row, start_column), (row, column)) = (entry.start, entry.target);
            text += &format!(
                "{}\t{}\t{}\t{}\t{start_column}\t{start_row}\t{column}\t{row}\t{:.8}\n",
                entry.bucket, self.map, self.width, self.height, entry.optimal_length
            );
        }
        text
    }

    /// The instance of the first `agents` lines on `map`, as multi-agent benchmarks use a scenario.
    ///
    /// # Errors
    /// A map of another size, fewer lines than agents, a start or goal that is blocked, two starts on one cell.
    pub fn instance(&self, map: &Arc<Map>, agents: usize) -> Result<Instance> {
        self.check_size(map)?;
        if self.entries.len() < agents {
            let message = format!("{} lines are too few for {agents} agents", self.entries.len());
            return Err(Error::file(&self.path, None, message));
        }
        let entries = &self.entries[..agents];
        for (number, entry) in entries.iter().enumerate() {
            for (what, cell) in [("start", entry.start), ("goal", entry.target)] {
                if map.is_blocked(cell) {
                    let message = format!(
                        "the {what} at row {}, column {} is blocked on `{}`",
                        cell.0, cell.1, map.name
                    );
                    let line = self.lines.get(number).copied().unwrap_or(1);
                    return Err(fault(&self.path, line, message));
                }
            }
        }
        Instance::new(
            Arc::clone(map),
            entries.iter().map(|e| e.start).collect(),
            entries.iter().map(|e| e.target).collect(),
        )
    }

    /// The map that the scenario names, found beside its file, with the starts and targets of its lines for agents.
    pub(super) fn map_with_agents(&self) -> Result<Map> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        // The path as it stands there, from the scenario's folder; then the mere name beside it.
        let named = Path::new(&self.map);
        let beside = named.file_name().map(|name| folder.join(name));
        let places: Vec<PathBuf> = [Some(folder.join(named)), beside].into_iter().flatten().collect();
        let Some(found) = places.iter().find(|place| place.is_file()) else {
            let message = format!("its map `{}` is not beside it", shorten(&self.map));
            return Err(Error::file(&self.path, None, message));
        };
        if found.extension().is_some_and(|e| e.eq_ignore_ascii_case("scen")) {
            return Err(Error::file(&self.path, None, "names a scenario for its map"));
        }
        let mut map = Map::load(found)?;
        self.check_size(&map)?;
        map.agents = self.entries.iter().map(|entry| (entry.start, entry.target)).collect();
        (map.possible_starts, map.possible_targets) = (None, None);
        Ok(map)
    }

    fn check_size(&self, map: &Map) -> Result<()> {
        if (self.height, self.width) != (map.height(), map.width()) {
            let message = format!(
                "made for a map of {} x {} (height x width), `{}` has {} x {}",
                self.height,
                self.width,
                map.name,
                map.height(),
                map.width()
            );
            return Err(fault(&self.path, 2, message));
        }
        Ok(())
    }
}

fn parse_scenario(text: &str, path: &Path) -> Result<Scenario> {
    let mut lines = meaningful(text, &MOVINGAI_COMMENTS);
    match lines.next().map(|(_, l)| l.split_whitespace().collect::<Vec<_>>()) {
        Some(words) if words.len() == 2 && words[0] == "version" && words[1].parse() == Ok(1.0) => {}
        _ => return Err(fault(path, 1, "expected `version 1`")),
    }
    let mut scenario: Option<Scenario> = None;
    for (number, line) in lines {
        let fields: Vec<&str> = match line.contains('\t') {
            true => line.split('\t').collect(),
            false => line.split_whitespace().collect(),
        };
        if fields.len() != 9 {
            return Err(fault(path, number, format!("{} fields between tabs, expected 9", fields.len())));
        }
        let whole = |field: usize, what: &str, limit: usize| {
            let value = fields[field].trim().parse::<usize>().ok().filter(|v| *v < limit);
            value.ok_or_else(|| {
                let shown = shorten(fields[field]);
                fault(path, number, format!("{what}: expected a whole number below {limit}, got `{shown}`"))
            })
        };
        let bucket = whole(0, "bucket", u32::MAX as usize)? as u32;
        let width = whole(2, "width", MAX_SIDE + 1)?;
        let height = whole(3, "height", MAX_SIDE + 1)?;
        let start = (whole(5, "start row", height)?, whole(4, "start column", width)?);
        let target = (whole(7, "goal row", height)?, whole(6, "goal column", width)?);
        let optimal_length = fields[8].trim().parse::<f64>().ok().filter(|l| l.is_finite() && *l >= 0.0);
        let optimal_length = optimal_length.ok_or_else(|| {
            fault(path, number, format!("optimal length: expected a number, got `{}`", shorten(fields[8])))
        })?;
        let entries = &mut scenario.get_or_insert_with(|| Scenario {
            map: fields[1].trim().to_owned(),
            height,
            width,
            entries: Vec::new(),
            path: path.to_path_buf(),
            lines: Vec::new(),
        });
        if (entries.height, entries.width) != (height, width) {
            let message = format!(
                "a map of {height} x {width}, other lines say {} x {}",
                entries.height, entries.width
            );
            return Err(fault(path, number, message));
        }
        if entries.map != fields[1].trim() {
            return Err(fault(path, number, "names another map than the lines before"));
        }
        entries.lines.push(number);
        entries.entries.push(ScenarioEntry { bucket, start, target, optimal_length });
    }
    scenario.ok_or_else(|| fault(path, 1, "no agents after `version 1`"))
}
