//! The timing card: every row of `benches/peers/workloads.py` through synod's public API.
//!
//! ```text
//! cargo bench --bench card                     all rows by criterion; `-- attention` for some
//! cargo bench --bench card -- time             medians, by the protocol of the scripts for PyTorch and JAX
//! cargo bench --bench card -- plan             kernels, planned memory, least operations and bytes of each row
//! cargo bench --bench card -- check            results and gradients against plain loops in double precision
//! cargo bench --bench card -- peak             what the machine can do at most
//! cargo bench --bench card -- list             names
//! cargo bench --bench card -- gather FOLDER    what `benches/gpu/run` left in a folder, as JSON
//! cargo bench --bench card -- merge JSON FILE  its tables between two marks in a file
//! ```
//!
//! `RAYON_NUM_THREADS` sets the number of threads. With `SYNOD_CARD_GPU=1` criterion also times rows on the GPU; the
//! other commands take `--device gpu`.

mod check;
mod cost;
mod peak;
mod reference;
mod report;
mod workloads;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use criterion::Criterion;
use synod::{Device, Error, Graph, Result, TensorType};
use workloads::{Normal, Row, Runner, rows};

/// The seed of operands in timings.
const SEED: u64 = 0;

/// The timing card of synod.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Time rows: `name<TAB>median<TAB>minimum`, in seconds; with SYNOD_GPU_TIMES=1 `<TAB>time on the GPU` as well.
    Time {
        #[command(flatten)]
        choice: Choice,
        /// Time spent on each row.
        #[arg(long, default_value_t = 0.4)]
        seconds: f64,
    },
    /// Show kernels, memory, operations and bytes of rows.
    Plan {
        #[command(flatten)]
        choice: Choice,
        /// Print `name<TAB>operations<TAB>bytes` alone.
        #[arg(long)]
        plain: bool,
    },
    /// Compare rows with plain loops in double precision.
    Check {
        #[command(flatten)]
        choice: Choice,
        /// Seed of the operands.
        #[arg(long, default_value_t = SEED)]
        seed: u64,
    },
    /// Measure operations and bytes a second: `operations<TAB>bytes<TAB>threads`.
    Peak,
    /// Measure what the host does for a dispatch on a GPU: `dispatches<TAB>seconds each before the GPU can begin<TAB>and while it is at work`.
    Host,
    /// Print the names of rows.
    List,
    /// Print what `benches/gpu/run` left in a folder as one JSON object.
    Gather {
        /// The folder.
        folder: PathBuf,
    },
    /// Write the tables of such an object into a file, between the lines <!-- gpu begin --> and <!-- gpu end -->.
    Merge {
        /// The object.
        results: PathBuf,
        /// The file.
        #[arg(default_value = "BENCHMARKS.md")]
        file: PathBuf,
    },
}

#[derive(clap::Args)]
struct Choice {
    /// Only rows whose names begin with this, or with one of these with commas between.
    #[arg(long, default_value = "")]
    only: String,
    /// `cpu` or `gpu`.
    #[arg(long, default_value = "cpu")]
    device: String,
}

impl Choice {
    fn rows(&self) -> Result<(Device, Vec<Row>)> {
        let mut rows = rows();
        rows.retain(|row| self.only.split(',').any(|start| row.name.starts_with(start)));
        Ok((Device::by_name(&self.device)?, rows))
    }
}

fn main() -> ExitCode {
    // Cargo adds `--bench` to whatever is asked for.
    let arguments: Vec<String> = std::env::args().filter(|a| a != "--bench").collect();
    let commands = ["time", "plan", "check", "peak", "host", "list", "gather", "merge", "help"];
    let result = match arguments.get(1) {
        Some(first) if commands.contains(&first.as_str()) => run(Arguments::parse_from(arguments).command),
        _ => with_criterion(),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Time { choice, seconds } => {
            let (device, rows) = choice.rows()?;
            for row in rows {
                let mut runner = prepare(&row, &device)?;
                let (median, least) = time(&mut runner, seconds)?;
                let gpu = runner.gpu_seconds().map_or(String::new(), |time| format!("\t{time:.3e}"));
                println!("{}\t{median:.3e}\t{least:.3e}{gpu}", row.name);
            }
        }
        Command::Plan { choice, plain } => {
            let (device, rows) = choice.rows()?;
            for row in rows {
                println!("{}", plan(&row, &device, plain)?);
            }
        }
        Command::Check { choice, seed } => {
            let (device, rows) = choice.rows()?;
            let mut wrong = 0;
            for row in rows {
                match check::check(&row, &device, seed) {
                    Ok(()) => println!("ok     {}", row.name),
                    Err(message) => {
                        wrong += 1;
                        println!("WRONG  {message}");
                    }
                }
            }
            if wrong > 0 {
                eprintln!("{wrong} rows are wrong");
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Peak => {
            let (operations, bytes) = (peak::operations_per_second(), peak::bytes_per_second());
            println!("{operations:.4e}\t{bytes:.4e}\t{}", rayon::current_num_threads());
        }
        Command::Host => {
            let (dispatches, [before, beside]) = host_time()?;
            println!("{dispatches}\t{before:.3e}\t{beside:.3e}");
        }
        Command::List => rows().iter().for_each(|row| println!("{}", row.name)),
        Command::Gather { folder } => println!("{:#}", report::gather(&folder).map_err(Error::Usage)?),
        Command::Merge { results, file } => {
            let read = |path: &Path| {
                std::fs::read_to_string(path).map_err(|e| Error::Usage(format!("{}: {e}", path.display())))
            };
            let found = serde_json::from_str(&read(&results)?)
                .map_err(|e| Error::Usage(format!("{}: {e}", results.display())))?;
            let merged = report::merge(&found, &read(&file)?).map_err(Error::Usage)?;
            std::fs::write(&file, merged).map_err(|e| Error::Usage(format!("{}: {e}", file.display())))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn prepare(row: &Row, device: &Device) -> Result<Runner> {
    let mut random = Normal::seeded(SEED);
    let (values, edges) = (row.work.values(&mut random), row.work.edges(&mut random));
    Runner::new(row, device, &values, &edges)
}

/// The dispatches of a program of many small products, and the host's seconds for each, the least of many runs: before
/// the submission, and while the device is at work.
fn host_time() -> Result<(usize, [f64; 2])> {
    let device = Device::gpu()?;
    let g = Graph::new();
    let (mut x, weight) = (g.input("x", [4, 4]), g.input("weight", [4, 4]));
    for _ in 0..200 {
        x = x.matmul(weight);
    }
    let result = device.variable("result", TensorType::f32([4, 4]), &[0.0f32; 16])?;
    g.assign(&result, x);
    let mut program = device.compile(&g, &[])?;
    let dispatches = program.summary().dispatches;
    program.run(&[("x", &[0.5f32; 16]), ("weight", &[0.25f32; 16])])?;
    let mut least = [f64::INFINITY; 2];
    for _ in 0..200 {
        program.run(&[])?;
        // A software adapter would else compete with the next run for the processors.
        result.read()?;
        if let Some(time) = program.host_time() {
            let times = [time.before_submission, time.while_running];
            least = std::array::from_fn(|i| least[i].min(times[i].as_secs_f64() / dispatches as f64));
        }
    }
    Ok((dispatches, least))
}

/// Seconds of `count` runs.
fn measure(runner: &mut Runner, count: u64) -> Result<Duration> {
    let start = Instant::now();
    for _ in 0..count {
        runner.run()?;
    }
    runner.wait()?;
    Ok(start.elapsed())
}

/// Median and minimum in seconds, as `torch_bench.py` takes them: three runs to warm up, then batches of about 20 ms.
fn time(runner: &mut Runner, seconds: f64) -> Result<(f64, f64)> {
    measure(runner, 3)?;
    let one = measure(runner, 1)?.as_secs_f64();
    let count = (0.02 / one.max(1e-7)).max(1.0) as u64;
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed().as_secs_f64() < seconds || times.len() < 5 {
        times.push(measure(runner, count)?.as_secs_f64() / count as f64);
    }
    times.sort_by(f64::total_cmp);
    let middle = times.len() / 2;
    let median = if times.len() % 2 == 1 { times[middle] } else { (times[middle - 1] + times[middle]) / 2.0 };
    Ok((median, times[0]))
}

/// What a row is made of and what it must do at least, as text.
fn plan(row: &Row, device: &Device, plain: bool) -> Result<String> {
    let cost = cost::cost(row);
    if plain {
        return Ok(format!("{}\t{:.6e}\t{:.6e}", row.name, cost.operations, cost.bytes));
    }
    let summary = prepare(row, device)?.summary();
    let on_gpu = match summary.dispatches {
        0 => String::new(),
        count => format!(" in {count} dispatches, {} levels and one submission", summary.levels),
    };
    let mebibytes = |bytes: f64| bytes / f64::from(1 << 20);
    let mut text = format!(
        "{:<38} {:>3} kernels{on_gpu}, {:>8.2} MiB planned ({:.2} live), least {:.3} GFLOP and {:.2} MiB; kernels count {:.3} GFLOP\n ",
        row.name,
        summary.steps,
        mebibytes(summary.planned_bytes as f64),
        mebibytes(summary.live_bytes as f64),
        cost.operations / 1e9,
        mebibytes(cost.bytes),
        summary.operations as f64 / 1e9,
    );
    for (name, count) in &summary.kernels {
        // Writing to a string does not fail.
        let _ = match count {
            1 => write!(text, " {name}"),
            _ => write!(text, " {count} x {name}"),
        };
    }
    Ok(text)
}

/// All rows by criterion, with the backend behind the name.
fn with_criterion() -> Result<ExitCode> {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let mut devices = vec![("cpu", Device::cpu())];
    if std::env::var("SYNOD_CARD_GPU").is_ok_and(|v| v == "1") {
        devices.push(("gpu", Device::gpu()?));
    }
    for (backend, device) in devices {
        for row in rows() {
            // Criterion calls the closure more than once, and not at all for rows that were not asked for.
            let mut runner = None;
            criterion.bench_function(&format!("{}/{backend}", row.name), |bencher| {
                let runner =
                    runner.get_or_insert_with(|| prepare(&row, &device).expect("the row can be built"));
                bencher.iter_custom(|count| measure(runner, count).expect("the row runs"));
            });
        }
    }
    criterion.final_summary();
    Ok(ExitCode::SUCCESS)
}
