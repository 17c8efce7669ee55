//! Tables of results: aligned text for the terminal, Markdown for pages, JSON rows for machines.
//!
//! ```
//! use synod::run::table::{Cell, Table};
//! let mut table = Table::new(["map", "CSR"]);
//! table.row(["corridor".into(), Cell::number(0.975)]);
//! assert!(table.to_markdown().contains("0.975"));
//! ```

use serde_json::{Map, Value};

/// What stands in one field.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Words, to the left.
    Text(String),
    /// A whole number, to the right.
    Count(u64),
    /// A number with so many decimals, to the right; JSON has all of them.
    Number(f64, usize),
    /// Nothing (`-`; `null` in JSON).
    Empty,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::Text(text.to_string())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Cell::Text(text)
    }
}

impl From<u64> for Cell {
    fn from(count: u64) -> Self {
        Cell::Count(count)
    }
}

impl From<usize> for Cell {
    fn from(count: usize) -> Self {
        Cell::Count(count as u64)
    }
}

impl Cell {
    /// A number with three decimals, or nothing.
    pub fn number(value: impl Into<Option<f64>>) -> Self {
        value.into().map_or(Cell::Empty, |v| Cell::Number(v, 3))
    }

    fn text(&self) -> String {
        match self {
            Cell::Text(text) => text.replace(['\n', '\r'], " "),
            Cell::Count(count) => count.to_string(),
            Cell::Number(value, decimals) if value.is_finite() => format!("{value:.decimals$}"),
            Cell::Number(value, _) => value.to_string(),
            Cell::Empty => "-".into(),
        }
    }

    /// The field as JSON. A number that is not finite has no form there and becomes `null`.
    pub fn json(&self) -> Value {
        match self {
            Cell::Text(text) => Value::from(text.as_str()),
            Cell::Count(count) => Value::from(*count),
            Cell::Number(value, _) => Value::from(*value),
            Cell::Empty => Value::Null,
        }
    }
}

/// Named columns and rows of fields, with feet (means) where wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
    feet: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub fn new<'a>(columns: impl IntoIterator<Item = &'a str>) -> Self {
        Table { columns: columns.into_iter().map(str::to_string).collect(), ..Table::default() }
    }

    /// Adds a row. Missing fields are empty, and what is beyond the last column is left out.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let row = self.fit(cells);
        self.rows.push(row);
    }

    /// Adds a row below the line.
    pub fn foot(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let foot = self.fit(cells);
        self.feet.push(foot);
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn fit(&self, cells: impl IntoIterator<Item = Cell>) -> Vec<Cell> {
        let mut row: Vec<Cell> = cells.into_iter().take(self.columns.len()).collect();
        row.resize(self.columns.len(), Cell::Empty);
        row
    }

    /// For each column: its width in characters and whether it is of numbers.
    fn layout(&self, text: impl Fn(&Cell) -> String) -> Vec<(usize, bool)> {
        let width = |s: &str| s.chars().count();
        (0..self.columns.len())
            .map(|i| {
                let cells = || self.rows.iter().chain(&self.feet).map(|row| &row[i]);
                let widest = cells().map(|c| width(&text(c))).max().unwrap_or(0);
                let numbers = cells().all(|c| !matches!(c, Cell::Text(_)));
                (widest.max(width(&self.columns[i])), numbers && !self.rows.is_empty())
            })
            .collect()
    }

    /// Aligned columns under a line, for a terminal. Ends with a line break.
    pub fn to_text(&self) -> String {
        let layout = self.layout(Cell::text);
        let line = |fields: Vec<String>| {
            let padded: Vec<String> = fields
                .iter()
                .zip(&layout)
                .map(|(field, (width, right))| pad(field, *width, *right))
                .collect();
            padded.join("  ").trim_end().to_string() + "\n"
        };
        let rule = "─".repeat(layout.iter().map(|l| l.0 + 2).sum::<usize>().saturating_sub(2)) + "\n";
        let mut out = line(self.columns.clone()) + &rule;
        for row in &self.rows {
            out += &line(row.iter().map(Cell::text).collect());
        }
        if !self.feet.is_empty() {
            out += &rule;
        }
        for foot in &self.feet {
            out += &line(foot.iter().map(Cell::text).collect());
        }
        out
    }

    /// A Markdown table, the feet as its last rows in bold.
    pub fn to_markdown(&self) -> String {
        let escape = |text: String| text.replace('|', "\\|");
        let layout = self.layout(|cell| escape(cell.text()));
        let line = |fields: Vec<String>| {
            let padded = fields.iter().zip(&layout).map(|(field, (width, right))| pad(field, *width, *right));
            format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
        };
        let mut out = line(self.columns.iter().cloned().map(escape).collect());
        out += "|";
        for (width, right) in &layout {
            out += &format!("{}{}|", "-".repeat(width + 1), if *right { ":" } else { "-" });
        }
        out += "\n";
        for row in &self.rows {
            out += &line(row.iter().map(|c| escape(c.text())).collect());
        }
        for foot in &self.feet {
            out += &line(foot.iter().map(|c| format!("**{}**", escape(c.text()))).collect());
        }
        out
    }

    /// The rows as JSON objects by column, the feet left out.
    pub fn to_json_rows(&self) -> Vec<Value> {
        self.rows.iter().map(|row| self.json_row(row)).collect()
    }

    /// The feet as JSON objects by column.
    pub fn to_json_feet(&self) -> Vec<Value> {
        self.feet.iter().map(|row| self.json_row(row)).collect()
    }

    fn json_row(&self, row: &[Cell]) -> Value {
        let fields: Map<String, Value> =
            self.columns.iter().cloned().zip(row.iter().map(Cell::json)).collect();
        Value::Object(fields)
    }
}

fn pad(text: &str, width: usize, right: bool) -> String {
    let space = " ".repeat(width.saturating_sub(text.chars().count()));
    if right { space + text } else { text.to_string() + &space }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(["map", "agents", "csr"]);
        table.row(["mäze|1".into(), 8usize.into(), Cell::number(0.5)]);
        table.row(["x".into(), 128usize.into(), Cell::number(f64::NAN)]);
        table.row(["y".into()]);
        table.foot(["mean".into(), Cell::Empty, Cell::number(1.0 / 3.0), "beyond".into()]);
        table
    }

    #[test]
    fn text_is_aligned() {
        let expected = "map     agents    csr\n─────────────────────\nmäze|1       8  0.500\nx          128    NaN\n\
                        y            -      -\n─────────────────────\nmean         -  0.333\n";
        assert_eq!(sample().to_text(), expected);
        assert_eq!(Table::new(["a", "b"]).to_text(), "a  b\n────\n");
    }

    #[test]
    fn markdown_is_a_table() {
        let expected = "| map     | agents |   csr |\n|---------|-------:|------:|\n| mäze\\|1 |      8 | 0.500 |\n\
                        | x       |    128 |   NaN |\n| y       |      - |     - |\n| **mean** |  **-** | **0.333** |\n";
        assert_eq!(sample().to_markdown(), expected);
    }

    #[test]
    fn json_has_every_digit() {
        let table = sample();
        assert_eq!(
            Value::from(table.to_json_rows()).to_string(),
            r#"[{"map":"mäze|1","agents":8,"csr":0.5},{"map":"x","agents":128,"csr":null},{"map":"y","agents":null,"csr":null}]"#
        );
        assert_eq!(table.to_json_feet()[0]["csr"].as_f64(), Some(1.0 / 3.0));
    }
}
