//! What `benches/gpu/run` measured: one JSON from the logs in its folder, and the tables of BENCHMARKS.md from that JSON.
//!
//! `steps.tsv` has a line for each step: its name, exit code, seconds, limit in seconds and command, with tabs between. What a
//! step printed stands in `NAME.out` and `NAME.err`, and the metrics of a training in `NAME.csv`. A step that was cut or that
//! failed has given what it had printed until then.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

/// Between these lines stand the tables.
pub const MARKS: [&str; 2] = ["<!-- gpu begin -->", "<!-- gpu end -->"];
/// Kernels of a program that a table names.
const KERNELS: usize = 8;
/// Lines of the output of a failed step that are kept.
const TAIL: usize = 25;

/// All that stands in a folder.
///
/// # Errors
/// There is no `steps.tsv`.
pub fn gather(folder: &Path) -> Result<Value, String> {
    let read = |name: &str| std::fs::read_to_string(folder.join(name));
    let steps = read("steps.tsv").map_err(|e| format!("{}/steps.tsv: {e}", folder.display()))?;
    let machine: Map<String, Value> = read("machine.tsv")
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(key, value)| (key.to_string(), json!(value)))
        .collect();
    let mut all = Map::new();
    for line in steps.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, exit, seconds, limit, command] = fields[..] else { continue };
        let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
        // Bytes that are no text come from drivers.
        let log = |kind: &str| {
            let bytes = std::fs::read(folder.join(format!("{name}.{kind}"))).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (out, err) = (log("out"), log("err"));
        let mut step = Map::new();
        step.insert("exit".into(), json!(number(exit)));
        step.insert("seconds".into(), json!(number(seconds)));
        step.insert("limit".into(), json!(number(limit)));
        step.insert("command".into(), json!(command));
        let mut add = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                step.insert(key.into(), value);
            }
        };
        add("rows", rows(&out));
        add("tests", tests(&out));
        add("programs", programs(&err));
        add("steps_per_second", rate(&log("csv")).map(|rate| json!(rate)));
        if exit != "0" {
            let lines: Vec<&str> = out.lines().chain(err.lines()).collect();
            add("tail", Some(json!(lines[lines.len().saturating_sub(TAIL)..])));
        }
        all.insert(name.to_string(), Value::Object(step));
    }
    Ok(json!({ "machine": machine, "steps": all }))
}

/// Lines of a name and numbers, with tabs between.
fn rows(out: &str) -> Option<Value> {
    let mut rows = Map::new();
    for line in out.lines() {
        let mut fields = line.split('\t');
        let name = fields.next().unwrap_or_default();
        let numbers: Result<Vec<f64>, _> = fields.map(str::parse).collect();
        match numbers {
            Ok(numbers) if !numbers.is_empty() => rows.insert(name.to_string(), json!(numbers)),
            _ => None,
        };
    }
    (!rows.is_empty()).then_some(Value::Object(rows))
}

/// What the test programs and the card's `check` found: how many are right, and which are not.
fn tests(out: &str) -> Option<Value> {
    let (mut passed, mut failed) = (0, Vec::new());
    for line in out.lines() {
        let test = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "));
        match test {
            Some((_, "ok")) => passed += 1,
            Some((name, "FAILED")) => failed.push(name),
            _ if line.starts_with("ok     ") => passed += 1,
            _ => failed.extend(line.strip_prefix("WRONG  ")),
        }
    }
    (passed > 0 || !failed.is_empty()).then(|| json!({ "passed": passed, "failed": failed }))
}

/// The reports of `SYNOD_GPU_TIMES`, the program that took the most time first.
fn programs(err: &str) -> Option<Value> {
    let mut programs: Vec<(f64, Value)> = Vec::new();
    let mut lines = err.lines().peekable();
    while let Some(line) = lines.next() {
        let words: Vec<&str> = line.split_whitespace().collect();
        // GPU times of 1321 dispatches, 12 runs: 4123.0 us a run
        let ["GPU", "times", "of", dispatches, "dispatches,", runs, "runs:", time, ..] = words[..] else {
            continue;
        };
        let (Ok(dispatches), Ok(runs), Ok(time)) =
            (dispatches.parse::<u64>(), runs.parse::<f64>(), time.parse::<f64>())
        else {
            continue;
        };
        let mut kernels = Vec::new();
        while let Some(line) = lines.peek() {
            let words: Vec<&str> = line.split_whitespace().collect();
            // 41.2 % 1698.2 us 312 x matmul/tile
            let [share, "%", time, "us", count, "x", name] = words[..] else { break };
            let (Ok(share), Ok(time), Ok(count)) =
                (share.parse::<f64>(), time.parse::<f64>(), count.parse::<u64>())
            else {
                break;
            };
            kernels
                .push(json!({ "kernel": name, "share": share, "microseconds": time, "dispatches": count }));
            lines.next();
        }
        let program = json!({
            "dispatches": dispatches, "runs": runs, "microseconds": time, "kernels": kernels
        });
        programs.push((runs * time, program));
    }
    programs.sort_by(|a, b| b.0.total_cmp(&a.0));
    (!programs.is_empty()).then(|| programs.into_iter().map(|(_, program)| program).collect())
}

/// Agent-steps a second over the second half of the rows of a training: the first ones compile and warm up.
fn rate(csv: &str) -> Option<f64> {
    let mut lines = csv.lines();
    let header: Vec<&str> = lines.next()?.split(',').collect();
    let column = |name: &str| header.iter().position(|h| *h == name);
    let (step, seconds) = (column("step")?, column("wall/seconds")?);
    let rows: Vec<[f64; 2]> = lines
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            Some([fields.get(step)?.parse().ok()?, fields.get(seconds)?.parse().ok()?])
        })
        .collect();
    let last = *rows.last()?;
    // A single row is all there is.
    let first = if rows.len() < 2 { [0.0; 2] } else { rows[(rows.len() - 1) / 2] };
    let elapsed = last[1] - first[1];
    (elapsed > 0.0).then(|| (last[0] - first[0]) / elapsed)
}

/// BENCHMARKS.md with the tables of these results between its marks.
///
/// # Errors
/// The marks are not there, each once, in this order.
pub fn merge(results: &Value, text: &str) -> Result<String, String> {
    let places: Vec<Vec<usize>> =
        MARKS.iter().map(|m| text.match_indices(m).map(|(at, _)| at).collect()).collect();
    let (&[begin], &[end]) = (&places[0][..], &places[1][..]) else {
        return Err(format!("the file must have the lines {} and {}, once each", MARKS[0], MARKS[1]));
    };
    if begin > end {
        return Err(format!("{} must stand before {}", MARKS[0], MARKS[1]));
    }
    let head = &text[..begin + MARKS[0].len()];
    Ok(format!("{head}\n\n{}\n{}", tables(results), &text[end..]))
}

/// A number of a row of a step: the median stands first, then the minimum, then the time on the GPU.
fn number(results: &Value, step: &str, row: &str, at: usize) -> Option<f64> {
    results["steps"][step]["rows"][row][at].as_f64()
}

fn tables(results: &Value) -> String {
    // Writing to a string does not fail.
    let mut text = String::new();
    let machine = |key: &str| results["machine"][key].as_str().unwrap_or("unknown").to_string();
    let _ = writeln!(
        text,
        "Measured on {} with `benches/gpu/run`: {}; {} processors of {}; synod {}.\n",
        machine("date"),
        machine("gpu"),
        machine("processors"),
        machine("processor"),
        machine("commit")
    );
    tests_table(results, &mut text);
    dispatch_lines(results, &mut text);
    card_table(results, &mut text);
    training_table(results, &mut text);
    kernel_tables(results, &mut text);
    text
}

fn steps(results: &Value) -> impl Iterator<Item = (&String, &Value)> {
    results["steps"].as_object().into_iter().flatten()
}

fn tests_table(results: &Value, text: &mut String) {
    let all: Vec<_> = steps(results).filter(|(_, step)| !step["tests"].is_null()).collect();
    if all.is_empty() {
        return;
    }
    text.push_str("| tests | passed | failed | seconds | ended |\n|---|--:|---|--:|---|\n");
    for (name, step) in all {
        let failed: Vec<&str> = step["tests"]["failed"]
            .as_array()
            .into_iter()
            .flatten()
            // Of a row the name alone: what is wrong with it stands in the log.
            .filter_map(|test| test.as_str()?.split(' ').next())
            .collect();
        let failed = if failed.is_empty() { "none".to_string() } else { failed.join(", ") };
        let ended = match step["exit"].as_f64() {
            Some(0.0) => "by itself",
            Some(124.0) => "cut at its limit",
            _ => "with an error",
        };
        let _ = writeln!(
            text,
            "| `{name}` | {} | {failed} | {:.0} | {ended} |",
            step["tests"]["passed"],
            step["seconds"].as_f64().unwrap_or(f64::NAN)
        );
    }
    text.push('\n');
}

/// What a dispatch costs.
fn dispatch_lines(results: &Value, text: &mut String) {
    let each = |row: &str| number(results, "dispatch", row, 0).map(|seconds| seconds / 200.0 * 1e6);
    if let (Some(chain), Some(fan)) = (each("chain/200/fwd"), each("fan/200/fwd")) {
        let _ = writeln!(
            text,
            "A dispatch that waits for the one before takes {chain:.2} us (`chain/200`), one of many that need not wait {fan:.2} us \
             (`fan/200`, its sums included).\n"
        );
    }
    let on_cpu = |row: &str| number(results, "dispatch-cpu", row, 0).map(|seconds| seconds * 1e6);
    if let (Some(chain), Some(fan)) = (on_cpu("chain/200/fwd"), on_cpu("fan/200/fwd")) {
        let _ = writeln!(text, "On the CPU all of them take {chain:.1} us and {fan:.1} us.\n");
    }
    let host = results["steps"]["host"]["rows"].as_object().and_then(|rows| rows.iter().next());
    if let Some((dispatches, times)) = host {
        let [before, beside] = [0, 1].map(|i| times[i].as_f64().unwrap_or(f64::NAN) * 1e6);
        let _ = writeln!(
            text,
            "The host spends {before:.2} us a dispatch before the GPU can begin and {beside:.2} us while it is at work \
             ({dispatches} dispatches).\n"
        );
    }
}

fn card_table(results: &Value, text: &mut String) {
    const OTHERS: [(&str, &str); 3] = [("torch", "PyTorch"), ("torch-compiled", "compiled"), ("jax", "JAX")];
    let Some(rows) = results["steps"]["time"]["rows"].as_object() else { return };
    text.push_str(
        "Seconds, medians; \"GPU\" by timestamps on the device, \"trees\" without subgroup operations.\n\n",
    );
    text.push_str("| row | synod | GPU | trees |");
    OTHERS.iter().for_each(|(_, name)| text.push_str(&format!(" {name} |")));
    text.push_str(" ratio to the fastest |\n|---|--:|--:|--:|--:|--:|--:|--:|\n");
    let shown = |time: Option<f64>| time.map_or("".into(), |seconds| format!("{seconds:.2e}"));
    let (mut logarithms, mut compared) = (0.0, 0);
    for row in rows.keys() {
        let own = number(results, "time", row, 0);
        let others = OTHERS.map(|(step, _)| number(results, step, row, 0));
        let best = others.into_iter().flatten().fold(f64::INFINITY, f64::min);
        let ratio = own.map(|own| own / best).filter(|_| best.is_finite());
        if let Some(ratio) = ratio {
            logarithms += ratio.ln();
            compared += 1;
        }
        let _ = write!(text, "| `{row}` | {} | {}", shown(own), shown(number(results, "stamps", row, 2)));
        let _ = write!(text, " | {} |", shown(number(results, "trees", row, 0)));
        others.iter().for_each(|time| text.push_str(&format!(" {} |", shown(*time))));
        let _ = writeln!(text, " {} |", ratio.map_or(String::new(), |ratio| format!("{ratio:.2}")));
    }
    text.push('\n');
    if compared > 0 {
        let mean = (logarithms / f64::from(compared)).exp();
        let _ = writeln!(text, "Geometric mean of the ratios over {compared} rows: {mean:.2}.\n");
    }
}

fn training_table(results: &Value, text: &mut String) {
    let mut lines = String::new();
    for (name, step) in steps(results) {
        let Some(what) = name.strip_prefix("train-") else { continue };
        let rate = match step["steps_per_second"].as_f64() {
            Some(rate) => format!("{rate:.0}"),
            None => "nothing was logged".into(),
        };
        let _ = writeln!(lines, "| {what} | {rate} |");
    }
    if !lines.is_empty() {
        let _ = writeln!(text, "| training, worlds, device | agent-steps/s |\n|---|--:|\n{lines}");
    }
}

fn kernel_tables(results: &Value, text: &mut String) {
    for (name, step) in steps(results) {
        let Some(what) = name.strip_prefix("kernels-") else { continue };
        let program = &step["programs"][0];
        let Some(kernels) = program["kernels"].as_array() else { continue };
        let _ = writeln!(
            text,
            "The program of `{what}` that takes most of the time: {} dispatches in {} us.\n\n| kernel | dispatches | us a run | share |\n|---|--:|--:|--:|",
            program["dispatches"], program["microseconds"]
        );
        for kernel in kernels.iter().take(KERNELS) {
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} % |",
                kernel["kernel"].as_str().unwrap_or_default(),
                kernel["dispatches"],
                kernel["microseconds"],
                kernel["share"]
            );
        }
        text.push('\n');
    }
}
